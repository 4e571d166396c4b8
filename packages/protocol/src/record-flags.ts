/** What any record of a batch has; a bit set in the batch's head. A reader may skip what no record has. */
export const RECORD_FLAG = {
  KEY: 1,
  HEADERS: 2,
  DELIVER_AT: 4,
  TTL: 8,
  PRIORITY: 16,
  DEDUP_ID: 32,
  TIMESTAMP: 64,
  GROUP_KEY: 128,
} as const;

/** Flags of features that this release refuses with UNSUPPORTED_FEATURE; bits above the known ones are refused too. */
export const RECORD_FLAGS_UNSUPPORTED: number =
  RECORD_FLAG.DELIVER_AT | RECORD_FLAG.TTL | RECORD_FLAG.PRIORITY | RECORD_FLAG.DEDUP_ID;

export const RECORD_FLAGS_KNOWN = 0xff;
