import t from "tap";
import {
  type FleetKind,
  type LoadTask,
  openFleet,
  type Repetition,
  type RunProgress,
  runRepetition,
  runRepetitions,
} from "../../src/index.ts";
import { nullTask } from "../doubles/null-task.ts";

/** The test's own process stands for the broker. */
const broker = {
  processes: [{ role: "broker", label: "broker", pid: process.pid, threadNames: new Map() }],
} as const;

async function repeat(
  kind: FleetKind,
  tasks: readonly LoadTask[],
  onProgress: (progress: RunProgress) => void = () => undefined,
): Promise<Repetition> {
  const fleet = openFleet(kind);
  try {
    return await runRepetition({
      fleet,
      tasks,
      broker,
      warmUpMs: 300,
      durationMs: 500,
      drainMs: 5000,
      onProgress,
    });
  } finally {
    await fleet.close();
  }
}

for (const kind of ["processes", "threads"] as const) {
  t.test(`generators in ${kind}`, async (t) => {
    t.test("publish, each at its rate", async (t) => {
      const seen: RunProgress[] = [];
      const task = nullTask({ recordsPerSecond: 1000 });
      const { endToEnd, ackLatency, series, ...repetition } = await repeat(kind, [task, task], (progress) =>
        seen.push(progress),
      );
      t.equal(series.length, 2);
      t.equal(endToEnd, undefined, "nobody consumes");
      t.match(ackLatency, { unit: "ms", count: 1000 });
      t.ok(repetition.clientCores > 0 && repetition.brokerRssBytes > 0);
      t.type(repetition.generatorLateMs, "number");
      t.match(new Set(seen.map(({ phase }) => phase)), new Set(["connecting", "measuring", "draining"]));
    });

    t.test("an error of the driver ends the repetition", async (t) => {
      const healthy = nullTask();
      await t.rejects(repeat(kind, [healthy, nullTask({}, {}, { failAfter: 20 })]), {
        message: /publish generator 2 failed: .*refused/,
      });
      await t.rejects(repeat(kind, [healthy, nullTask({}, { options: { refuse: "no room" } })]), {
        message: /publish generator 2: .*refused: no room/,
      });
    });

    t.test("so does a generator that dies", async (t) => {
      await t.rejects(repeat(kind, [nullTask({}, {}, { dieAfter: 20 })]), {
        message: /publish generator 1 ended/,
      });
    });
  });
}

t.test("saturation says that the generator is the limit", async (t) => {
  const { recordsPerSecond, generatorSaturated } = await repeat("threads", [
    nullTask({ recordsPerSecond: null, burst: 256, inFlightMax: 1_000_000 }),
  ]);
  t.ok(recordsPerSecond > 10_000);
  t.equal(generatorSaturated, true);
});

t.test("missing records are told", async (t) => {
  const fleet = openFleet("threads");
  t.teardown(() => fleet.close());
  // Consumers of the null driver hear only publishers of their own thread: here they miss everything.
  const { errors, deliveriesPerSecond } = await runRepetition({
    fleet,
    tasks: [nullTask({ recordsPerSecond: 100 }), nullTask({ role: "consume" })],
    broker,
    warmUpMs: 0,
    durationMs: 250,
    drainMs: 300,
  });
  t.equal(deliveriesPerSecond, 0);
  t.match(errors, [/consume: \d+ records are missing/]);
});

t.test("a plan out of bounds is refused", async (t) => {
  const fleet = openFleet("threads");
  t.teardown(() => fleet.close());
  const plan = { fleet, tasks: [], broker, warmUpMs: 0, durationMs: 500, drainMs: 0 };
  await t.rejects(runRepetition(plan), { name: "RangeError", message: /tasks/ });
  await t.rejects(runRepetitions({ ...plan, tasks: [nullTask()] }, 0), { message: /repetitions/ });
  await t.rejects(runRepetition({ ...plan, tasks: [nullTask({ burst: 0 })] }), { message: /burst/ });
  await t.rejects(runRepetition({ ...plan, tasks: [nullTask()], durationMs: 1 }), { message: /durationMs/ });
});
