import type { Durability } from "@millrace/load";
import type { ScenarioName, Subject } from "../../suite/subjects/subject.ts";
import { missingPrograms } from "../peer-programs.ts";
import { type JetStreamPublish, natsBenchCore, natsBenchJetStream } from "./nats-bench.ts";
import { startNatsServer } from "./nats-server.ts";

const CORE_SCENARIOS: readonly ScenarioName[] = [
  "pinned-producer",
  "end-to-end",
  "fan-out",
  "fan-in",
  "request-reply",
  "many-topics",
  "idle-connections",
  "unbatched-latency",
];
const JETSTREAM_SCENARIOS: readonly ScenarioName[] = [
  "pinned-producer",
  "pinned-consumer",
  "end-to-end",
  "fan-out",
  "fan-in",
  "queue",
  "replay",
  "unbatched-latency",
];

const pinger: string = new URL("./nats-pinger.js", import.meta.url).href;
const available = (): Promise<string | undefined> => Promise.resolve(missingPrograms("nats-server"));

const core: Subject = {
  name: "nats-core",
  kind: "client",
  driver: new URL("./nats-core-driver.js", import.meta.url).href,
  durabilities: ["memory"],
  supports: (scenario) => CORE_SCENARIOS.includes(scenario),
  available,
  start: (context) => startNatsServer(context, false),
  pinger,
  nativeTools: [natsBenchCore],
};

const RAW_SCENARIOS: readonly ScenarioName[] = [
  "pinned-producer",
  "end-to-end",
  "fan-out",
  "fan-in",
  "unbatched-latency",
];

const rawCore: Subject = {
  ...core,
  nativeTools: undefined,
  kind: "raw",
  driver: new URL("./nats-raw-driver.js", import.meta.url).href,
  supports: (scenario) => RAW_SCENARIOS.includes(scenario),
};

function jetstreamSubject(name: string, driver: URL, native: JetStreamPublish): Subject {
  return {
    name,
    kind: "client",
    driver: driver.href,
    durabilities: ["memory", "written", "fsynced"],
    supports: (scenario) => JETSTREAM_SCENARIOS.includes(scenario),
    available,
    start: (context) => startNatsServer(context, true),
    pinger,
    nativeTools: [natsBenchJetStream(native)],
    driverOptions: (scenario: ScenarioName, _durability: Durability) => ({ workQueue: scenario === "queue" }),
  };
}

export const natsSubjects: readonly Subject[] = [
  core,
  rawCore,
  jetstreamSubject("jetstream", new URL("./jetstream-driver.js", import.meta.url), "async"),
  jetstreamSubject("jetstream-fast", new URL("./jetstream-fast-driver.js", import.meta.url), "fast"),
];
