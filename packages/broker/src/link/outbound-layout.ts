import type { ProgressReason } from "@millrace/protocol";

/**
 * Records from a shard (or the reader thread) to a gateway: what stands in the outbound ring. Word indexes
 * count from the start of the ring's record header, as in inbound-layout.ts. Word 2 is an id that names its gateway (see
 * gateway-ids.ts), but for AVAILABLE, which is for every gateway, and NOTICE.
 *
 *   ACK           | 2 sessionId | 3 topicId | 4 partition | 5 durability | 6,7 producerId | 8,9 firstSequence |
 *                 | 10,11 baseOffset | 12 count | 13 logEpoch |
 *   PUBLISH_ERROR | 2 sessionId | 3 topicId | 4 partition | 5 error number | 6,7 producerId |
 *                 | 8,9 firstSequence | 10 count | 11 retryAfterMs |
 *   DELIVER       | 2 streamId | 3 shared (1: the partition's tail group) | 4,5 first offset | 6,7 next offset |
 *                 | 8 frame bytes | 9 - | 10.. the DELIVER frame |
 *   JOINED        | 2 streamId | 3 sharedStreamId | 4,5 offset from which tail deliveries follow |
 *   PROGRESS      | 2 streamId | 3 reason (0 gap, 1 retention, 2 damage) | 4,5 next offset |
 *   READ_ERROR    | 2 streamId | 3 error number | 4,5 logStartOffset | 6,7 highWatermark | 8 logEpoch |
 *   NEEDS_CREDIT  | 2 streamId | 3 bytes that the next entry's frame takes |
 *   REPLY         | 2 requestId | 3 payload bytes | 4.. MessagePack [ok, value] or [error number, message, details] |
 *   AVAILABLE     | 2 subscriptionId |
 *   EMPTY         | 2 consumerId | 3 messages | 4 bytes |
 *   LEASED        | 2 consumerId | 3 messages | 4 frame bytes | 5 - | 6.. the LEASED frame |
 *   SETTLED       | 2 consumerId | 3 settleId | 4 outcome (0 or an error number) | 5 messages |
 *   NOTICE        | 2 payload bytes | 3 consumerId, or -1: for every gateway | 4.. MessagePack [kind, ...arguments] |
 */
export const OUTBOUND = {
  ACK: 1,
  PUBLISH_ERROR: 2,
  DELIVER: 3,
  JOINED: 4,
  PROGRESS: 5,
  READ_ERROR: 6,
  NEEDS_CREDIT: 7,
  REPLY: 8,
  AVAILABLE: 9,
  EMPTY: 10,
  LEASED: 11,
  SETTLED: 12,
  NOTICE: 13,
} as const;

/** Of all but AVAILABLE and NOTICE: an id that names the gateway. */
export const OUTBOUND_ID = 2;

export const ACK_SESSION_ID = 2;
export const ACK_TOPIC_ID = 3;
export const ACK_PARTITION = 4;
export const ACK_DURABILITY = 5;
export const ACK_PRODUCER_ID = 6;
export const ACK_FIRST_SEQUENCE = 8;
export const ACK_BASE_OFFSET = 10;
export const ACK_COUNT = 12;
export const ACK_LOG_EPOCH = 13;
export const ACK_BYTES = 48;

export const ERROR_SESSION_ID = 2;
export const ERROR_TOPIC_ID = 3;
export const ERROR_PARTITION = 4;
export const ERROR_NUMBER = 5;
export const ERROR_PRODUCER_ID = 6;
export const ERROR_FIRST_SEQUENCE = 8;
export const ERROR_COUNT = 10;
export const ERROR_RETRY_AFTER_MS = 11;
export const ERROR_BYTES = 40;

export const DELIVER_STREAM_ID = 2;
export const DELIVER_SHARED = 3;
export const DELIVER_FIRST_OFFSET = 4;
export const DELIVER_NEXT_OFFSET = 6;
export const DELIVER_FRAME_BYTES = 8;
/** Byte position of the frame from the record's start: 8-aligned, so that aligned copies stay aligned. */
export const DELIVER_FRAME = 40;

export const JOINED_STREAM_ID = 2;
export const JOINED_SHARED_STREAM_ID = 3;
export const JOINED_OFFSET = 4;
export const JOINED_BYTES = 16;

export const PROGRESS_STREAM_ID = 2;
export const PROGRESS_REASON = 3;
export const PROGRESS_NEXT_OFFSET = 4;
export const PROGRESS_BYTES = 16;
export const PROGRESS_GAP = 0;
export const PROGRESS_RETENTION = 1;
export const PROGRESS_DAMAGE = 2;
/** What clients are told, by the numbers above. */
export const PROGRESS_REASONS: readonly ProgressReason[] = ["gap", "retention", "damage"];

export const READ_ERROR_STREAM_ID = 2;
export const READ_ERROR_NUMBER = 3;
export const READ_ERROR_LOG_START = 4;
export const READ_ERROR_HIGH_WATERMARK = 6;
export const READ_ERROR_LOG_EPOCH = 8;
export const READ_ERROR_BYTES = 32;

export const NEEDS_CREDIT_STREAM_ID = 2;
export const NEEDS_CREDIT_BYTES_NEEDED = 3;
export const NEEDS_CREDIT_BYTES = 8;

export const REPLY_ID = 2;
export const REPLY_LENGTH = 3;
/** Byte position of the MessagePack payload from the record's start. */
export const REPLY_PAYLOAD = 16;

export const AVAILABLE_SUBSCRIPTION_ID = 2;
export const AVAILABLE_BYTES = 8;

export const EMPTY_CONSUMER_ID = 2;
export const EMPTY_MESSAGES = 3;
export const EMPTY_CREDIT_BYTES = 4;
export const EMPTY_BYTES = 16;

export const LEASED_CONSUMER_ID = 2;
export const LEASED_MESSAGES = 3;
export const LEASED_FRAME_BYTES = 4;
/** Byte position of the frame from the record's start: 8-aligned, as a DELIVER's. */
export const LEASED_FRAME = 24;

export const SETTLED_CONSUMER_ID = 2;
export const SETTLED_ID = 3;
export const SETTLED_OUTCOME = 4;
export const SETTLED_MESSAGES = 5;
export const SETTLED_BYTES = 16;

export const NOTICE_LENGTH = 2;
/** The consumer that it is about, or NOTICE_TO_ALL. */
export const NOTICE_TO = 3;
export const NOTICE_TO_ALL = -1;
/** Byte position of the MessagePack payload from the record's start. */
export const NOTICE_PAYLOAD = 16;
