import {
  ENTRY_CHECKED_WORDS,
  ENTRY_EPOCH_WORD,
  ENTRY_HEADER_CRC_WORD,
  ENTRY_SEQUENCE_WORD,
  ENTRY_SYNCED_POSITION_WORD,
  ENTRY_VERSION,
  ENTRY_VERSION_WORD,
  writeU64,
} from "./entry-layout.ts";
import { checksumWords } from "./header-checksum.ts";

/**
 * Fills in what only the journal knows of the entry at `wordIndex`, and its header's checksum: nothing of the header may change
 * after that.
 */
export function sealEntry(
  words: Int32Array,
  wordIndex: number,
  epoch: number,
  sequence: number,
  syncedPosition: number,
  seed: number,
): void {
  words[wordIndex + ENTRY_VERSION_WORD] = ENTRY_VERSION;
  words[wordIndex + ENTRY_EPOCH_WORD] = epoch;
  writeU64(words, wordIndex + ENTRY_SEQUENCE_WORD, sequence);
  writeU64(words, wordIndex + ENTRY_SYNCED_POSITION_WORD, syncedPosition);
  words[wordIndex + ENTRY_HEADER_CRC_WORD] = checksumWords(words, wordIndex, ENTRY_CHECKED_WORDS, seed);
}
