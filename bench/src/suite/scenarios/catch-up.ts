import type { Repetition } from "@millrace/load";
import { delay, monotonicMs } from "@millrace/load/internal";
import { withGenerators } from "../run/backlog.ts";
import { MeasuredWindow } from "../run/measured-window.ts";
import type { SubjectRun } from "../run/subject-run.ts";
import { BATCH_BYTES, chosen, lingerOf, type Scenario, VALUE_BYTES } from "./scenario.ts";

const RECORDS_PER_SECOND = 50_000;
/** Windows that the consumer is away. */
const PAUSE_WINDOWS = 2;
/** Behind by so little it has caught up: as much as is published between two looks. */
const BEHIND_MS = 20;
const POLL_MS = 10;
const TIMEOUT_MS = 120_000;
const FAR_MS = 600_000;

/** A consumer was away while publishing went on, comes back, and catches up with what is published meanwhile. */
export const catchUp: Scenario = {
  name: "catch-up",
  description: "a consumer comes back after a pause while 50,000 records/s go on being published",
  cases: (options) =>
    chosen(options.durabilities, ["written"] as const).map((durability) => {
      const [valueBytes = VALUE_BYTES] = options.valueBytes;
      const [batchBytes = BATCH_BYTES] = options.batchBytes;
      const [recordsPerSecond = RECORDS_PER_SECOND] = options.rates;
      const shape = { valueBytes, batchBytes, lingerMs: lingerOf(options, batchBytes) };
      return {
        durability,
        partitions: 1,
        parameters: { ...shape, recordsPerSecond },
        accepts: (subject) => subject.kind === "client",
        measure: (run) => measure(run, shape, recordsPerSecond),
      };
    }),
};

async function measure(
  run: SubjectRun,
  shape: { valueBytes: number; batchBytes: number; lingerMs: number },
  recordsPerSecond: number,
): Promise<Repetition> {
  const tasks = [
    run.task({ role: "publish", recordsPerSecond, settings: { ...shape, stamped: true } }),
    run.task({ role: "consume", settings: { ...shape, stamped: true, from: "earliest" } }),
  ];
  return await withGenerators(run, tasks, async ([publisher, consumer]) => {
    if (publisher === undefined || consumer === undefined) throw new Error("a generator is missing");
    await publisher.prepare();
    await publisher.connect();
    const startAtMs = monotonicMs();
    await publisher.start({ startAtMs, windowStartMs: startAtMs, windowEndMs: startAtMs + FAR_MS });
    await delay(PAUSE_WINDOWS * run.plan.durationMs);
    const clients = [publisher, consumer].flatMap(({ process }) => process ?? []);
    const backlog = (await publisher.progress()).sent;
    const fromMs = monotonicMs();
    const window = new MeasuredWindow(
      { broker: run.running.processes, clients },
      { timeMs: fromMs, records: 0 },
    );
    await consumer.connect();
    const behindMax = (recordsPerSecond * BEHIND_MS) / 1000;
    for (;;) {
      const [{ sent }, received] = await Promise.all([publisher.progress(), consumer.progress()]);
      if (sent - received.records <= behindMax) {
        await publisher.stop();
        const catchUpMs = received.timeMs - fromMs;
        const result = window.close({ timeMs: received.timeMs, records: received.records }, shape.valueBytes);
        return { ...result, figures: { catchUpMs, backlogRecords: backlog } };
      }
      if (monotonicMs() - fromMs > TIMEOUT_MS)
        throw new Error(`the consumer never caught up: behind by ${sent - received.records} records`);
      window.tick({ timeMs: received.timeMs, records: received.records });
      await delay(POLL_MS);
    }
  });
}
