import type { LatencyResult, Repetition } from "../document/bench-document.ts";
import type { LoadResult, LoadTask } from "../generator/load-task.ts";
import { LIMITS } from "../limits.ts";
import {
  busyThreadsBetween,
  type CpuSnapshot,
  cpuBetween,
  disturbanceBetween,
} from "../measure/cpu-accounting.ts";
import { mergeLatencies } from "../measure/latency.ts";
import type { BrokerMemory } from "../measure/resident-memory.ts";
import type { RepetitionPlan } from "./repetition-plan.ts";

/** What was found out about one window. */
export interface RepetitionFindings {
  readonly plan: RepetitionPlan;
  /** At both ends of the window. */
  readonly from: CpuSnapshot;
  readonly to: CpuSnapshot;
  readonly memory: BrokerMemory;
  /** Of publishers and requesters. */
  readonly sent: readonly LoadResult[];
  /** Of consumers and responders. */
  readonly received: readonly LoadResult[];
}

/** A generator whose event loop was busy for so much of the window was at its limit. */
const BUSY_LOOP = 0.95;
/** A generator at a rate that sent less than this share of its schedule, without being held back, could not keep it. */
const KEPT_SCHEDULE = 0.99;
/** Lateness that is more than this share of the p99 makes the latencies the generator's own. */
const LATE_SHARE = 0.5;

export function summarizeRepetition(findings: RepetitionFindings): Repetition {
  const { from, to, memory, sent, received } = findings;
  const results = [...sent, ...received];
  const publishers = sent.filter(({ role }) => role === "publish");
  const consumers = received.filter(({ role }) => role === "consume");
  const isLeased = findings.plan.tasks.some(
    ({ role, settings }) => role === "consume" && (settings.mode === "queue" || settings.mode === "keyed"),
  );
  const counted = publishers.length > 0 ? publishers : sent.length > 0 ? sent : consumers;
  const recordsPerSecond = rateOf(counted, counted === consumers && isLeased ? "settled" : "records");
  const cpu = cpuBetween(from, to);
  const wallSeconds = (to.timeMs - from.timeMs) / 1000;
  const brokerCores =
    cpu.reduce((sum, { role, seconds }) => (role === "broker" ? sum + seconds : sum), 0) / wallSeconds;
  const clientCores = rateOf(results, "cpuSeconds");
  const endToEnd = latencyOf(results, "endToEnd");
  const ackLatency = latencyOf(results, "ackLatency");
  const roundTrip = latencyOf(results, "roundTrip");
  const lateMs = worstLateness(sent);
  const figures = figuresOf(sent, consumers, isLeased);
  const errors = results.flatMap(({ role, errors }) => errors.map((error) => `${role}: ${error}`));
  return {
    seconds: wallSeconds,
    recordsPerSecond,
    bytesPerSecond: rateOf(counted, "bytes"),
    ...(consumers.length > 0 ? { deliveriesPerSecond: rateOf(consumers, "records") } : {}),
    ...(endToEnd === undefined ? {} : { endToEnd }),
    ...(ackLatency === undefined ? {} : { ackLatency }),
    ...(roundTrip === undefined ? {} : { roundTrip }),
    series: seriesOf(counted),
    brokerCpuSecondsPerMillion: perMillion(brokerCores, recordsPerSecond),
    clientCpuSecondsPerMillion: perMillion(clientCores, recordsPerSecond),
    brokerCores,
    clientCores,
    busyThreads: busyThreadsBetween(from, to),
    brokerRssBytes: memory.bytes,
    brokerPeakRssBytes: memory.peakBytes,
    ...(lateMs === undefined ? {} : { generatorLateMs: lateMs }),
    generatorSaturated: isSaturated(findings, endToEnd ?? roundTrip ?? ackLatency),
    ...(Object.keys(figures).length > 0 ? { figures } : {}),
    ...(errors.length > 0 ? { errors: errors.slice(0, LIMITS.errorsKept) } : {}),
    disturbance: disturbanceBetween(from, to),
  };
}

function figuresOf(
  sent: readonly LoadResult[],
  consumers: readonly LoadResult[],
  isLeased: boolean,
): Record<string, number> {
  const figures: Record<string, number> = {};
  if (isLeased) figures.settledPerSecond = rateOf(consumers, "settled");
  const heldBack = sent.reduce((sum, result) => sum + result.heldBack, 0);
  if (heldBack > 0) figures.heldBack = heldBack;
  return figures;
}

/** Each generator by its own window, which is that of the others but for a timer's error. */
function rateOf(
  results: readonly LoadResult[],
  field: "records" | "settled" | "bytes" | "cpuSeconds",
): number {
  return results.reduce(
    (sum, result) => (result.seconds > 0 ? sum + result[field] / result.seconds : sum),
    0,
  );
}

function perMillion(cores: number, recordsPerSecond: number): number {
  return recordsPerSecond > 0 ? (cores * 1e6) / recordsPerSecond : 0;
}

function seriesOf(results: readonly LoadResult[]): number[] {
  const length = Math.max(0, ...results.map(({ series }) => series.length));
  return Array.from({ length }, (_, step) =>
    results.reduce((sum, { series }) => sum + (series[step] ?? 0), 0),
  );
}

function latencyOf(
  results: readonly LoadResult[],
  kind: "endToEnd" | "ackLatency" | "roundTrip",
): LatencyResult | undefined {
  const encoded = results.flatMap((result) => result[kind] ?? []);
  if (encoded.length === 0) return undefined;
  const { summary, histogram } = mergeLatencies(encoded);
  return summary.count === 0 ? undefined : { unit: "ms", ...summary, histogram };
}

function worstLateness(sent: readonly LoadResult[]): number | undefined {
  const late = sent.flatMap(({ lateMs }) => (lateMs === undefined ? [] : lateMs.p99));
  return late.length === 0 ? undefined : Math.max(...late);
}

/** Whether any generator was at its own limit: then the figures say as much about it as about the broker. */
function isSaturated(
  { plan, sent, received }: RepetitionFindings,
  latency: LatencyResult | undefined,
): boolean {
  const sendingTasks = plan.tasks.filter(({ role }) => role === "publish" || role === "request");
  const isBusy = ({ eventLoopUtilization }: LoadResult): boolean => eventLoopUtilization >= BUSY_LOOP;
  return (
    received.some(isBusy) ||
    sent.some((result, index) => {
      const task = sendingTasks[index] as LoadTask;
      // At a rate it waits by polling, which looks busy: what counts there is whether the schedule was kept.
      if (task.recordsPerSecond === null) return isBusy(result);
      if (task.recordsMax === undefined && result.heldBack === 0) {
        if (result.sent < task.recordsPerSecond * result.seconds * KEPT_SCHEDULE) return true;
      }
      const lateMs = result.lateMs?.p99 ?? 0;
      return latency !== undefined && lateMs > latency.p99 * LATE_SHARE;
    })
  );
}
