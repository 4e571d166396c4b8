import type { Fleet, Generator, LoadTask, Repetition, RunProgress } from "@millrace/load";
import {
  cpuBetween,
  delay,
  disturbanceBetween,
  monotonicMs,
  plainProcess,
  snapshotCpu,
} from "@millrace/load/internal";
import { CommandError } from "../command-error.ts";

/** A log that is read once by each consumer, from its beginning to its end. */
export interface BacklogReading {
  readonly tasks: readonly LoadTask[];
  readonly fleet: Fleet;
  /** In the topic: each connection gets all of them. */
  readonly records: number;
  readonly onProgress: (progress: RunProgress) => void;
}

const POLL_MS = 10;
const STEP_MS = 250;
/** Nothing has come for so long: it will not come any more. */
const STALL_MS = 15_000;

/** Measures from the moment that the consumers begin to connect to the last record. */
export async function readBacklog({
  tasks,
  fleet,
  records,
  onProgress,
}: BacklogReading): Promise<Repetition> {
  const generators: Generator[] = [];
  for (const task of tasks) generators.push(await fleet.open(task, `${task.role} generator`));
  const connections = tasks.reduce((sum, task) => sum + task.connections, 0);
  const failures = generators.map(({ failure }) => failure);
  for (const generator of generators) await Promise.race([...failures, generator.prepare()]);
  const measured = [
    ...generators.flatMap((generator) => generator.process ?? []),
    plainProcess("generator", { pid: process.pid, label: "bench" }),
  ];
  const from = snapshotCpu(measured);
  const connecting = Promise.all(generators.map((generator) => generator.connect()));
  const reading = connecting.then(() => readAll(generators, records * connections, onProgress));
  const { series, bytes, seconds } = await Promise.race([...failures, reading]);
  const to = snapshotCpu(measured);
  const cpuSeconds = cpuBetween(from, to).reduce((sum, usage) => sum + usage.seconds, 0);
  const recordsPerSecond = (records * connections) / seconds;
  return {
    seconds,
    recordsPerSecond,
    bytesPerSecond: bytes / seconds,
    deliveriesPerSecond: recordsPerSecond,
    series,
    brokerCpuSecondsPerMillion: 0,
    clientCpuSecondsPerMillion: (cpuSeconds * 1e6) / (records * connections),
    brokerCores: 0,
    clientCores: cpuSeconds / seconds,
    busyThreads: 0,
    brokerRssBytes: 0,
    brokerPeakRssBytes: 0,
    generatorSaturated: false,
    disturbance: disturbanceBetween(from, to),
  };
}

async function readAll(
  generators: readonly Generator[],
  records: number,
  onProgress: (progress: RunProgress) => void,
): Promise<{ series: number[]; bytes: number; seconds: number }> {
  const startedMs = monotonicMs();
  const series: number[] = [];
  let step = { timeMs: startedMs, records: 0 };
  let last = { timeMs: startedMs, records: 0 };
  for (;;) {
    const each = await Promise.all(generators.map((generator) => generator.progress()));
    const timeMs = monotonicMs();
    const done = each.reduce((sum, progress) => sum + progress.records, 0);
    if (timeMs - step.timeMs >= STEP_MS) {
      series.push(done - step.records);
      const receivedPerSecond = ((done - step.records) * 1000) / (timeMs - step.timeMs);
      step = { timeMs, records: done };
      onProgress({
        phase: "measuring",
        elapsedMs: (timeMs - startedMs) * (done > 0 ? 1 : 0),
        totalMs: done > 0 ? ((timeMs - startedMs) * records) / done : 1,
        publishedPerSecond: 0,
        receivedPerSecond,
        answeredPerSecond: 0,
      });
    }
    if (done >= records) {
      const bytes = each.reduce((sum, progress) => sum + progress.bytes, 0);
      return { series, bytes, seconds: (timeMs - startedMs) / 1000 };
    }
    if (done > last.records) last = { timeMs, records: done };
    else if (timeMs - last.timeMs > STALL_MS) {
      throw new CommandError("INPUT_FAILED", `only ${done} of ${records} records came`);
    }
    await delay(POLL_MS);
  }
}
