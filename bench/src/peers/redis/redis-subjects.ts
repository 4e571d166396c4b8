import type { ScenarioName, Subject } from "../../suite/subjects/subject.ts";
import { missingPrograms } from "../peer-programs.ts";
import { redisBenchmarkAdd, redisBenchmarkPublish } from "./redis-benchmark.ts";
import { startRedisServer } from "./redis-server.ts";

const PUBSUB_SCENARIOS: readonly ScenarioName[] = [
  "pinned-producer",
  "end-to-end",
  "fan-out",
  "fan-in",
  "many-topics",
  "idle-connections",
  "unbatched-latency",
];
const STREAMS_SCENARIOS: readonly ScenarioName[] = [
  "pinned-producer",
  "pinned-consumer",
  "end-to-end",
  "fan-out",
  "fan-in",
  "queue",
  "replay",
  "unbatched-latency",
];

const pinger: string = new URL("./redis-pinger.js", import.meta.url).href;
const available = (): Promise<string | undefined> => Promise.resolve(missingPrograms("redis-server"));

const pubsub: Subject = {
  name: "redis-pubsub",
  kind: "client",
  driver: new URL("./redis-pubsub-driver.js", import.meta.url).href,
  durabilities: ["memory"],
  supports: (scenario) => PUBSUB_SCENARIOS.includes(scenario),
  available,
  start: startRedisServer,
  pinger,
  nativeTools: [redisBenchmarkPublish],
};

const streams: Subject = {
  name: "redis-streams",
  kind: "client",
  driver: new URL("./redis-streams-driver.js", import.meta.url).href,
  durabilities: ["memory", "written", "fsynced"],
  supports: (scenario) => STREAMS_SCENARIOS.includes(scenario),
  available,
  start: startRedisServer,
  pinger,
  nativeTools: [redisBenchmarkAdd],
};

const rawPubsub: Subject = {
  ...pubsub,
  nativeTools: undefined,
  kind: "raw",
  driver: new URL("./redis-raw-pubsub-driver.js", import.meta.url).href,
};

const rawStreams: Subject = {
  ...streams,
  nativeTools: undefined,
  kind: "raw",
  driver: new URL("./redis-raw-streams-driver.js", import.meta.url).href,
};

export const redisSubjects: readonly Subject[] = [pubsub, rawPubsub, streams, rawStreams];
