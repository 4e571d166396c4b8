import { statfsSync } from "node:fs";
import { delay, monotonicMs, type ResidentSample, spreadOf } from "@millrace/load/internal";
import type { RowOutcome } from "../harness/bench-row.ts";
import { type LimitContext, type RowBroker, withBroker } from "./limit-context.ts";
import type { LimitRow } from "./limit-row.ts";
import { connectTail } from "./tail-rows.ts";

const MIB = 1024 * 1024;
const RESIDENT_BYTES_MAX = 300 * MIB;
/** How much longer than a sample the run is over which memory must not grow. */
const LONG_RUN_FACTOR = 10;
/** The journal of a long run may not fill the disk that it is on. */
const FREE_BYTES_MIN = 8 * 1024 * MIB;
const GROWTH_MAX = 1.1;

/** Runs before the row about the peak, which looks at all brokers so far. */
export const flatRows: readonly LimitRow[] = [flatRow("fsynced"), flatRow("memory")];

export const peakRow: LimitRow = {
  name: "rss-peak",
  description: "highest resident memory of any broker above, against 300 MiB",
  target: 1,
  sense: "at-most",
  run: async (context) => {
    if (context.memory.length === 0) throw new Error("no row that ran had a broker");
    const peakBytes = Math.max(...context.memory.map((row) => row.peakBytes));
    return {
      ratio: peakBytes / RESIDENT_BYTES_MAX,
      counts: true,
      raw: { unit: "bytes", peakBytes, limitBytes: RESIDENT_BYTES_MAX, rows: context.memory },
      details: [context.memory.map((row) => `${row.row} ${mebibytes(row.peakBytes)}`).join(", ")],
    };
  },
};

function flatRow(durability: string): LimitRow {
  const name = `rss-flat-${durability}`;
  return {
    name,
    description: `resident memory late in a run ten times as long over early in it, producer and consumer, ${durability}`,
    target: GROWTH_MAX,
    sense: "at-most",
    run: (context) => withBroker(context, name, (broker) => runLong(context, durability, broker)),
  };
}

async function runLong(context: LimitContext, durability: string, broker: RowBroker): Promise<RowOutcome> {
  const durationMs = context.plan.durationMs * LONG_RUN_FACTOR;
  const tail = await connectTail(context, broker, durability);
  try {
    await tail.subject.start();
    await delay(context.plan.warmUpMs);
    const from = monotonicMs();
    const before = await tail.subject.mark();
    let ranMs = 0;
    let cutShort = false;
    while (ranMs < durationMs && !cutShort) {
      await delay(Math.min(500, durationMs - ranMs));
      ranMs = monotonicMs() - from;
      const { bavail, bsize } = statfsSync(context.folder);
      cutShort = bavail * bsize < FREE_BYTES_MIN;
      context.progress.say(`${(ranMs / 1000).toFixed(0)} of ${(durationMs / 1000).toFixed(0)} s`);
    }
    const after = await tail.subject.mark();
    await tail.subject.stop();
    const samples = broker.watch.samples.filter(({ timeMs }) => timeMs >= from && timeMs <= from + ranMs);
    return { ...describe(samples, from, ranMs, after.records - before.records, cutShort) };
  } finally {
    await tail.end();
  }
}

/** The last fifth against the second: the first still fills caches and rings. */
function describe(
  samples: readonly ResidentSample[],
  from: number,
  ranMs: number,
  records: number,
  cutShort: boolean,
): RowOutcome {
  const fifth = (index: number): number[] =>
    samples
      .filter(
        ({ timeMs }) => timeMs >= from + (ranMs * index) / 5 && timeMs <= from + (ranMs * (index + 1)) / 5,
      )
      .map(({ bytes }) => bytes);
  const early = spreadOf(fifth(1));
  const late = spreadOf(fifth(4));
  const ran = `${(ranMs / 1000).toFixed(1)} s, ${(records / 1e6).toFixed(1)} M records`;
  return {
    ratio: late.median / early.median,
    counts: true,
    raw: {
      unit: "bytes",
      ranMs,
      records,
      cutShort,
      earlyBytes: early.median,
      lateBytes: late.median,
      series: samples.map(({ timeMs, bytes }) => [Math.round(timeMs - from), bytes]),
    },
    details: [
      `${mebibytes(early.median)} early, ${mebibytes(late.median)} late, after ${ran}` +
        `${cutShort ? "; cut short, the disk was getting full" : ""}`,
    ],
  };
}

function mebibytes(bytes: number): string {
  return `${(bytes / MIB).toFixed(0)} MiB`;
}
