import { delay } from "@millrace/load/internal";
import type {
  NativeRequest,
  NativeResult,
  NativeTool,
  RunningSubject,
  ScenarioName,
} from "../../suite/subjects/subject.ts";
import { recordsFor } from "../calibrated-run.ts";
import { missingPrograms, programPath } from "../peer-programs.ts";
import { endedChildrenCpuSeconds, runTool } from "../program-output.ts";
import { type NatsBenchOutput, parseNatsBench } from "./nats-bench-output.ts";

/** Subscribers and services are there before the first message: the tool says nothing when they are. */
const SUBSCRIBED_MS = 700;
const TOOL_TIMEOUT_MS = 180_000;
const STREAM = "bench-native";
const SUBJECT = "bench.native";

/** How JetStream is published to: `async` waits for acks of 500 at a time, `fast` is the fast ingest of 2.14. */
export type JetStreamPublish = "async" | "fast";
/** Best of 500 to 4,000, and for `fast` of 1 to 3 outstanding acks. */
const PUBLISH_ARGS: Readonly<Record<JetStreamPublish, readonly string[]>> = {
  async: ["async", "--batch", "500"],
  fast: ["fast", "--batch", "500", "--max-outstanding-acks", "2"],
};

/** One run of `nats bench`: the commands, and which of their outputs is the result. */
class NatsBenchRun {
  readonly settings: Set<string> = new Set();
  readonly #running: RunningSubject;
  readonly #request: NativeRequest;

  constructor(running: RunningSubject, request: NativeRequest) {
    this.#running = running;
    this.#request = request;
  }

  async bench(args: readonly string[], options: readonly (string | number)[]): Promise<NatsBenchOutput> {
    return parseNatsBench(await this.#tool(["bench", ...args, ...options.map(String)]));
  }

  /** @throws Error when the tool fails; it ends by itself */
  async #tool(args: readonly string[]): Promise<string> {
    const { host, port } = this.#running.endpoint;
    const whole = ["--server", `nats://${host}:${port}`, "--no-context", ...args, "--no-progress"];
    this.settings.add(`nats ${args.join(" ").replace(/--msgs \d+/, "--msgs N")}`);
    // Its contexts and reports stay in the folder of the run.
    const env = { XDG_CONFIG_HOME: this.#request.folder, XDG_CACHE_HOME: this.#request.folder };
    const program = programPath("nats");
    return await runTool(this.#request.children, program, whole, { timeoutMs: TOOL_TIMEOUT_MS, env });
  }
}

type Measure = (run: NatsBenchRun, request: NativeRequest, records: number) => Promise<NatsBenchOutput>;

const publishCore: Measure = (run, { valueBytes, producers }, records) =>
  run.bench(["pub", SUBJECT], ["--size", `${valueBytes}B`, "--clients", producers, "--msgs", records]);

const subscribeCore: Measure = async (run, request, records) => {
  const { valueBytes, consumers } = request;
  const size = ["--size", `${valueBytes}B`, "--msgs", records];
  const received = run.bench(["sub", SUBJECT], [...size, "--clients", consumers]);
  await delay(SUBSCRIBED_MS);
  const [output] = await Promise.all([received, publishCore(run, { ...request, producers: 1 }, records)]);
  return output;
};

function publishStream(how: JetStreamPublish): Measure {
  return (run, { valueBytes, producers, durability }, records) =>
    run.bench(
      ["js", "pub", ...PUBLISH_ARGS[how], SUBJECT],
      [
        ...["--size", `${valueBytes}B`, "--clients", producers, "--msgs", records],
        ...["--create", "--purge", "--stream", STREAM],
        ...["--storage", durability === "memory" ? "memory" : "file", "--maxbytes", "2GB"],
      ],
    );
}

/** A durable consumer, explicit acks (not waited for), while a publisher publishes. */
function consumeQueue(how: JetStreamPublish): Measure {
  return async (run, request, records) => {
    const { valueBytes, durability } = request;
    const publish = ["js", "pub", ...PUBLISH_ARGS[how], SUBJECT];
    const stream = ["--stream", STREAM, "--storage", durability === "memory" ? "memory" : "file"];
    const size = ["--size", `${valueBytes}B`];
    // The stream must be there for the consumer; the two messages that make it are counted.
    const made = 2;
    const all = [...stream, "--maxbytes", "2GB", ...size];
    await run.bench(publish, [...all, "--create", "--purge", "--msgs", made]);
    const consumer = ["--stream", STREAM, "--batch", 500, "--acks", "explicit", ...size, "--msgs", records];
    // The tool's own durable consumer: it makes no other. The purge takes from it what an earlier run left.
    const consumed = run.bench(["js", "consume"], consumer);
    const [output] = await Promise.all([consumed, run.bench(publish, [...all, "--msgs", records - made])]);
    return output;
  };
}

/** Requesters and one service, both of the tool; each requester has one request under way. */
const requestReply: Measure = async (run, { valueBytes, producers }, records) => {
  const size = ["--size", `${valueBytes}B`, "--msgs", records];
  return await run.bench(["service", "request", SUBJECT], [...size, "--clients", producers]);
};

const CORE: Partial<Record<ScenarioName, Measure>> = {
  "pinned-producer": publishCore,
  "end-to-end": subscribeCore,
  "fan-out": subscribeCore,
  "request-reply": requestReply,
};

/** Each client of the tool is a connection with buffers of megabytes and two threads' work; more only measure the tool. */
const CLIENTS_MAX = 100;

function natsBench(name: string, measures: Partial<Record<ScenarioName, Measure>>): NativeTool {
  return {
    name,
    language: "Go",
    supports: (scenario, { producers, consumers, recordsPerSecond }) =>
      measures[scenario] !== undefined &&
      recordsPerSecond === null &&
      Math.max(producers, consumers) <= CLIENTS_MAX &&
      missingPrograms("nats") === undefined,
    run: async (running, request) => {
      const measure = measures[request.scenario];
      if (measure === undefined) throw new Error(`no such run: scenario=${request.scenario}`);
      const run = new NatsBenchRun(running, request);
      const service = request.scenario === "request-reply" ? startService(running, request) : undefined;
      if (service !== undefined) await delay(SUBSCRIBED_MS);
      try {
        const { durationMs, valueBytes } = request;
        const records = await recordsFor(durationMs, valueBytes, async (trial) => {
          const { messagesPerSecond } = await measure(run, request, trial);
          return messagesPerSecond / (request.scenario === "fan-out" ? request.consumers : 1);
        });
        const cpuBefore = endedChildrenCpuSeconds();
        const output = await measure(run, request, records);
        return resultOf(request, output, records, run.settings, endedChildrenCpuSeconds() - cpuBefore);
      } finally {
        if (service !== undefined) await request.children.end(service);
      }
    },
  };
}

function startService({ endpoint }: RunningSubject, { children, folder, valueBytes }: NativeRequest): number {
  const child = children.spawn(
    programPath("nats"),
    [
      ...["--server", `nats://${endpoint.host}:${endpoint.port}`, "--no-context"],
      ...["bench", "service", "serve", SUBJECT, "--size", `${valueBytes}B`, "--no-progress"],
    ],
    { ...process.env, XDG_CONFIG_HOME: folder, XDG_CACHE_HOME: folder },
  );
  child.stdout?.resume();
  child.stderr?.resume();
  return child.pid as number;
}

function resultOf(
  request: NativeRequest,
  { messagesPerSecond, latency }: NatsBenchOutput,
  records: number,
  settings: ReadonlySet<string>,
  clientCpuSeconds: number,
): NativeResult {
  const deliveries = request.scenario === "fan-out";
  const recordsPerSecond = deliveries ? messagesPerSecond / request.consumers : messagesPerSecond;
  return {
    recordsPerSecond,
    ...(deliveries ? { deliveriesPerSecond: messagesPerSecond } : {}),
    seconds: records / recordsPerSecond,
    records,
    // A service ends later, and its CPU would be missing.
    ...(request.scenario === "request-reply"
      ? { ...(latency === undefined ? {} : { latency }) }
      : { clientCpuSeconds }),
    settings: [...settings],
  };
}

export const natsBenchCore: NativeTool = natsBench("nats bench", CORE);

export function natsBenchJetStream(how: JetStreamPublish): NativeTool {
  return natsBench(`nats bench js (${how})`, {
    "pinned-producer": publishStream(how),
    queue: consumeQueue(how),
  });
}
