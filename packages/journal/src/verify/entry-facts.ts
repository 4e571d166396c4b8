import {
  ENTRY_APPEND_TIME_WORD,
  ENTRY_BASE_OFFSET_WORD,
  ENTRY_BASE_SEQUENCE_WORD,
  ENTRY_COUNT_WORD,
  ENTRY_EPOCH_WORD,
  ENTRY_LENGTH_WORD,
  ENTRY_PARTITION_WORD,
  ENTRY_PRODUCER_EPOCH_WORD,
  ENTRY_PRODUCER_ID_WORD,
  ENTRY_SEQUENCE_WORD,
  ENTRY_SYNCED_POSITION_WORD,
  ENTRY_TOPIC_ID_WORD,
  ENTRY_TYPE_WORD,
  isErased,
  readU32,
  readU64,
} from "../entry/entry-layout.ts";

/** What an entry's header says. Plain data. */
export interface EntryFacts {
  readonly length: number;
  readonly type: number;
  readonly epoch: number;
  readonly sequence: number;
  readonly syncedPosition: number;
  readonly topicId: number;
  readonly partition: number;
  readonly baseOffset: number;
  readonly count: number;
  readonly producerEpoch: number;
  readonly appendTime: number;
  readonly producerId: number;
  readonly baseSequence: number;
  /** A repair has put removed records in place of its own. */
  readonly erased: boolean;
}

/** The header at `word`. */
export function entryFacts(words: Int32Array, word: number): EntryFacts {
  return {
    length: words[word + ENTRY_LENGTH_WORD] as number,
    type: readU32(words, word + ENTRY_TYPE_WORD),
    epoch: readU32(words, word + ENTRY_EPOCH_WORD),
    sequence: readU64(words, word + ENTRY_SEQUENCE_WORD),
    syncedPosition: readU64(words, word + ENTRY_SYNCED_POSITION_WORD),
    topicId: readU32(words, word + ENTRY_TOPIC_ID_WORD),
    partition: readU32(words, word + ENTRY_PARTITION_WORD),
    baseOffset: readU64(words, word + ENTRY_BASE_OFFSET_WORD),
    count: readU32(words, word + ENTRY_COUNT_WORD),
    producerEpoch: readU32(words, word + ENTRY_PRODUCER_EPOCH_WORD),
    appendTime: readU64(words, word + ENTRY_APPEND_TIME_WORD),
    producerId: readU64(words, word + ENTRY_PRODUCER_ID_WORD),
    baseSequence: readU64(words, word + ENTRY_BASE_SEQUENCE_WORD),
    erased: isErased(words, word),
  };
}
