import { backlogRecords, publishBacklog, readBacklog } from "../run/backlog.ts";
import { coolDown } from "../run/cold-data.ts";
import { BATCH_BYTES, chosen, combinations, lingerOf, type Scenario, valueSizes } from "./scenario.ts";

/** Times the plan's backlog. */
const BACKLOGS = 4;

/** A log is read from its beginning after a restart, when nothing of it is in memory. */
export const replay: Scenario = {
  name: "replay",
  description: "a cold log is read from its beginning, after a restart of the broker",
  cases: (options) =>
    combinations(valueSizes(options), chosen(options.durabilities, ["written"] as const)).map(
      ([valueBytes, durability]) => {
        const { partitions = 1 } = options;
        const [batchBytes = BATCH_BYTES] = options.batchBytes;
        const shape = { valueBytes, batchBytes, lingerMs: lingerOf(options, batchBytes) };
        return {
          durability,
          partitions,
          parameters: { ...shape, consumers: 1, partitions },
          accepts: () => durability !== "memory",
          measure: async (run) => {
            const records = backlogRecords(run, valueBytes) * BACKLOGS;
            const target = "bench";
            await publishBacklog(run, { target, records, settings: shape });
            await run.running.settle?.();
            await run.stop();
            await coolDown(run);
            await run.start();
            const task = run.task({ role: "consume", settings: { ...shape, target, from: "earliest" } });
            return await readBacklog(run, [task], records);
          },
        };
      },
    ),
};
