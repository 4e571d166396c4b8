import { repetition } from "../run/steady-state.ts";
import { chosen, type Scenario, VALUE_BYTES } from "./scenario.ts";

const PRODUCERS = 1_000;

/** Many producers, each of which waits for the acknowledgement of its one record before it sends the next. */
export const fanIn: Scenario = {
  name: "fan-in",
  description: "1,000 producers of one record each, sent anew when it is acknowledged",
  cases: (options) =>
    chosen(options.durabilities, ["memory", "fsynced"] as const).map((durability) => {
      const [valueBytes = VALUE_BYTES] = options.valueBytes;
      const { producers = PRODUCERS, partitions = 1 } = options;
      const shape = { valueBytes, batchBytes: 0, lingerMs: 0 };
      return {
        durability,
        partitions,
        parameters: { ...shape, producers, partitions },
        native: { ...shape, producers, consumers: 0, partitions, recordsPerSecond: null },
        measure: (run) =>
          repetition(run, [
            run.task({ role: "publish", connections: producers, inFlightMax: 1, burst: 1, settings: shape }),
          ]),
      };
    }),
};
