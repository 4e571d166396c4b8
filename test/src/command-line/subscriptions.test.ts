import t, { type Test } from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { type CommandResult, jsonOutput, runCommand, startCommand } from "../harness/millrace-command.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { until } from "../harness/waiting.ts";

const broker = await BrokerProcess.start(t, { dataDir: temporaryFolder(t) });

function at(...args: string[]): string[] {
  return [...args, "--url", broker.url];
}

function run(t: Test, ...args: string[]): Promise<CommandResult> {
  return runCommand(t, at(...args));
}

function json(t: Test, ...args: string[]): Promise<Record<string, unknown>[]> {
  return jsonOutput(t, at(...args, "--json"));
}

/** A topic with these values in partition 0 and a subscription that begins before them. */
async function prepare(
  t: Test,
  topic: string,
  values: readonly string[],
  ...options: string[]
): Promise<void> {
  t.match(await run(t, "topic", "create", topic, "--partitions", "2"), { code: 0, stderr: "" });
  t.match(await run(t, "subscription", "create", topic, "workers", ...options), { code: 0, stderr: "" });
  t.equal((await run(t, "pub", topic, ...values, "--partition", "0")).code, 0);
}

function values(lines: readonly Record<string, unknown>[]): unknown[] {
  return lines.map(({ value }) => value);
}

function isRefused(t: Test, result: CommandResult, code: string, exitCode: number = 1): void {
  t.equal(result.code, exitCode);
  t.equal(result.stdout, "");
  t.match(result.stderr, new RegExp(`^error ${code}: [^\\n]+\\n$`));
}

t.test("a subscription's life", async (t) => {
  await prepare(t, "life", ["a", "b", "c"], "--mode", "queue", "--lease", "1m", "--max-deliveries", "7");
  t.match(await json(t, "subscription", "list", "life"), [
    {
      topic: "life",
      name: "workers",
      mode: "queue",
      leaseMs: 60_000,
      maxDeliveries: 7,
      backoffMinMs: 1_000,
      backoffMaxMs: 60_000,
      paused: false,
      deadLetterTopic: null,
      snapshots: [],
    },
  ]);
  t.match(
    (await run(t, "subscription", "list")).stdout,
    /^TOPIC +SUBSCRIPTION +MODE .*\nlife +workers +queue +active +1m +7\n/,
  );
  isRefused(
    t,
    await run(t, "subscription", "create", "life", "workers", "--mode", "queue"),
    "SUBSCRIPTION_EXISTS",
  );
  t.match(await json(t, "subscription", "alter", "life", "workers", "--lease", "2m"), [
    { leaseMs: 120_000, maxDeliveries: 7 },
  ]);
  t.match(await json(t, "subscription", "describe", "life", "workers"), [
    { consumers: 0, available: 3, leased: 0, waiting: 0, lag: 3, dead: 0, blockedByKey: null },
  ]);
  t.match((await run(t, "subscription", "describe", "life", "workers")).stdout, /^lag +3$/m);

  t.match(await json(t, "subscription", "pause", "life", "workers"), [{ paused: true }]);
  t.match(await json(t, "subscription", "resume", "life", "workers"), [{ paused: false }]);
  t.match(await json(t, "subscription", "delete", "life", "workers"), [
    { topic: "life", name: "workers", deleted: true },
  ]);
  isRefused(t, await run(t, "subscription", "describe", "life", "workers"), "UNKNOWN_SUBSCRIPTION");
  isRefused(t, await run(t, "subscription", "create", "nowhere", "w", "--mode", "queue"), "UNKNOWN_TOPIC");
});

t.test("sub --subscription acknowledges what it prints, and --no-ack nothing", async (t) => {
  await prepare(t, "taken", ["a", "b", "c", "d"], "--mode", "queue");
  t.same(values(await json(t, "peek", "taken", "workers")), ["a", "b", "c", "d"]);
  t.match(await json(t, "peek", "taken", "workers", "--limit", "1"), [
    { partition: 0, offset: 0, state: "available", deliveryCount: 0 },
  ]);
  const looked = await json(t, "sub", "taken", "--subscription", "workers", "--no-ack", "--count", "4");
  t.same(values(looked), ["a", "b", "c", "d"]);
  const taken = await json(t, "sub", "taken", "--subscription", "workers", "--count", "2");
  t.same(values(taken), ["a", "b"]);
  t.match(await json(t, "subscription", "describe", "taken", "workers"), [{ lag: 2, leased: 0 }]);
  t.same(values(await json(t, "peek", "taken", "workers")), ["c", "d"]);

  await json(t, "subscription", "snapshot", "taken", "workers", "--as", "half");
  await json(t, "subscription", "seek", "taken", "workers", "--to", "earliest");
  t.match(await json(t, "subscription", "describe", "taken", "workers"), [{ lag: 4 }]);
  await json(t, "subscription", "seek", "taken", "workers", "--to", "snapshot:half");
  t.same(values(await json(t, "peek", "taken", "workers")), ["c", "d"]);
  isRefused(
    t,
    await run(t, "subscription", "seek", "taken", "workers", "--to", "snapshot:none"),
    "UNKNOWN_SNAPSHOT",
  );
});

t.test("sub makes the subscription that --mode names; a stream goes on where it was", async (t) => {
  await run(t, "topic", "create", "made");
  await run(t, "pub", "made", "a", "b", "c");
  const stream = ["sub", "made", "--subscription", "reader", "--mode", "stream", "--from", "earliest"];
  t.same(values(await json(t, ...stream, "--count", "2")), ["a", "b"]);
  t.same(values(await json(t, ...stream, "--count", "1")), ["c"]);
  t.match(await json(t, "subscription", "describe", "made", "reader"), [{ mode: "stream", lag: 0 }]);
  isRefused(
    t,
    await run(t, "sub", "made", "--subscription", "reader", "--mode", "queue"),
    "SUBSCRIPTION_MODE",
  );
  isRefused(t, await run(t, "sub", "made", "--subscription", "none"), "UNKNOWN_SUBSCRIPTION");
});

t.test("dead letters are listed, and redriven", async (t) => {
  await prepare(t, "jobs", ["bad", "good"], "--mode", "queue", "--max-deliveries", "1", "--lease", "1s");
  t.same(await json(t, "dlq", "list", "jobs"), []);
  // Killed with both in hand: one delivery was all they had.
  const killed = startCommand(t, at("sub", "jobs", "--subscription", "workers", "--no-ack"));
  await killed.printed(() => killed.lines.length === 2, "both are printed");
  await killed.kill("SIGKILL");
  let dead: Record<string, unknown>[] = [];
  await until(async () => {
    dead = await json(t, "dlq", "list", "jobs");
    return dead.length === 2;
  }, "both are dead");
  t.match(dead, [
    {
      subscription: "workers",
      reason: "max-deliveries",
      deliveryCount: 1,
      origin: { topic: "jobs", partition: 0, offset: 0 },
      value: "bad",
    },
    { origin: { offset: 1 }, value: "good" },
  ]);
  t.match((await run(t, "dlq", "list", "jobs")).stdout, /^ +0 +0 +workers +max-deliveries +1 .*bad$/m);

  t.same(await json(t, "dlq", "redrive", "jobs", "--reason", "other"), [{ topic: "jobs", redriven: 0 }]);
  t.same(await json(t, "dlq", "redrive", "jobs", "--only", "0:1"), [{ topic: "jobs", redriven: 1 }]);
  t.match(await json(t, "sub", "jobs", "--subscription", "workers", "--count", "1"), [{ value: "good" }]);
  t.same(values(await json(t, "dlq", "list", "jobs")), ["bad"]);
});

t.test("command lines that cannot be meant", async (t) => {
  for (const args of [
    ["sub", "t", "--mode", "queue"],
    ["sub", "t", "--no-ack"],
    ["sub", "t", "--subscription", "s", "--mode", "live"],
    ["sub", "t", "--subscription", "s", "--partition", "1"],
    ["sub", "t", "--subscription", "s", "--until-end"],
    ["subscription", "create", "t", "s"],
    ["subscription", "seek", "t", "s"],
    ["dlq", "redrive", "t", "--only", "17"],
  ]) {
    t.equal((await run(t, ...args)).code, 2, args.join(" "));
  }
});
