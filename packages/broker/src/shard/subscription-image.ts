import { AckLedger } from "../subscription/ack-ledger.ts";
import { QueueState } from "../subscription/queue-state.ts";
import { MODE_KEYED, MODE_STREAM } from "../subscription/subscription.ts";
import type { Clock } from "./clock.ts";
import { KeyedRecords, keyedRecords } from "./keyed-records.ts";
import { type Partition, partitionKey } from "./partition.ts";
import { PositionRows, positionRows } from "./position-rows.ts";
import {
  newCursor,
  type QueuePart,
  type StreamCursor,
  type SubscriptionTable,
} from "./subscription-table.ts";

/** The table of subscriptions in a checkpoint. */
export interface SubscriptionImage {
  /** PositionRows; stateBytes 0: nothing but the floor. */
  readonly rows: Uint8Array;
  /** KeyedRecords: what queues encode, by the index of their row. */
  readonly states: Uint8Array;
  /** Dead letters that were redriven. */
  readonly redriven: readonly (readonly [topicId: number, partition: number, ledger: Uint8Array])[];
  readonly snapshots: readonly SnapshotRow[];
}

/** `position`: of a queue what it encodes, of a cursor its offset and logEpoch. */
type SnapshotRow = readonly [
  subscriptionId: number,
  partition: number,
  name: string,
  position: Uint8Array | readonly [offset: number, logEpoch: number],
];

const PARTITIONS_MAX = 1024;

/**
 * The image of the positions in a checkpoint, kept from one to the next: only what has changed is written anew, and that in
 * advance if there is time, so that a checkpoint of many subscriptions is little more than a copy. Shard thread only.
 */
export class PositionImage {
  readonly #clock: Clock;
  readonly #rows: PositionRows = new PositionRows();
  readonly #states: KeyedRecords = new KeyedRecords();
  /** Not as their rows say. The longest changed come first. */
  readonly #changed: Set<StreamCursor | QueuePart> = new Set();
  /** Written in advance since the last checkpoint; and of these, what has changed again, and waits for the next one. */
  readonly #prepared: Set<StreamCursor | QueuePart> = new Set();
  readonly #changedAgain: Set<StreamCursor | QueuePart> = new Set();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @returns the index of a row for a position that is to be noted as changed */
  add(): number {
    return this.#rows.add();
  }

  remove(position: StreamCursor | QueuePart): void {
    for (const set of [this.#changed, this.#prepared, this.#changedAgain]) set.delete(position);
    this.#rows.remove(position.row);
    this.#states.delete(String(position.row));
  }

  changed(position: StreamCursor | QueuePart): void {
    // What changes all the time is not to be written all the time.
    if (this.#prepared.has(position)) this.#changedAgain.add(position);
    else this.#changed.add(position);
  }

  /** Writes some of what has changed, each position once from checkpoint to checkpoint. */
  prepare(limit: number): void {
    let left = limit;
    for (const position of this.#changed) {
      if (left === 0) break;
      left -= 1;
      this.#changed.delete(position);
      this.#prepared.add(position);
      this.#write(position);
    }
  }

  /** In use until the next change. */
  encode(): Pick<SubscriptionImage, "rows" | "states"> {
    for (const changed of [this.#changed, this.#changedAgain]) {
      for (const position of changed) this.#write(position);
      changed.clear();
    }
    this.#prepared.clear();
    return { rows: this.#rows.encode(), states: this.#states.encode() };
  }

  #write(position: StreamCursor | QueuePart): void {
    if ("state" in position) this.#writeQueue(position);
    else this.#writeCursor(position);
  }

  #writeCursor(cursor: StreamCursor): void {
    const row = this.#writePlace(cursor);
    row[5] = cursor.offset;
    row[6] = cursor.logEpoch;
    row[7] = cursor.assignmentEpoch;
    row[8] = cursor.sought ? 1 : 0;
  }

  #writeQueue(queue: QueuePart): void {
    const { state } = queue;
    const key = String(queue.row);
    let stateBytes = 0;
    if (state.isPlain) this.#states.delete(key);
    else {
      const bytes = state.encode(this.#clock.monotonicMs(), this.#clock.wallMs());
      stateBytes = bytes.length;
      this.#states.set(key, bytes, 0);
    }
    const row = this.#writePlace(queue);
    row[5] = state.floor;
    row[6] = stateBytes;
    row[7] = queue.redelivered;
    row[8] = queue.dead;
  }

  #writePlace({ row: index, subscription, partition }: StreamCursor | QueuePart): Float64Array {
    const row = this.#rows.at(index);
    row[0] = subscription.subscriptionId;
    row[1] = subscription.topicId;
    row[2] = subscription.mode;
    row[3] = partition.topicId;
    row[4] = partition.partition;
    return row;
  }
}

/** The image of a table as it stands. */
export function encodeSubscriptions(table: SubscriptionTable): SubscriptionImage {
  const snapshots: SnapshotRow[] = [];
  for (const { subscription, partition, snapshots: own } of table.withSnapshots()) {
    for (const [name, position] of own ?? []) {
      snapshots.push([subscription.subscriptionId, partition.partition, name, position]);
    }
  }
  return {
    ...table.image.encode(),
    redriven: [...table.redriven()].map(([key, ledger]) => [
      Math.floor(key / PARTITIONS_MAX),
      key % PARTITIONS_MAX,
      ledger.encode(),
    ]),
    snapshots,
  };
}

/** @param find the partition that a row speaks of */
export function restoreSubscriptions(
  table: SubscriptionTable,
  image: SubscriptionImage,
  clock: Clock,
  find: (topicId: number, partition: number) => Partition,
): void {
  const nowMs = clock.monotonicMs();
  const wallMs = clock.wallMs();
  const states = new Map<number, Uint8Array>();
  for (const { key, value } of keyedRecords(image.states)) states.set(Number(key), value);
  for (const [row, fields] of positionRows(image.rows)) {
    const [subscriptionId, topicId, mode, ofTopic, number, first, second, third, fourth] =
      fields as unknown as [number, number, number, number, number, number, number, number, number];
    const subscription = table.subscribed(subscriptionId, topicId, mode);
    const partition = find(ofTopic, number);
    if (mode === MODE_STREAM) {
      const cursor = newCursor(subscription, partition, first, second);
      cursor.assignmentEpoch = third;
      cursor.sought = fourth === 1;
      table.putCursor(cursor);
      continue;
    }
    const bytes = second === 0 ? undefined : states.get(row);
    const state =
      bytes === undefined
        ? new QueueState({ keyed: mode === MODE_KEYED, start: first, selected: ofTopic !== topicId })
        : QueueState.decode(bytes, nowMs, wallMs);
    const queue = table.putQueue(subscription, partition, state);
    queue.redelivered = third;
    queue.dead = fourth;
  }
  for (const [topicId, partition, ledger] of image.redriven) {
    table.putRedriven(find(topicId, partition), AckLedger.decode(ledger));
  }
  for (const row of image.snapshots) restoreSnapshot(table, row);
}

function restoreSnapshot(table: SubscriptionTable, row: SnapshotRow): void {
  const [subscriptionId, partition, name, position] = row;
  const subscription = table.get(subscriptionId);
  if (subscription === undefined) return;
  if (position instanceof Uint8Array) {
    const queue = subscription.queues.get(partitionKey(subscription.topicId, partition));
    // The checkpoint's bytes are not kept for it.
    if (queue !== undefined) table.putSnapshot(queue, name, Uint8Array.prototype.slice.call(position));
  } else {
    const cursor = subscription.cursors.get(partition);
    if (cursor !== undefined) table.putSnapshot(cursor, name, position);
  }
}
