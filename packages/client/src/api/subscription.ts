import type { ReceivedBatch, ReceivedRecord } from "./record.ts";

/** Where a partition is to be read from. */
export interface PartitionPosition {
  /** Only from the `positions()` of a pattern, which has several topics. */
  readonly topic?: string | undefined;
  readonly partition: number;
  /** The first offset wanted. */
  readonly offset: number;
  /** As in `positions()`. Stated, a log that has lost records since is reported as a gap. */
  readonly logEpoch?: number | undefined;
  /**
   * As in `positions()`: restores from backups that the log has been through, each with the log epoch that it began and the
   * offset at which the records of the backup end. Two restores of the same backup give the same offsets to different records;
   * stated, it is known exactly what of the log of today has been read.
   */
  readonly restores?: readonly (readonly [logEpoch: number, endOffset: number])[] | undefined;
}

/**
 * Where a subscription begins:
 * - `"earliest"`: the oldest record that is still there; `"latest"`: the next one to be published;
 * - `{ offset, partition }`: an offset of one partition (without `partition`: of each one subscribed to);
 * - `{ time }`: the first records appended at or after a time (Date, or ms since the epoch);
 * - `{ offsets }`: an own offset for each of the partitions, which are then the ones subscribed to: what
 *   `subscription.positions()` returned, or an object or Map partition -> offset. With `topicId` a topic that was
 *   deleted and created again since is refused.
 */
export type SubscribeFrom =
  | "earliest"
  | "latest"
  | { readonly offset: number; readonly partition?: number | undefined }
  | { readonly time: Date | number }
  | {
      readonly offsets:
        | readonly PartitionPosition[]
        | ReadonlyMap<number, number>
        | Readonly<Record<number, number>>;
      readonly topicId?: number | undefined;
    };

/** Offsets that this subscription will not deliver, because the broker no longer has them or did not send them. */
export interface Gap {
  readonly topic: string;
  readonly partition: number;
  /** First offset that is missing. */
  readonly fromOffset: number;
  /**
   * Where the subscription goes on: one past the last that is missing. For "log-epoch" it may equal `fromOffset`: what is lost
   * is then unknown. Or it is less: the log has been restored from a backup, what was delivered from `toOffset` on is not
   * in it, and what stands there now is delivered next.
   */
  readonly toOffset: number;
  /**
   * "retention": dropped by age or size. "gap": offsets that hold no record, for instance skipped after an unclean
   * stop of a topic weaker than `fsynced`. "damage": stored records that the broker's disk had damaged, and that a repair took
   * out. "log-epoch": the partition lost records that may have been seen.
   * "reconnect": a live subscription was without a connection.
   */
  readonly reason: "retention" | "gap" | "damage" | "log-epoch" | "reconnect" | (string & {});
}

/** What a reader that is `live` may ask for besides what is published from now on. */
export interface LiveOptions {
  /** Begins with the newest `records` of each partition, or with what was appended in the last `ms`. */
  readonly replay?: { readonly records: number } | { readonly ms: number } | undefined;
  /**
   * Begins with the newest record of each key, as far as they are among the newest `records` of each partition (10,000 by
   * default). Records without a key are left out of that.
   */
  readonly lastValuePerKey?: { readonly records?: number | undefined } | undefined;
  /** After a lost connection: "report" a gap (the default) and go on with what is published then, or "fill" it from the log. */
  readonly onReconnect?: "report" | "fill" | undefined;
}

/** Options of `client.subscribe`. `replay`, `lastValuePerKey` and `onReconnect` are for mode "live". */
export interface SubscribeOptions extends LiveOptions {
  /** Default "latest". */
  readonly from?: SubscribeFrom | undefined;
  /** Only these partitions; all of them by default. */
  readonly partitions?: readonly number[] | undefined;
  /**
   * "stream" (the default) continues after a lost connection where it was; "live" continues with what is published
   * then, and reports what it missed as a gap (see `onReconnect`).
   */
  readonly mode?: "stream" | "live" | undefined;
  /**
   * Bytes that the broker may send ahead of the application. At least one frame (2 MiB), to which a smaller value is
   * raised. Default 8,388,608.
   */
  readonly windowBytes?: number | undefined;
  /** Ends the iteration at the high watermark that each partition had when the subscription began. Default false. */
  readonly untilEnd?: boolean | undefined;
  /** Checks the crc32 of each batch, end to end; a mismatch fails the iteration. Default true. */
  readonly verifyChecksums?: boolean | undefined;
  /** Ends the iteration with ABORTED. */
  readonly signal?: AbortSignal | undefined;
  /** Told of each gap, before the record that follows it is delivered. */
  readonly onGap?: ((gap: Gap) => void) | undefined;
}

/**
 * Records of one topic, in order per partition. Iterate either the subscription itself, record by record, or its
 * `batches()`; leaving the loop closes the subscription. The broker is allowed to send more only as records are
 * consumed, so a slow loop holds back nothing but itself.
 *
 * The iteration fails with UNKNOWN_TOPIC, TOPIC_DELETED, OFFSET_OUT_OF_RANGE, INVALID_FROM, CHECKSUM_MISMATCH,
 * ABORTED or another final error; lost connections are survived.
 */
export interface Subscription extends AsyncIterable<ReceivedRecord> {
  readonly topic: string;
  /** Resolves once the broker has accepted the subscription the first time; rejects like the iteration. */
  ready(): Promise<void>;
  [Symbol.asyncIterator](): AsyncIterableIterator<ReceivedRecord>;
  /** The fast path: whole batches, without an object per record. */
  batches(): AsyncIterableIterator<ReceivedBatch>;
  /**
   * Where the application is: per partition the offset after the last record (or batch) whose successor was asked
   * for. To be stored and given back as `from: { offsets, topicId }`. Empty before `ready()`.
   */
  positions(): PartitionPosition[];
  /** The topic's id; undefined before `ready()`. */
  readonly topicId: number | undefined;
  /** Ends the subscription; an iteration under way is done. */
  close(): Promise<void>;
}
