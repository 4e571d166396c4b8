/** A header's value. */
export type HeaderValue = string | Uint8Array;

/**
 * A record as a producer gives it. A value that is neither bytes nor a string is encoded as MessagePack; the reader
 * gets it back as plain data.
 */
export interface OutgoingRecord {
  /** Decides the partition; at most 4 KiB. */
  readonly key?: string | Uint8Array | null | undefined;
  /** Names that start with `millrace-` are reserved. */
  readonly headers?: Readonly<Record<string, HeaderValue>> | null | undefined;
  readonly value: unknown;
  /** The producer's own time, ms since the epoch; the broker adds its own. */
  readonly timestamp?: number | undefined;
  /** Reserved for grouping in later releases; carried and delivered, nothing more. */
  readonly groupKey?: string | undefined;
}

/** A record as a reader gets it. Binary parts are views of the frame. */
export interface IncomingRecord {
  readonly key: string | Uint8Array | undefined;
  readonly headers: Readonly<Record<string, HeaderValue>> | undefined;
  readonly value: unknown;
  /** The producer's own time, ms since the epoch, if it gave one. */
  readonly timestamp: number | undefined;
  readonly groupKey: string | undefined;
  /** The record was erased: its offset remains, its content is gone. */
  readonly removed: boolean;
}

/** Of the names of headers that only a broker sets. */
export const RESERVED_HEADER_PREFIX = "millrace-";

/** Names in a record's attribute map. */
export const RECORD_ATTRIBUTE = {
  timestamp: "timestamp",
  deliverAt: "deliverAt",
  ttl: "ttl",
  priority: "priority",
  dedupId: "dedupId",
  groupKey: "groupKey",
} as const;

/** attributes, key, headers, value */
export const RECORD_ELEMENTS = 4;
