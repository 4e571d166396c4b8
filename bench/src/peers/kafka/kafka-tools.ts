import { monotonicMs } from "@millrace/load/internal";
import type { NativeRequest, NativeTool, RunningSubject } from "../../suite/subjects/subject.ts";
import { brokerCpuSeconds, classPath, runJavaTool } from "../java/java-program.ts";
import { driver } from "./kafka-driver.ts";
import {
  readConsumerPerformance,
  readConsumerProgress,
  readEndToEndLatency,
  readProducerPerformance,
} from "./kafka-tool-output.ts";

const TIMEOUT_MS = 180_000;
/**
 * What the tools are assumed to do, to choose their number of records by the time that they should take. On two cores a
 * broker that has just started does a third of its rate in the first seconds, until its code is compiled.
 */
const ASSUMED_RECORDS_PER_SECOND = 400_000;
const ASSUMED_BYTES_PER_SECOND = 200_000_000;
/** fsynced: of batches, each with an fsync. */
const ASSUMED_SYNCED_BATCHES_PER_SECOND = 500;
/** Until the rate of a new JVM is steady: records before the measured ones, in shares of those. */
const WARM_UP_SHARE = 0.75;
/** At least, at saturation: a tool in a new JVM took several times the CPU for a record until then. */
const WARM_UP_RECORDS = 2_500_000;
const WARM_UP_BYTES = 1024 ** 3;
const LATENCY_RECORDS = 20_000;
const JVM = ["-Xms512m", "-Xmx512m", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"];

/** Of kafka-producer-perf-test; the Java client's own limits on the size of a batch and of its buffer. */
const producerPerf: NativeTool = {
  name: "kafka-producer-perf-test",
  language: "Java",
  supports: (scenario, request) =>
    (scenario === "pinned-producer" || scenario === "unbatched-latency") && request.producers === 1,
  async run(running, request) {
    const topic = await makeTopic(running, request, "producer-perf");
    const records = recordsFor(request);
    const warmUp = warmUpFor(request, records);
    const args = producerArgs(running, request, topic, records + warmUp, warmUp);
    const { lines, cpuSeconds, brokerCpuSeconds } = await runTool(running, request, args);
    const { recordsPerSecond, latency, records: measured } = readProducerPerformance(lines);
    return {
      recordsPerSecond,
      records: records + warmUp,
      seconds: measured / recordsPerSecond,
      clientCpuSeconds: cpuSeconds,
      brokerCpuSeconds,
      latency,
      settings: [args.join(" ")],
      notes: [
        `warm-up of ${warmUp} records: a JVM is slow until its code is compiled`,
        "latency is that of the ack, from the call of send() and not from a schedule",
      ],
    };
  },
};

/** Both perf tools at the same time: what goes through. The consumer reads what the producer has just published. */
const throughPerf: NativeTool = {
  name: "kafka-producer-perf-test and kafka-consumer-perf-test",
  language: "Java",
  supports: (scenario, request) =>
    scenario === "end-to-end" && request.producers === 1 && request.recordsPerSecond === null,
  async run(running, request) {
    const topic = await makeTopic(running, request, "through");
    const records = recordsFor(request);
    const warmUp = warmUpFor(request, records);
    const produce = producerArgs(running, request, topic, records + warmUp, warmUp);
    const consume = consumerArgs(running, topic, records + warmUp);
    consume.push("--show-detailed-stats", "--reporting-interval", "500");
    const before = brokerCpuSeconds(running);
    const [consumer, producer] = await Promise.all([
      runTool(running, request, consume),
      runTool(running, request, produce),
    ]);
    return {
      recordsPerSecond: Math.min(
        readProducerPerformance(producer.lines).recordsPerSecond,
        readConsumerProgress(consumer.lines, warmUp),
      ),
      records: records + warmUp,
      clientCpuSeconds: consumer.cpuSeconds + producer.cpuSeconds,
      brokerCpuSeconds: brokerCpuSeconds(running) - before,
      settings: [produce.join(" "), consume.join(" ")],
      notes: [`the slower of both tools, behind a warm-up of ${warmUp} records`],
    };
  },
};

/** kafka-consumer-perf-test on a topic that its producer tool has filled. */
const consumerPerf: NativeTool = {
  name: "kafka-consumer-perf-test",
  language: "Java",
  supports: (scenario, request) =>
    (scenario === "pinned-consumer" || scenario === "replay") && request.consumers === 1,
  async run(running, request) {
    const topic = await makeTopic(running, request, "consumer-perf");
    const records = recordsFor(request);
    await runTool(running, request, producerArgs(running, request, topic, records, 0));
    const args = consumerArgs(running, topic, records);
    // The first reading warms the broker up, whose code for fetches is compiled by then; the tool itself is new each time.
    await runTool(running, request, args);
    const { lines, cpuSeconds, brokerCpuSeconds } = await runTool(running, request, args);
    const { recordsPerSecond, seconds, records: consumed } = readConsumerPerformance(lines);
    return {
      recordsPerSecond,
      records: consumed,
      seconds,
      clientCpuSeconds: cpuSeconds,
      brokerCpuSeconds,
      settings: [args.join(" ")],
      notes: ["the time to join its group is left out; the tool's own warm-up is in the figure"],
    };
  },
};

/** kafka-e2e-latency: one record at a time, so it says what one record takes alone, not what a schedule would see. */
const endToEndLatency: NativeTool = {
  name: "kafka-e2e-latency",
  language: "Java",
  supports: (scenario) => scenario === "unbatched-latency",
  async run(running, request) {
    const topic = await makeTopic(running, request, "latency");
    const args = ["org.apache.kafka.tools.EndToEndLatency", addressOf(running), topic];
    args.push(String(LATENCY_RECORDS), "all", String(request.valueBytes));
    const startMs = monotonicMs();
    const { lines, cpuSeconds, brokerCpuSeconds } = await runTool(running, request, args);
    const seconds = (monotonicMs() - startMs) / 1000;
    const { p50, p99 } = readEndToEndLatency(lines);
    return {
      recordsPerSecond: LATENCY_RECORDS / seconds,
      records: LATENCY_RECORDS,
      seconds,
      clientCpuSeconds: cpuSeconds,
      brokerCpuSeconds,
      latency: { p50, p99 },
      settings: [args.join(" ")],
      notes: ["one record at a time, the next when it has come back: no schedule, no queueing"],
    };
  },
};

export const kafkaTools: readonly NativeTool[] = [producerPerf, throughPerf, consumerPerf, endToEndLatency];

function producerArgs(
  running: RunningSubject,
  request: NativeRequest,
  topic: string,
  records: number,
  warmUp: number,
): string[] {
  const args = ["org.apache.kafka.tools.ProducerPerformance", "--bootstrap-server", addressOf(running)];
  args.push("--topic", topic, "--num-records", String(records), "--record-size", String(request.valueBytes));
  args.push("--throughput", String(request.recordsPerSecond ?? -1));
  if (warmUp > 0) args.push("--warmup-records", String(warmUp));
  const properties = [
    "acks=all",
    `batch.size=${request.batchBytes}`,
    `linger.ms=${request.lingerMs}`,
    "buffer.memory=67108864",
    "send.buffer.bytes=-1",
  ];
  for (const property of properties) args.push("--command-property", property);
  return args;
}

/** Short runs need no shorter warm-up, large values reach their limit with fewer records. */
function warmUpFor(request: NativeRequest, records: number): number {
  const share = Math.round(records * WARM_UP_SHARE);
  if (request.recordsPerSecond !== null) return share;
  return Math.max(share, Math.min(WARM_UP_RECORDS, Math.round(WARM_UP_BYTES / request.valueBytes)));
}

function consumerArgs(running: RunningSubject, topic: string, records: number): string[] {
  const args = ["org.apache.kafka.tools.ConsumerPerformance", "--topic", topic];
  args.push("--bootstrap-server", addressOf(running), "--num-records", String(records));
  args.push("--timeout", "30000", "--command-property", "receive.buffer.bytes=-1");
  return args;
}

/** As many as take about the time that the request asks for. */
function recordsFor(request: NativeRequest): number {
  const seconds = request.durationMs / 1000;
  if (request.recordsPerSecond !== null) return Math.ceil(request.recordsPerSecond * seconds);
  const perBatch = Math.max(1, Math.floor(request.batchBytes / (request.valueBytes + 12)));
  const rates = [ASSUMED_RECORDS_PER_SECOND, ASSUMED_BYTES_PER_SECOND / request.valueBytes];
  if (request.durability === "fsynced") rates.push(ASSUMED_SYNCED_BATCHES_PER_SECOND * perBatch);
  return Math.ceil(Math.min(...rates) * seconds);
}

async function makeTopic(running: RunningSubject, request: NativeRequest, name: string): Promise<string> {
  // A run of its own must not find the records of the one before.
  const target = `${name}-${process.pid}-${Math.round(monotonicMs())}`;
  await driver.prepare({
    endpoint: running.endpoint,
    target,
    partitions: request.partitions,
    durability: request.durability,
    valueBytes: request.valueBytes,
    batchBytes: request.batchBytes,
    lingerMs: request.lingerMs,
    stamped: false,
    mode: "stream",
    from: "earliest",
    subscription: "",
    slots: 0,
    options: {},
  });
  return target;
}

async function runTool(
  running: RunningSubject,
  request: NativeRequest,
  args: readonly string[],
): Promise<{ lines: readonly string[]; cpuSeconds: number; brokerCpuSeconds: number }> {
  const before = brokerCpuSeconds(running);
  const tool = {
    children: request.children,
    jvm: JVM,
    classPath: classPath("kafka"),
    args,
    timeoutMs: TIMEOUT_MS,
  };
  const result = await runJavaTool(tool);
  return { ...result, brokerCpuSeconds: brokerCpuSeconds(running) - before };
}

function addressOf(running: RunningSubject): string {
  return `${running.endpoint.host}:${running.endpoint.port}`;
}
