import type { ScenarioName, Subject } from "../../suite/subjects/subject.ts";
import { missingJava } from "../java/java-program.ts";
import { startKafka } from "./kafka-broker.ts";
import { kafkaTools } from "./kafka-tools.ts";

const SCENARIOS: readonly ScenarioName[] = [
  "pinned-producer",
  "pinned-consumer",
  "balanced-consumer",
  "end-to-end",
  "fan-out",
  "fan-in",
  "replay",
  "catch-up",
  "recovery",
  "unbatched-latency",
];

/** Apache Kafka: acks from the page cache by default, or synced. It has no way to ack from memory alone. */
export const kafkaSubjects: readonly Subject[] = [
  {
    name: "kafka",
    kind: "client",
    driver: new URL("./kafka-driver.js", import.meta.url).href,
    durabilities: ["written", "fsynced"],
    supports: (scenario) => SCENARIOS.includes(scenario),
    available: () => Promise.resolve(missingJava("kafka", "kafka-server")),
    start: startKafka,
    nativeTools: kafkaTools,
    // One request a record is more than this client can send: what Kafka's own client does with linger.ms=0.
    driverOptions: (scenario) => (scenario === "unbatched-latency" ? { coalesce: true } : {}),
  },
];
