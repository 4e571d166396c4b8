import {
  cpuBetween,
  type Disturbance,
  delay,
  disturbanceBetween,
  type MeasuredProcess,
  type Spread,
  snapshotCpu,
  spreadOf,
  type ThreadUsage,
} from "@millrace/load/internal";

/** What a subject has got done so far, at a moment of the shared monotonic clock. */
export interface Counters {
  readonly timeMs: number;
  readonly records: number;
  /** Payload bytes of those records, where the row is about bytes; else 0. */
  readonly bytes: number;
}

/** One thing under load, a broker or a yardstick, with the generators that load it. */
export interface Subject {
  readonly name: string;
  readonly processes: readonly MeasuredProcess[];
  start(): Promise<void>;
  mark(): Promise<Counters>;
  /** What goes on in the measured window, where that is more than to let the time pass. */
  window?(durationMs: number): Promise<void>;
  /** Ends the load and waits until what was in flight is answered. */
  stop(): Promise<void>;
}

export interface SamplingPlan {
  readonly rounds: number;
  readonly warmUpMs: number;
  /** Load before the measured window of each sample, so that it measures a steady state. */
  readonly settleMs: number;
  readonly durationMs: number;
}

export interface Sample {
  readonly recordsPerSecond: number;
  readonly bytesPerSecond: number;
  readonly records: number;
  readonly cpu: readonly ThreadUsage[];
  readonly disturbance: Disturbance;
}

/** All samples of one subject. */
export interface SampleSet {
  readonly subject: string;
  readonly recordsPerSecond: Spread;
  readonly bytesPerSecond: Spread;
  /** Medians over the samples, thread by thread. */
  readonly cpu: readonly ThreadCost[];
  /** Share of its core that the busiest generator used, 0..1, median. */
  readonly generatorShare: number;
  /** The same of the yardstick; 0 in the samples of a broker. */
  readonly yardstickShare: number;
  /** Medians. */
  readonly disturbance: Disturbance;
}

export interface ThreadCost extends Omit<ThreadUsage, "seconds"> {
  readonly secondsPerMillionRecords: number;
}

/**
 * Samples the subjects in turn, round after round, in the opposite order every other round, so that what
 * the machine does meanwhile (heat, neighbours, write-back) falls on all of them alike.
 */
export async function sampleAlternating(
  subjects: readonly Subject[],
  plan: SamplingPlan,
  onProgress: (text: string) => void,
  beforeSample: () => Promise<void>,
): Promise<SampleSet[]> {
  for (const subject of plan.warmUpMs > 0 ? subjects : []) {
    onProgress(`${subject.name}: warm-up`);
    await beforeSample();
    await warmUp(subject, plan.warmUpMs);
  }
  const samples = new Map<Subject, Sample[]>(subjects.map((subject) => [subject, []]));
  for (let round = 0; round < plan.rounds; round++) {
    const inTurn = round % 2 === 0 ? subjects : [...subjects].reverse();
    for (const subject of inTurn) {
      onProgress(`${subject.name}: sample ${round + 1} of ${plan.rounds}`);
      await beforeSample();
      samples.get(subject)?.push(await takeSample(subject, plan));
    }
  }
  return subjects.map((subject) => summarize(subject.name, samples.get(subject) ?? []));
}

async function warmUp(subject: Subject, durationMs: number): Promise<void> {
  await subject.start();
  await delay(durationMs);
  await subject.stop();
}

async function takeSample(subject: Subject, plan: SamplingPlan): Promise<Sample> {
  await subject.start();
  await delay(plan.settleMs);
  const from = await subject.mark();
  const cpuFrom = snapshotCpu(subject.processes);
  await (subject.window?.(plan.durationMs) ?? delay(plan.durationMs));
  const to = await subject.mark();
  const cpuTo = snapshotCpu(subject.processes);
  await subject.stop();
  const seconds = (to.timeMs - from.timeMs) / 1000;
  const records = to.records - from.records;
  return {
    recordsPerSecond: records / seconds,
    bytesPerSecond: (to.bytes - from.bytes) / seconds,
    records,
    cpu: cpuBetween(cpuFrom, cpuTo),
    disturbance: disturbanceBetween(cpuFrom, cpuTo),
  };
}

function summarize(subject: string, samples: readonly Sample[]): SampleSet {
  return {
    subject,
    recordsPerSecond: spreadOf(samples.map((sample) => sample.recordsPerSecond)),
    bytesPerSecond: spreadOf(samples.map((sample) => sample.bytesPerSecond)),
    cpu: threadCosts(samples),
    generatorShare: spreadOf(samples.map((sample) => busiest(sample, "generator"))).median,
    yardstickShare: spreadOf(samples.map((sample) => busiest(sample, "yardstick"))).median,
    disturbance: {
      elsewhereCores: spreadOf(samples.map((sample) => sample.disturbance.elsewhereCores)).median,
      stolenCores: spreadOf(samples.map((sample) => sample.disturbance.stolenCores)).median,
    },
  };
}

function busiest(sample: Sample, role: ThreadUsage["role"]): number {
  const shares = sample.cpu.filter((usage) => usage.role === role && usage.thread === "main");
  return Math.max(0, ...shares.map((usage) => usage.share));
}

function threadCosts(samples: readonly Sample[]): ThreadCost[] {
  const byThread = new Map<string, { usage: ThreadUsage; shares: number[]; costs: number[] }>();
  for (const sample of samples) {
    for (const usage of sample.cpu) {
      const key = `${usage.role}/${usage.process}/${usage.thread}`;
      const entry = byThread.get(key) ?? { usage, shares: [], costs: [] };
      entry.shares.push(usage.share);
      entry.costs.push(sample.records > 0 ? (usage.seconds * 1e6) / sample.records : 0);
      byThread.set(key, entry);
    }
  }
  return [...byThread.values()].map(({ usage, shares, costs }) => ({
    role: usage.role,
    process: usage.process,
    thread: usage.thread,
    share: spreadOf(shares).median,
    secondsPerMillionRecords: spreadOf(costs).median,
  }));
}
