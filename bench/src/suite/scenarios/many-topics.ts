import { delay, monotonicMs, plainProcess } from "@millrace/load/internal";
import type { IngestCommands } from "../../log/generators/ingest.ts";
import { idleResidentBytes } from "../run/idle-memory.ts";
import { MeasuredWindow } from "../run/measured-window.ts";
import type { SubjectRun } from "../run/subject-run.ts";
import { chosen, type Scenario, VALUE_BYTES } from "./scenario.ts";

const TOPICS: readonly number[] = [1, 100, 10_000];
/** Small ones, so that ten thousand of them are a load that a generator can hold ready. */
const BATCH_BYTES = 1024;
/** Made at a time, where a driver makes them one by one. */
const PREPARING_MAX = 16;

/** What topics cost that nobody uses, and what they cost each message that goes to one of them. */
export const manyTopics: Scenario = {
  name: "many-topics",
  description:
    "1, 100 and 10,000 topics: resident memory while idle, and CPU per message published to all in turn",
  cases: (options) =>
    TOPICS.flatMap((topics) =>
      chosen(options.durabilities, ["memory"] as const).map((durability) => ({
        durability,
        partitions: 1,
        parameters: { valueBytes: VALUE_BYTES, batchBytes: BATCH_BYTES, topics },
        measure: (run: SubjectRun) => measure(run, topics),
      })),
    ),
};

async function measure(run: SubjectRun, topics: number) {
  const names = Array.from({ length: topics }, (_, index) => `bench-${index}`);
  const { processes } = run.running;
  const before = await idleResidentBytes(processes);
  const startedMs = monotonicMs();
  await createTopics(run, names);
  const createMs = monotonicMs() - startedMs;
  const after = await idleResidentBytes(processes);
  const addedBytes = after - before;
  const figures = { addedRssBytes: addedBytes, bytesPerTopic: addedBytes / topics, createMs };
  if (run.subject.kind !== "raw") {
    const now = { timeMs: monotonicMs(), records: 0 };
    const idle = new MeasuredWindow({ broker: processes, clients: [] }, now);
    await delay(run.plan.durationMs);
    return { ...idle.close({ timeMs: monotonicMs(), records: 0 }, VALUE_BYTES), figures };
  }
  return { ...(await publishInTurn(run, names)), figures: { ...figures, idleRssBytes: after } };
}

async function createTopics(run: SubjectRun, names: readonly string[]): Promise<void> {
  if (run.running.createTopics !== undefined) return await run.running.createTopics(names);
  const { driver } = (await import(run.subject.driver)) as typeof import("../raw/raw-driver.ts");
  for (let at = 0; at < names.length; at += PREPARING_MAX) {
    const some = names.slice(at, at + PREPARING_MAX);
    const shape = { valueBytes: VALUE_BYTES, batchBytes: BATCH_BYTES, lingerMs: 0 };
    await Promise.all(some.map((target) => driver.prepare(run.driverSettings({ ...shape, target }))));
  }
}

/** One batch to each topic in turn, over one connection. */
async function publishInTurn(run: SubjectRun, topics: readonly string[]) {
  const { children } = run.context;
  const { warmUpMs, durationMs } = run.plan;
  const generator = await children.fork<IngestCommands>(
    new URL("../../log/generators/ingest.js", import.meta.url),
  );
  try {
    await generator.call("connect", {
      url: String(run.running.endpoint.url),
      topics,
      mode: "open",
      connections: 1,
      valueBytes: VALUE_BYTES,
      batchBytes: BATCH_BYTES,
    });
    await generator.call("start", null);
    await delay(warmUpMs);
    const mark = () => generator.call("mark", null);
    const clients = [plainProcess("generator", generator)];
    const window = new MeasuredWindow({ broker: run.running.processes, clients }, await mark());
    await window.run(durationMs, mark);
    const result = window.close(await mark(), VALUE_BYTES);
    await generator.call("stop", null);
    return result;
  } finally {
    await children.end(generator.pid);
  }
}
