import {
  ENTRY_HEADER_BYTES,
  ENTRY_TYPE_BATCH,
  ENTRY_TYPE_STATE,
  type ReplayHandler,
} from "@millrace/journal/internal";
import { BatchReader, MillraceError } from "@millrace/protocol";
import { CATALOG_TOPIC_ID } from "./catalog-state.ts";
import {
  entryAppendTime,
  entryBaseOffset,
  entryBaseSequence,
  entryCount,
  entryEpoch,
  entryLength,
  entryPartition,
  entryProducerEpoch,
  entryProducerId,
  entryTopicId,
} from "./entry-fields.ts";
import type { ShardState } from "./shard-state.ts";
import { decodeStateChanges } from "./state-entry.ts";
import type { DeadChange } from "./subscription-changes.ts";

/** Rebuilds a shard's state while the journal recovers: the checkpoint first, then every entry behind it. */
export class ShardRecovery implements ReplayHandler {
  readonly #state: ShardState;
  readonly #batch: BatchReader = new BatchReader();
  /** Changes that count only if the next entry is their batch, and the epoch of their own entry. */
  #dead: DeadChange[] = [];
  #deadEpoch = 0;
  entries = 0;

  constructor(state: ShardState) {
    this.#state = state;
  }

  onCheckpoint(bytes: Uint8Array): void {
    this.#state.restore(bytes);
  }

  onEntry(words: Int32Array, bytes: Uint8Array, index: number, position: number): void {
    this.entries += 1;
    const type = words[(index >> 2) + 1] as number;
    if (this.#dead.length > 0) this.#deadLetters(words, index, type);
    if (type === ENTRY_TYPE_BATCH) this.#batchEntry(words, bytes, index);
    else if (type === ENTRY_TYPE_STATE) {
      const payload = bytes.subarray(index + ENTRY_HEADER_BYTES, index + entryLength(words, index));
      for (const change of decodeStateChanges(payload)) {
        if (change[0] === "dead") this.#dead.push(change);
        else this.#state.applyChange(change);
      }
      this.#deadEpoch = entryEpoch(words, index);
    } else {
      throw new MillraceError(
        "DATA_FORMAT_NEWER",
        `journal entry of an unknown type: type=${type} position=${position}`,
      );
    }
  }

  /**
   * A crash may have come between the entry that says so and the dead letters: then the records are unfinished as before. What
   * was written after such a crash is of another epoch, and does not stand for them.
   */
  #deadLetters(words: Int32Array, index: number, type: number): void {
    const dead = this.#dead;
    this.#dead = [];
    if (type !== ENTRY_TYPE_BATCH || entryEpoch(words, index) !== this.#deadEpoch) return;
    const baseOffset = entryBaseOffset(words, index);
    const endOffset = baseOffset + entryCount(words, index);
    for (const change of dead) {
      const [, , , partition, , dlqTopicId, dlqOffset] = change;
      if (dlqTopicId !== entryTopicId(words, index) || partition !== entryPartition(words, index)) continue;
      if (dlqOffset >= baseOffset && dlqOffset < endOffset) this.#state.applyChange(change);
    }
  }

  #batchEntry(words: Int32Array, bytes: Uint8Array, index: number): void {
    const topicId = entryTopicId(words, index);
    const partition = this.#state.replayed(topicId, entryPartition(words, index));
    const baseOffset = entryBaseOffset(words, index);
    const count = entryCount(words, index);
    const timeMs = entryAppendTime(words, index);
    partition.nextOffset = baseOffset + count;
    partition.lastTimeMs = timeMs;
    const producerId = entryProducerId(words, index);
    if (producerId !== 0) {
      const epoch = entryProducerEpoch(words, index);
      const sequence = entryBaseSequence(words, index);
      this.#state.recordProducer(partition, producerId, epoch, sequence, count, baseOffset, timeMs);
    }
    if (topicId === CATALOG_TOPIC_ID) this.#catalogBatch(bytes, index, entryLength(words, index), baseOffset);
  }

  #catalogBatch(bytes: Uint8Array, index: number, length: number, baseOffset: number): void {
    const batch = this.#batch;
    batch.reset(bytes, index + ENTRY_HEADER_BYTES, index + length);
    for (let i = 0; i < batch.count; i += 1) {
      const { key, value } = batch.recordAt(i);
      if (typeof key !== "string" || !(value instanceof Uint8Array)) {
        throw new MillraceError(
          "JOURNAL_DAMAGED",
          `record of $catalog is not a topic: offset=${baseOffset + i}`,
        );
      }
      this.#state.catalog.apply(key, value, baseOffset + i);
    }
  }
}
