import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { BROKER_LIMITS } from "../../src/limits.ts";
import { shardDirectory } from "../../src/node/data-folder.ts";
import type { GatewayLink } from "../../src/node/gateway-link.ts";
import { RestartBudget } from "../../src/node/restart-budget.ts";
import { ShardThread } from "../../src/node/shard-thread.ts";
import { ManualClock } from "../harness/manual-clock.ts";
import { ShardThreadsRig } from "../harness/shard-threads-rig.ts";

/** A shard throws at what is in its ring and is not of its own. */
const NO_RECORD_TYPE = 99;

/** In a fence file, in bytes. */
const FENCE_EPOCH_AT = 16;

/** Threads that start on a loaded machine. */
t.setTimeout(180_000);

t.test("shards are opened and closed one by one, and the others go on", async (t) => {
  const rig = new ShardThreadsRig(t, t.testdir(), 2);
  const opened = await Promise.all([0, 1, 2].map((shardId) => rig.open(shardId)));
  t.same(
    opened.map(({ recovered }) => recovered.epoch),
    [1, 1, 1],
  );
  t.same(
    [0, 1, 2].map((shardId) => rig.threads.threadOf(shardId)),
    [0, 1, 0],
    "where there are fewest",
  );
  await t.rejects(rig.threads.open(1), /is open/);
  for (const shardId of [0, 1, 2]) t.equal(await rig.commits(shardId), true);

  t.equal(await rig.close(2), true, "it leaves a clean checkpoint");
  await t.rejects(rig.threads.close(2), /not open/);
  t.equal(await rig.commits(0), true, "its thread goes on");
  const again = await rig.open(2);
  t.match(again.recovered, { shardId: 2, epoch: 2, cleanShutdown: true });
  t.equal(await rig.commits(2), true, "on the thread that had it before");

  const closing = rig.close(2);
  const reopened = await rig.open(2);
  t.equal(await closing, true);
  t.equal(reopened.recovered.epoch, 3, "who opens it waits for the close");
  rig.links.set(2, reopened.link);
  t.equal(await rig.commits(2), true);
  await rig.threads.drain();
  t.same(rig.heard, []);
});

t.test("a shard that cannot be opened harms nobody, and may be opened again", async (t) => {
  const dataDir = t.testdir();
  const rig = new ShardThreadsRig(t, dataDir, 1);
  const mark = join(shardDirectory(dataDir, 1), "quarantined");
  const fence = join(shardDirectory(dataDir, 2), "fence");
  writeFileSync(mark, "EIO on sync\n");
  writeFileSync(fence, "no fence");
  const outcomes = await Promise.allSettled([0, 1, 2].map((shardId) => rig.open(shardId)));
  t.match(outcomes, [
    { status: "fulfilled" },
    { status: "rejected", reason: { code: "JOURNAL_QUARANTINED" } },
    { status: "rejected", reason: { code: "JOURNAL_DAMAGED" } },
  ]);
  t.equal(await rig.commits(0), true);
  rmSync(mark);
  rmSync(fence);
  await Promise.all([rig.open(1), rig.open(2)]);
  t.equal(await rig.commits(1), true);
  t.equal(await rig.commits(2), true);
});

t.test("a thread that dies comes back with its shards, and only those are lost", async (t) => {
  const rig = new ShardThreadsRig(t, t.testdir(), 2);
  for (const shardId of [0, 1, 2]) {
    await rig.open(shardId);
    await rig.commits(shardId);
  }
  await rig.threads.crash(0);
  await rig.until(() => rig.heard.length === 3, "both are back");
  t.same(rig.heard, ["down 0", "down 2", "up 0 2"]);
  for (const shardId of [0, 1, 2]) t.equal(await rig.commits(shardId), true);
  t.equal(await rig.close(0), true);
  t.match((await rig.open(0)).recovered, { epoch: 3, cleanShutdown: true });
  await rig.until(() => rig.events.includes("shard-thread-restarted"), "that is said");
});

t.test(
  "a shard that is lost again before those lost with it are back is told of once, with its new link",
  async (t) => {
    const dataDir = t.testdir();
    const rig = new ShardThreadsRig(t, dataDir, 1);
    for (const shardId of [0, 1]) {
      await rig.open(shardId);
      await rig.commits(shardId);
    }
    const { send } = ShardThread.prototype;
    const restoreSend = (): void => void Object.assign(ShardThread.prototype, { send });
    t.teardown(restoreSend);
    let isHeld = false;
    ShardThread.prototype.send = function (this: ShardThread, ...args: Parameters<typeof send>): void {
      const [message] = args;
      if (message.kind === "open-shard" && message.place.shardId === 1) isHeld = true;
      else send.apply(this, args);
    };
    await rig.threads.crash(0);
    const fence = join(shardDirectory(dataDir, 0), "fence");
    await rig.until(() => isHeld && readFileSync(fence).readUInt32LE(FENCE_EPOCH_AT) === 2, "one is opened");
    // Its thread says so soon after.
    await sleep(250);
    restoreSend();
    await rig.threads.crash(0);
    await rig.until(() => rig.heard.at(-1)?.startsWith("up") === true, "both are back");
    t.equal(rig.heard.filter((heard) => heard.startsWith("up")).join(), "up 0 1");
    for (const shardId of [0, 1]) t.equal(await rig.commits(shardId), true);
    t.equal(await rig.close(0), true);
  },
);

t.test("a shard that is closed while it is lost twice is closed all the same", async (t) => {
  const rig = new ShardThreadsRig(t, t.testdir(), 1);
  await rig.open(0);
  await rig.commits(0);
  const { send } = ShardThread.prototype;
  const restoreSend = (): void => void Object.assign(ShardThread.prototype, { send });
  t.teardown(restoreSend);
  let isHeld = false;
  ShardThread.prototype.send = function (this: ShardThread, ...args: Parameters<typeof send>): void {
    if (args[0].kind === "open-shard") isHeld = true;
    else send.apply(this, args);
  };
  await rig.threads.crash(0);
  await rig.until(() => isHeld, "it is to be opened again");
  const closed = rig.close(0);
  closed.catch(() => {});
  restoreSend();
  await rig.threads.crash(0);
  t.equal(await closed, true);
  t.equal(rig.threads.threadOf(0), undefined);
  t.match((await rig.open(0)).recovered, { shardId: 0, cleanShutdown: true });
});

t.test("a shard that throws is lost alone, and comes back on its thread", async (t) => {
  const rig = new ShardThreadsRig(t, t.testdir(), 1);
  for (const shardId of [0, 1]) {
    await rig.open(shardId);
    await rig.commits(shardId);
  }
  const untouched = rig.links.get(1);
  const link = rig.links.get(0) as GatewayLink;
  link.inbound.write(NO_RECORD_TYPE, Buffer.alloc(8));
  link.flush();
  await rig.until(() => rig.heard.length === 2, "it is back");
  t.same(rig.heard, ["down 0", "up 0"]);
  t.ok(rig.events.includes("shard-crashed"));
  t.equal(rig.links.get(1), untouched);
  for (const shardId of [0, 1]) t.equal(await rig.commits(shardId), true);
  t.notOk(rig.events.includes("shard-thread-died"));
});

t.test(
  "a shard with another owner ends by itself, also when it is idle, and its thread goes on",
  async (t) => {
    const dataDir = t.testdir();
    const former = new ShardThreadsRig(t, dataDir, 1);
    for (const shardId of [0, 1]) {
      await former.open(shardId);
      await former.commits(shardId);
    }
    const owner = new ShardThreadsRig(t, dataDir, 1);
    const { recovered } = await owner.open(0);
    t.equal(recovered.epoch, 2);
    await former.until(() => former.heard.length > 0, "the former owner has noticed");
    t.match(former.heard, [/^fenced 0 .*another owner has taken over .*epoch=1$/]);
    t.equal(await owner.commits(0), true);
    t.equal(await former.commits(1), true);
    t.equal(await owner.close(0), true);
    t.match((await former.open(0)).recovered, { epoch: 3, cleanShutdown: true }, "and may have it again");
  },
);

t.test("restarts are limited for a while, not for ever", async (t) => {
  const clock = new ManualClock();
  const budget = new RestartBudget(clock);
  const { shardRestartsMax, shardRestartsWindowMs } = BROKER_LIMITS;
  for (let i = 0; i < shardRestartsMax; i += 1) t.equal(budget.take(), true);
  t.equal(budget.take(), false);
  clock.advance(shardRestartsWindowMs - 1);
  t.equal(budget.take(), false);
  clock.advance(1);
  t.equal(budget.take(), true);
});
