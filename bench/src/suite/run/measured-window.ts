import type { MeasuredProcess, Repetition } from "@millrace/load";
import {
  busyThreadsBetween,
  type CpuSnapshot,
  cpuBetween,
  delay,
  disturbanceBetween,
  monotonicMs,
  residentBytes,
  snapshotCpu,
} from "@millrace/load/internal";

/** What has been done so far. */
export interface Progress {
  readonly timeMs: number;
  readonly records: number;
  readonly deliveries?: number | undefined;
}

/** A window that a scenario opens and closes itself, because its load is none that `runRepetition` knows. */
export class MeasuredWindow {
  readonly #broker: readonly MeasuredProcess[];
  readonly #clients: readonly MeasuredProcess[];
  readonly #cpuFrom: CpuSnapshot;
  readonly #from: Progress;
  readonly #series: number[] = [];
  #last: Progress;
  #peakRssBytes = 0;

  constructor(
    processes: { readonly broker: readonly MeasuredProcess[]; readonly clients: readonly MeasuredProcess[] },
    from: Progress,
  ) {
    this.#broker = processes.broker;
    this.#clients = processes.clients;
    this.#from = from;
    this.#last = from;
    this.#cpuFrom = snapshotCpu([...this.#broker, ...this.#clients]);
  }

  /** Once in a while, for the series. */
  tick(progress: Progress): void {
    this.#series.push(progress.records - this.#last.records);
    this.#last = progress;
    this.#peakRssBytes = Math.max(this.#peakRssBytes, residentOf(this.#broker).now);
  }

  /** Lets the time pass, with a tick every quarter of a second. */
  async run(durationMs: number, mark: () => Promise<Progress>): Promise<void> {
    const fromMs = monotonicMs();
    for (let at = SERIES_STEP_MS; at <= durationMs; at += SERIES_STEP_MS) {
      await delay(fromMs + at - monotonicMs());
      this.tick(await mark());
    }
    await delay(fromMs + durationMs - monotonicMs());
  }

  close(to: Progress, valueBytes: number): Repetition {
    const cpuTo = snapshotCpu([...this.#broker, ...this.#clients]);
    const seconds = Math.max(1e-9, (to.timeMs - this.#from.timeMs) / 1000);
    const cpuWindowSeconds = (cpuTo.timeMs - this.#cpuFrom.timeMs) / 1000;
    const records = to.records - this.#from.records;
    const deliveries = to.deliveries === undefined ? undefined : to.deliveries - (this.#from.deliveries ?? 0);
    const counted = Math.max(records, deliveries ?? 0);
    const usage = cpuBetween(this.#cpuFrom, cpuTo);
    const cpuOf = (of: readonly MeasuredProcess[]): number => {
      const labels = new Set(of.map(({ label, role }) => `${role}/${label}`));
      return usage
        .filter(({ process, role }) => labels.has(`${role}/${process}`))
        .reduce((sum, { seconds }) => sum + seconds, 0);
    };
    const perMillion = (cpuSeconds: number): number => (counted > 0 ? (cpuSeconds * 1e6) / counted : 0);
    const brokerCpu = cpuOf(this.#broker);
    const clientCpu = cpuOf(this.#clients);
    const busiestClient = Math.max(
      0,
      ...usage
        .filter(({ role, thread }) => role === "generator" && thread === "main")
        .map(({ share }) => share),
    );
    const resident = residentOf(this.#broker);
    return {
      seconds,
      recordsPerSecond: records / seconds,
      bytesPerSecond: (counted * valueBytes) / seconds,
      ...(deliveries === undefined ? {} : { deliveriesPerSecond: deliveries / seconds }),
      series: this.#series,
      brokerCpuSecondsPerMillion: perMillion(brokerCpu),
      clientCpuSecondsPerMillion: perMillion(clientCpu),
      brokerCores: brokerCpu / cpuWindowSeconds,
      clientCores: clientCpu / cpuWindowSeconds,
      busyThreads: busyThreadsBetween(this.#cpuFrom, cpuTo),
      brokerRssBytes: resident.now,
      brokerPeakRssBytes: Math.max(resident.peak, this.#peakRssBytes),
      generatorSaturated: busiestClient > GENERATOR_SHARE_MAX,
      disturbance: disturbanceBetween(this.#cpuFrom, cpuTo),
    };
  }
}

const SERIES_STEP_MS = 250;
/** Of its core. */
const GENERATOR_SHARE_MAX = 0.8;

/** Of all of them together; the peaks may have been at different times. */
export function residentOf(processes: readonly MeasuredProcess[]): { now: number; peak: number } {
  let now = 0;
  let peak = 0;
  for (const { pid } of processes) {
    const resident = residentBytes(pid);
    now += resident?.now ?? 0;
    peak += resident?.peak ?? 0;
  }
  return { now, peak };
}
