import type { Repetition } from "@millrace/load";
import t from "tap";
import { type BenchSettings, planTasks } from "../../src/bench/bench-plan.ts";
import { benchReport } from "../../src/bench/bench-report.ts";
import { benchRow } from "../../src/bench/bench-run.ts";
import { progressLine } from "../../src/bench/live-display.ts";
import { rateText } from "../../src/bench/rate-text.ts";
import { runCommand } from "../command-run.ts";

const SETTINGS: BenchSettings = {
  url: "ws://127.0.0.1:1",
  tlsCa: undefined,
  topic: "bench",
  durability: "memory",
  partitions: 1,
  valueBytes: 100,
  batchBytes: 65_536,
  lingerMs: 1,
  producers: 1,
  consumers: 1,
  rate: undefined,
  keys: 0,
  slots: 0,
  generatorsMax: 1,
};

const ROUND: Repetition = {
  seconds: 1,
  recordsPerSecond: 1_500_000,
  bytesPerSecond: 150_000_000,
  deliveriesPerSecond: 1_400_000,
  series: [1, 2, 3, 4],
  brokerCpuSecondsPerMillion: 0,
  clientCpuSecondsPerMillion: 0.25,
  brokerCores: 0,
  clientCores: 0.4,
  busyThreads: 1,
  brokerRssBytes: 0,
  brokerPeakRssBytes: 0,
  generatorSaturated: false,
  disturbance: { elsewhereCores: 0, stolenCores: 0 },
};

t.test("connections and rate are shared out among the generators", async (t) => {
  const tasks = planTasks("e2e", { ...SETTINGS, producers: 7, consumers: 2, rate: 700, generatorsMax: 3 });
  const publishers = tasks.filter(({ role }) => role === "publish");
  t.same(
    publishers.map(({ connections, recordsPerSecond }) => [connections, recordsPerSecond]),
    [
      [3, 300],
      [2, 200],
      [2, 200],
    ],
  );
  t.equal(tasks.filter(({ role }) => role === "consume").length, 2, "no generator without a connection");
  t.equal(tasks.at(-1)?.role, "publish", "consumers come first");
  t.ok(
    publishers.every(({ burst }) => burst === 1),
    "at a rate each record has its own moment",
  );
});

t.test("what a kind does decides its roles and whether values are stamped", async (t) => {
  const rolesOf = (kind: Parameters<typeof planTasks>[0]): string[] =>
    planTasks(kind, { ...SETTINGS, keys: 1, slots: 8 }).map(({ role }) => role);
  t.same(rolesOf("pub"), ["publish"]);
  t.same(rolesOf("sub"), ["consume"]);
  t.same(rolesOf("rpc"), ["respond", "request"]);
  t.same(rolesOf("queue"), ["consume", "publish"]);
  t.equal(planTasks("pub", { ...SETTINGS, valueBytes: 0 })[0]?.settings.stamped, false);
  t.throws(() => planTasks("e2e", { ...SETTINGS, valueBytes: 7 }), { code: "USAGE" });
  t.throws(() => planTasks("keyed", SETTINGS), { code: "USAGE" });
});

t.test("the report has a column for what was measured, and the medians", async (t) => {
  const rounds = [ROUND, { ...ROUND, recordsPerSecond: 2_500_000 }, { ...ROUND, recordsPerSecond: 900 }];
  const lines = benchReport(benchRow("pub", SETTINGS, rounds, "millrace/test"));
  t.match(lines[0], /^round +records +MB\/s +deliveries +client CPU$/);
  t.match(lines[2], /2\.50 M\/s/);
  t.match(lines[4], /^median +1\.50 M\/s +150 +1\.40 M\/s +0\.250 us$/);
  t.notMatch(lines.join("\n"), /p99/, "no latency was measured");
});

t.test("a round that was at the generators' limit, or had errors, says so", async (t) => {
  const round = { ...ROUND, generatorSaturated: true, errors: ["publish: lost"], busyThreads: 1e6 };
  const { notes } = benchRow("pub", SETTINGS, [round, round], "");
  t.equal(notes.length, 3);
  t.equal(notes[0], "error: publish: lost");
});

t.test("a backlog that ended before the window is measured up to there", async (t) => {
  const { notes, parameters } = benchRow("sub", { ...SETTINGS, rate: 5, keys: 3 }, [], "");
  t.same(notes, []);
  t.match(parameters, { recordsPerSecond: 5, keys: 3, valueBytes: 100 });
  t.notOk("url" in parameters, "results may be published; addresses stay at home");
});

t.test("rates and progress for people", async (t) => {
  t.equal(rateText(1_234_567), "1.23 M/s");
  t.equal(rateText(999_999), "1.00 M/s");
  t.equal(rateText(45_600), "45.6 k/s");
  t.equal(rateText(7), "7.00/s");
  t.equal(rateText(0), "0/s");
  t.equal(rateText(0.0123), "0.0123/s");
  const nothing = { publishedPerSecond: 0, receivedPerSecond: 0, answeredPerSecond: 0 };
  const line = progressLine(1, 3, {
    phase: "measuring",
    elapsedMs: 5000,
    totalMs: 10_000,
    ...nothing,
    publishedPerSecond: 2e6,
  });
  t.equal(line, "[############------------]  50%  round 1/3  measuring  published 2.00 M/s");
});

t.test("what contradicts itself is refused before a topic is made", async (t) => {
  const run = await runCommand(["bench", "e2e", "--value", "4"]);
  t.equal(run.exitCode, 2);
  t.match(run.stderr, /error USAGE: --value must be at least 8 bytes/);
  t.equal((await runCommand(["bench", "pub", "--duration", "soon"])).exitCode, 2);
  t.equal((await runCommand(["bench", "pub", "--batch", "1TiB"])).exitCode, 2);
});
