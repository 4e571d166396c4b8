import { backlogRecords, publishBacklog, readBacklog } from "../run/backlog.ts";
import { BATCH_BYTES, chosen, combinations, lingerOf, type Scenario, valueSizes } from "./scenario.ts";

const PARTITIONS = 8;
const CONSUMERS: readonly number[] = [2];

/** Members of one group share out the partitions of one topic. */
export const balancedConsumer: Scenario = {
  name: "balanced-consumer",
  description: "a backlog is read by the members of one group, who share out its partitions",
  cases: (options) =>
    combinations(valueSizes(options), chosen(options.consumers, CONSUMERS)).map(([valueBytes, consumers]) => {
      const { partitions = PARTITIONS, durabilities } = options;
      const [batchBytes = BATCH_BYTES] = options.batchBytes;
      const [durability = "written"] = durabilities;
      const shape = { valueBytes, batchBytes, lingerMs: lingerOf(options, batchBytes) };
      return {
        durability,
        partitions,
        parameters: { ...shape, consumers, partitions },
        accepts: (subject) => subject.kind === "client",
        measure: async (run) => {
          const records = backlogRecords(run, valueBytes);
          const target = "bench";
          await publishBacklog(run, { target, records, settings: shape });
          await run.running.settle?.();
          const settings = run.driverSettings({ ...shape, target, from: "earliest" });
          const options = { ...settings.options, balanced: true };
          const task = run.task({ role: "consume", settings: { ...settings, options } });
          return await readBacklog(run, Array<typeof task>(consumers).fill(task), records);
        },
      };
    }),
};
