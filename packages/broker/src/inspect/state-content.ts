import { unpack } from "msgpackr";
import { keyedRecords } from "../shard/keyed-records.ts";
import { POSITION_FIELDS, positionRows } from "../shard/position-rows.ts";
import { isSubscriptionKey, subscriptionPlaceOf } from "../shard/subscription-catalog.ts";

/** A line of what MessagePack of the shard holds. */
export interface ContentItem {
  readonly kind: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

const PARTITION_FIELDS = [
  "topicId",
  "partition",
  "durability",
  "logStartOffset",
  "nextOffset",
  "logEpoch",
  "lastTimeMs",
  "reservedUntil",
] as const;
const PRODUCER_FIELDS = 7;

/** The changes in the payload of a STATE entry, or what cannot be read of it. */
export function* stateChanges(payload: Uint8Array): Generator<ContentItem> {
  const changes = decode(payload);
  if (!Array.isArray(changes)) {
    yield { kind: "damage", fields: { sentence: "the payload is no list of changes" } };
    return;
  }
  for (const change of changes) yield { kind: "change", fields: { change } };
}

/** The image of the shard's state in a checkpoint: its partitions, producers and topics. */
export function* checkpointState(bytes: Uint8Array): Generator<ContentItem> {
  const image = decode(bytes);
  if (typeof image !== "object" || image === null || !("version" in image)) {
    yield { kind: "state", fields: { bytes } };
    return;
  }
  const { version, partitions, producers, catalog, subscriptions, ...others } = image as Record<
    string,
    unknown
  >;
  yield { kind: "state", fields: { version, ...others } };
  for (const row of Array.isArray(partitions) ? partitions : []) {
    const numbers = Array.isArray(row) ? row : [];
    yield {
      kind: "partition-state",
      fields: {
        ...Object.fromEntries(PARTITION_FIELDS.map((name, i) => [name, numbers[i]])),
        ...(numbers.length > PARTITION_FIELDS.length
          ? { restores: numbers.slice(PARTITION_FIELDS.length) }
          : {}),
      },
    };
  }
  if (producers instanceof Uint8Array) yield* producerStates(producers);
  const { topics, records, ...ids } = (catalog ?? {}) as Record<string, unknown>;
  yield { kind: "catalog", fields: ids };
  if (records instanceof Uint8Array) yield* catalogItems(records);
  yield* subscriptionPositions(subscriptions);
  for (const topic of Array.isArray(topics) ? topics : [])
    yield { kind: "topic", fields: topic as ContentItem["fields"] };
}

function* producerStates(bytes: Uint8Array): Generator<ContentItem> {
  const numbers = new Float64Array(bytes.slice().buffer, 0, bytes.length >> 3);
  for (let at = 0; at + PRODUCER_FIELDS <= numbers.length; ) {
    const [topicId, partition, producerId, epoch, nextSequence, lastActiveMs, runs = 0] =
      numbers.subarray(at);
    const runsAt = at + PRODUCER_FIELDS;
    const lastRuns = [...numbers.subarray(runsAt, runsAt + runs)];
    yield {
      kind: "producer",
      fields: { topicId, partition, producerId, epoch, nextSequence, lastActiveMs, runs: lastRuns },
    };
    at = runsAt + runs;
  }
}

/** Topics and subscriptions, as they stand in the image: one that was altered or deleted may be there several times. */
function* catalogItems(records: Uint8Array): Generator<ContentItem> {
  for (const { key, value, number: offset } of keyedRecords(records)) {
    const kind = isSubscriptionKey(key) ? "subscription" : "topic";
    const settings = value.length === 0 ? { deleted: true } : (decode(value) as ContentItem["fields"]);
    yield { kind, fields: { ...placeOf(key), catalogPosition: offset, ...settings } };
  }
}

function placeOf(key: string): ContentItem["fields"] {
  return isSubscriptionKey(key) ? subscriptionPlaceOf(key) : { name: key };
}

function* subscriptionPositions(image: unknown): Generator<ContentItem> {
  const { rows, redriven, snapshots } = (image ?? {}) as Record<string, unknown>;
  if (rows instanceof Uint8Array) {
    for (const [, numbers] of positionRows(rows)) {
      const isCursor = numbers[2] === 0;
      const names = POSITION_FIELDS.map((name) => (typeof name === "string" ? name : name[isCursor ? 0 : 1]));
      yield {
        kind: "position",
        fields: Object.fromEntries(names.map((name, i) => [name, numbers[i]])),
      };
    }
  }
  for (const [topicId, partition] of Array.isArray(redriven) ? redriven : []) {
    yield { kind: "redriven", fields: { topicId, partition } };
  }
  for (const [subscriptionId, partition, name] of Array.isArray(snapshots) ? snapshots : []) {
    yield { kind: "snapshot", fields: { subscriptionId, partition, name } };
  }
}

/** @returns undefined when the bytes are no MessagePack. */
function decode(bytes: Uint8Array): unknown {
  try {
    return unpack(bytes) as unknown;
  } catch {
    return undefined;
  }
}
