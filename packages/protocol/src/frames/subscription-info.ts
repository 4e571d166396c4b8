import type { FrameReader } from "../frame-reader.ts";
import type { FrameWriter } from "../frame-writer.ts";
import { LIMITS } from "../limits.ts";
import { isSubscriptionMode, type SubscriptionMode } from "../subscription-config.ts";
import { readStrings, writeStrings } from "./element.ts";
import {
  readSubscriptionState,
  type SubscriptionState,
  writeSubscriptionState,
} from "./subscription-state.ts";

/** A subscription as the catalog knows it, on the wire a map of these names. */
export interface SubscriptionInfo {
  readonly name: string;
  /** The topic's name. */
  readonly topic: string;
  readonly topicId: number;
  /** Never reused. */
  readonly subscriptionId: number;
  readonly mode: SubscriptionMode;
  readonly leaseMs: number;
  /** 0: without limit. */
  readonly maxDeliveries: number;
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
  readonly paused: boolean;
  /** ms since the epoch. */
  readonly createdMs: number;
  /** Name of the topic that has the dead letters of this one's topic; null: there were none so far. */
  readonly deadLetterTopic: string | null;
  /** Names. */
  readonly snapshots: readonly string[];
  /** Only in the answer to DESCRIBE_SUBSCRIPTION. */
  readonly state?: SubscriptionState | undefined;
}

const PAIRS = 13;
/** Of the names of the pairs without state, each with its header. */
const PAIR_NAMES_BYTES = 130;
const NAME_BYTES_MAX: number = 2 + LIMITS.subscriptionNameBytesMax;
/** Bytes of an encoded subscription without state, at most. */
export const SUBSCRIPTION_BYTES_MAX: number =
  1 + PAIR_NAMES_BYTES + 3 * NAME_BYTES_MAX + 7 + 7 * 9 + 1 + 3 + LIMITS.snapshotsMax * NAME_BYTES_MAX;

export function writeSubscriptionInfo(writer: FrameWriter, subscription: SubscriptionInfo): void {
  const { state } = subscription;
  writer.mapHeader(state === undefined ? PAIRS : PAIRS + 1);
  writer.str("name");
  writer.str(subscription.name);
  writer.str("topic");
  writer.str(subscription.topic);
  writer.str("topicId");
  writer.uint(subscription.topicId);
  writer.str("subscriptionId");
  writer.uint(subscription.subscriptionId);
  writer.str("mode");
  writer.str(subscription.mode);
  writer.str("leaseMs");
  writer.uint(subscription.leaseMs);
  writer.str("maxDeliveries");
  writer.uint(subscription.maxDeliveries);
  writer.str("backoffMinMs");
  writer.uint(subscription.backoffMinMs);
  writer.str("backoffMaxMs");
  writer.uint(subscription.backoffMaxMs);
  writer.str("paused");
  writer.bool(subscription.paused);
  writer.str("createdMs");
  writer.uint(subscription.createdMs);
  writer.str("deadLetterTopic");
  writer.any(subscription.deadLetterTopic);
  writer.str("snapshots");
  writeStrings(writer, subscription.snapshots);
  if (state === undefined) return;
  writer.str("state");
  writeSubscriptionState(writer, state);
}

export function readSubscriptionInfo(reader: FrameReader): SubscriptionInfo {
  let name: string | undefined;
  let topic: string | undefined;
  let topicId: number | undefined;
  let subscriptionId: number | undefined;
  let mode: SubscriptionMode | undefined;
  let leaseMs = 0;
  let maxDeliveries = 0;
  let backoffMinMs = 0;
  let backoffMaxMs = 0;
  let paused = false;
  let createdMs = 0;
  let deadLetterTopic: string | null = null;
  let snapshots: string[] = [];
  let state: SubscriptionState | undefined;
  for (let left = reader.mapHeader(); left > 0; left -= 1) {
    const field = reader.str();
    if (field === "name") name = reader.str();
    else if (field === "topic") topic = reader.str();
    else if (field === "topicId") topicId = reader.uint();
    else if (field === "subscriptionId") subscriptionId = reader.uint();
    else if (field === "mode") mode = readMode(reader);
    else if (field === "leaseMs") leaseMs = reader.uint();
    else if (field === "maxDeliveries") maxDeliveries = reader.uint();
    else if (field === "backoffMinMs") backoffMinMs = reader.uint();
    else if (field === "backoffMaxMs") backoffMaxMs = reader.uint();
    else if (field === "paused") paused = reader.bool();
    else if (field === "createdMs") createdMs = reader.uint();
    else if (field === "deadLetterTopic") deadLetterTopic = reader.nil() ? null : reader.str();
    else if (field === "snapshots") snapshots = readStrings(reader, LIMITS.snapshotsMax);
    else if (field === "state") state = reader.nil() ? undefined : readSubscriptionState(reader);
    else reader.skip();
  }
  if (
    name === undefined ||
    topic === undefined ||
    topicId === undefined ||
    subscriptionId === undefined ||
    mode === undefined
  ) {
    return reader.malformed("a subscription has a name, a topic, a topicId, a subscriptionId and a mode");
  }
  return {
    name,
    topic,
    topicId,
    subscriptionId,
    mode,
    leaseMs,
    maxDeliveries,
    backoffMinMs,
    backoffMaxMs,
    paused,
    createdMs,
    deadLetterTopic,
    snapshots,
    state,
  };
}

function readMode(reader: FrameReader): SubscriptionMode {
  const mode = reader.str();
  return isSubscriptionMode(mode) ? mode : reader.malformed(`there is no mode ${mode}`);
}
