import type { SimulatedStorage, Storage } from "@millrace/journal/internal";
import t from "tap";
import { BROKER_LIMITS } from "../../src/limits.ts";
import { DURABILITY_FSYNCED, DURABILITY_MEMORY, DURABILITY_WRITTEN } from "../../src/topic.ts";
import { batchOf, valuesOf } from "../harness/batches.ts";
import { type RigPartition, ShardRig } from "../harness/shard-rig.ts";

const TOPIC = 5;
const PARTITIONS: RigPartition[] = [[TOPIC, 0, DURABILITY_FSYNCED]];

function publish(rig: ShardRig, value: string): void {
  rig.gateway.publish({ topicId: TOPIC, count: 1, stored: batchOf([value]) });
}

function readAll(rig: ShardRig): string[] {
  const values: string[] = [];
  for (;;) {
    rig.gateway.read(41, TOPIC, values.length);
    rig.settle();
    const deliveries = rig.gateway.take("deliver");
    if (deliveries.length === 0) return values;
    for (const { entries } of deliveries) for (const { stored } of entries) values.push(...valuesOf(stored));
  }
}

t.test("an owner that was replaced acks nothing more, and leaves its successor alone", async (t) => {
  const former = ShardRig.started(PARTITIONS);
  former.gateway.read(40, TOPIC, 0);
  publish(former, "acked");
  former.settle();
  former.gateway.events.splice(0);
  publish(former, "in flight");
  former.cycle();

  const owner = ShardRig.started(PARTITIONS, { storage: former.storage });
  t.ok(owner.journal.epoch > former.journal.epoch);
  former.sync();
  t.throws(() => former.cycle(), { code: "JOURNAL_FAILED" });
  former.gateway.hear();
  t.same(former.gateway.events, []);
  former.journal.close();

  publish(owner, "of the owner");
  owner.settle();
  t.equal(owner.gateway.take("ack").length, 1);
  const records = readAll(owner);
  t.equal(records[0], "acked");
  t.equal(records.at(-1), "of the owner");

  // The former owner was fenced off, which is no damage: the folder is not quarantined.
  owner.crash("power");
  owner.open();
  owner.reconcile(PARTITIONS);
  t.same(readAll(owner), records);
});

t.test("what the former owner writes after it was replaced does not exist", async (t) => {
  const former = ShardRig.started(PARTITIONS);
  publish(former, "acked");
  former.settle();
  const owner = ShardRig.started(PARTITIONS, { storage: former.storage });
  publish(owner, "first of the owner");
  owner.settle();
  publish(former, "too late");
  former.cycle();
  former.sync();
  t.throws(() => former.cycle(), { code: "JOURNAL_FAILED" });
  t.same(former.gateway.take("publish-error"), []);
  publish(owner, "second of the owner");
  owner.settle();
  owner.crash("process");
  owner.open();
  owner.reconcile(PARTITIONS);
  t.same(readAll(owner), ["acked", "first of the owner", "second of the owner"]);
});

const WRITTEN = 6;
const MEMORY = 7;
const WEAK: RigPartition[] = [
  [WRITTEN, 0, DURABILITY_WRITTEN],
  [MEMORY, 0, DURABILITY_MEMORY],
];

/** A shard whose next calls of the storage are counted from `arm` on; before one of them something else happens. */
function interruptedRig(): {
  rig: ShardRig;
  arm: (at: number, interrupt: () => void) => void;
  calls: () => number;
} {
  let calls = 0;
  let at = -1;
  let interrupt = (): void => {};
  const count = (): void => {
    const call = calls;
    calls += 1;
    if (call === at) interrupt();
  };
  const wrapStorage = (storage: SimulatedStorage): Storage =>
    new Proxy(storage, {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name);
        if (typeof member !== "function") return member;
        return (...args: unknown[]) => {
          count();
          return Reflect.apply(member, target, args) as unknown;
        };
      },
    });
  const rig = ShardRig.started(WEAK, { wrapStorage });
  const arm = (armedAt: number, armed: () => void): void => {
    calls = 0;
    at = armedAt;
    interrupt = armed;
  };
  return { rig, arm, calls: () => calls };
}

function publishTo(rig: ShardRig, topicId: number, value: string): void {
  rig.gateway.publish({ topicId, count: 1, stored: batchOf([value]) });
}

/** Cycles of somebody who may have been replaced. @returns whether it has ended because of that */
function cyclesUntilFenced(rig: ShardRig, cycles: number): boolean {
  try {
    for (let i = 0; i < cycles; i += 1) rig.cycle();
  } catch (error) {
    if ((error as { code?: string }).code !== "JOURNAL_FAILED") throw error;
    return true;
  }
  return false;
}

function storedValues(rig: ShardRig, topicId: number): string[] {
  rig.gateway.read(41, topicId, 0);
  rig.settle();
  const values: string[] = [];
  for (const { entries } of rig.gateway.take("deliver")) {
    for (const { stored } of entries) values.push(...valuesOf(stored));
  }
  return values;
}

t.test(
  "what a written topic's ack or delivery tells is there for the next owner, wherever this one is stopped",
  async (t) => {
    let stops = 0;
    for (let at = 0; ; at += 1) {
      const { rig, arm, calls } = interruptedRig();
      publishTo(rig, WRITTEN, "first");
      rig.settle();
      rig.gateway.read(40, WRITTEN, 0);
      rig.settle();
      rig.gateway.events.splice(0);
      let owner: ShardRig | undefined;
      arm(at, () => {
        owner = ShardRig.started(WEAK, { storage: rig.storage });
      });
      publishTo(rig, WRITTEN, "last");
      cyclesUntilFenced(rig, 3);
      if (owner === undefined) {
        rig.gateway.hear();
        t.equal(rig.gateway.take("ack").length, 1, `with no stop at all; ${stops} stops, ${calls()} calls`);
        break;
      }
      stops += 1;
      rig.gateway.hear();
      const isToldOf = rig.gateway.take("ack").length + rig.gateway.take("deliver").length > 0;
      const found = storedValues(owner, WRITTEN);
      t.equal(found[0], "first");
      if (isToldOf) t.ok(found.includes("last"), `stopped before call ${at}`);
      rig.clock.advance(BROKER_LIMITS.fenceLookMs);
      t.equal(cyclesUntilFenced(rig, 1), true, "and it ends");
    }
    t.ok(stops >= 2, "before the write, and before the look at the fence");
  },
);

t.test("a memory topic's acks end soon after a shard has another owner", async (t) => {
  const rig = ShardRig.started(WEAK);
  publishTo(rig, MEMORY, "first");
  rig.settle();
  rig.gateway.events.splice(0);
  const owner = ShardRig.started(WEAK, { storage: rig.storage });
  rig.clock.advance(BROKER_LIMITS.fenceLookMs);
  publishTo(rig, MEMORY, "late");
  t.equal(cyclesUntilFenced(rig, 1), true);
  rig.gateway.hear();
  t.same(rig.gateway.events, [], "as they do for one that was stopped for longer and goes on");
  publishTo(owner, MEMORY, "of the owner");
  owner.settle();
  t.match(owner.gateway.take("ack"), [{ durability: DURABILITY_MEMORY }]);
});
