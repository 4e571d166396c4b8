import type { ChildProcesses } from "@millrace/load/internal";
import { Admin } from "@platformatic/kafka";
import { classPath, runJavaTool } from "../java/java-program.ts";
import "./promise-with-resolvers.ts";

const TOPIC = "warm-up";
/**
 * A broker that has just started takes up to seven times the CPU for a record, until the JVM has compiled its code: after
 * 2 million records published in batches of 16 KiB, that is about 12,000 requests, little changes any more.
 */
const REQUESTS = 12_000;
const RECORDS_A_REQUEST = 100;
const RECORD_BYTES = 100;
const TIMEOUT_MS = 120_000;

/** Publishes and reads through a new broker at `address` with Kafka's own tools, and removes the topic again. */
export async function warmUpKafka(children: ChildProcesses, address: string): Promise<void> {
  const admin = new Admin({ clientId: "bench", bootstrapBrokers: [address], strict: false });
  try {
    await admin.createTopics({ topics: [TOPIC], partitions: 1, replicas: 1 });
    const common = {
      children,
      jvm: ["-Xms256m", "-Xmx256m"],
      classPath: classPath("kafka"),
      timeoutMs: TIMEOUT_MS,
    };
    const records = String(REQUESTS * RECORDS_A_REQUEST);
    const produce = ["--bootstrap-server", address, "--topic", TOPIC, "--num-records", records];
    produce.push(
      "--record-size",
      String(RECORD_BYTES),
      "--throughput",
      "-1",
      "--command-property",
      "acks=all",
    );
    produce.push("--command-property", `batch.size=${RECORDS_A_REQUEST * RECORD_BYTES}`);
    await runJavaTool({ ...common, args: ["org.apache.kafka.tools.ProducerPerformance", ...produce] });
    const consume = ["--bootstrap-server", address, "--topic", TOPIC, "--num-records", records];
    // Small fetches, as many as there were batches.
    consume.push("--command-property", "max.partition.fetch.bytes=16384");
    await runJavaTool({ ...common, args: ["org.apache.kafka.tools.ConsumerPerformance", ...consume] });
    await admin.deleteTopics({ topics: [TOPIC] });
  } finally {
    await admin.close();
  }
}
