import type { SettledFile } from "./manifest-layout.ts";

/**
 * Rows about partitions in one Float64Array, sorted by topicId and partition: it travels between threads as one piece.
 */
export const SETTLE_FIELDS = 4;
export const SETTLE_TOPIC_ID = 0;
export const SETTLE_PARTITION = 1;
/** As committed: what is below may be dropped. */
export const SETTLE_LOG_START = 2;
/** Retention class: partitions with equal values expire together. ms; 0 = never. */
export const SETTLE_RETENTION_MS = 3;

/** What a settle job reads: ended segments, all of whose entries are committed, or settled files that hold much that is dead. */
export type SettleSource =
  | {
      readonly kind: "segment";
      readonly basePosition: number;
      readonly epoch: number;
      readonly endPosition: number;
      /**
       * It was the last one of an owner before: should that one still live, it may write behind the end, which only matters
       * to a file that has a footer there. So it is not adopted.
       */
      readonly copy?: boolean;
    }
  | { readonly kind: "settled"; readonly file: SettledFile };

/**
 * Makes settled files of consecutive sources. They are durable when the job is done, and count from the next manifest on;
 * without one they are removed at the next start.
 */
export interface SettleJob {
  readonly kind: "settle";
  readonly directory: string;
  readonly shardId: number;
  /** Of the owner: goes into the names. */
  readonly epoch: number;
  readonly journalId: number;
  /** Oldest first; all segments, or all settled files. */
  readonly sources: readonly SettleSource[];
  /** Number for the first file. */
  readonly firstPart: number;
  /** Every partition that exists: SETTLE_FIELDS numbers each. Entries of others, and those below the log start, are dropped. */
  readonly partitions: Float64Array;
  /** `adopt`: add footers and copy nothing, whatever the segments look like (a full disk, or damage in an entry). */
  readonly method: "auto" | "adopt";
  /** A segment below this size is never adopted by `auto`, but sorted together with its neighbours. */
  readonly adoptBytesMin: number;
  /** Bytes to write per second at most; 0 = as fast as it goes. */
  readonly bytesPerSecond: number;
}

export interface SettleResult {
  readonly kind: "settled";
  /** Where the settled stretch ends: what was asked for, or before it where the sources want different treatment. */
  readonly endPosition: number;
  /** May be none, when nothing in the stretch lives. */
  readonly files: readonly SettledFile[];
  /** What the files hold: topicId, partition, bytes of entries (with alignment). */
  readonly added: Float64Array;
  /** What the sources held, where they were settled files; same rows. */
  readonly removed: Float64Array;
}

/** Rows for a retention plan, like SETTLE_FIELDS. */
export const RETENTION_FIELDS = 5;
export const RETENTION_TOPIC_ID = 0;
export const RETENTION_PARTITION = 1;
export const RETENTION_LOG_START = 2;
/** ms; 0 = for ever. */
export const RETENTION_MS = 3;
/** Bytes of settled entries to keep at least; Infinity = all. Older ones may go. */
export const RETENTION_KEEP_BYTES = 4;
/** Reads the footers of settled files and says what may be dropped. Changes nothing. */
export interface RetentionJob {
  readonly kind: "plan-retention";
  readonly directory: string;
  readonly shardId: number;
  /** Oldest first. For partitions with a byte bound all files that may hold some of it. */
  readonly files: readonly SettledFile[];
  /** Every partition that exists: RETENTION_FIELDS numbers each. */
  readonly partitions: Float64Array;
  readonly nowMs: number;
  /** What is in the files before this index goes whatever its age (the volume is full), but for the catalog, topic 0. */
  readonly dropThrough: number;
}

export interface RetentionPlan {
  readonly kind: "retention-plan";
  /** Log starts to be moved: topicId, partition, offset. */
  readonly moves: Float64Array;
  /** For each file: bytes of entries that live once the moves are made, and the time (ms) from which on it is worth another look. */
  readonly files: Float64Array;
  /** What is in files without any living entry: topicId, partition, bytes. */
  readonly freed: Float64Array;
}
