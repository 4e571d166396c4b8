import { fileURLToPath } from "node:url";
import type { NativeTool } from "../../suite/subjects/subject.ts";
import { brokerCpuSeconds, classPath, missingJava, runJavaTool } from "../java/java-program.ts";
import { readRateLines } from "./rate-lines.ts";
import { steadySummary, WARM_UP_SECONDS } from "./steady-summary.ts";

/** From bench/dist/src/peers/rabbitmq to the source, which the JVM compiles itself. */
const PROGRAM = fileURLToPath(new URL("../../../../src/peers/rabbitmq/StreamLoad.java", import.meta.url));
const JVM = ["-Xms512m", "-Xmx512m"];
const END_TIMEOUT_MS = 60_000;
/** The Java client's default. */
const UNCONFIRMED_MAX = 10_000;
/** Messages that go as one entry of the stream where the client batches: with 20 it is about twice as fast as with 1. */
const SUB_ENTRY_MESSAGES = 20;

/** The stand-in for stream-perf-test: the same client, in Java. */
export const streamLoad: NativeTool = {
  name: "RabbitMQ stream client 1.11.0",
  language: "Java",
  supports: (scenario, request) =>
    missingJava("rabbitmq-stream", "stream-client") === undefined &&
    (scenario === "pinned-producer" || scenario === "end-to-end") &&
    request.producers === 1 &&
    request.recordsPerSecond === null,
  async run(running, request) {
    const { valueBytes, durationMs } = request;
    const batch = Math.max(1, Math.floor(request.batchBytes / valueBytes));
    const subEntry = batch >= 2 * SUB_ENTRY_MESSAGES ? SUB_ENTRY_MESSAGES : 1;
    const consumers = request.scenario === "pinned-producer" ? 0 : 1;
    const seconds = WARM_UP_SECONDS + Math.ceil(durationMs / 1000);
    const { host, streamPort } = running.endpoint;
    const stream = `stream-load-${process.pid}-${streamNumber++}`;
    const args = [host, streamPort, stream, seconds, valueBytes, batch, subEntry, UNCONFIRMED_MAX, consumers];
    const before = brokerCpuSeconds(running);
    const { lines, cpuSeconds } = await runJavaTool({
      children: request.children,
      jvm: JVM,
      classPath: classPath("rabbitmq-stream"),
      args: [PROGRAM, ...args.map(String)],
      timeoutMs: seconds * 1000 + END_TIMEOUT_MS,
    });
    return steadySummary(readRateLines(lines), request, {
      clientCpuSeconds: cpuSeconds,
      brokerCpuSeconds: brokerCpuSeconds(running) - before,
      settings: [
        `RabbitMQ stream client: batches of ${batch} messages, ${subEntry} an entry, ${UNCONFIRMED_MAX} unconfirmed, 10 credits`,
      ],
    });
  },
};

/** Two runs against one node must not share a stream. */
let streamNumber = 1;
