import { plainProcess } from "@millrace/load/internal";
import type { ScenarioName, Subject } from "../../suite/subjects/subject.ts";
import type { RelayServerCommands } from "./relay-server.ts";

const SCENARIOS: readonly ScenarioName[] = [
  "pinned-producer",
  "end-to-end",
  "fan-out",
  "fan-in",
  "request-reply",
  "unbatched-latency",
];

/** No broker: what forwarding alone costs on the same server library. */
export const relaySubject: Subject = {
  name: "relay",
  kind: "raw",
  driver: new URL("./relay-driver.js", import.meta.url).href,
  durabilities: ["memory"],
  supports: (scenario) => SCENARIOS.includes(scenario),
  available: () => Promise.resolve(undefined),
  start: async ({ children }) => {
    const relay = await children.fork<RelayServerCommands>(new URL("./relay-server.js", import.meta.url), {
      label: "relay",
    });
    const url = await relay.call("listen", null);
    return {
      endpoint: { url },
      processes: [plainProcess("broker", relay)],
      version: "uWebSockets.js 3.0.6 (npm:uwebsockets)",
      settings: [
        "relay: forwards frames to all subscribers and keeps nothing; one thread, no checks, no topics",
      ],
      stop: () => children.end(relay.pid),
    };
  },
};
