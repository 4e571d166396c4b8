import {
  RETENTION_FIELDS,
  RETENTION_KEEP_BYTES,
  RETENTION_LOG_START,
  RETENTION_MS,
  RETENTION_PARTITION,
  RETENTION_TOPIC_ID,
  SETTLE_FIELDS,
  SETTLE_LOG_START,
  SETTLE_PARTITION,
  SETTLE_RETENTION_MS,
  SETTLE_TOPIC_ID,
} from "../src/internal.ts";
import type { ModelEntry } from "./journal-model.ts";

/** What a STATE entry changes. */
export type Change =
  | readonly ["create", topicId: number, partitions: number, retentionMs: number]
  | readonly ["delete", topicId: number]
  | readonly ["start", topicId: number, partition: number, offset: number];

interface TopicState {
  readonly partitions: number;
  /** ms; 0 = for ever. */
  readonly retentionMs: number;
}

/** The state of a shard as some entries make it: which partitions exist, and where their logs start. */
export class ModelState {
  readonly topics: Map<number, TopicState> = new Map();
  readonly deleted: Set<number> = new Set();
  private readonly starts: Map<string, number> = new Map();

  /** After all entries that end at or before a position; topics exist from the moment that they are staged. */
  static at(model: readonly ModelEntry[], position: number): ModelState {
    const state = new ModelState();
    for (const { end, changes } of model) {
      for (const change of changes) if (end <= position || change[0] === "create") state.apply(change);
    }
    return state;
  }

  logStart(topicId: number, partition: number): number {
    return this.starts.get(`${topicId}:${partition}`) ?? 0;
  }

  /** Every partition that exists, by topicId and partition. */
  partitions(): { topicId: number; partition: number; logStart: number; retentionMs: number }[] {
    return [...this.topics]
      .sort(([a], [b]) => a - b)
      .flatMap(([topicId, { partitions, retentionMs }]) =>
        Array.from({ length: partitions }, (_, partition) => ({
          topicId,
          partition,
          logStart: this.logStart(topicId, partition),
          retentionMs,
        })),
      );
  }

  settleRows(): Float64Array {
    const partitions = this.partitions();
    const rows = new Float64Array(partitions.length * SETTLE_FIELDS);
    partitions.forEach(({ topicId, partition, logStart, retentionMs }, i) => {
      rows[i * SETTLE_FIELDS + SETTLE_TOPIC_ID] = topicId;
      rows[i * SETTLE_FIELDS + SETTLE_PARTITION] = partition;
      rows[i * SETTLE_FIELDS + SETTLE_LOG_START] = logStart;
      rows[i * SETTLE_FIELDS + SETTLE_RETENTION_MS] = retentionMs;
    });
    return rows;
  }

  /** @param keepBytes settled bytes that each partition keeps. */
  retentionRows(keepBytes: number): Float64Array {
    const partitions = this.partitions();
    const rows = new Float64Array(partitions.length * RETENTION_FIELDS);
    partitions.forEach(({ topicId, partition, logStart, retentionMs }, i) => {
      rows[i * RETENTION_FIELDS + RETENTION_TOPIC_ID] = topicId;
      rows[i * RETENTION_FIELDS + RETENTION_PARTITION] = partition;
      rows[i * RETENTION_FIELDS + RETENTION_LOG_START] = logStart;
      rows[i * RETENTION_FIELDS + RETENTION_MS] = retentionMs;
      rows[i * RETENTION_FIELDS + RETENTION_KEEP_BYTES] = keepBytes;
    });
    return rows;
  }

  private apply(change: Change): void {
    const topicId = change[1];
    if (change[0] === "create") {
      this.topics.set(topicId, { partitions: change[2], retentionMs: change[3] });
    } else if (change[0] === "delete") {
      this.topics.delete(topicId);
      this.deleted.add(topicId);
    } else if (this.topics.has(topicId) && change[3] > this.logStart(topicId, change[2])) {
      this.starts.set(`${topicId}:${change[2]}`, change[3]);
    }
  }
}
