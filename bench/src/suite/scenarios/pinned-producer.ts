import type { Durability } from "@millrace/load";
import { publishRepetition } from "../run/steady-state.ts";
import type { SuiteOptions } from "../run/suite-options.ts";
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

/** Ingest: each producer publishes to a topic of its own, as fast as its records are acknowledged. */
export const pinnedProducer: Scenario = {
  name: "pinned-producer",
  description: "ingest: each producer publishes to a topic of its own",
  cases: (options) =>
    combinations(valueSizes(options), chosen(options.durabilities, DURABILITIES)).flatMap(
      ([valueBytes, durability]) =>
        batches(options, durability).flatMap((batchBytes) =>
          chosen(options.rates, [null]).map((rate) =>
            caseOf(options, valueBytes, batchBytes, durability, rate),
          ),
        ),
    ),
};

/** One record a frame beside, where batching alone may decide. */
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
  const { producers = 1, partitions = 1 } = options;
  const lingerMs = lingerOf(options, batchBytes);
  const shape = { valueBytes, batchBytes, lingerMs };
  const offered = recordsPerSecond === null ? {} : { recordsPerSecond };
  return {
    durability,
    partitions,
    parameters: { ...shape, producers, partitions, ...offered },
    accepts: (subject) => recordsPerSecond === null || subject.kind === "client",
    native: { ...shape, producers, consumers: 0, partitions, recordsPerSecond },
    measure: (run) =>
      publishRepetition(
        run,
        Array.from({ length: producers }, (_, index) =>
          run.task({
            role: "publish",
            recordsPerSecond: recordsPerSecond === null ? null : recordsPerSecond / producers,
            settings: { ...shape, target: `bench-${index}`, stamped: recordsPerSecond !== null },
          }),
        ),
      ),
  };
}
