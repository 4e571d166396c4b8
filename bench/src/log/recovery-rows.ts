import { spreadOf } from "@millrace/load/internal";
import type { BenchRow, RowOutcome } from "../harness/bench-row.ts";
import { formatSpread } from "../harness/terminal.ts";
import type { LogContext } from "./log-context.ts";
import { type RecoveryCase, type RecoveryFigures, type RecoverySample, recoveryFigures } from "./recovery.ts";

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const RECOVERY_MS_MAX = 3_000;
const RESIDENT_BYTES_MAX: number = 200 * MIB;

export const recoveryRows: readonly BenchRow<LogContext>[] = [
  {
    name: "recovery-20g",
    description: "from the start after a kill -9 until /readyz answers 200, over 3 s",
    target: 1,
    sense: "at-most",
    run: async (context) => recoveryTime(await recoveryFigures(context)),
  },
  {
    name: "recovery-memory",
    description: "resident memory right after it, over 200 MiB",
    target: 1,
    sense: "at-most",
    run: async (context) => recoveryMemory(await recoveryFigures(context)),
  },
  {
    name: "state-per-gib",
    description: "MiB of resident memory after recovery that each GiB retained adds",
    target: null,
    sense: "at-most",
    run: async (context) => stateGrowth(await recoveryFigures(context)),
  },
];

function recoveryTime({ much, little }: RecoveryFigures): RowOutcome {
  const time = spreadOf(much.samples.map((sample) => sample.readyMs));
  const timeOfLittle = spreadOf(little.samples.map((sample) => sample.readyMs));
  return {
    ratio: time.median / RECOVERY_MS_MAX,
    counts: true,
    raw: { unit: "ms", limitMs: RECOVERY_MS_MAX, much, little },
    details: [
      `${formatSpread(time, 1000, "s")} with ${retained(much)}`,
      `${formatSpread(timeOfLittle, 1000, "s")} with ${retained(little)}; the page cache is warm after a kill`,
    ],
  };
}

function recoveryMemory({ much, little }: RecoveryFigures): RowOutcome {
  const resident = spreadOf(much.samples.map((sample) => sample.residentBytes));
  return {
    ratio: resident.median / RESIDENT_BYTES_MAX,
    counts: true,
    raw: { unit: "bytes", limitBytes: RESIDENT_BYTES_MAX, much, little },
    details: [memory(much), memory(little)],
  };
}

/** The difference between much and little retained, so that what a broker needs anyway does not count. */
function stateGrowth({ much, little }: RecoveryFigures): RowOutcome {
  const resident = ({ samples }: RecoveryCase): number =>
    spreadOf(samples.map((sample) => sample.residentBytes)).median;
  const grown = resident(much) - resident(little);
  const gibibytes = (much.retainedBytes - little.retainedBytes) / GIB;
  const millions = (much.retainedRecords - little.retainedRecords) / 1e6;
  return {
    ratio: grown / MIB / gibibytes,
    counts: true,
    raw: { unit: "MiB/GiB", bytesPerGibibyte: grown / gibibytes, bytesPerMillionRecords: grown / millions },
    details: [
      `${(grown / gibibytes).toFixed(0)} bytes per GiB retained, ${(grown / millions).toFixed(0)} per million records`,
      `${(resident(little) / MIB).toFixed(0)} MiB with ${retained(little)}, ${(resident(much) / MIB).toFixed(0)} MiB with ${retained(much)}`,
    ],
  };
}

function retained({ retainedBytes, retainedRecords }: RecoveryCase): string {
  return `${(retainedBytes / 1e9).toFixed(2)} GB, ${(retainedRecords / 1e6).toFixed(1)} M records retained`;
}

function memory(state: RecoveryCase): string {
  const of = (figure: (sample: RecoverySample) => number): string =>
    formatSpread(spreadOf(state.samples.map(figure)), MIB, "MiB");
  return (
    `${of((sample) => sample.residentBytes)} with ${retained(state)}; ` +
    `a second later ${of((sample) => sample.residentLaterBytes)}, peak ${of((sample) => sample.peakBytes)}`
  );
}
