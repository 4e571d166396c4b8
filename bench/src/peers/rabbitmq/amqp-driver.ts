import { randomUUID } from "node:crypto";
import type {
  Consumer,
  ConsumerEvents,
  Driver,
  DriverSettings,
  Publisher,
  PublisherEvents,
  Requester,
  Responder,
} from "@millrace/load";
import { type Channel, type ChannelModel, connect, type Options } from "amqplib";
import { InFlightWindow } from "../in-flight-window.ts";
import { ValueCopies } from "../value-copies.ts";

/** Unconfirmed records of a publisher. Of 500 to 10,000 none was clearly faster. */
const PUBLISH_WINDOW = 2000;
/** Smaller messages are copied by the library before `publish` returns, larger ones are kept until they are written. */
const COPIED_BYTES_MAX = 1024;
/** The longest that acks are kept back to be sent as one for several. */
const ACK_DELAY_MS = 5;
const REPLY_QUEUE = "amq.rabbitmq.reply-to";

/**
 * RabbitMQ by AMQP 0-9-1. Endpoint: `{ host, port }`; option `queueType`: "classic" (the default) or "quorum".
 * Mode `live` publishes to a fanout exchange and gives each consumer a queue of its own; all others publish to one queue
 * through the default exchange. `live` and `stream` consume with automatic acks, `queue` and `keyed` ack several at once.
 */
export const driver: Driver = {
  client: "amqplib 2.3.1 (Node)",

  async prepare(settings) {
    const connection = await open(settings);
    const channel = await connection.createChannel();
    if (isFanOut(settings)) await channel.assertExchange(settings.target, "fanout", { durable: true });
    else await channel.assertQueue(settings.target, queueOptions(settings));
    await connection.close();
  },

  async connectPublisher(settings, events) {
    const connection = await open(settings, events);
    return publisherOn(connection, settings, events);
  },

  async connectConsumer(settings, events) {
    const connection = await open(settings, events);
    const channel = await connection.createChannel();
    failWith(channel, events);
    const acked = settings.mode === "queue" || settings.mode === "keyed";
    if (acked) return ackedConsumer(connection, channel, settings, events);
    const queue = isFanOut(settings) ? await ownQueue(channel, settings) : settings.target;
    let value: Uint8Array = new Uint8Array(0);
    const valueAt = (): Uint8Array => value;
    const { consumerTag } = await channel.consume(
      queue,
      (message) => {
        if (message === null) return events.failed(new Error(`the queue is gone: queue=${queue}`));
        value = message.content;
        events.received(1, valueAt);
      },
      { noAck: true },
    );
    return {
      async close() {
        await channel.cancel(consumerTag);
        if (isFanOut(settings)) await channel.deleteQueue(queue);
        await connection.close();
      },
    };
  },

  async connectRequester(settings) {
    return requesterOn(await open(settings), settings);
  },

  async connectResponder(settings): Promise<Responder> {
    const connection = await open(settings);
    const channel = await connection.createChannel();
    await channel.consume(
      settings.target,
      (message) => {
        if (message === null) return;
        const { replyTo, correlationId } = message.properties as { replyTo: string; correlationId: string };
        channel.publish("", replyTo, message.content, { correlationId });
      },
      { noAck: true },
    );
    return { close: () => connection.close() };
  },
};

async function publisherOn(
  connection: ChannelModel,
  settings: DriverSettings,
  events: PublisherEvents,
): Promise<Publisher> {
  const channel = await connection.createConfirmChannel();
  failWith(channel, events);
  const limit = numberOption(settings, "publishWindow", PUBLISH_WINDOW);
  const window = new InFlightWindow(events, limit);
  const copies = settings.stamped && settings.valueBytes > COPIED_BYTES_MAX ? new ValueCopies() : undefined;
  const exchange = isFanOut(settings) ? settings.target : "";
  const routingKey = isFanOut(settings) ? "" : settings.target;
  const options: Options.Publish = { persistent: settings.durability !== "memory" };
  const onConfirm = (error: unknown): void => {
    if (error === null || error === undefined) window.acknowledged(1);
    else window.failed(error instanceof Error ? error : new Error(`refused: ${String(error)}`));
  };
  let lastValue: Uint8Array | undefined;
  let lastBuffer: Buffer = Buffer.alloc(0);
  return {
    publish(value) {
      if (window.full) return false;
      if (copies !== undefined) lastBuffer = copies.copy(value);
      else if (value !== lastValue) {
        lastValue = value;
        lastBuffer = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
      }
      window.taken(1);
      channel.publish(exchange, routingKey, lastBuffer, options, onConfirm);
      return true;
    },
    room: () => window.room(),
    // The library writes what has gathered at the end of each turn of the event loop.
    push: () => {},
    flush: () => window.empty(),
    close: () => connection.close(),
  };
}

/** Acks are for several messages at once: a quarter of the prefetch, or what has come in some milliseconds. */
async function ackedConsumer(
  connection: ChannelModel,
  channel: Channel,
  settings: DriverSettings,
  events: ConsumerEvents,
): Promise<Consumer> {
  const prefetch = Math.min(settings.slots, 65_535);
  const ackEvery = Math.max(1, Math.floor(prefetch / 4));
  await channel.prefetch(prefetch);
  let value: Uint8Array = new Uint8Array(0);
  const valueAt = (): Uint8Array => value;
  let lastMessage: Parameters<Channel["ack"]>[0] | undefined;
  let unacked = 0;
  let timer: NodeJS.Timeout | undefined;
  const ack = (): void => {
    clearTimeout(timer);
    timer = undefined;
    if (lastMessage === undefined || unacked === 0) return;
    channel.ack(lastMessage, true);
    const count = unacked;
    unacked = 0;
    events.settled(count);
  };
  const { consumerTag } = await channel.consume(settings.target, (message) => {
    if (message === null) return events.failed(new Error(`the queue is gone: queue=${settings.target}`));
    value = message.content;
    lastMessage = message;
    events.received(1, valueAt);
    if (++unacked >= ackEvery) ack();
    else timer ??= setTimeout(ack, ACK_DELAY_MS);
  });
  return {
    async close() {
      await channel.cancel(consumerTag);
      ack();
      await connection.close();
    },
  };
}

/** Direct reply-to: the replies come without a queue. */
async function requesterOn(connection: ChannelModel, settings: DriverSettings): Promise<Requester> {
  const channel = await connection.createChannel();
  const waiting = new Map<string, () => void>();
  await channel.consume(
    REPLY_QUEUE,
    (message) => {
      const id = message?.properties.correlationId as string;
      const resolve = waiting.get(id);
      waiting.delete(id);
      resolve?.();
    },
    { noAck: true },
  );
  let nextId = 0;
  return {
    request(value) {
      const correlationId = String(nextId++);
      const content = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
      return new Promise((resolve) => {
        waiting.set(correlationId, resolve);
        channel.publish("", settings.target, content, { correlationId, replyTo: REPLY_QUEUE });
      });
    },
    close: () => connection.close(),
  };
}

async function ownQueue(channel: Channel, settings: DriverSettings): Promise<string> {
  const queue = `${settings.target}.${randomUUID()}`;
  await channel.assertQueue(queue, queueOptions(settings));
  await channel.bindQueue(queue, settings.target, "");
  return queue;
}

function queueOptions(settings: DriverSettings): Options.AssertQueue {
  const queueType = settings.options.queueType === "quorum" ? "quorum" : "classic";
  const args: Record<string, unknown> = { "x-queue-type": queueType };
  // The second version of classic queues confirms from the page cache; the first one syncs before it confirms.
  if (queueType === "classic" && settings.durability === "written") args["x-queue-version"] = 2;
  return { durable: true, arguments: args };
}

function isFanOut(settings: DriverSettings): boolean {
  return settings.mode === "live";
}

async function open(
  settings: DriverSettings,
  events?: { failed(error: Error): void },
): Promise<ChannelModel> {
  const { host, port } = settings.endpoint;
  const connection = await connect(
    { protocol: "amqp", hostname: String(host), port: Number(port), username: "guest", password: "guest" },
    { noDelay: true },
  );
  connection.on("error", (error) => events?.failed(error));
  connection.on("blocked", (reason) => events?.failed(new Error(`the broker blocks publishers: ${reason}`)));
  return connection;
}

function failWith(channel: Channel, events: { failed(error: Error): void }): void {
  channel.on("error", (error) => events.failed(error));
}

function numberOption(settings: DriverSettings, name: string, otherwise: number): number {
  const value = settings.options[name];
  return typeof value === "number" ? value : otherwise;
}
