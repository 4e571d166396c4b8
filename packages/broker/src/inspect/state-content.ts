import { unpack } from "msgpackr";

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
  const { version, partitions, producers, catalog, ...others } = image as Record<string, unknown>;
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
  const { nextTopicId, topics } = (catalog ?? {}) as Record<string, unknown>;
  yield { kind: "catalog", fields: { nextTopicId } };
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

/** @returns undefined when the bytes are no MessagePack. */
function decode(bytes: Uint8Array): unknown {
  try {
    return unpack(bytes) as unknown;
  } catch {
    return undefined;
  }
}
