import * as inbound from "../link/inbound-layout.ts";
import type { ShardRequestMap } from "../shard/shard-requests.ts";

/**
 * What a shard may be asked by the node that has it open, and by no other: whoever does not own it says what it holds, or
 * coordinates, from a time that is over.
 */
const OWNER_REQUESTS: ReadonlySet<string> = new Set<keyof ShardRequestMap>([
  "reconcile",
  "reconcileSubscriptions",
  "gatewayGone",
  "catalog",
  "catalogPosition",
  "createTopic",
  "createDeadLetterTopic",
  "alterTopic",
  "deleteTopic",
  "subscriptions",
  "createSubscription",
  "alterSubscription",
  "deleteSubscription",
]);

/** MessagePack: an array of up to 15, then a string of up to 31 bytes. */
const SHORT_ARRAY = 0x90;
const SHORT_ARRAY_MASK = 0xf0;
const SHORT_STRING = 0xa0;
const SHORT_STRING_MASK = 0xe0;

/** Whether a REQUEST record, whose header is at `index`, is one of them. */
export function isOwnerRequest(bytes: Buffer, index: number, length: number): boolean {
  const array = index + inbound.REQUEST_PAYLOAD;
  const start = array + 2;
  const end = index + length;
  if (start > end || ((bytes[array] as number) & SHORT_ARRAY_MASK) !== SHORT_ARRAY) return false;
  const string = bytes[array + 1] as number;
  if ((string & SHORT_STRING_MASK) !== SHORT_STRING) return false;
  const stringEnd = start + (string & ~SHORT_STRING_MASK);
  return stringEnd <= end && OWNER_REQUESTS.has(bytes.toString("latin1", start, stringEnd));
}
