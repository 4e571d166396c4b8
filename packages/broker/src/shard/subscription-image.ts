import { AckLedger } from "../subscription/ack-ledger.ts";
import { QueueState } from "../subscription/queue-state.ts";
import { MODE_KEYED, MODE_STREAM } from "../subscription/subscription.ts";
import type { Clock } from "./clock.ts";
import { type Partition, partitionKey } from "./partition.ts";
import { newCursor, type SubscriptionTable } from "./subscription-table.ts";

/** The table of subscriptions in a checkpoint. */
export interface SubscriptionImage {
  /** Float64 columns as bytes, see POSITION_FIELDS; stateBytes 0: nothing but the floor. */
  readonly rows: Uint8Array;
  /** What the queues encode, one behind the other. */
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

/** What the fields of a row are: of a cursor and of a queue. `mode`: index into SUBSCRIPTION_MODES; a cursor's is 0. */
export const POSITION_FIELDS: readonly (string | readonly [cursor: string, queue: string])[] = [
  "subscriptionId",
  "subscribedTopicId",
  "mode",
  "topicId",
  "partition",
  ["offset", "floor"],
  ["logEpoch", "stateBytes"],
  ["assignmentEpoch", "redelivered"],
  ["sought", "dead"],
];
const ROW_FIELDS = 9;
const PARTITIONS_MAX = 1024;

/** The image of a table as it stands. One pass, and little is allocated for a position that is nothing but a number. */
export function encodeSubscriptions(table: SubscriptionTable, clock: Clock): SubscriptionImage {
  const rows = new Float64Array(table.positions * ROW_FIELDS);
  const states: Uint8Array[] = [];
  const snapshots: SnapshotRow[] = [];
  const nowMs = clock.monotonicMs();
  const wallMs = clock.wallMs();
  let at = 0;
  for (const { subscriptionId, topicId, mode, cursors, queues } of table.all()) {
    for (const cursor of cursors.values()) {
      rows[at] = subscriptionId;
      rows[at + 1] = topicId;
      rows[at + 2] = mode;
      rows[at + 3] = cursor.partition.topicId;
      rows[at + 4] = cursor.partition.partition;
      rows[at + 5] = cursor.offset;
      rows[at + 6] = cursor.logEpoch;
      rows[at + 7] = cursor.assignmentEpoch;
      rows[at + 8] = cursor.sought ? 1 : 0;
      at += ROW_FIELDS;
      for (const [name, position] of cursor.snapshots ?? []) {
        snapshots.push([subscriptionId, cursor.partition.partition, name, position]);
      }
    }
    for (const queue of queues.values()) {
      const { state, partition } = queue;
      let stateBytes = 0;
      if (!state.isPlain) {
        const bytes = state.encode(nowMs, wallMs);
        stateBytes = bytes.length;
        states.push(bytes);
      }
      rows[at] = subscriptionId;
      rows[at + 1] = topicId;
      rows[at + 2] = mode;
      rows[at + 3] = partition.topicId;
      rows[at + 4] = partition.partition;
      rows[at + 5] = state.floor;
      rows[at + 6] = stateBytes;
      rows[at + 7] = queue.redelivered;
      rows[at + 8] = queue.dead;
      at += ROW_FIELDS;
      for (const [name, bytes] of queue.snapshots ?? []) {
        snapshots.push([subscriptionId, partition.partition, name, bytes]);
      }
    }
  }
  return {
    rows: new Uint8Array(rows.buffer),
    states: Buffer.concat(states),
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
  const rows = new Float64Array(copyOf(image.rows).buffer);
  let statesAt = 0;
  for (let at = 0; at + ROW_FIELDS <= rows.length; at += ROW_FIELDS) {
    const [subscriptionId, topicId, mode, ofTopic, number, first, second, third, fourth] = rows.subarray(
      at,
      at + ROW_FIELDS,
    ) as unknown as [number, number, number, number, number, number, number, number, number];
    const subscription = table.subscribed(subscriptionId, topicId, mode);
    const partition = find(ofTopic, number);
    if (mode === MODE_STREAM) {
      const cursor = newCursor(partition, first, second);
      cursor.assignmentEpoch = third;
      cursor.sought = fourth === 1;
      table.putCursor(subscription, cursor);
      continue;
    }
    const state =
      second === 0
        ? new QueueState({ keyed: mode === MODE_KEYED, start: first, selected: ofTopic !== topicId })
        : QueueState.decode(image.states.subarray(statesAt, statesAt + second), nowMs, wallMs);
    statesAt += second;
    const queue = table.putQueue(subscription, partition, state);
    queue.redelivered = third;
    queue.dead = fourth;
  }
  for (const [topicId, partition, ledger] of image.redriven) {
    table.putRedriven(find(topicId, partition), AckLedger.decode(ledger));
  }
  for (const [subscriptionId, partition, name, position] of image.snapshots) {
    const subscription = table.get(subscriptionId);
    if (subscription === undefined) continue;
    if (position instanceof Uint8Array) {
      const queue = subscription.queues.get(partitionKey(subscription.topicId, partition));
      if (queue === undefined) continue;
      queue.snapshots ??= new Map();
      queue.snapshots.set(name, copyOf(position));
    } else {
      const cursor = subscription.cursors.get(partition);
      if (cursor === undefined) continue;
      cursor.snapshots ??= new Map();
      cursor.snapshots.set(name, position);
    }
  }
}

/** Unpacked bytes stand anywhere in the checkpoint's, and a Buffer's own slice() is a view of them. */
function copyOf(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return Uint8Array.prototype.slice.call(bytes) as Uint8Array<ArrayBuffer>;
}
