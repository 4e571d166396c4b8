import { readFileSync } from "node:fs";
import { monotonicMs } from "./system-clock.ts";

export interface ResidentSample {
  readonly timeMs: number;
  readonly bytes: number;
}

const SAMPLE_INTERVAL_MS = 100;

/** Resident memory of a process now, and the most it ever had, in bytes; undefined once it is gone. */
export function residentBytes(pid: number): { now: number; peak: number } | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "latin1");
    return { now: kibibytes(status, "VmRSS"), peak: kibibytes(status, "VmHWM") };
  } catch {
    return undefined;
  }
}

/** Samples the resident memory of one process ten times a second until stopped. */
export class ResidentMemoryWatch {
  readonly samples: ResidentSample[] = [];
  readonly #pid: number;
  readonly #timer: NodeJS.Timeout;
  #peakBytes = 0;

  constructor(pid: number) {
    this.#pid = pid;
    this.#timer = setInterval(() => this.#sample(), SAMPLE_INTERVAL_MS);
    this.#sample();
  }

  /** The kernel's own high-water mark: a peak between two samples is not missed. */
  get peakBytes(): number {
    return this.#peakBytes;
  }

  stop(): void {
    this.#sample();
    clearInterval(this.#timer);
  }

  #sample(): void {
    const resident = residentBytes(this.#pid);
    if (resident === undefined) return;
    this.#peakBytes = Math.max(this.#peakBytes, resident.peak);
    this.samples.push({ timeMs: monotonicMs(), bytes: resident.now });
  }
}

function kibibytes(status: string, field: string): number {
  const match = new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status);
  return Number(match?.[1] ?? 0) * 1024;
}

/** Memory of a broker, all of its processes together. */
export interface BrokerMemory {
  readonly bytes: number;
  readonly peakBytes: number;
}

/** A process that is gone counts as nothing. */
export function brokerMemory(pids: readonly number[]): BrokerMemory {
  let bytes = 0;
  let peakBytes = 0;
  for (const pid of pids) {
    const resident = residentBytes(pid);
    bytes += resident?.now ?? 0;
    peakBytes += resident?.peak ?? 0;
  }
  return { bytes, peakBytes };
}
