import type { Spread } from "@millrace/load/internal";
import { threeDigits } from "@millrace/load/internal";
import type { BenchResult } from "./result.ts";
import type { SampleSet, ThreadCost } from "./sampling.ts";

/** Progress on one line of the terminal; one line a step where standard error is not a terminal. */
export class Progress {
  readonly #startedMs: number;
  readonly #now: () => number;
  #row = "";

  constructor(now: () => number) {
    this.#now = now;
    this.#startedMs = now();
  }

  row(name: string): void {
    this.#row = name;
  }

  readonly say = (text: string): void => {
    const seconds = ((this.#now() - this.#startedMs) / 1000).toFixed(0).padStart(4);
    const line = `${seconds} s  ${this.#row}  ${text}`;
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[2K${line}`);
    else process.stderr.write(`${line}\n`);
  };

  clear(): void {
    if (process.stderr.isTTY) process.stderr.write("\r\x1b[2K");
  }
}

export function formatResult(result: BenchResult): string {
  const sign = result.sense === "at-least" ? ">=" : "<=";
  const ratio = result.ratio === null ? "  -  " : result.ratio.toFixed(3);
  const target = result.target === null ? "no target" : `${sign} ${result.target.toFixed(2)}`;
  const head = `${result.name.padEnd(24)} ${ratio.padStart(7)}  ${target}  ${verdictOf(result)}`.trimEnd();
  return [head, ...result.details.map((line) => `    ${line}`)].join("\n");
}

export function formatSummary(results: readonly BenchResult[]): string {
  const lines = results.map((result) => formatResult({ ...result, details: [] }));
  const missed = results.filter((result) => result.met === false).length;
  const verdict = missed === 0 ? "every target met" : `${missed} of ${results.length} targets missed`;
  return ["", `${"row".padEnd(24)}   ratio  target`, ...lines, "", verdict].join("\n");
}

function verdictOf({ met, ratio }: BenchResult): string {
  if (met === null) return ratio === null ? "(not measured)" : "";
  if (met) return "met";
  return ratio === null ? "missed (not measured)" : "missed";
}

/** `1.23 M/s (1.20..1.30)` */
export function formatSpread(spread: Spread, divisor: number, unit: string): string {
  const format = (value: number): string => threeDigits(value / divisor);
  return `${format(spread.median)} ${unit} (${format(spread.min)}..${format(spread.max)})`;
}

/** One line per process: CPU seconds per million records and share of a core of each thread that worked. */
export function formatCosts(costs: readonly ThreadCost[]): string[] {
  const byProcess = new Map<string, string[]>();
  for (const cost of costs) {
    if (cost.share < 0.005) continue;
    const key = cost.process;
    const text = `${cost.thread} ${threeDigits(cost.secondsPerMillionRecords)} (${(cost.share * 100).toFixed(0)} %)`;
    byProcess.set(key, [...(byProcess.get(key) ?? []), text]);
  }
  return [...byProcess].map(([name, threads]) => `CPU s per M records, ${name}: ${threads.join(", ")}`);
}

/** What the machine did besides: one line, or none where it was next to nothing. */
export function formatDisturbance(sets: readonly SampleSet[]): string[] {
  const lines: string[] = [];
  for (const { subject, disturbance } of sets) {
    const { elsewhereCores, stolenCores } = disturbance;
    if (elsewhereCores < DISTURBANCE_MIN && stolenCores < DISTURBANCE_MIN) continue;
    lines.push(
      `beside ${subject} other processes and the kernel used ${elsewhereCores.toFixed(2)} cores, ` +
        `the host took ${stolenCores.toFixed(2)}`,
    );
  }
  return lines;
}

/** Cores. */
const DISTURBANCE_MIN = 0.1;
