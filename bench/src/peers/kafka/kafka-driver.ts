import "./promise-with-resolvers.ts";
import { randomUUID } from "node:crypto";
import type { Consumer, ConsumerEvents, Driver, DriverSettings } from "@millrace/load";
import { Admin, Consumer as KafkaConsumer, type MessagesStream, Producer } from "@platformatic/kafka";
import { connectKafkaPublisher } from "./kafka-publisher.ts";

const LATEST = -1n;
const EARLIEST = -2n;
/** How often a consumer of a group commits; the client's default is 100 ms, which costs more than it tells. */
const COMMIT_INTERVAL_MS = 1000;
const CONNECT_TIMEOUT_MS = 10_000;

type Stream = MessagesStream<Buffer, Buffer, Buffer, Buffer>;

/** Kafka by its fastest client without a native build. Endpoint: `{ host, port }`. */
export const driver: Driver = {
  client: "@platformatic/kafka 2.12.1 (Node)",

  async prepare(settings) {
    const admin = new Admin({ clientId: "bench", bootstrapBrokers: [addressOf(settings)], strict: false });
    try {
      await admin.createTopics({
        topics: [settings.target],
        partitions: settings.partitions,
        replicas: 1,
      });
    } catch (error) {
      if (!isTopicExists(error)) throw error;
    } finally {
      await admin.close();
    }
  },

  async connectPublisher(settings, events) {
    const producer = new Producer<Buffer, Buffer, Buffer, Buffer>({
      clientId: "bench",
      bootstrapBrokers: [addressOf(settings)],
      acks: -1,
      idempotent: false,
      maxInflights: inFlightRequests(settings),
      autocreateTopics: false,
      strict: false,
      connectTimeout: CONNECT_TIMEOUT_MS,
    });
    await producer.metadata({ topics: [settings.target] });
    return connectKafkaPublisher(producer, settings, inFlightRequests(settings), events);
  },

  connectConsumer(settings, events) {
    const { mode, options } = settings;
    const shared = mode === "queue" || mode === "keyed" || options.balanced === true;
    return shared ? connectGroup(settings, events) : connectAlone(settings, events);
  },
};

/** A consumer that reads everything: a group of its own, from offsets that are asked for before it resolves. */
async function connectAlone(settings: DriverSettings, events: ConsumerEvents): Promise<Consumer> {
  const consumer = makeConsumer(settings, `bench-${randomUUID()}`);
  const timestamp = settings.from === "latest" ? LATEST : EARLIEST;
  const starts = await consumer.listOffsets({ topics: [settings.target], timestamp });
  const offsets = (starts.get(settings.target) ?? []).map((offset, partition) => ({
    topic: settings.target,
    partition,
    offset,
  }));
  const stream = await consumer.consume({
    topics: [settings.target],
    mode: "manual",
    offsets,
    autocommit: false,
  });
  read(stream, events, () => {});
  return closing(consumer, stream);
}

/** One of the consumers of a group, which share the partitions. What is committed counts as settled. */
async function connectGroup(settings: DriverSettings, events: ConsumerEvents): Promise<Consumer> {
  const consumer = makeConsumer(settings, settings.subscription);
  const stream = await consumer.consume({
    topics: [settings.target],
    mode: "committed",
    fallbackMode: settings.from,
    autocommit: COMMIT_INTERVAL_MS,
  });
  let received = 0;
  let settled = 0;
  read(stream, events, () => received++);
  stream.on("autocommit", (error: Error | null) => {
    if (error !== null) return;
    const count = received - settled;
    settled = received;
    if (count > 0) events.settled(count);
  });
  return closing(consumer, stream);
}

function makeConsumer(
  settings: DriverSettings,
  groupId: string,
): KafkaConsumer<Buffer, Buffer, Buffer, Buffer> {
  return new KafkaConsumer<Buffer, Buffer, Buffer, Buffer>({
    clientId: "bench",
    groupId,
    bootstrapBrokers: [addressOf(settings)],
    minBytes: 1,
    maxBytes: numberOption(settings, "maxBytes", 1024 * 1024),
    maxWaitTime: 500,
    highWaterMark: numberOption(settings, "highWaterMark", 4096),
    strict: false,
    connectTimeout: CONNECT_TIMEOUT_MS,
  });
}

function read(stream: Stream, events: ConsumerEvents, onRecord: () => void): void {
  let value: Uint8Array = new Uint8Array(0);
  const valueAt = (): Uint8Array => value;
  stream.on("data", (message) => {
    value = message.value;
    onRecord();
    events.received(1, valueAt);
  });
  stream.on("error", (error) => events.failed(error));
}

function closing(consumer: KafkaConsumer<Buffer, Buffer, Buffer, Buffer>, stream: Stream): Consumer {
  return {
    async close() {
      await stream.close();
      await consumer.close(true);
    },
  };
}

/**
 * Requests of one connection under way. Batches of a few KiB wait for the broker's answers with the 5 that the Java client
 * allows: 20 were about 1.7 times as fast. Where records are coalesced, more requests only make smaller batches.
 */
function inFlightRequests(settings: DriverSettings): number {
  return numberOption(settings, "maxInFlight", settings.options.coalesce === true ? 5 : 20);
}

function addressOf(settings: DriverSettings): string {
  return `${settings.endpoint.host}:${settings.endpoint.port}`;
}

function numberOption(settings: DriverSettings, name: string, otherwise: number): number {
  const value = settings.options[name];
  return typeof value === "number" ? value : otherwise;
}

function isTopicExists(error: unknown): boolean {
  return error instanceof Error && JSON.stringify(errorTree(error)).includes("TOPIC_ALREADY_EXISTS");
}

/** The client nests what the broker said in errors of errors. */
function errorTree(error: unknown): unknown {
  if (!(error instanceof Error)) return String(error);
  const { apiId, errors } = error as { apiId?: unknown; errors?: unknown[] };
  return { apiId, errors: (errors ?? []).map(errorTree), cause: error.cause && errorTree(error.cause) };
}
