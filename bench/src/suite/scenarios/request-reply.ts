import { repetition } from "../run/steady-state.ts";
import { chosen, combinations, type Scenario, VALUE_BYTES } from "./scenario.ts";

/** One at a time shows the latency, many at a time the rate. */
const REQUESTS_AT_ONCE: readonly number[] = [1, 64];

export const requestReply: Scenario = {
  name: "request-reply",
  description: "one requester, one responder that echoes: one request at a time, and 64",
  cases: (options) =>
    combinations(chosen(options.durabilities, ["memory"] as const), REQUESTS_AT_ONCE).map(
      ([durability, requestsAtOnce]) => {
        const [valueBytes = VALUE_BYTES] = options.valueBytes;
        const shape = { valueBytes, batchBytes: 0, lingerMs: 0, mode: "queue" as const };
        return {
          durability,
          partitions: 1,
          parameters: { valueBytes, requestsAtOnce },
          accepts: (subject) => subject.kind === "client",
          measure: (run) =>
            repetition(run, [
              run.task({ role: "respond", settings: shape }),
              run.task({ role: "request", inFlightMax: requestsAtOnce, settings: shape }),
            ]),
        };
      },
    ),
};
