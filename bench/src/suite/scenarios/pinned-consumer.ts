import { backlogRecords, publishBacklog, readBacklog } from "../run/backlog.ts";
import { coolDown } from "../run/cold-data.ts";
import type { SuiteOptions } from "../run/suite-options.ts";
import {
  BATCH_BYTES,
  chosen,
  combinations,
  lingerOf,
  type Scenario,
  type ScenarioCase,
  valueSizes,
} from "./scenario.ts";

/** Each consumer reads a topic of its own from its beginning, which was published before. */
export const pinnedConsumer: Scenario = {
  name: "pinned-consumer",
  description: "a backlog is read by one consumer a topic, from memory and from disk",
  cases: (options) =>
    combinations(valueSizes(options), chosen(options.durabilities, ["written"] as const)).flatMap(
      ([valueBytes, durability]) =>
        (durability === "memory" ? [false] : [false, true]).map((cold) => ({
          ...caseOf(options, valueBytes, cold),
          durability,
        })),
    ),
};

function caseOf(options: SuiteOptions, valueBytes: number, cold: boolean): Omit<ScenarioCase, "durability"> {
  const { partitions = 1 } = options;
  const [batchBytes = BATCH_BYTES] = options.batchBytes;
  const [consumers = 1] = options.consumers;
  const shape = { valueBytes, batchBytes, lingerMs: lingerOf(options, batchBytes) };
  return {
    partitions,
    parameters: { ...shape, consumers, partitions, cold },
    native: { ...shape, producers: 0, consumers, partitions, recordsPerSecond: null },
    measure: async (run) => {
      const records = backlogRecords(run, valueBytes);
      const targets = Array.from({ length: consumers }, (_, index) => `bench-${index}`);
      for (const target of targets) await publishBacklog(run, { target, records, settings: shape });
      await run.running.settle?.();
      if (cold) await coolDown(run);
      const tasks = targets.map((target) =>
        run.task({ role: "consume", settings: { ...shape, target, from: "earliest" } }),
      );
      return await readBacklog(run, tasks, records * consumers);
    },
  };
}
