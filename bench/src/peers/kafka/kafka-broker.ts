import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RunningSubject, SubjectContext } from "../../suite/subjects/subject.ts";
import { classPath, jarVersion, runJavaTool } from "../java/java-program.ts";
import { programPath } from "../peer-programs.ts";
import { freePort, ServerProcess } from "../server-process.ts";
import { warmUpKafka } from "./kafka-warm-up.ts";

/** Any will do: it only has to be the same at the next start. Base64 of 16 bytes, without padding. */
const CLUSTER_ID = "bWlsbHJhY2UtYmVuY2gtMQ";
const FORMAT_TIMEOUT_MS = 60_000;
const START_TIMEOUT_MS = 120_000;

/** The heap and collector that Kafka's own start script sets. */
const JVM = [
  "-Xms1g",
  "-Xmx1g",
  "-server",
  "-XX:+UseG1GC",
  "-XX:MaxGCPauseMillis=20",
  "-XX:InitiatingHeapOccupancyPercent=35",
  "-XX:+ExplicitGCInvokesConcurrent",
  "-Djava.awt.headless=true",
];

/** Starts one node that is broker and controller (KRaft), with its log below the folder. */
export async function startKafka(context: SubjectContext): Promise<RunningSubject> {
  const { children, folder, durability, partitions } = context;
  const port = await freePort();
  const controllerPort = await freePort();
  const config = join(folder, "server.properties");
  const logging = join(folder, "log4j2.properties");
  const data = join(folder, "log");
  mkdirSync(folder, { recursive: true });
  writeFileSync(logging, LOGGING);
  const fsynced = durability === "fsynced";
  writeFileSync(config, properties(port, controllerPort, data, partitions, fsynced));
  const jvm = [`-Dlog4j2.configurationFile=${logging}`, ...JVM];
  const isNew = !existsSync(join(data, "meta.properties"));
  if (isNew) {
    const format = ["format", "--cluster-id", CLUSTER_ID, "--config", config, "--standalone"];
    await runJavaTool({
      children,
      jvm: [`-Dlog4j2.configurationFile=${logging}`],
      classPath: classPath("kafka"),
      args: ["kafka.tools.StorageTool", ...format],
      timeoutMs: FORMAT_TIMEOUT_MS,
    });
  }
  const server = await ServerProcess.start({
    children,
    label: "kafka",
    program: programPath("java"),
    args: [...jvm, "-cp", classPath("kafka"), "kafka.Kafka", config],
    port,
    startTimeoutMs: START_TIMEOUT_MS,
  });
  // Not where a broker continues with its data: how long that takes is measured.
  if (isNew) {
    try {
      await warmUpKafka(children, `127.0.0.1:${port}`);
    } catch (error) {
      await server.stop();
      throw error;
    }
  }
  const flush = fsynced
    ? "log.flush.interval.messages 1: an fsync after each append, before its ack"
    : "no fsync per append (the default): acks come from the page cache";
  return {
    endpoint: { host: "127.0.0.1", port },
    processes: [server.measured()],
    version: jarVersion("kafka", "kafka-server") ?? "unknown",
    settings: [
      "Kafka: one node, KRaft, broker and controller in one process, replication factor 1",
      `Kafka: ${flush}`,
      "Kafka: JVM with the heap (1 GiB, fixed) and collector (G1, 20 ms) of Kafka's own start script",
      "Kafka: a new broker is warmed up with 1.2 million records before the load, which are removed again",
      "Kafka: 3 network and 8 I/O threads (the defaults), no compression, no TLS",
      "@platformatic/kafka: acks=all, not idempotent (its default; otherwise it has one request under way), 20 requests under way",
      "@platformatic/kafka: one record a request is more than it can send at 10,000 records/s: what comes while 5 requests are under way goes together, as with linger.ms=0 of the Java client",
      "clients built on librdkafka need a binary from elsewhere or a compiler, and are not compared; the Java tools are",
    ],
    stop: () => server.stop(),
  };
}

function properties(
  port: number,
  controllerPort: number,
  data: string,
  partitions: number,
  fsynced: boolean,
): string {
  const listeners = `BROKER://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`;
  const lines = [
    "process.roles=broker,controller",
    "node.id=1",
    `controller.quorum.bootstrap.servers=127.0.0.1:${controllerPort}`,
    `listeners=${listeners}`,
    `advertised.listeners=${listeners}`,
    "listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name=BROKER",
    "controller.listener.names=CONTROLLER",
    `log.dirs=${data}`,
    `num.partitions=${partitions}`,
    // One node: the topics that Kafka keeps for itself cannot have three replicas.
    "offsets.topic.replication.factor=1",
    "offsets.topic.num.partitions=1",
    "transaction.state.log.replication.factor=1",
    "transaction.state.log.min.isr=1",
    "share.coordinator.state.topic.replication.factor=1",
    "share.coordinator.state.topic.min.isr=1",
    // The first member of a group need not wait for others.
    "group.initial.rebalance.delay.ms=0",
  ];
  if (fsynced) lines.push("log.flush.interval.messages=1");
  return `${lines.join("\n")}\n`;
}

const LOGGING = `
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %p %m%n
rootLogger.level = WARN
rootLogger.appenderRef.console.ref = console
`;
