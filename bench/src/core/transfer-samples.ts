import { type Spread, spreadOf } from "@millrace/load/internal";
import type { RowOutcome } from "../harness/bench-row.ts";
import { formatSpread } from "../harness/terminal.ts";
import type { CoreContext } from "./core-context.ts";
import { type CpuReport, inFreshProcess, type SampledSubject, sampleInTurn } from "./samples-in-turn.ts";
import type { TransferCommands } from "./transfer/transfer-process.ts";
import type { TransferResult, TransferSpec } from "./transfer/transfer-spec.ts";

/** All queues hold so many bytes of records. */
export const CAPACITY_BYTES: number = 1 << 20;
/** What the ring publishes by itself at the latest; batches of large records are no larger. */
const BATCH_BYTES_MAX = 64 * 1024;
const BATCH_RECORDS = 64;
/** Cores that others may use before a line says so. */
const DISTURBANCE_MIN = 0.1;

/** What one subject does in a sample; the rest is the same for all. */
export type SubjectSpec = Pick<TransferSpec, "carrier"> & Partial<TransferSpec> & { readonly native?: true };

export interface SubjectRates {
  readonly name: string;
  readonly recordsPerSecond: Spread;
  /** Medians, in cores; undefined where the process cannot be looked into. */
  readonly elsewhereCores: number | undefined;
}

/** Rates by the name of the subject, in the order in which they were given. */
export type Rates = ReadonlyMap<string, SubjectRates>;

/** Records in a batch: 64, or as many as make 64 KiB. */
export function batchOf(recordBytes: number): number {
  return Math.min(BATCH_RECORDS, BATCH_BYTES_MAX / recordBytes);
}

/** Samples each subject in turn with records of `recordBytes`. */
export async function sampleTransfers(
  context: CoreContext,
  recordBytes: number,
  subjects: Readonly<Record<string, SubjectSpec>>,
): Promise<Rates> {
  const names = Object.keys(subjects);
  const samples = await sampleInTurn(
    context,
    names.map((name) => subjectOf(context, name, recordBytes, subjects[name] as SubjectSpec)),
  );
  return new Map(
    names.map((name) => {
      const taken = samples.get(name) ?? [];
      const elsewhere = taken.flatMap(({ elsewhereCores }) => elsewhereCores ?? []);
      return [
        name,
        {
          name,
          recordsPerSecond: spreadOf(taken.map((sample) => sample.recordsPerSecond)),
          elsewhereCores: elsewhere.length > 0 ? spreadOf(elsewhere).median : undefined,
        },
      ];
    }),
  );
}

interface TransferSample {
  readonly recordsPerSecond: number;
  readonly elsewhereCores: number | undefined;
}

function subjectOf(
  context: CoreContext,
  name: string,
  recordBytes: number,
  { native, ...own }: SubjectSpec,
): SampledSubject<TransferSample> {
  const spec: TransferSpec = {
    recordBytes,
    batchRecords: batchOf(recordBytes),
    capacityBytes: CAPACITY_BYTES,
    producers: 1,
    waiting: "spin",
    warmUpMs: context.plan.settleMs,
    durationMs: context.plan.durationMs,
    ...own,
  };
  const module = new URL("./transfer/transfer-process.js", import.meta.url);
  return {
    name,
    take: async () => {
      if (native) {
        const { records, milliseconds } = await context.native.transfer(spec);
        return { recordsPerSecond: (records * 1000) / milliseconds, elsewhereCores: undefined };
      }
      const { records, milliseconds, elsewhereCores } = await inFreshProcess<
        TransferCommands,
        TransferResult & CpuReport
      >(context, module, (child) => child.call("run", spec));
      return { recordsPerSecond: (records * 1000) / milliseconds, elsewhereCores };
    },
  };
}

export function ratesOf(rates: Rates, name: string): SubjectRates {
  const found = rates.get(name);
  if (found === undefined) throw new Error(`not sampled: ${name}`);
  return found;
}

/** `ours` over `theirs`, median by median, with the absolute figures of both. */
export function compareRates(rates: Rates, ours: string, theirs: string): RowOutcome {
  const [a, b] = [ratesOf(rates, ours), ratesOf(rates, theirs)];
  const perRound = spreadOf(
    a.recordsPerSecond.samples.map((sample, round) => sample / (b.recordsPerSecond.samples[round] as number)),
  );
  return {
    ratio: a.recordsPerSecond.median / b.recordsPerSecond.median,
    counts: true,
    raw: { unit: "records/s", ours: a, theirs: b, ratioPerRound: perRound },
    details: [
      `${describeRate(a)}, ${describeRate(b)}`,
      `ratio by round ${perRound.min.toFixed(2)}..${perRound.max.toFixed(2)}`,
      ...describeDisturbance([a, b]),
    ],
  };
}

/** `ours` over an absolute rate. */
export function compareWithRate(rates: Rates, ours: string, recordsPerSecond: number): RowOutcome {
  const own = ratesOf(rates, ours);
  return {
    ratio: own.recordsPerSecond.median / recordsPerSecond,
    counts: true,
    raw: { unit: "records/s", ours: own, required: recordsPerSecond },
    details: [describeRate(own), ...describeDisturbance([own])],
  };
}

export function describeRate({ name, recordsPerSecond }: SubjectRates): string {
  return `${name} ${formatSpread(recordsPerSecond, 1e6, "M/s")}`;
}

function describeDisturbance(subjects: readonly SubjectRates[]): string[] {
  return subjects.flatMap(({ name, elsewhereCores }) =>
    elsewhereCores !== undefined && elsewhereCores >= DISTURBANCE_MIN
      ? [`beside ${name} other processes and the kernel used ${elsewhereCores.toFixed(2)} cores`]
      : [],
  );
}
