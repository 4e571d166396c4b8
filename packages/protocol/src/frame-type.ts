import { MALFORMED } from "./parse-outcome.ts";
import { arrayHeaderEnd, arrayLength, readUint } from "./uint-format.ts";

/** Frame types: the first element of each frame. Append-only. */
export const FRAME_TYPE = {
  HELLO: 1,
  WELCOME: 2,
  ERROR: 3,
  PING: 4,
  PONG: 5,
  GOAWAY: 6,
  PUBLISH: 16,
  ACK: 17,
  CREDIT: 18,
  CREDIT_REQUEST: 19,
  CREDIT_REVOKE: 20,
  CREDIT_RETURNED: 21,
  SUBSCRIBE: 32,
  SUBSCRIBED: 33,
  DELIVER: 34,
  STREAM: 35,
  PROGRESS: 36,
  FLOW: 37,
  UNSUBSCRIBE: 38,
  UNSUBSCRIBED: 39,
  CREATE_TOPIC: 48,
  TOPIC: 49,
  DESCRIBE_TOPIC: 50,
  DELETE_TOPIC: 51,
  TOPIC_DELETED: 52,
  LIST_TOPICS: 53,
  TOPICS: 54,
  ALTER_TOPIC: 55,
  TRUNCATE_TOPIC: 56,
  TRUNCATED: 57,
  CONSUME: 64,
  CONSUMING: 65,
  ASSIGNED: 66,
  REVOKED: 67,
  RELEASE: 68,
  COMMIT: 69,
  COMMITTED: 70,
  LEASED: 71,
  SETTLE: 72,
  SETTLED: 73,
  CONSUMER_CREDIT: 74,
  STOP_CONSUMING: 75,
  CONSUMING_STOPPED: 76,
  CREATE_SUBSCRIPTION: 80,
  SUBSCRIPTION: 81,
  DESCRIBE_SUBSCRIPTION: 82,
  LIST_SUBSCRIPTIONS: 83,
  SUBSCRIPTIONS: 84,
  ALTER_SUBSCRIPTION: 85,
  SEEK_SUBSCRIPTION: 86,
  DELETE_SUBSCRIPTION: 87,
  SUBSCRIPTION_DELETED: 88,
  PEEK: 89,
  PEEKED: 90,
  REDRIVE: 91,
  REDRIVEN: 92,
  SNAPSHOT_SUBSCRIPTION: 93,
  WATCH_TOPICS: 94,
  TOPICS_CHANGED: 95,
  UNWATCH_TOPICS: 96,
} as const;

export type FrameTypeName = keyof typeof FRAME_TYPE;
export type FrameType = (typeof FRAME_TYPE)[FrameTypeName];

const names: ReadonlyMap<number, FrameTypeName> = new Map(
  Object.entries(FRAME_TYPE).map(([name, type]) => [type, name as FrameTypeName]),
);

/** The name of a frame type, or undefined for one of a newer peer. */
export function frameTypeName(type: number): FrameTypeName | undefined {
  return names.get(type);
}

/**
 * The type of the frame in bytes[start, end), known or not, or MALFORMED when it is no array that starts with an
 * unsigned integer. Reads nothing else and allocates nothing.
 */
export function readFrameType(bytes: Uint8Array, start: number, end: number): number {
  const at = arrayHeaderEnd(bytes, start, end);
  if (at < 0 || arrayLength(bytes, start) === 0) return MALFORMED;
  return readUint(bytes, at, end);
}
