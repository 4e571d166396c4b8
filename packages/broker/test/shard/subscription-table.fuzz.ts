import assert from "node:assert/strict";
import t from "tap";
import { ShardState, type StateChange } from "../../src/shard/shard-state.ts";
import { decodeStateChanges, encodeStateChanges } from "../../src/shard/state-entry.ts";
import { DURABILITY_FSYNCED } from "../../src/topic.ts";
import { ManualClock } from "../harness/manual-clock.ts";
import { forSeeds, type Seeded } from "../harness/seeded.ts";

const TOPIC = 5;
const LETTERS = 9;
const PARTITIONS = 2;
const SUBSCRIPTIONS = 4;
const OFFSETS = 60;
const STEPS = 300;

function emptyState(clock: ManualClock): ShardState {
  const state = new ShardState(1, 2, clock);
  for (let partition = 0; partition < PARTITIONS; partition += 1) {
    for (const topicId of [TOPIC, LETTERS]) {
      const opened = state.open(topicId, partition, DURABILITY_FSYNCED);
      opened.nextOffset = opened.highWatermark = OFFSETS;
    }
  }
  return state;
}

function randomChange(random: Seeded, clock: ManualClock): StateChange {
  const subscriptionId = 1 + random.below(SUBSCRIPTIONS);
  const partition = random.below(PARTITIONS);
  const offset = random.below(OFFSETS);
  const topicId = random.oneIn(5) ? LETTERS : TOPIC;
  const name = random.pick(["x", "y"]);
  const place = [subscriptionId, TOPIC, partition] as const;
  switch (random.below(14)) {
    case 0:
    case 1:
      return ["subscribe", ...place, subscriptionId % 3, offset, random.below(3)];
    case 2:
      return random.oneIn(5) ? ["unsubscribe", subscriptionId] : ["acks", ...place, []];
    case 3:
    case 4:
    case 5: {
      const second = offset + 1 + random.below(9);
      const ranges = [offset, 1 + random.below(5), second, 1 + random.below(3)];
      return ["acks", subscriptionId, topicId, partition, ranges];
    }
    case 6:
    case 7: {
      const rows = [offset, 1 + random.below(4), clock.wallMs() + random.below(5_000) - 1_000];
      return ["retries", subscriptionId, topicId, partition, rows];
    }
    case 8:
      return ["dead", subscriptionId, topicId, partition, offset, LETTERS, offset];
    case 9:
      return ["redrive", LETTERS, partition, [offset, subscriptionId, offset + 1, subscriptionId]];
    case 10:
      return ["cursor", ...place, offset, random.below(3), random.below(9)];
    case 11:
      return ["seek", ...place, offset, random.below(3)];
    case 12:
      return ["snapshot", ...place, name, !random.oneIn(3) ? "create" : "delete"];
    default:
      return ["return", ...place, name];
  }
}

/** All that a node could find out of the table. */
function contentOf(state: ShardState, clock: ManualClock): unknown {
  const nowMs = clock.monotonicMs();
  const subscriptions = [...state.subscriptions.all()].map(({ subscriptionId, mode, cursors, queues }) => ({
    subscriptionId,
    mode,
    cursors: [...cursors.values()]
      .map(({ partition, offset, logEpoch, assignmentEpoch, sought, snapshots }) => {
        return [partition.partition, offset, logEpoch, assignmentEpoch, sought, sorted(snapshots?.keys())];
      })
      .sort(),
    queues: [...queues.values()]
      .map(({ partition, state: queue, dead, redelivered, snapshots }) => {
        const unfinished: unknown[] = [];
        queue.unfinished(0, OFFSETS, nowMs, OFFSETS, (offset, _, deliveries, dueMs) => {
          unfinished.push([offset, deliveries, Math.max(dueMs, nowMs)]);
        });
        const names = sorted(snapshots?.keys());
        return [partition.topicId, partition.partition, queue.floor, dead, redelivered, names, unfinished];
      })
      .sort(),
  }));
  const letters = Array.from({ length: PARTITIONS }, (_, partition) => {
    const of = state.find(LETTERS, partition);
    if (of === undefined) throw new Error("no partition");
    return Array.from({ length: OFFSETS }, (_, offset) => state.subscriptions.isRedriven(of, offset));
  });
  subscriptions.sort((left, right) => left.subscriptionId - right.subscriptionId);
  return { subscriptions, letters, positions: state.subscriptions.positions };
}

function sorted(names: Iterable<string> | undefined): string[] {
  return [...(names ?? [])].sort();
}

function fuzz(random: Seeded): void {
  const clock = new ManualClock();
  const live = emptyState(clock);
  let restored = emptyState(clock);
  for (let step = 0; step < STEPS; step += 1) {
    const changes = Array.from({ length: 1 + random.below(3) }, () => randomChange(random, clock));
    for (const change of changes) live.applyChange(change);
    for (const change of decodeStateChanges(encodeStateChanges(changes))) restored.applyChange(change);
    if (random.oneIn(5)) live.subscriptions.image.prepare(random.below(5));
    if (random.oneIn(10)) {
      const image = live.encode();
      restored = emptyState(clock);
      restored.restore(image);
    }
    if (random.oneIn(5)) clock.advance(random.below(2_000));
    if (random.oneIn(5)) assert.deepEqual(contentOf(restored, clock), contentOf(live, clock), `step ${step}`);
  }
  assert.deepEqual(contentOf(restored, clock), contentOf(live, clock));
  for (const partition of [...live.partitions.values()]) live.close(partition);
  assert.equal(live.subscriptions.positions, 0);
  assert.equal(live.subscriptions.size, 0);
}

t.test("a checkpoint at any point, and what comes behind it, is the state itself", async () => {
  forSeeds(25, fuzz);
});
