import { RESTORES_MAX } from "@millrace/protocol";
import { Packr } from "msgpackr";
import t from "tap";
import { BROKER_LIMITS } from "../../src/limits.ts";
import { ShardState, type StateChange } from "../../src/shard/shard-state.ts";
import { decodeStateChanges, encodeStateChanges } from "../../src/shard/state-entry.ts";
import { DURABILITY_FSYNCED, DURABILITY_MEMORY, DURABILITY_WRITTEN } from "../../src/topic.ts";
import { ManualClock } from "../harness/manual-clock.ts";
import { forSeeds, type Seeded } from "../harness/seeded.ts";

/** Everything a restart has to bring back, in a form that compares. */
function imageOf(state: ShardState): unknown {
  return {
    partitions: [...state.partitions.values()].map((p) => ({
      at: [p.topicId, p.partition],
      durability: p.durability,
      logStartOffset: p.logStartOffset,
      nextOffset: p.nextOffset,
      logEpoch: p.logEpoch,
      restores: p.restores,
      lastTimeMs: p.lastTimeMs,
      reserved: p.reservationStaged,
      producers: [...p.producers.values()].map((producer) => [
        producer.producerId,
        producer.epoch,
        producer.nextSequence,
        producer.lastActiveMs,
        producer.runs,
      ]),
    })),
    producers: state.producers.count,
    catalog: state.catalog.snapshot(),
  };
}

function restored(state: ShardState, shardId: number): ShardState {
  const copy = new ShardState(shardId, 4, new ManualClock());
  copy.restore(state.encode());
  return copy;
}

function randomState(random: Seeded, shardId: number): ShardState {
  const state = new ShardState(shardId, 4, new ManualClock());
  for (let i = random.below(6); i > 0; i -= 1) {
    const partition = state.open(1 + random.below(2 ** 31), random.below(1024), random.below(3));
    partition.logStartOffset = partition.logStartStaged = random.below(1000);
    partition.nextOffset = 1000 + random.below(5) * 2 ** 44;
    partition.logEpoch = random.below(9);
    partition.restores = Array.from({ length: random.below(4) }, () => [
      random.below(2 ** 31),
      random.below(2 ** 50),
    ]);
    partition.lastTimeMs = 1.7e12 + random.below(1e9);
    partition.reservedUntil = partition.reservationStaged = random.below(3) * 2 ** 45;
    for (let j = random.below(4); j > 0; j -= 1) {
      const producerId = 1 + random.below(2 ** 31) * 2 ** 21;
      let sequence = 0;
      let offset = random.below(2 ** 31) * 2 ** 20;
      for (let batches = 1 + random.below(90); batches > 0; batches -= 1) {
        const count = 1 + random.below(50);
        state.recordProducer(partition, producerId, 3, sequence, count, offset, partition.lastTimeMs);
        sequence += count;
        offset += count + random.below(2);
      }
    }
  }
  if (shardId === 0) {
    for (let i = random.below(4); i > 0; i -= 1) {
      const config = {
        partitions: 3,
        retentionMs: 2 ** 40,
        retentionBytes: 2 ** 50,
        durability: "memory" as const,
      };
      const topic = state.catalog.plan(`t${i}`, config, 1.7e12, i);
      state.catalog.apply(topic.name, state.catalog.encode(topic), i);
    }
  }
  return state;
}

t.test("a checkpoint brings back all of the state", async (t) => {
  forSeeds(100, (random) => {
    const shardId = random.below(2);
    const state = randomState(random, shardId);
    const copy = restored(state, shardId);
    if (JSON.stringify(imageOf(copy)) !== JSON.stringify(imageOf(state))) {
      throw new Error(`${JSON.stringify(imageOf(copy))} instead of ${JSON.stringify(imageOf(state))}`);
    }
    for (const p of copy.partitions.values()) {
      if (p.reservedUntil !== p.reservationStaged) throw new Error("a reservation came back half");
    }
  });
  t.pass("100 seeds");
});

t.test(
  "a reservation or a start that is staged but not yet durable is part of the checkpoint that covers it",
  async (t) => {
    // A checkpoint counts only once everything staged before it is committed, and replay begins behind it.
    const state = new ShardState(1, 4, new ManualClock());
    const partition = state.open(5, 0, DURABILITY_WRITTEN);
    partition.reservedUntil = 1000;
    partition.reservationStaged = 2000;
    partition.logStartOffset = 10;
    partition.logStartStaged = 20;
    const copy = restored(state, 1).find(5, 0);
    t.equal(copy?.reservedUntil, 2000);
    t.equal(copy?.reservationStaged, 2000);
    t.match(copy, { logStartOffset: 20, logStartStaged: 20 });
  },
);

t.test("a checkpoint of a later format is refused by name", async (t) => {
  const packr = new Packr({ useRecords: false });
  const image = packr.unpack(new ShardState(1, 4, new ManualClock()).encode()) as Record<string, unknown>;
  const state = new ShardState(1, 4, new ManualClock());
  t.throws(() => state.restore(packr.pack({ ...image, version: 99 })), { code: "DATA_FORMAT_NEWER" });
});

t.test("changes of state pass through their entry", async (t) => {
  const changes: StateChange[] = [
    ["reserve", 2 ** 31, 1023, 2 ** 50],
    ["epoch", 7, 0, 3, 2 ** 44],
    ["start", 7, 0, 2 ** 43],
    ["epoch", 7, 1, 40_000_000, 2 ** 44, 2 ** 43],
    ["epoch", 7, 1, 40_000_001, 2 ** 45],
  ];
  t.same(decodeStateChanges(encodeStateChanges(changes)), changes);
  const state = new ShardState(1, 4, new ManualClock());
  for (const change of changes) state.applyChange(change);
  t.equal(state.find(2 ** 31, 1023)?.reservedUntil, 2 ** 50);
  t.match(state.find(7, 0), { logEpoch: 3, nextOffset: 2 ** 44 });
  t.match(state.find(7, 0), { logStartOffset: 2 ** 43, logStartStaged: 2 ** 43 });
  t.match(state.find(7, 1), { logEpoch: 40_000_001, nextOffset: 2 ** 45, restores: [[40_000_000, 2 ** 43]] });
  for (let i = 0; i < 20; i += 1) state.applyChange(["epoch", 7, 1, 50_000_000 + i, 2 ** 46 + i, i]);
  t.equal(state.find(7, 1)?.restores.length, RESTORES_MAX);
  t.same(state.find(7, 1)?.restores.at(-1), [50_000_019, 19], "the newest are kept");
  const later = ["compact", 7, 0] as unknown as StateChange;
  t.throws(() => state.applyChange(later), { code: "DATA_FORMAT_NEWER" });
});

t.test("only shard 0 has the catalog's partition", async (t) => {
  t.match(new ShardState(0, 4, new ManualClock()).find(0, 0), { durability: DURABILITY_FSYNCED });
  t.equal(new ShardState(1, 4, new ManualClock()).find(0, 0), undefined);
});

t.test("opening again changes the durability and nothing else", async (t) => {
  const state = new ShardState(1, 4, new ManualClock());
  const partition = state.replayed(3, 1);
  partition.nextOffset = 10;
  t.equal(partition.durability, DURABILITY_FSYNCED);
  t.equal(state.open(3, 1, DURABILITY_MEMORY), partition);
  t.match(partition, { durability: DURABILITY_MEMORY, nextOffset: 10 });
});

t.test("closing forgets a partition and its producers", async (t) => {
  const state = new ShardState(1, 4, new ManualClock());
  const partition = state.open(3, 1, DURABILITY_FSYNCED);
  state.recordProducer(partition, 9, 0, 0, 1, 0, 5);
  state.recordProducer(state.open(3, 2, DURABILITY_FSYNCED), 9, 0, 0, 1, 0, 5);
  t.equal(state.producers.count, 2);
  state.close(partition);
  t.equal(state.producers.count, 1);
  t.equal(state.find(3, 1), undefined);
  t.ok(partition.deleted);
  t.not(state.open(3, 1, DURABILITY_FSYNCED), partition);
});

t.test("the number of producers is bounded over all partitions", async (t) => {
  const state = new ShardState(1, 4, new ManualClock());
  const partitions = [0, 1, 2].map((partition) => state.open(1, partition, DURABILITY_FSYNCED));
  const max = BROKER_LIMITS.producersPerShardMax;
  for (let i = 0; i < max + 10; i += 1) {
    const partition = partitions[i % 3];
    if (partition !== undefined) state.recordProducer(partition, i + 1, 0, 0, 1, i, i);
  }
  t.ok(state.producers.count <= max);
  t.equal(
    state.producers.count,
    partitions.reduce((sum, { producers }) => sum + producers.size, 0),
  );
  t.ok(partitions[(max + 9) % 3]?.producers.has(max + 10), "the newest is there");
  t.notOk(partitions[0]?.producers.has(1), "the longest idle is not");
});
