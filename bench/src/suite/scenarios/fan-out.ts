import { pingBeside } from "../pings/ping-beside.ts";
import type { SuiteOptions } from "../run/suite-options.ts";
import { runWindowed } from "../windowed/run-windowed.ts";
import {
  BATCH_BYTES,
  chosen,
  combinations,
  lingerOf,
  type Scenario,
  type ScenarioCase,
  VALUE_BYTES,
} from "./scenario.ts";

const SUBSCRIBERS: readonly number[] = [10, 100, 1_000];
const QUICK_SUBSCRIBERS: readonly number[] = [10, 1_000];
/** Deliveries that may be under way to all subscribers together, and records at least: two full batches. */
const WINDOW_DELIVERIES = 1_000_000;
const WINDOW_RECORDS_MAX = 50_000;

/** One publisher, and every subscriber gets everything. */
export const fanOut: Scenario = {
  name: "fan-out",
  description:
    "1 -> 10, 100 and 1,000 live subscribers, batched and one record a frame; pings of another session meanwhile",
  cases: (options) =>
    combinations(
      chosen(options.consumers, options.mode === "quick" ? QUICK_SUBSCRIBERS : SUBSCRIBERS),
      chosen(options.batchBytes, [BATCH_BYTES, 0]),
    ).map(([subscribers, batchBytes]) => caseOf(options, subscribers, batchBytes)),
};

function caseOf(options: SuiteOptions, subscribers: number, batchBytes: number): ScenarioCase {
  const [valueBytes = VALUE_BYTES] = options.valueBytes;
  const shape = { valueBytes, batchBytes, lingerMs: lingerOf(options, batchBytes) };
  const batches = Math.ceil((2 * batchBytes) / valueBytes);
  const windowRecords = Math.max(
    batches,
    Math.min(WINDOW_RECORDS_MAX, Math.ceil(WINDOW_DELIVERIES / subscribers)),
  );
  return {
    durability: "memory",
    partitions: 1,
    parameters: { ...shape, producers: 1, subscribers },
    native: { ...shape, producers: 1, consumers: subscribers, partitions: 1, recordsPerSecond: null },
    measure: (run) =>
      runWindowed(run, {
        settings: run.driverSettings({ ...shape, mode: "live" }),
        consumers: subscribers,
        copies: subscribers,
        windowRecords,
        beside: (durationMs) => pingBeside(run, durationMs),
      }),
  };
}
