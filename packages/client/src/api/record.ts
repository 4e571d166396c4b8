/** What a header may hold. Names that begin with `millrace-` are reserved. */
export type HeaderValue = string | Uint8Array;

/**
 * One record to be published. Bytes and strings are copied before `send` or `append` returns, so the caller may reuse
 * its buffers at once.
 */
export interface OutgoingRecord {
  /**
   * Chooses the partition (murmur2 of its raw bytes, as Kafka's clients do); records with one key keep their order.
   * At most 4 KiB. Without a key records go round robin, a batch to each partition in turn.
   */
  readonly key?: string | Uint8Array | undefined;
  /** At most 64 KiB together. */
  readonly headers?: Readonly<Record<string, HeaderValue>> | undefined;
  /**
   * Bytes travel as they are, a string as UTF-8; anything else (objects, arrays, numbers, booleans, null, Date, Map)
   * is packed as MessagePack and comes back as such. At most 1 MiB encoded.
   */
  readonly value: unknown;
  /** The producer's own time in ms since the epoch. The broker's append time is stored in any case. */
  readonly timestamp?: number | undefined;
  /** An explicit partition, instead of one by key or round robin. */
  readonly partition?: number | undefined;
}

/** One record as it was read. */
export interface ReceivedRecord {
  readonly topic: string;
  readonly partition: number;
  /** Position in the partition, from 0; it counts records. */
  readonly offset: number;
  /** The producer's own timestamp if the record carries one, else the broker's append time; ms since the epoch. */
  readonly timestamp: number;
  readonly key: string | Uint8Array | undefined;
  readonly headers: Readonly<Record<string, HeaderValue>> | undefined;
  /**
   * A Uint8Array for a value published as bytes, a string for a string, else the decoded MessagePack value. Bytes are
   * a view of the received frame: they stay valid for ever, and keep the frame (at most 2 MiB) in memory.
   */
  readonly value: unknown;
}

/** How durable a record was when it was acknowledged; set per topic. */
export type Durability = "memory" | "written" | "fsynced";

/** Where a record was stored; what `producer.send` resolves with. */
export interface PublishResult {
  readonly topic: string;
  readonly topicId: number;
  readonly partition: number;
  /**
   * Position in the partition. -1 when the record was stored by an earlier attempt so long ago that the broker no
   * longer knows its offset.
   */
  readonly offset: number;
  readonly logEpoch: number;
  /** What had been reached when the broker acknowledged the record. */
  readonly durability: Durability;
}

/** Where a batch was stored; what the promise of `producer.append` resolves with. */
export interface BatchResult {
  readonly topic: string;
  readonly topicId: number;
  readonly partition: number;
  /** Offset of the batch's first record, its others follow; -1 when no longer known. */
  readonly baseOffset: number;
  /** Records of the batch. */
  readonly count: number;
  readonly logEpoch: number;
  readonly durability: Durability;
}

/** Consecutive records of one partition as they came, without an object per record. */
export interface ReceivedBatch {
  readonly topic: string;
  readonly partition: number;
  /** Offset of the record of index 0; the record of index i has `baseOffset + i`. */
  readonly baseOffset: number;
  /** Records of the batch, removed ones included. */
  readonly count: number;
  /** Broker's append time, ms since the epoch. */
  readonly timestamp: number;
  /**
   * The value of record `index` as raw bytes: of a value published as bytes or string its content (UTF-8), of any
   * other its MessagePack. A view of the received frame. Empty for a removed record. Cheapest in ascending order.
   */
  valueAt(index: number): Uint8Array;
  /** Record `index` in full, or undefined when it was removed. */
  recordAt(index: number): ReceivedRecord | undefined;
  /** The batch's records in full, without the removed ones. */
  [Symbol.iterator](): IterableIterator<ReceivedRecord>;
}
