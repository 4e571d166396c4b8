import type { Durability } from "@millrace/load";
import type { NativeTool, ScenarioName, Subject } from "../../suite/subjects/subject.ts";
import { perfTest } from "./perf-test.ts";
import { missingRabbitMq, startRabbitMq } from "./rabbitmq-server.ts";
import { streamLoad } from "./stream-load.ts";

const AMQP_DRIVER = new URL("./amqp-driver.js", import.meta.url).href;
const STREAM_DRIVER = new URL("./stream-driver.js", import.meta.url).href;

/** Not reading a backlog or reading it again: a queue is empty after that, and is made to be so all the time. */
const QUEUE_SCENARIOS: readonly ScenarioName[] = [
  "pinned-producer",
  "end-to-end",
  "fan-in",
  "queue",
  "unbatched-latency",
];
const STREAM_SCENARIOS: readonly ScenarioName[] = [
  "pinned-producer",
  "pinned-consumer",
  "end-to-end",
  "fan-out",
  "fan-in",
  "replay",
  "catch-up",
  "unbatched-latency",
];

const PUBLISHING =
  "amqplib: one channel a connection, confirms, at most 2,000 unconfirmed (of 500 to 10,000 none was clearly faster)";
const CONSUMING =
  "amqplib: queue: prefetch as many as slots, one ack for a quarter of them or after 5 ms; otherwise automatic acks";

interface Kind {
  readonly name: string;
  readonly durabilities: readonly Durability[];
  readonly driver: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly scenarios: readonly ScenarioName[];
  readonly nativeTools: readonly NativeTool[];
  settings(durability: Durability): readonly string[];
}

/** What a confirm of a classic queue means, as seen with `strace` on 3.10. */
const CLASSIC_CONFIRM: Readonly<Record<Durability, string>> = {
  memory: "classic queue, durable, transient messages: a confirm says that the queue has it in memory",
  written: "classic queue of version 2, persistent messages: 3.10 confirms without an fsync",
  fsynced:
    "classic queue of version 1 (the default of 3.10), persistent messages: it confirms behind an fsync",
};

const KINDS: readonly Kind[] = [
  {
    name: "rabbitmq-classic",
    durabilities: ["memory", "written", "fsynced"],
    driver: AMQP_DRIVER,
    options: { queueType: "classic" },
    scenarios: [...QUEUE_SCENARIOS, "fan-out", "request-reply"],
    nativeTools: [perfTest("classic")],
    settings: (durability) => [CLASSIC_CONFIRM[durability], PUBLISHING, CONSUMING],
  },
  {
    name: "rabbitmq-quorum",
    durabilities: ["fsynced"],
    driver: AMQP_DRIVER,
    options: { queueType: "quorum" },
    scenarios: QUEUE_SCENARIOS,
    nativeTools: [perfTest("quorum")],
    settings: () => ["quorum queue of one member: it confirms behind an fdatasync", PUBLISHING, CONSUMING],
  },
  {
    name: "rabbitmq-stream",
    durabilities: ["written"],
    driver: STREAM_DRIVER,
    options: {},
    scenarios: STREAM_SCENARIOS,
    nativeTools: [streamLoad],
    settings: () => [
      "stream: it confirms from the page cache, and never syncs",
      "at most 10,000 unconfirmed",
    ],
  },
];

export const rabbitMqSubjects: readonly Subject[] = KINDS.map((kind) => ({
  name: kind.name,
  kind: "client",
  driver: kind.driver,
  durabilities: kind.durabilities,
  // Requests and replies are transient.
  supports: (scenario, durability) =>
    kind.scenarios.includes(scenario) && (scenario !== "request-reply" || durability === "memory"),
  available: () => Promise.resolve(missingRabbitMq()),
  async start(context) {
    const running = await startRabbitMq(context);
    return { ...running, settings: [...running.settings, ...kind.settings(context.durability)] };
  },
  nativeTools: kind.nativeTools,
  driverOptions: () => kind.options,
}));
