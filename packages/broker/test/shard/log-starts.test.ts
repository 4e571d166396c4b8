import t from "tap";
import { LogStarts } from "../../src/shard/log-starts.ts";
import { Partition } from "../../src/shard/partition.ts";
import type { StateChange } from "../../src/shard/shard-state.ts";
import { DURABILITY_FSYNCED, DURABILITY_MEMORY } from "../../src/topic.ts";
import { batchOf } from "../harness/batches.ts";
import { ShardRig, type ShardRigOptions } from "../harness/shard-rig.ts";

const TOPIC = 5;

function rigOf(records: number, options: ShardRigOptions = {}): ShardRig {
  const partitions = [0, 1].map((partition) => [TOPIC, partition, DURABILITY_FSYNCED] as const);
  const rig = ShardRig.started(partitions, options);
  for (const partition of [0, 1]) {
    for (let i = 0; i < records; i += 1) {
      rig.gateway.publish({
        topicId: TOPIC,
        partition,
        count: 1,
        stored: batchOf([`${i}`.padEnd(100, ".")]),
      });
      rig.settle();
    }
  }
  rig.gateway.events.splice(0);
  return rig;
}

/** [logStartOffset, highWatermark] of both partitions. */
function bounds(rig: ShardRig): number[][] {
  return rig.answer("bounds", [TOPIC, [0, 1]]).map((row) => row.slice(0, 2) as number[]);
}

function restart(rig: ShardRig): void {
  rig.crash("power");
  rig.open();
  rig.reconcile([0, 1].map((partition) => [TOPIC, partition, DURABILITY_FSYNCED]));
}

t.test("a start moves once it is durable, never back, and survives a crash", async (t) => {
  const rig = rigOf(10);
  rig.gateway.ask("truncate", [
    TOPIC,
    [
      [1, 7],
      [0, 3],
    ],
  ]);
  rig.cycle();
  t.same(rig.gateway.events, [], "not synced yet");
  rig.gateway.read(40, TOPIC, 0);
  rig.cycle();
  t.match(rig.gateway.take("deliver"), [{ firstOffset: 0 }], "nothing shows before");
  rig.settle();
  t.match(rig.gateway.take("reply"), [
    {
      value: [
        [7, 10, 0],
        [3, 10, 0],
      ],
    },
  ]);
  rig.answer("truncate", [
    TOPIC,
    [
      [0, 1],
      [1, 7],
    ],
  ]);
  t.same(bounds(rig), [
    [3, 10],
    [7, 10],
  ]);
  rig.shard.checkpoint(false);
  rig.settle();
  rig.answer("truncate", [TOPIC, [[0, 10]]]);
  restart(rig);
  t.same(bounds(rig), [
    [10, 10],
    [7, 10],
  ]);
});

t.test("what was not answered is there after a crash in all partitions or in none", async (t) => {
  const rig = rigOf(4);
  rig.gateway.ask("truncate", [
    TOPIC,
    [
      [0, 2],
      [1, 2],
    ],
  ]);
  rig.cycle();
  restart(rig);
  const [first, second] = bounds(rig);
  t.same(first, second);
});

t.test("an offset beyond the end is refused, and changes nothing", async (t) => {
  const rig = rigOf(4);
  const beyond = [
    [0, 2],
    [1, 5],
  ] as const;
  t.throws(() => rig.answer("truncate", [TOPIC, beyond]), { message: "OFFSET_OUT_OF_RANGE" });
  t.throws(() => rig.answer("truncate", [TOPIC, [[2, 0]]]), { message: "UNKNOWN_PARTITION" });
  t.same(bounds(rig), [
    [0, 4],
    [0, 4],
  ]);
  // Records that are not committed cannot be seen, and not be given up.
  rig.gateway.publish({ topicId: TOPIC, count: 1, stored: batchOf(["new"]) });
  rig.gateway.ask("truncate", [TOPIC, [[0, 5]]]);
  rig.settle();
  t.match(rig.gateway.take("reply"), [{ error: "OFFSET_OUT_OF_RANGE" }]);
});

t.test("whoever reads below the start is told, from the cache, cold, and while it waits", async (t) => {
  const rig = rigOf(40, { inboundBytes: 4096, readerRingBytes: 2048 });
  rig.answer("truncate", [TOPIC, [[0, 20]]]);
  rig.gateway.read(40, TOPIC, 19);
  rig.gateway.read(41, TOPIC, 20);
  rig.settle();
  t.match(rig.gateway.take("progress"), [{ streamId: 40, nextOffset: 20, reason: "retention" }]);
  t.match(rig.gateway.take("deliver"), [{ streamId: 41, firstOffset: 20 }]);

  // The reader's ring holds some reads; the others wait in the shard while the start moves on.
  const reads = 20;
  for (let i = 0; i < reads; i += 1) rig.gateway.read(50 + i, TOPIC, 20);
  rig.gateway.read(99, TOPIC, 30);
  rig.cycle();
  t.ok(rig.shard.nextTimerMs() < 1000, "reads wait");
  rig.gateway.ask("truncate", [TOPIC, [[0, 30]]]);
  for (let i = 0; i < 4; i += 1) {
    rig.cycle();
    rig.sync();
  }
  t.match(rig.gateway.take("reply"), [{ value: [[30, 40]] }]);
  rig.settle();
  const told = rig.gateway.take("progress");
  t.ok(told.length > 0, `${told.length} were told`);
  for (const progress of told) t.match(progress, { nextOffset: 30, reason: "retention" });
  const delivered = rig.gateway.take("deliver").map(({ streamId, firstOffset }) => [streamId, firstOffset]);
  t.same(delivered.at(-1), [99, 30]);
  t.equal(told.length + delivered.length, reads + 1, "each is answered once");
});

t.test("a log that is given up to its end is joined there, and goes on", async (t) => {
  const rig = rigOf(3);
  rig.gateway.read(40, TOPIC, 3);
  rig.settle();
  rig.answer("truncate", [TOPIC, [[0, 3]]]);
  rig.gateway.read(41, TOPIC, 0);
  rig.settle();
  t.match(rig.gateway.take("progress"), [{ streamId: 41, nextOffset: 3, reason: "retention" }]);
  rig.gateway.read(41, TOPIC, 3);
  rig.gateway.publish({ topicId: TOPIC, count: 1, stored: batchOf(["new"]) });
  rig.settle();
  t.match(rig.gateway.take("joined"), [{ offset: 3 }, { offset: 3 }]);
  t.match(rig.gateway.take("deliver"), [{ shared: true, firstOffset: 3, nextOffset: 4 }]);
});

t.test("one entry for all moves, and none where nothing moves", async (t) => {
  const staged: (readonly StateChange[])[] = [];
  const commits: (() => void)[] = [];
  const starts = new LogStarts({
    moved: () => {},
    stageChanges: (changes) => staged.push(changes),
    afterCommit: (run) => commits.push(run),
  });
  const partitions = Array.from({ length: 1000 }, (_, i) => new Partition(7, i, DURABILITY_MEMORY));
  for (const partition of partitions) partition.highWatermark = 100;
  const [first, second] = partitions as [Partition, Partition];
  let done = 0;
  starts.move(
    partitions.map((partition) => ({ partition, offset: 50 })),
    () => {
      done += 1;
    },
  );
  t.equal(staged.length, 1);
  t.equal(staged[0]?.length, 1000);
  t.match(first, { logStartOffset: 0, logStartStaged: 50 });
  // Asked again before the first is durable: done waits for that, too.
  starts.move([{ partition: first, offset: 50 }], () => {
    done += 1;
  });
  t.equal(staged.length, 1);
  t.throws(() => starts.move([{ partition: second, offset: 101 }], () => {}), RangeError);
  t.equal(second.logStartStaged, 50);
  starts.move([{ partition: first, offset: 60 }], () => {});
  commits.shift()?.();
  t.equal(done, 1);
  t.match(first, { logStartOffset: 50, logStartStaged: 60 });
  for (const commit of commits) commit();
  t.equal(done, 2);
  t.match(first, { logStartOffset: 60, logStartStaged: 60 });
});

t.test("a full disk takes truncations, as many as its journal's memory, and stays awake", async (t) => {
  const rig = rigOf(8, { inboundBytes: 4096 });
  rig.storage.capacityBytes = 0;
  rig.gateway.publish({ topicId: TOPIC, count: 1, stored: batchOf(["lost"]) });
  rig.cycle();
  rig.gateway.ask("truncate", [TOPIC, [[0, 4]]]);
  // The ring must go on while that waits: whatever comes is refused.
  for (let i = 0; i < 200; i += 1) {
    t.ok(rig.gateway.publish({ topicId: TOPIC, count: 1, stored: batchOf(["x".repeat(60)]) }), "room");
    rig.cycle();
  }
  t.equal(rig.gateway.take("publish-error").length, 200);
  t.same(rig.gateway.take("reply"), []);
  rig.storage.capacityBytes = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 5; i += 1) {
    rig.clock.advance(1000);
    rig.settle();
  }
  t.match(rig.gateway.take("reply"), [{ error: undefined, value: [[4]] }]);
});
