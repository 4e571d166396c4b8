import type { Durability } from "@millrace/load";
import { repetition } from "../run/steady-state.ts";
import type { SuiteOptions } from "../run/suite-options.ts";
import { runWindowed } from "../windowed/run-windowed.ts";
import {
  BATCH_BYTES,
  chosen,
  combinations,
  DURABILITIES,
  lingerOf,
  type Scenario,
  type ScenarioCase,
  valueSizes,
} from "./scenario.ts";

/** Records that the consumer may be behind: enough for batches on both sides, and all of it in memory. */
const WINDOW_RECORDS = 50_000;
/** Records a second of the ladder that --full climbs, to show latency and throughput against the rate. */
const RATES: readonly number[] = [10_000, 50_000, 100_000, 200_000];

/** One producer and one consumer of its topic. */
export const endToEnd: Scenario = {
  name: "end-to-end",
  description: "one producer, one consumer: what goes through, and how long it takes at a rate",
  cases: (options) => {
    const rates = chosen<number | null>(options.rates, options.mode === "full" ? [null, ...RATES] : [null]);
    return combinations(valueSizes(options), chosen(options.durabilities, DURABILITIES)).flatMap(
      ([valueBytes, durability]) =>
        combinations(batches(options, durability), rates).map(([batchBytes, rate]) =>
          caseOf(options, valueBytes, batchBytes, durability, rate),
        ),
    );
  },
};

function batches(options: SuiteOptions, durability: Durability): readonly number[] {
  return chosen(options.batchBytes, durability === "memory" ? [BATCH_BYTES, 0] : [BATCH_BYTES]);
}

function caseOf(
  options: SuiteOptions,
  valueBytes: number,
  batchBytes: number,
  durability: Durability,
  recordsPerSecond: number | null,
): ScenarioCase {
  const { partitions = 1 } = options;
  const shape = { valueBytes, batchBytes, lingerMs: lingerOf(options, batchBytes) };
  const offered = recordsPerSecond === null ? {} : { recordsPerSecond };
  return {
    durability,
    partitions,
    parameters: { ...shape, producers: 1, consumers: 1, partitions, ...offered },
    accepts: (subject) => recordsPerSecond === null || subject.kind === "client",
    native: { ...shape, producers: 1, consumers: 1, partitions, recordsPerSecond },
    measure: (run) =>
      recordsPerSecond === null
        ? runWindowed(run, {
            settings: run.driverSettings(shape),
            consumers: 1,
            copies: 1,
            windowRecords: WINDOW_RECORDS,
          })
        : repetition(run, [
            run.task({ role: "publish", recordsPerSecond, settings: { ...shape, stamped: true } }),
            run.task({ role: "consume", recordsPerSecond, settings: { ...shape, stamped: true } }),
          ]),
  };
}
