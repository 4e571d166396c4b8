import type { Durability } from "@millrace/load";
import { doorbellRow } from "../run/doorbell-row.ts";
import { repetition } from "../run/steady-state.ts";
import type { SuiteOptions } from "../run/suite-options.ts";
import {
  chosen,
  combinations,
  DURABILITIES,
  type Scenario,
  type ScenarioCase,
  VALUE_BYTES,
} from "./scenario.ts";

const RECORDS_PER_SECOND = 10_000;

/** Latency at a rate that nobody finds hard: each record due at its own moment, and sent as a frame of its own. */
export const unbatchedLatency: Scenario = {
  name: "unbatched-latency",
  description: "latency from publisher to consumer at 10,000 records/s, one record a frame, fixed schedule",
  cases: (options) =>
    combinations(chosen(options.durabilities, DURABILITIES), chosen(options.rates, [RECORDS_PER_SECOND])).map(
      ([durability, rate]) => caseOf(options, durability, rate),
    ),
  yardstick: async (context) => [await doorbellRow(context)],
};

function caseOf(options: SuiteOptions, durability: Durability, recordsPerSecond: number): ScenarioCase {
  const [valueBytes = VALUE_BYTES] = options.valueBytes;
  const { partitions = 1 } = options;
  const shape = { valueBytes, batchBytes: 0, lingerMs: 0 };
  return {
    durability,
    partitions,
    parameters: { ...shape, producers: 1, consumers: 1, partitions, recordsPerSecond },
    accepts: (subject) => subject.kind === "client",
    measure: (run) =>
      repetition(run, [
        run.task({ role: "publish", recordsPerSecond, burst: 1, settings: { ...shape, stamped: true } }),
        run.task({ role: "consume", recordsPerSecond, settings: { ...shape, stamped: true } }),
      ]),
  };
}
