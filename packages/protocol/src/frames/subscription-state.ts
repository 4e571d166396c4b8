import type { FrameReader } from "../frame-reader.ts";
import type { FrameWriter } from "../frame-writer.ts";
import { LIMITS } from "../limits.ts";
import { readRow, skipRest } from "./element.ts";

/** How far a subscription is in one partition. */
export interface SubscriptionPartition {
  readonly partition: number;
  /** stream: the cursor, the next offset to be processed; queue and keyed: all records below it are done. */
  readonly offset: number;
  readonly logStartOffset: number;
  readonly highWatermark: number;
  readonly available: number;
  readonly leased: number;
  readonly waiting: number;
  /** stream: name of the client that has the partition; null: nobody. */
  readonly consumerName: string | null;
}

/**
 * A subscription's doings, on the wire a map of these names; `partitions` there is
 * `[[partition, offset, logStartOffset, highWatermark, available, leased, waiting, consumerName?]]`.
 */
export interface SubscriptionState {
  readonly consumers: number;
  /** Records that can be delivered now. */
  readonly available: number;
  readonly leased: number;
  /** Records that wait for their next try, or for one of their key. */
  readonly waiting: number;
  /** Deliveries beyond the first of a record, since the server started. */
  readonly redelivered: number;
  /** Dead letters, since the server started. */
  readonly dead: number;
  /** Records that are not done. */
  readonly lag: number;
  /** Age of the oldest of them; null: there is none. */
  readonly oldestAgeMs: number | null;
  /** keyed: the key whose oldest record holds up all others, being too far behind them; null: none. */
  readonly blockedByKey: string | Uint8Array | null;
  readonly partitions: readonly SubscriptionPartition[];
}

const PAIRS = 10;
const PARTITION_ELEMENTS_MIN = 7;
const PARTITION_ELEMENTS = 8;

export function writeSubscriptionState(writer: FrameWriter, state: SubscriptionState): void {
  writer.mapHeader(PAIRS);
  writer.str("consumers");
  writer.uint(state.consumers);
  writer.str("available");
  writer.uint(state.available);
  writer.str("leased");
  writer.uint(state.leased);
  writer.str("waiting");
  writer.uint(state.waiting);
  writer.str("redelivered");
  writer.uint(state.redelivered);
  writer.str("dead");
  writer.uint(state.dead);
  writer.str("lag");
  writer.uint(state.lag);
  writer.str("oldestAgeMs");
  writer.any(state.oldestAgeMs);
  writer.str("blockedByKey");
  writer.any(state.blockedByKey);
  writer.str("partitions");
  writer.arrayHeader(state.partitions.length);
  for (const row of state.partitions) {
    writer.arrayHeader(PARTITION_ELEMENTS);
    writer.uint(row.partition);
    writer.uint(row.offset);
    writer.uint(row.logStartOffset);
    writer.uint(row.highWatermark);
    writer.uint(row.available);
    writer.uint(row.leased);
    writer.uint(row.waiting);
    writer.any(row.consumerName);
  }
}

export function readSubscriptionState(reader: FrameReader): SubscriptionState {
  let consumers = 0;
  let available = 0;
  let leased = 0;
  let waiting = 0;
  let redelivered = 0;
  let dead = 0;
  let lag = 0;
  let oldestAgeMs: number | null = null;
  let blockedByKey: string | Uint8Array | null = null;
  let partitions: SubscriptionPartition[] = [];
  for (let left = reader.mapHeader(); left > 0; left -= 1) {
    const field = reader.str();
    if (field === "consumers") consumers = reader.uint();
    else if (field === "available") available = reader.uint();
    else if (field === "leased") leased = reader.uint();
    else if (field === "waiting") waiting = reader.uint();
    else if (field === "redelivered") redelivered = reader.uint();
    else if (field === "dead") dead = reader.uint();
    else if (field === "lag") lag = reader.uint();
    else if (field === "oldestAgeMs") oldestAgeMs = reader.nil() ? null : reader.uint();
    else if (field === "blockedByKey") blockedByKey = reader.nil() ? null : reader.text();
    else if (field === "partitions") partitions = readPartitions(reader);
    else reader.skip();
  }
  return {
    consumers,
    available,
    leased,
    waiting,
    redelivered,
    dead,
    lag,
    oldestAgeMs,
    blockedByKey,
    partitions,
  };
}

function readPartitions(reader: FrameReader): SubscriptionPartition[] {
  const partitions: SubscriptionPartition[] = [];
  for (let left = reader.arrayHeader(LIMITS.partitionsMax); left > 0; left -= 1) {
    const elements = readRow(reader, PARTITION_ELEMENTS_MIN);
    partitions.push({
      partition: reader.uint(),
      offset: reader.uint(),
      logStartOffset: reader.uint(),
      highWatermark: reader.uint(),
      available: reader.uint(),
      leased: reader.uint(),
      waiting: reader.uint(),
      consumerName: elements === PARTITION_ELEMENTS_MIN || reader.nil() ? null : reader.str(),
    });
    skipRest(reader, elements, PARTITION_ELEMENTS);
  }
  return partitions;
}
