import type { Repetition } from "../document/bench-document.ts";
import type { Generator } from "../fleet/fleet.ts";
import type { LoadResult, LoadSchedule } from "../generator/load-task.ts";
import { LIMITS, SERIES_STEP_MS } from "../limits.ts";
import {
  type CpuSnapshot,
  type MeasuredProcess,
  plainProcess,
  snapshotCpu,
} from "../measure/cpu-accounting.ts";
import { type BrokerMemory, brokerMemory } from "../measure/resident-memory.ts";
import { delay, monotonicMs } from "../measure/system-clock.ts";
import { ProgressMeter } from "./progress-meter.ts";
import type { RepetitionPlan } from "./repetition-plan.ts";
import { summarizeRepetition } from "./repetition-summary.ts";

/** From the moment that all are connected to the first record: every generator has its schedule by then. */
const LEAD_MS = 100;

/**
 * Loads a running broker for one measured window: opens the generators, lets all of them connect (consumers first), gives
 * them one schedule, and drains what is under way. Ends its generators in any case.
 * @throws the error of the first generator that fails or dies; RangeError for a plan out of bounds
 */
export async function runRepetition(plan: RepetitionPlan): Promise<Repetition> {
  checkPlan(plan);
  const opened = await Promise.allSettled(
    plan.tasks.map((task, index) => plan.fleet.open(task, `${task.role} generator ${index + 1}`)),
  );
  const generators = opened.flatMap((outcome) => (outcome.status === "fulfilled" ? outcome.value : []));
  try {
    for (const outcome of opened) if (outcome.status === "rejected") throw outcome.reason;
    const failures = generators.map((generator) => generator.failure);
    return await Promise.race([...failures, load(plan, generators)]);
  } finally {
    await Promise.all(generators.map((generator) => generator.end()));
  }
}

/** One repetition after the other, each with generators of its own. `onRepetition` is told of each as it ends. */
export async function runRepetitions(
  plan: RepetitionPlan,
  count: number,
  onRepetition: (repetition: Repetition, index: number) => void = () => undefined,
): Promise<Repetition[]> {
  within("repetitions", count, 1, LIMITS.repetitionsMax);
  const repetitions: Repetition[] = [];
  for (let index = 0; index < count; index++) {
    const repetition = await runRepetition(plan);
    repetitions.push(repetition);
    onRepetition(repetition, index);
  }
  return repetitions;
}

async function load(plan: RepetitionPlan, generators: readonly Generator[]): Promise<Repetition> {
  const senders = generators.filter(({ task }) => task.role === "publish" || task.role === "request");
  const others = generators.filter((generator) => !senders.includes(generator));
  const totalMs = plan.warmUpMs + plan.durationMs;
  const progress = new ProgressMeter(generators, totalMs, plan.onProgress);
  progress.say("connecting");
  // One after the other: what they make is mostly the same, and not every broker likes to be asked for it twice at a time.
  for (const generator of generators) await generator.prepare();
  await Promise.all(others.map((generator) => generator.connect()));
  await Promise.all(senders.map((generator) => generator.connect()));

  const startAtMs = monotonicMs() + LEAD_MS;
  const windowStartMs = startAtMs + plan.warmUpMs;
  const schedule: LoadSchedule = { startAtMs, windowStartMs, windowEndMs: windowStartMs + plan.durationMs };
  await Promise.all(generators.map((generator) => generator.start(schedule)));
  const stopWatching = progress.watch(startAtMs, windowStartMs);
  try {
    const measured = measuredProcesses(plan, generators);
    const from = await snapshotAt(windowStartMs, measured);
    const to = await snapshotAt(schedule.windowEndMs, measured);
    const memory = brokerMemory(plan.broker.processes.map(({ pid }) => pid));
    // A little longer, so that every generator's window has ended while the load goes on.
    await delay(SERIES_STEP_MS / 5);
    stopWatching();
    return await drain(plan, senders, others, { from, to, memory }, progress);
  } finally {
    stopWatching();
  }
}

async function drain(
  plan: RepetitionPlan,
  senders: readonly Generator[],
  others: readonly Generator[],
  machine: { readonly from: CpuSnapshot; readonly to: CpuSnapshot; readonly memory: BrokerMemory },
  progress: ProgressMeter,
): Promise<Repetition> {
  progress.say("draining");
  await Promise.all(senders.map((generator) => generator.stop()));
  const sent = await Promise.all(senders.map((generator) => generator.drain(plan.drainMs)));
  const received = await Promise.all(
    others.map((generator) => generator.drain(plan.drainMs, expected(generator, senders, sent))),
  );
  return summarizeRepetition({ plan, ...machine, sent, received });
}

/** Live consumers get each record that was published since they connected; of others it is not known what they share. */
function expected(
  { task }: Generator,
  senders: readonly Generator[],
  sent: readonly LoadResult[],
): number | undefined {
  if (task.role !== "consume" || task.settings.mode !== "live") return undefined;
  const toTarget = sent.filter((_, index) => senders[index]?.task.settings.target === task.settings.target);
  if (toTarget.length === 0) return undefined;
  return task.connections * toTarget.reduce((sum, result) => sum + result.sentInAll, 0);
}

async function snapshotAt(timeMs: number, processes: readonly MeasuredProcess[]): Promise<CpuSnapshot> {
  await delay(Math.max(0, timeMs - monotonicMs()));
  return snapshotCpu(processes);
}

/** Broker, generators, and this process, which is the generators' where they are threads. */
function measuredProcesses(plan: RepetitionPlan, generators: readonly Generator[]): MeasuredProcess[] {
  const own = generators.flatMap((generator) => generator.process ?? []);
  return [...plan.broker.processes, ...own, plainProcess("generator", { pid: process.pid, label: "bench" })];
}

function checkPlan({ tasks, warmUpMs, durationMs, drainMs }: RepetitionPlan): void {
  within("tasks", tasks.length, 1, LIMITS.generatorsMax);
  within("warmUpMs", warmUpMs, 0, LIMITS.warmUpMsMax);
  within("durationMs", durationMs, SERIES_STEP_MS, LIMITS.durationMsMax);
  within("drainMs", drainMs, 0, LIMITS.drainMsMax);
}

function within(name: string, value: number, min: number, max: number): void {
  if (value >= min && value <= max) return;
  throw new RangeError(`${name} must be within ${min}..${max}: got ${value}`);
}
