import type {
  NativeRequest,
  NativeResult,
  NativeTool,
  RunningSubject,
} from "../../suite/subjects/subject.ts";
import { brokerCpuSeconds, classPath, missingJava, runJavaTool } from "../java/java-program.ts";
import { readRateLines } from "./rate-lines.ts";
import { steadySummary, WARM_UP_SECONDS } from "./steady-summary.ts";

const JVM = ["-Xms512m", "-Xmx512m"];
const END_TIMEOUT_MS = 60_000;
/** Unconfirmed messages, prefetch and messages an ack. */
const UNCONFIRMED_MAX = 2000;
const PREFETCH = 1000;
const ACK_EVERY = 250;

/** PerfTest for one type of queues. */
export function perfTest(queueType: "classic" | "quorum"): NativeTool {
  return {
    name: "RabbitMQ PerfTest",
    language: "Java",
    supports: (scenario, request) =>
      missingJava("rabbitmq", "perf-test") === undefined &&
      (scenario === "pinned-producer" || scenario === "end-to-end" || scenario === "queue") &&
      request.producers === 1,
    run: (running, request) => run(running, request, queueType),
  };
}

async function run(
  running: RunningSubject,
  request: NativeRequest,
  queueType: "classic" | "quorum",
): Promise<NativeResult> {
  const args = perfTestArgs(running, request, queueType);
  const before = brokerCpuSeconds(running);
  const { lines, cpuSeconds } = await runJavaTool({
    children: request.children,
    jvm: JVM,
    classPath: classPath("rabbitmq"),
    args: ["com.rabbitmq.perf.PerfTest", ...args],
    timeoutMs: WARM_UP_SECONDS * 1000 + request.durationMs + END_TIMEOUT_MS,
  });
  return steadySummary(readRateLines(lines), request, {
    clientCpuSeconds: cpuSeconds,
    brokerCpuSeconds: brokerCpuSeconds(running) - before,
    settings: [`com.rabbitmq.perf.PerfTest ${args.join(" ")}`],
  });
}

function perfTestArgs(
  running: RunningSubject,
  request: NativeRequest,
  queueType: "classic" | "quorum",
): string[] {
  const { scenario, durability, valueBytes, recordsPerSecond } = request;
  const consumers = scenario === "pinned-producer" ? 0 : Math.max(1, request.consumers);
  const args = ["--uri", `amqp://${running.endpoint.host}:${running.endpoint.port}`];
  args.push("--producers", "1", "--consumers", String(consumers));
  args.push("--queue", `perf-test-${process.pid}-${queueNumber++}`, "--auto-delete", "false");
  args.push("--size", String(valueBytes), "--confirm", String(UNCONFIRMED_MAX));
  if (recordsPerSecond !== null) args.push("--rate", String(recordsPerSecond));
  if (scenario === "queue") args.push("--qos", String(PREFETCH), "--multi-ack-every", String(ACK_EVERY));
  else args.push("--autoack");
  if (queueType === "quorum") args.push("--quorum-queue");
  else if (durability !== "memory") args.push("--flag", "persistent");
  if (queueType === "classic" && durability === "written") args.push("--queue-args", "x-queue-version=2");
  const seconds = WARM_UP_SECONDS + Math.ceil(request.durationMs / 1000);
  args.push("--time", String(seconds), "--use-millis");
  return args;
}

/** Two runs against one node must not share a queue. */
let queueNumber = 1;
