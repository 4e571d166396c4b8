import type { ConsumeMode, Durability } from "@millrace/load";
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

/** Messages that may be published and not acked: what is measured is a queue that is kept up with. */
const WINDOW_RECORDS = 50_000;
const KEYS = 1_000;

/** Publish, deliver, ack. */
export const queue: Scenario = {
  name: "queue",
  description: "publish, deliver and ack: a message counts when its ack is confirmed",
  cases: (options) =>
    combinations(valueSizes(options), chosen(options.durabilities, DURABILITIES)).map(
      ([valueBytes, durability]) => queueCase(options, "queue", valueBytes, durability, 0),
    ),
};

/** The same with keys: messages of one key go out one at a time and in order. */
export const keyedQueue: Scenario = {
  name: "keyed-queue",
  description: "the same with 1,000 keys, of which each has one message out at a time, in order",
  cases: (options) =>
    combinations(valueSizes(options), chosen(options.durabilities, ["fsynced"] as const)).map(
      ([valueBytes, durability]) => queueCase(options, "keyed", valueBytes, durability, KEYS),
    ),
};

function queueCase(
  options: SuiteOptions,
  mode: ConsumeMode,
  valueBytes: number,
  durability: Durability,
  keys: number,
): ScenarioCase {
  const { partitions = 1 } = options;
  const [batchBytes = BATCH_BYTES] = options.batchBytes;
  const [consumers = 1] = options.consumers;
  const shape = { valueBytes, batchBytes, lingerMs: lingerOf(options, batchBytes) };
  return {
    durability,
    partitions,
    parameters: { ...shape, producers: 1, consumers, partitions, ...(keys > 0 ? { keys } : {}) },
    native: { ...shape, producers: 1, consumers, partitions, recordsPerSecond: null },
    measure: (run) => {
      const settings = run.driverSettings({ ...shape, mode, from: "earliest" });
      return runWindowed(run, {
        settings: keys > 0 ? { ...settings, options: { ...settings.options, keys } } : settings,
        consumers,
        copies: 1,
        windowRecords: WINDOW_RECORDS,
        keys,
      });
    },
  };
}
