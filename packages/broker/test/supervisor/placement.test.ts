import t, { type Test } from "tap";
import type { NodeShard } from "../../src/cluster/control-messages.ts";
import { ClusterPlan, type PlanCommand } from "../../src/supervisor/cluster-plan.ts";
import { Placement } from "../../src/supervisor/placement.ts";
import { SUPERVISOR_LIMITS } from "../../src/supervisor/supervisor-limits.ts";

const open = (shardId: number, epoch: number): NodeShard => ({ shardId, epoch, state: "open" });

/** A placement with ready nodes whose shards have all been opened. */
function placed(nodes: number, shards: number): Placement {
  const placement = new Placement(shards, SUPERVISOR_LIMITS);
  for (let nodeId = 0; nodeId < nodes; nodeId += 1) {
    placement.nodeUp(nodeId, [], 0);
    placement.nodeReady(nodeId, 0);
  }
  placement.begin();
  for (const { nodeId, shardId } of placement.act(0)) placement.opened(nodeId, shardId, 1, 0);
  placement.act(0);
  return placement;
}

function owners(placement: Placement): (number | null)[] {
  return placement.entries().map(({ nodeId }) => nodeId);
}

t.test("shards are spread evenly, shard 0 first", async (t) => {
  const placement = new Placement(5, SUPERVISOR_LIMITS);
  for (const nodeId of [0, 1, 2]) placement.nodeUp(nodeId, [], 0);
  t.same(placement.act(0), [], "not before it begins");
  placement.begin();
  t.same(placement.act(0), [
    { kind: "open", nodeId: 0, shardId: 0 },
    { kind: "open", nodeId: 1, shardId: 1 },
    { kind: "open", nodeId: 2, shardId: 2 },
    { kind: "open", nodeId: 0, shardId: 3 },
    { kind: "open", nodeId: 1, shardId: 4 },
  ]);
  t.same(placement.act(0), [], "once");
});

t.test("what becomes due between acting and setting the timer is not missed", async (t) => {
  const placement = placed(2, 2);
  placement.nodeGone(0, 10);
  placement.act(10);
  placement.opened(1, 0, 2, 25);
  placement.nodeUp(0, [], 100);
  placement.nodeReady(0, 600);
  t.same(placement.act(599.8), [], "a timer of Node may come early");
  t.equal(placement.timerMs, 600, "whenever it is asked");
  t.match(placement.act(600.2), [{ kind: "close", nodeId: 1 }]);
});

t.test("the shards of a dead node are opened at the others at once, and come back one by one", async (t) => {
  const placement = placed(3, 6);
  placement.nodeGone(0, 10);
  t.same(owners(placement), [null, 1, 2, null, 1, 2]);
  t.same(placement.act(10), [
    { kind: "open", nodeId: 1, shardId: 0 },
    { kind: "open", nodeId: 2, shardId: 3 },
  ]);
  t.match(placement.opened(1, 0, 2, 25), { why: "taken-over", from: 0, to: 1, epoch: 2, ms: 15 });
  placement.opened(2, 3, 2, 25);
  placement.nodeUp(0, [], 100);
  placement.nodeReady(0, 600);
  t.same(placement.act(100), [], "not before it has settled");
  t.equal(placement.timerMs, 600);
  const [first, ...rest] = placement.act(600);
  t.match(first, { kind: "close" });
  t.same(rest, [], "one at a time");
  t.same(placement.act(600), []);
  const { nodeId, shardId } = first!;
  placement.closed(nodeId, shardId, 610);
  t.same(placement.act(610), [{ kind: "open", nodeId: 0, shardId }]);
  t.match(placement.opened(0, shardId, 3, 620), { why: "moved", from: nodeId, to: 0, ms: 20 });
  const [second] = placement.act(620);
  t.match(second, { kind: "close" });
  placement.closed(second!.nodeId, second!.shardId, 630);
  placement.act(630);
  placement.opened(0, second!.shardId, 3, 640);
  t.same(placement.act(640), [], "even enough");
  t.ok(placement.isSettled);
});

t.test("what nodes say when they are adopted is what is", async (t) => {
  const placement = new Placement(4, SUPERVISOR_LIMITS);
  placement.nodeUp(0, [open(0, 3), { shardId: 1, epoch: 0, state: "opening" }], 0);
  placement.nodeUp(1, [open(2, 5), { shardId: 3, epoch: 2, state: "closing" }], 0);
  placement.begin();
  t.same(placement.act(0), [
    { kind: "open", nodeId: 0, shardId: 1 },
    { kind: "close", nodeId: 1, shardId: 3 },
  ]);
  t.equal(placement.opened(0, 1, 4, 1)?.why, "opened");
  t.same(placement.act(1), [], "a shard that is being closed is opened nowhere");
  placement.closed(1, 3, 2);
  t.same(placement.act(2), [{ kind: "open", nodeId: 1, shardId: 3 }]);
});

t.test("of two owners the older one is told to close", async (t) => {
  const placement = new Placement(1, SUPERVISOR_LIMITS);
  placement.nodeUp(0, [open(0, 3)], 0);
  placement.nodeUp(1, [open(0, 4)], 0);
  placement.begin();
  t.same(placement.act(0), [{ kind: "close", nodeId: 0, shardId: 0 }]);
  t.same(owners(placement), [1]);
  placement.closed(0, 0, 1);
  t.same(placement.act(1), []);
  t.same(owners(placement), [1]);
});

t.test("a shard that was moved by command stays, and goes back there", async (t) => {
  const placement = placed(2, 4);
  t.ok(placement.move(0, 1));
  t.throws(() => placement.move(0, 5), { code: "INVALID_REQUEST" });
  t.throws(() => placement.move(9, 1), { code: "INVALID_REQUEST" });
  t.same(placement.act(0), [{ kind: "close", nodeId: 0, shardId: 0 }]);
  t.throws(() => placement.move(0, 0), { code: "INVALID_REQUEST" }, "it is on its way");
  placement.closed(0, 0, 1);
  t.same(placement.act(1), [{ kind: "open", nodeId: 1, shardId: 0 }]);
  placement.opened(1, 0, 2, 2);
  t.same(placement.act(2), [], "the load is not evened out behind the operator's back");
  t.notOk(placement.move(0, 1), "it is there already");
  placement.nodeGone(1, 3);
  for (const { shardId } of placement.act(3)) placement.opened(0, shardId, 3, 3);
  placement.nodeUp(1, [], 4);
  placement.nodeReady(1, 4);
  t.same(placement.act(4), [{ kind: "close", nodeId: 0, shardId: 0 }]);
});

t.test("a node that leaves is emptied; its shards rather stay with it than nowhere", async (t) => {
  const placement = placed(2, 2);
  placement.nodeLeaving(0, true);
  t.same(placement.act(0), [{ kind: "close", nodeId: 0, shardId: 0 }]);
  placement.nodeGone(1, 1);
  placement.closed(0, 0, 2);
  t.same(placement.act(2), [
    { kind: "open", nodeId: 0, shardId: 0 },
    { kind: "open", nodeId: 0, shardId: 1 },
  ]);
});

t.test("an opening that fails is tried elsewhere, after a pause", async (t) => {
  const placement = placed(2, 1);
  placement.nodeGone(0, 0);
  t.same(placement.act(0), [{ kind: "open", nodeId: 1, shardId: 0 }]);
  placement.nodeUp(0, [], 0);
  placement.nodeReady(0, 0);
  t.notOk(placement.openFailed(1, 0, "INTERNAL", "no", 10));
  t.same(placement.act(10), []);
  t.equal(placement.timerMs, 210);
  t.same(placement.act(210), [{ kind: "open", nodeId: 0, shardId: 0 }]);
  t.ok(placement.openFailed(0, 0, "JOURNAL_QUARANTINED", "a sync failed", 220));
  t.same(placement.act(99_999), [], "nobody tries again what needs a repair");
  t.match(placement.entries(), [{ shardId: 0, nodeId: null, failed: "JOURNAL_QUARANTINED: a sync failed" }]);
});

t.test(
  "a shard that a node has lost is opened elsewhere, after a pause, unless it needs a repair",
  async (t) => {
    const placement = placed(2, 2);
    t.notOk(placement.failed(0, 0, "INTERNAL", "its thread died 11 times", 10));
    t.same(placement.act(10), []);
    t.equal(placement.timerMs, 210);
    t.same(placement.act(210), [{ kind: "open", nodeId: 1, shardId: 0 }]);
    t.notOk(placement.failed(1, 0, "DISK_FULL", "lost while it was opened", 220));
    t.same(placement.act(219), [], "whether it is open there is not known");
    t.notOk(placement.openFailed(1, 0, "INTERNAL", "it did not come back", 220), "now it is");
    t.equal(placement.timerMs, 620);
    t.same(placement.act(620), [{ kind: "open", nodeId: 0, shardId: 0 }]);
    t.match(placement.opened(0, 0, 5, 630), { why: "taken-over", from: 0, to: 0, ms: 620 });
    t.ok(placement.failed(0, 0, "JOURNAL_FAILED", "a sync failed", 640));
    t.same(placement.act(99_999), []);
    t.match(placement.failures, [{ shardId: 0, reason: "JOURNAL_FAILED: a sync failed" }]);
  },
);

t.test("a shard that fails while it is to be moved holds up no other move", async (t) => {
  const placement = placed(2, 4);
  t.ok(placement.move(2, 1));
  t.ok(placement.failed(0, 2, "JOURNAL_FAILED", "a sync failed", 0));
  placement.nodeLeaving(0, true);
  t.same(placement.act(0), [{ kind: "close", nodeId: 0, shardId: 0 }]);
});

t.test(
  "one that somebody else has opened is opened anew, unless its node is being asked about it",
  async (t) => {
    const placement = placed(1, 1);
    placement.fenced(0, 0, 5);
    t.same(placement.act(5), [{ kind: "open", nodeId: 0, shardId: 0 }]);
    placement.fenced(0, 0, 6);
    t.same(placement.act(6), []);
    t.same(placement.shardsOf(0), [0]);
  },
);

t.test("a node that cannot open what is moved to it is left alone, longer each time", async (t) => {
  const placement = placed(2, 4);
  placement.nodeGone(1, 0);
  for (const { shardId } of placement.act(0)) placement.opened(0, shardId, 2, 0);
  placement.nodeUp(1, [], 0);
  placement.nodeReady(1, 0);
  let nowMs = 0;
  for (const pauseMs of [1_000, 2_000, 4_000]) {
    const [{ shardId } = { shardId: -1 }] = placement.act(nowMs);
    placement.closed(0, shardId, nowMs);
    t.same(placement.act(nowMs), [{ kind: "open", nodeId: 1, shardId }]);
    t.notOk(placement.openFailed(1, shardId, "EACCES", "no", nowMs));
    const endMs = nowMs + pauseMs;
    nowMs += 200;
    t.same(placement.act(nowMs), [{ kind: "open", nodeId: 0, shardId }]);
    placement.opened(0, shardId, 9, nowMs);
    t.same(placement.act(nowMs), []);
    t.equal(placement.isSettled, pauseMs === 4_000, "a restart does not wait for it for ever");
    t.equal(placement.timerMs, endMs);
    nowMs = endMs;
  }
  const [{ shardId } = { shardId: -1 }] = placement.act(nowMs);
  placement.closed(0, shardId, nowMs);
  placement.act(nowMs);
  placement.opened(1, shardId, 10, nowMs);
  t.match(placement.act(nowMs), [{ kind: "close", nodeId: 0 }], "when it can, it gets its share at once");
});

t.test("a shard that cannot be opened where it was moved to by command does not go back there", async (t) => {
  const placement = placed(2, 2);
  t.ok(placement.move(0, 1));
  placement.act(0);
  placement.closed(0, 0, 0);
  placement.act(0);
  placement.openFailed(1, 0, "EACCES", "no", 0);
  placement.act(200);
  placement.opened(0, 0, 2, 200);
  for (const nowMs of [200, 2_000, 20_000]) t.same(placement.act(nowMs), []);
});

t.test("a shard whose opening ends with its node is tried again later and later, and alone", async (t) => {
  const placement = new Placement(3, SUPERVISOR_LIMITS);
  const starts = (nowMs: number): void => {
    placement.nodeUp(0, [], nowMs);
    placement.nodeReady(0, nowMs);
  };
  const opens = (nowMs: number): number[] => placement.act(nowMs).map(({ shardId }) => shardId);
  starts(0);
  placement.begin();
  t.same(opens(0), [0, 1, 2]);
  t.same(placement.nodeGone(0, 0), []);
  starts(0);
  t.same(opens(0), []);
  t.equal(placement.timerMs, 200);
  t.same(opens(200), [0, 1, 2]);
  t.same(placement.nodeGone(0, 200), [], "it may have been each of them");
  starts(200);
  t.equal(placement.timerMs, 2_200);
  t.same(opens(2_200), [0]);
  placement.opened(0, 0, 3, 2_200);
  t.same(opens(2_200), [1]);
  placement.opened(0, 1, 3, 2_200);
  t.same(opens(2_200), [2]);
  t.same(placement.nodeGone(0, 2_300), [{ shardId: 2, deaths: 3, pauseMs: 20_000 }]);
  starts(2_300);
  t.same(opens(2_300), [0, 1], "those that were open are, at once");
  t.equal(placement.timerMs, 22_300);
});

t.test("a node that ends in order has not died of what it was opening", async (t) => {
  const placement = placed(2, 2);
  placement.nodeGone(0, 0);
  placement.act(0);
  placement.nodeUp(0, [], 0);
  placement.nodeDraining(1);
  placement.nodeGone(1, 0);
  t.same(placement.act(0), [
    { kind: "open", nodeId: 0, shardId: 0 },
    { kind: "open", nodeId: 0, shardId: 1 },
  ]);
});

t.test("nothing is moved while shard 0 is open nowhere", async (t) => {
  const placement = placed(2, 4);
  placement.failed(0, 0, "INTERNAL", "its thread died", 0);
  placement.nodeLeaving(1, true);
  t.same(placement.act(0), [], "what is closed could not be opened without the catalog");
  t.throws(() => placement.move(1, 0), { code: "INVALID_REQUEST", message: /shard 0/ });
  t.same(placement.act(200), [{ kind: "open", nodeId: 0, shardId: 0 }]);
  t.same(placement.act(200), []);
  placement.opened(0, 0, 2, 300);
  t.match(placement.act(300), [{ kind: "close", nodeId: 1 }]);
});

t.test("moves wait while they are held, take-overs do not", async (t) => {
  const placement = placed(2, 2);
  placement.holdMoves(true);
  placement.nodeLeaving(0, true);
  t.same(placement.act(0), []);
  t.throws(() => placement.move(0, 1), { code: "INVALID_REQUEST" });
  placement.nodeGone(0, 0);
  t.same(placement.act(0), [{ kind: "open", nodeId: 1, shardId: 0 }]);
});

// ---- the plan ----

function kinds(commands: readonly PlanCommand[], ...wanted: PlanCommand["kind"][]): PlanCommand[] {
  return commands.filter(({ kind }) => wanted.includes(kind));
}

/** Answers what a plan wants as obedient nodes would, until it wants nothing. */
function obey(
  plan: ClusterPlan,
  commands: readonly PlanCommand[],
  nowMs: number,
  except?: PlanCommand["kind"],
): string[] {
  const done: string[] = [];
  const pending = [...commands];
  for (let command = pending.shift(); command !== undefined; command = pending.shift()) {
    if (command.kind === except) continue;
    if (command.kind === "log" || command.kind === "restarted") {
      if (command.kind === "restarted") done.push("restarted");
      continue;
    }
    done.push("shardId" in command ? `${command.kind} ${command.shardId}@${command.nodeId}` : command.kind);
    if ("nodeId" in command && !("shardId" in command)) done[done.length - 1] += ` ${command.nodeId}`;
    if (command.kind === "open") pending.push(...plan.shardOpened(command.nodeId, command.shardId, 1, nowMs));
    if (command.kind === "close") pending.push(...plan.shardClosed(command.nodeId, command.shardId, nowMs));
    if (command.kind === "drain") pending.push(...plan.nodeGone(command.nodeId, { exitCode: 0 }, nowMs));
    if (command.kind === "start") pending.push(...plan.nodeGreeted(command.nodeId, [], true, nowMs));
  }
  return done;
}

t.test("a new cluster waits for its nodes, but not for ever", async (t) => {
  const plan = new ClusterPlan(2, 2, SUPERVISOR_LIMITS);
  t.same(kinds(plan.start([], 0), "start").length, 2);
  t.same(kinds(plan.nodeGreeted(0, [], false, 10), "open"), []);
  t.equal(plan.nextTimerMs, SUPERVISOR_LIMITS.gatherMsMax);
  t.equal(kinds(plan.timer(SUPERVISOR_LIMITS.gatherMsMax), "open").length, 2, "all at the one that is there");
});

t.test("a rolling restart empties, ends, starts and fills one node after the other", async (t) => {
  const plan = new ClusterPlan(2, 2, SUPERVISOR_LIMITS);
  obey(plan, plan.start([], 0), 0);
  t.ok(plan.isServing);
  t.same(obey(plan, plan.restart(1), 1), [
    "close 0@0",
    "open 0@1",
    "drain 0",
    "start 0",
    "close 1@1",
    "open 1@0",
    "close 0@1",
    "open 0@0",
    "drain 1",
    "start 1",
    "close 1@0",
    "open 1@1",
    "restarted",
  ]);
  t.notOk(plan.isRestarting);
});

t.test("a restart ends where shard 0 needs a repair, and takes down nothing else", async (t) => {
  const plan = new ClusterPlan(2, 4, SUPERVISOR_LIMITS);
  obey(plan, plan.start([], 0), 0);
  const error = { code: "JOURNAL_FAILED", message: "a sync failed" };
  obey(plan, plan.shardFailed(0, 0, error, 1), 1);
  const commands = plan.restart(2);
  t.match(kinds(commands, "restarted"), [{ failure: /^shard 0.*a sync failed$/ }]);
  t.same(obey(plan, commands, 2), ["restarted"]);
  t.match(kinds(plan.restart(3), "restarted"), [{ failure: /^shard 0/ }], "the next one, too");
  t.notOk(plan.isRestarting);
  t.same(
    plan.shards().map(({ nodeId }) => nodeId),
    [null, 1, 0, 1],
  );
  t.ok(plan.isServing);
});

t.test("a restart during which shard 0 fails still brings its node back", async (t) => {
  const plan = new ClusterPlan(2, 2, SUPERVISOR_LIMITS);
  obey(plan, plan.start([], 0), 0);
  obey(plan, plan.restart(1), 1, "drain");
  const error = { code: "JOURNAL_FAILED", message: "a sync failed" };
  obey(plan, plan.shardFailed(1, 0, error, 2), 2);
  t.same(obey(plan, plan.nodeGone(0, { exitCode: 0 }, 3), 3), ["start 0", "restarted"]);
  t.equal(plan.life(0)?.phase, "up");
});

t.test("a node alone closes its shards itself", async (t) => {
  const plan = new ClusterPlan(1, 2, SUPERVISOR_LIMITS);
  obey(plan, plan.start([], 0), 0);
  t.same(obey(plan, plan.restart(1), 1), ["drain 0", "start 0", "open 0@0", "open 1@0", "restarted"]);
});

t.test("nodes that there are not to be are emptied and drained", async (t) => {
  const plan = new ClusterPlan(1, 2, SUPERVISOR_LIMITS);
  t.same(obey(plan, plan.start([0, 1], 0), 0), []);
  t.same(obey(plan, plan.nodeGreeted(0, [open(0, 1)], true, 1), 1), []);
  t.same(obey(plan, plan.nodeGreeted(1, [open(1, 1)], true, 1), 1), ["close 1@1", "open 1@0", "drain 1"]);
});

t.test("a node that dies again and again is left down; without any the cluster ends", async (t: Test) => {
  const plan = new ClusterPlan(2, 2, SUPERVISOR_LIMITS);
  obey(plan, plan.start([], 0), 0);
  let nowMs = 0;
  const dies = (nodeId: number): PlanCommand[] => {
    const commands = plan.nodeGone(nodeId, { exitCode: 1 }, nowMs);
    obey(plan, commands, nowMs);
    nowMs += 1_000;
    obey(plan, plan.timer(nowMs), nowMs);
    return commands;
  };
  for (let deaths = 1; deaths < 5; deaths += 1) t.same(kinds(dies(0), "given-up"), []);
  t.match(
    dies(0).filter((command) => command.kind === "log"),
    [{ event: "node-died", fields: { deaths: 5 } }, { event: "node-given-up" }],
  );
  t.equal(plan.life(0)?.phase, "given-up");
  t.ok(plan.isServing, "the other one serves");
  for (let deaths = 1; deaths < 5; deaths += 1) dies(1);
  t.equal(kinds(dies(1), "given-up").length, 1);
  t.same(obey(plan, plan.stop(nowMs), nowMs), ["stopped"]);
});
