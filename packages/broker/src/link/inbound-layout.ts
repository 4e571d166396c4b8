/**
 * Records from a gateway to a shard: BATCH and REQUEST stand in the inbound ring, READ and UNTAIL in the ring
 * for reads. The ring's own header (length, type)
 * comes first; word indexes here count from the start of that header, so a record at byte index `i` of the
 * ring has its field W at `words[(i >> 2) + W]`. 64 bit fields are two words, low word first.
 *
 *   BATCH    the journal entry itself (see the journal's entry layout): the gateway fills the fields of the
 *            entry's header that the client decided, leaves room for the rest, and copies the stored payload
 *            behind it. The shard completes the header in place.
 *   READ     | 2 streamId | 3 sharedStreamId | 4 topicId | 5 partition | 6,7 offset | 8 maxBytes |
 *   UNTAIL   | 2 topicId | 3 partition |
 *   REQUEST  | 2 requestId | 3 payload bytes | 4.. MessagePack [kind, ...arguments] |
 */
export const INBOUND = {
  BATCH: 1,
  READ: 64,
  UNTAIL: 65,
  REQUEST: 66,
} as const;

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
export const UNTAIL_BYTES = 8;

export const REQUEST_ID = 2;
export const REQUEST_LENGTH = 3;
/** Byte position of the MessagePack payload from the record's start. */
export const REQUEST_PAYLOAD = 16;
