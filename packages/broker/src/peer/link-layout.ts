/**
 * What stands on a link between two nodes: records as in a ring, one behind the other.
 *
 *      0        4        8                    length       next multiple of 8
 *      +--------+--------+--------------------+------------+
 *      | length | type   | payload            | zeros      |
 *      +--------+--------+--------------------+------------+
 *
 * Little-endian. Types below LINK_TYPE_MIN are those of inbound-layout.ts (from the guest to the owner) and
 * outbound-layout.ts (from the owner to the guest), byte for byte as in the ring; the others belong to the link. Word
 * indexes count from the record's header, as there.
 *
 *   from the guest, who dials:
 *   HELLO      | 2 magic | 3 version | 4 payload bytes | 5 - | 6.. [clusterId, nodeId, run, attempt, toNodeId, release] |
 *   HEARTBEAT  | 2 number | 3 - |                       answered with the same number
 *   LANE       | 2 laneId | 3 ring, see inbound-layout.ts | the ring records that follow are for it
 *   LANE_OPEN  | 2 laneId | 3 shardId | 4,5 epoch |     answered by LANE_UP or LANE_DOWN
 *   LANE_CLOSE | 2 laneId | 3 - |
 *   RPC        | 2 callId | 3 payload bytes | 4.. [method, ...arguments] |
 *
 *   from the owner:
 *   WELCOME    | 2 payload bytes | 3 - | 4.. [clusterId, nodeId, run, release, window, window, window] |
 *   REFUSED    | 2 payload bytes | 3 - | 4.. [reason] | and the end of the connection
 *   HEARTBEAT  | 2 number | 3 - |
 *   LANE       | 2 laneId | 3 - |
 *   LANE_UP    | 2 laneId | 3 - |
 *   LANE_DOWN  | 2 laneId | 3 reason, index of LANE_DOWN_REASONS |
 *   CREDIT     | 2 laneId | 3 ring | 4,5 limit |        bytes of ring records since LANE_UP that the lane may carry in all
 *   RPC_REPLY  | 2 callId | 3 payload bytes | 4.. [0, value] or [error number, message, details, error name] |
 *   PUSH       | 2 payload bytes | 3 - | 4.. [event, payload] |
 *
 * Payloads are MessagePack. A laneId is never used twice on a connection, so that nothing of a lane that has ended is
 * taken for something of the shard's next one. Lane 0 is always up: under it comes what the owner's reader thread says.
 */
export const LINK_TYPE_MIN = 256;

export const LINK = {
  HELLO: 256,
  WELCOME: 257,
  REFUSED: 258,
  HEARTBEAT: 259,
  LANE: 260,
  LANE_OPEN: 261,
  LANE_CLOSE: 262,
  LANE_UP: 263,
  LANE_DOWN: 264,
  CREDIT: 265,
  RPC: 266,
  RPC_REPLY: 267,
  PUSH: 268,
} as const;

/** Raised whenever the picture above, or that of a ring's records, changes: nodes of two versions do not speak to each other. */
export const LINK_VERSION = 1;

/** "MRPL" read as a little-endian int32. */
export const HELLO_MAGIC = 0x4c50_524d;
export const HELLO_MAGIC_WORD = 2;
export const HELLO_VERSION_WORD = 3;
export const HELLO_LENGTH_WORD = 4;
/** Byte position of HELLO's payload from the record's start. */
export const HELLO_PAYLOAD = 24;

/** WELCOME, REFUSED and PUSH. */
export const MESSAGE_LENGTH_WORD = 2;
/** RPC and RPC_REPLY. */
export const CALL_ID_WORD = 2;
export const CALL_LENGTH_WORD = 3;
/** Byte position of the payload from the record's start, of all but HELLO. */
export const MESSAGE_PAYLOAD = 16;

export const HEARTBEAT_NUMBER_WORD = 2;

/** First in each record about a lane. */
export const LANE_ID_WORD = 2;
/** LANE and CREDIT. */
export const LANE_RING_WORD = 3;
/** LANE_OPEN. */
export const LANE_SHARD_WORD = 3;
export const LANE_EPOCH_WORD = 4;
/** LANE_DOWN. */
export const LANE_REASON_WORD = 3;
/** CREDIT. */
export const CREDIT_LIMIT_WORD = 4;
/** Bytes of the records above that hold a number, and of the others, header included. */
export const LANE_NUMBER_RECORD_BYTES = 24;
export const LANE_RECORD_BYTES = 16;

/** The lane of what belongs to no shard. */
export const READER_LANE = 0;

/** Why a lane is down. Append only. */
export const LANE_DOWN_REASONS = ["not served here", "another epoch", "closed by its owner"] as const;
export const DOWN_NOT_SERVED = 0;
export const DOWN_EPOCH = 1;
export const DOWN_CLOSED = 2;

/** What a peer sent does not follow these pages: the link is closed. */
export class PeerProtocolError extends Error {
  override readonly name: string = "PeerProtocolError";
}
