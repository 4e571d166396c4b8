import type { BatchResult, OutgoingRecord, PublishResult } from "./record.ts";

/** Options of `client.producer`. */
export interface ProducerOptions {
  /**
   * How long a batch that is not full waits for more records, in ms; 0 = until the end of the current turn of the
   * event loop. Default 1.
   */
  readonly lingerMs?: number | undefined;
  /**
   * A batch is sent as soon as it holds so many bytes of encoded records; 1 KiB .. 1 MiB. Default 65,536.
   * 0 = no batches: each record is a frame of its own and leaves at once, whatever `lingerMs` is. Costs many times as
   * much a record, here and in the broker.
   */
  readonly batchBytes?: number | undefined;
  /**
   * Bytes that may wait for their acknowledgement, all partitions together. Without batches a record counts as 4 KiB at
   * least. Default 33,554,432.
   */
  readonly maxBufferedBytes?: number | undefined;
  /** `send` calls that may wait for room in the buffer; one more rejects with BUFFER_FULL. Default 1,000,000. */
  readonly maxWaitingSends?: number | undefined;
  /** From `send` or `append` to the acknowledgement, retries included; then TIMEOUT. Default 120,000. */
  readonly deliveryTimeoutMs?: number | undefined;
  /** First pause before a batch is sent again; doubles with each failure in a row, with jitter. Default 100. */
  readonly retryBackoffMs?: number | undefined;
  /** Longest such pause. Default 5,000. */
  readonly retryBackoffMaxMs?: number | undefined;
}

/** Options of `producer.flush` and `producer.room`. */
export interface FlushOptions {
  /** Rejects this wait with ABORTED; the records stay under way. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Publishes records to one topic. Each record is stored exactly once, whatever is retried: the producer carries an id,
 * an epoch and a sequence per partition. The order of `send` and `append` is kept in each partition.
 */
export interface Producer {
  readonly topic: string;
  /** Bytes of records not yet acknowledged. */
  readonly bufferedBytes: number;
  /** False when the next `append` would throw BUFFER_FULL: await `room()` first. */
  readonly hasRoom: boolean;
  /**
   * Resolves once the topic's partitions are known. Optional: records sent earlier wait for that by themselves, at a
   * higher cost each. Rejects with UNKNOWN_TOPIC, CLOSED or TIMEOUT.
   */
  ready(): Promise<void>;
  /**
   * Publishes one record; resolves when the broker has acknowledged it. While the buffer is full the record waits, and
   * is copied only then: leave its bytes alone until the promise settles, or check `hasRoom` first.
   * Rejects with the broker's error, TIMEOUT, RECORD_TOO_LARGE, UNKNOWN_TOPIC, UNKNOWN_PARTITION, BUFFER_FULL (too
   * many waiting), CLOSED.
   */
  send(record: OutgoingRecord): Promise<PublishResult>;
  /**
   * The fast path: no promise per record. Returns the promise of the batch that took the record, the same for all of
   * its records. The promise may be ignored: a failed batch is also reported by the next `flush()`.
   * Throws BUFFER_FULL (nothing was taken), RECORD_TOO_LARGE, UNKNOWN_PARTITION, CLOSED.
   */
  append(record: OutgoingRecord): Promise<BatchResult>;
  /** Resolves as soon as `hasRoom` is true. */
  room(options?: FlushOptions): Promise<void>;
  /**
   * Sends what waits, and resolves when everything that was given before is acknowledged or has failed. Rejects with
   * the first failure among batches filled by `append` since the last flush.
   */
  flush(options?: FlushOptions): Promise<void>;
  /** Flushes, then refuses new records with CLOSED. */
  close(): Promise<void>;
}
