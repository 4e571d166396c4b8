import t from "tap";
import { LoadGenerator } from "../../src/generator/load-generator.ts";
import type { LoadResult, LoadTask } from "../../src/index.ts";
import { mergeLatencies } from "../../src/measure/latency.ts";
import { delay, monotonicMs } from "../../src/measure/system-clock.ts";
import { nullTask } from "../doubles/null-task.ts";

const WINDOW_MS = 300;

/** Runs generators in this process, as a repetition would: all of them for one window, then the senders drain first. */
async function run(...tasks: readonly LoadTask[]): Promise<LoadResult[]> {
  const failures: unknown[] = [];
  const generators = await Promise.all(
    tasks.map(async (task) => {
      const driver = await LoadGenerator.importDriver(task.driver);
      return new LoadGenerator(task, driver, "process", (error) => failures.push(error));
    }),
  );
  for (const generator of generators) await generator.prepare();
  for (const generator of generators) await generator.connect();
  const startAtMs = monotonicMs() + 10;
  const schedule = { startAtMs, windowStartMs: startAtMs + 100, windowEndMs: startAtMs + 100 + WINDOW_MS };
  for (const generator of generators) generator.start(schedule);
  await delay(schedule.windowEndMs - monotonicMs() + 20);
  for (const generator of generators) generator.stop();
  const results: LoadResult[] = [];
  for (const generator of generators) results.push(await generator.drain(5000));
  for (const generator of generators) await generator.close();
  if (failures.length > 0) throw failures[0];
  return results;
}

t.test("keeps a rate, over several connections", async (t) => {
  const [published, consumed] = (await run(
    nullTask({ connections: 3, recordsPerSecond: 2000, burst: 2 }),
    nullTask({ role: "consume" }),
  )) as [LoadResult, LoadResult];
  t.ok(published.sentInAll >= 800, `the whole schedule is sent: ${published.sentInAll} records`);
  t.equal(published.recordsInAll, published.sentInAll, "and acknowledged");
  t.equal(consumed.recordsInAll, published.sentInAll, "and received");
  t.equal(consumed.bytes, consumed.records * 32);
  t.type(consumed.endToEnd, "string");
  t.type(published.ackLatency, "string");
  t.equal(published.heldBack, 0);
  t.equal(published.lateMs?.count, 600, "each record of the window is looked at");
  t.ok(published.cpuSeconds > 0 && published.eventLoopUtilization > 0);
  t.same(published.errors, []);
});

t.test("late records are still sent, and counted as held back", async (t) => {
  // 10 records every 20 ms at most, where 1,000 a second are due: half of them.
  const task = nullTask({ recordsPerSecond: 1000 }, {}, { roomRecords: 10, answerMs: 20 });
  const [result] = (await run(task)) as [LoadResult];
  t.ok(result.heldBack > 0);
  t.ok(result.sent < 200, `${result.sent} of 300 were sent in the window`);
  t.ok(result.sentInAll >= 400, "and the others after it");
  t.equal(result.recordsInAll, result.sentInAll);
});

t.test("a broker that stops makes all late that was due meanwhile", async (t) => {
  // One record in flight at most, and one answer takes 200 ms: a generator that waited would have seen one slow record.
  const stops = { roomRecords: 1, stopsAfter: 200, stopsForMs: 200 };
  const [result] = (await run(nullTask({ recordsPerSecond: 1000 }, {}, stops))) as [LoadResult];
  const { summary } = mergeLatencies([result.ackLatency as string]);
  t.equal(summary.count, 300, "each record of the window is timed, also those that were sent late");
  t.ok(summary.max >= 195, `the longest waited ${summary.max} ms`);
  t.ok(summary.p50 > 20, `half of them waited for ${summary.p50} ms and longer`);
});

t.test("what was due in the window is sent after it", async (t) => {
  // The broker stops in the middle of the window and goes on when it is over.
  const stops = { roomRecords: 1, stopsAfter: 250, stopsForMs: 300 };
  const [result] = (await run(nullTask({ recordsPerSecond: 1000 }, {}, stops))) as [LoadResult];
  const { summary } = mergeLatencies([result.ackLatency as string]);
  t.equal(summary.count, 300);
  t.ok(summary.max >= 295, `the longest waited ${summary.max} ms`);
  t.same(result.errors, []);
});

t.test("saturation keeps to what may be in flight", async (t) => {
  const limited = nullTask({ recordsPerSecond: null, burst: 64, inFlightMax: 100 }, {}, { answerMs: 5 });
  const [result] = (await run(limited)) as [LoadResult];
  t.ok(result.sentInAll > 100 && result.sentInAll <= 100 * (500 / 5), `${result.sentInAll} records`);
  t.equal(result.lateMs, undefined, "there is no schedule to be late for");
});

t.test("keys, values without a stamp, a number of records", async (t) => {
  const once = { recordsMax: 5, connections: 4, keys: 3 };
  for (const recordsPerSecond of [null, 1000]) {
    const [published, consumed] = (await run(
      nullTask({ ...once, recordsPerSecond }, { stamped: false, valueBytes: 3 }),
      nullTask({ role: "consume" }, { stamped: false }),
    )) as [LoadResult, LoadResult];
    t.equal(published.recordsInAll, 20);
    t.equal(consumed.recordsInAll, 20);
    t.equal(consumed.endToEnd, undefined);
  }
});

t.test("queue consumers settle", async (t) => {
  const [published, consumed] = (await run(nullTask(), nullTask({ role: "consume" }, { mode: "queue" }))) as [
    LoadResult,
    LoadResult,
  ];
  t.equal(consumed.settled, consumed.records);
  t.equal(consumed.recordsInAll, published.sentInAll);
});

t.test("requests: at a rate, and with a bounded number under way", async (t) => {
  const [, open] = (await run(nullTask({ role: "respond" }), nullTask({ role: "request" }))) as [
    LoadResult,
    LoadResult,
  ];
  t.equal(open.recordsInAll, open.sentInAll);
  t.type(open.roundTrip, "string");
  const [closed] = (await run(
    nullTask({ role: "request", recordsPerSecond: null, inFlightMax: 3, burst: 8 }, {}, { answerMs: 10 }),
  )) as [LoadResult];
  t.ok(closed.recordsInAll > 3 && closed.recordsInAll <= 3 * 50, `${closed.recordsInAll} requests`);
});

t.test("refuses tasks out of bounds", async (t) => {
  for (const changes of [
    { connections: 0 },
    { recordsPerSecond: -1 },
    { burst: 0.5 },
    { inFlightMax: 0 },
  ] satisfies Partial<LoadTask>[]) {
    await t.rejects(run(nullTask(changes)), RangeError);
  }
  await t.rejects(run(nullTask({}, { valueBytes: 7 })), { message: /stamped value/ });
  await t.rejects(run({ ...nullTask(), driver: import.meta.url }), { message: /exports no driver/ });
});

t.test("a driver that reports more than there was is found out", async (t) => {
  await t.rejects(run(nullTask({}, {}, { failAfter: 10 })), { message: "refused" });
});
