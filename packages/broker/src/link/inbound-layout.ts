/**
 * Records from a gateway to a shard: BATCH and REQUEST stand in the inbound ring, READ and UNTAIL in the ring
 * for reads, LEND, RECALL, DETACH and SETTLE in the ring for consumers. The ring's own header (length, type)
 * comes first; word indexes here count from the start of that header, so a record at byte index `i` of the
 * ring has its field W at `words[(i >> 2) + W]`. 64 bit fields are two words, low word first. The ids of sessions (in a
 * BATCH), streams, requests and consumers name their gateway, see gateway-ids.ts: several write through the same rings.
 *
 *   BATCH    the journal entry itself (see the journal's entry layout): the gateway fills the fields of the
 *            entry's header that the client decided, leaves room for the rest, and copies the stored payload
 *            behind it. The shard completes the header in place.
 *   READ     | 2 streamId | 3 sharedStreamId | 4 topicId | 5 partition | 6,7 offset | 8 maxBytes |
 *   UNTAIL   | 2 topicId | 3 partition | 4 gateway | 5 - |
 *   REQUEST  | 2 requestId | 3 payload bytes | 4.. MessagePack [kind, ...arguments] |
 *   LEND     | 2 consumerId | 3 subscriptionId | 4 messages | 5 bytes |
 *   RECALL   | 2 consumerId |
 *   DETACH   | 2 consumerId |
 *   SETTLE   | 2 consumerId | 3 settleId | 4 action | 5 partition | 6 leaseEpoch | 7 - | 8,9 leaseCounter |
 *            | 10,11 first offset | 12 count | 13 argument | 14 reason bytes | 15 - | 16.. reason, UTF-8 |
 */
export const INBOUND = {
  BATCH: 1,
  READ: 64,
  UNTAIL: 65,
  REQUEST: 66,
  LEND: 67,
  RECALL: 68,
  DETACH: 69,
  SETTLE: 70,
} as const;

/** The three rings from a gateway to a shard: each has its own order. */
export const RING_INBOUND = 0;
export const RING_READS = 1;
export const RING_CONSUMERS = 2;
export const RINGS = 3;

/** The ring in which records of a type stand; -1: there are no such records. */
export function ringOf(type: number): number {
  if (type === INBOUND.BATCH || type === INBOUND.REQUEST) return RING_INBOUND;
  if (type === INBOUND.READ || type === INBOUND.UNTAIL) return RING_READS;
  return type >= INBOUND.LEND && type <= INBOUND.SETTLE ? RING_CONSUMERS : -1;
}

export const READ_STREAM_ID = 2;
export const READ_SHARED_STREAM_ID = 3;
export const READ_TOPIC_ID = 4;
export const READ_PARTITION = 5;
export const READ_OFFSET = 6;
export const READ_MAX_BYTES = 8;
/** Payload bytes of a READ record (the ring's header not counted). */
export const READ_BYTES = 32;

export const UNTAIL_TOPIC_ID = 2;
export const UNTAIL_PARTITION = 3;
export const UNTAIL_GATEWAY = 4;
export const UNTAIL_BYTES = 16;

export const REQUEST_ID = 2;
export const REQUEST_LENGTH = 3;
/** Byte position of the MessagePack payload from the record's start. */
export const REQUEST_PAYLOAD = 16;

/** First in each record of the ring for consumers. */
export const CONSUMER_ID = 2;

/** Adds credit at this shard for one consumer; its subscription is stated each time, but never changes. */
export const LEND_SUBSCRIPTION_ID = 3;
export const LEND_MESSAGES = 4;
export const LEND_CREDIT_BYTES = 5;
export const LEND_BYTES = 16;

/** The credit that is not used yet is wanted back: one EMPTY answers, always. */
export const RECALL_BYTES = 8;

/** The consumer is gone: its credit is void, its leases end, and what it held is redelivered as failed. */
export const DETACH_BYTES = 8;

/** One outcome for some records of one lease; `action` is the number of the SETTLE frame. */
export const SETTLE_ID = 3;
export const SETTLE_ACTION = 4;
export const SETTLE_PARTITION = 5;
export const SETTLE_LEASE_EPOCH = 6;
export const SETTLE_LEASE_COUNTER = 8;
export const SETTLE_FIRST_OFFSET = 10;
export const SETTLE_COUNT = 12;
/** Milliseconds; -1: not stated. */
export const SETTLE_ARGUMENT = 13;
export const SETTLE_REASON_BYTES = 14;
/** Byte position of the reason from the record's start. */
export const SETTLE_REASON = 64;
