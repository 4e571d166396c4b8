import type { Machine, Repetition, ResultRow } from "@millrace/load";
import { spreadOf } from "@millrace/load";
import { wasMeasured } from "./cases.ts";
import { LATENCY_KINDS } from "./metrics.ts";

/** Something about how a row came to be that a reader must not miss. */
export interface RowFlag {
  readonly title: string;
  readonly meaning: string;
}

/** Cores. */
const DISTURBANCE_MIN = 0.1;
/** Of fewer the largest one is above 99.9 %. */
const LATENCIES_MIN = 1000;

/** What the figures of the repetitions themselves say of a row; beside the notes that its scenario has written. */
export function flagsOf(row: ResultRow, machine: Machine): RowFlag[] {
  if (!wasMeasured(row)) return [];
  const flags: RowFlag[] = [];
  const saturated = row.repetitions.filter(({ generatorSaturated }) => generatorSaturated).length;
  if (saturated > 0)
    flags.push({
      title: "generator saturated",
      meaning: `the load generator was at its limit in ${saturated} of ${row.repetitions.length} repetitions: the figures are as much its own`,
    });
  const errors = [...new Set(row.repetitions.flatMap((repetition) => repetition.errors ?? []))];
  if (errors.length > 0) flags.push({ title: "errors", meaning: errors.join("; ") });
  const fewest = fewestLatencies(row);
  if (fewest < LATENCIES_MIN)
    flags.push({
      title: "few latencies",
      meaning: `a repetition has as few as ${fewest} latencies: the p99.9 is the largest of them`,
    });
  const busy = median(row, ({ busyThreads }) => busyThreads);
  if (busy > machine.cores)
    flags.push({
      title: "threads > cores",
      meaning: `${busy.toFixed(1)} busy threads on ${machine.cores} cores: they waited for each other`,
    });
  const elsewhere = median(row, ({ disturbance }) => disturbance?.elsewhereCores ?? 0);
  const stolen = median(row, ({ disturbance }) => disturbance?.stolenCores ?? 0);
  if (elsewhere >= DISTURBANCE_MIN || stolen >= DISTURBANCE_MIN)
    flags.push({
      title: "disturbed",
      meaning:
        `others used ${elsewhere.toFixed(1)} cores meanwhile` +
        (stolen < DISTURBANCE_MIN ? "" : `, and the host took ${stolen.toFixed(1)}`),
    });
  return flags;
}

/** What to say of a row: what its figures give away, and its notes, which may say the same in the same words. */
export function remarksOf(row: ResultRow, machine: Machine): string[] {
  return [...new Set([...flagsOf(row, machine).map(({ meaning }) => meaning), ...row.notes])];
}

function fewestLatencies({ repetitions }: ResultRow): number {
  const counts = LATENCY_KINDS.flatMap((kind) => repetitions.map((repetition) => repetition[kind]?.count));
  return counts.reduce<number>((least, count) => Math.min(least, count ?? least), Number.POSITIVE_INFINITY);
}

function median(row: ResultRow, of: (repetition: Repetition) => number): number {
  const samples = row.repetitions.map(of).filter((sample) => Number.isFinite(sample));
  return samples.length === 0 ? 0 : spreadOf(samples).median;
}
