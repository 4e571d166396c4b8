/** Redis Streams: XADD, read by XREAD, or as a queue by XREADGROUP with XACK. */
import type { Consumer, ConsumerEvents, Driver, DriverSettings } from "@millrace/load";
import { PipelinePublisher } from "./pipeline-publisher.ts";
import { connectRedis, REDIS_CLIENT, type RedisConnection } from "./redis-connection.ts";

/**
 * What a stream may take before its oldest entries go (MAXLEN with "~", which drops whole nodes and costs next to nothing).
 * The same as a JetStream memory stream has in this suite.
 */
const STREAM_BYTES_MAX = 2 * 1024 ** 3;
const ENTRY_OVERHEAD_BYTES = 40;
/** Entries of one reply: fewer cost more round trips, more only make the reply late. */
export const READ_COUNT = 1000;
const FIELD = "v";

/** XADD of one field, as short as an entry can be, without the value. */
export function addCommand({ target, valueBytes }: Pick<DriverSettings, "target" | "valueBytes">): string[] {
  const entries = Math.floor(STREAM_BYTES_MAX / (valueBytes + ENTRY_OVERHEAD_BYTES));
  return ["XADD", target, "MAXLEN", "~", String(entries), "*", FIELD];
}

interface ReadReply {
  readonly messages: readonly {
    readonly id: string;
    readonly message: Readonly<Record<string, Uint8Array>>;
  }[];
}

async function prepare(settings: DriverSettings): Promise<void> {
  if (settings.mode !== "queue") return;
  const client = await connectRedis(settings.endpoint, () => undefined);
  try {
    await client.xGroupCreate(settings.target, settings.subscription, "0", { MKSTREAM: true });
  } catch (error) {
    if (!String(error).includes("BUSYGROUP")) throw error;
  } finally {
    client.destroy();
  }
}

/** Ids come as bytes, since the values must. */
function textOf(id: unknown): string {
  return String(id);
}

function announce(events: ConsumerEvents, { messages }: ReadReply): void {
  events.received(
    messages.length,
    (index) => (messages[index] as (typeof messages)[number]).message[FIELD] as Uint8Array,
  );
}

/** The id behind which a reader begins, fixed now and not when its first command arrives. */
async function startId(client: RedisConnection, settings: DriverSettings): Promise<string> {
  if (settings.mode === "stream" && settings.from === "earliest") return "0";
  const [last] = (await client.xRevRange(settings.target, "+", "-", { COUNT: 1 })) ?? [];
  return last === undefined ? "0" : textOf(last.id);
}

async function readStream(
  client: RedisConnection,
  settings: DriverSettings,
  events: ConsumerEvents,
  from: string,
): Promise<void> {
  let id = from;
  for (;;) {
    const reply = (await client.xRead({ key: settings.target, id }, { COUNT: READ_COUNT, BLOCK: 0 })) as
      | readonly ReadReply[]
      | null;
    const [stream] = reply ?? [];
    if (stream === undefined) continue;
    id = textOf(stream.messages.at(-1)?.id);
    announce(events, stream);
  }
}

let consumers = 0;

/** The ack of one reply travels with the next read, and its own reply before that of the read. */
async function readGroup(
  client: RedisConnection,
  settings: DriverSettings,
  events: ConsumerEvents,
): Promise<void> {
  const { target, subscription } = settings;
  const name = `consumer-${process.pid}-${++consumers}`;
  const count = Math.min(READ_COUNT, settings.slots);
  for (;;) {
    const reply = (await client.xReadGroup(
      subscription,
      name,
      { key: target, id: ">" },
      { COUNT: count, BLOCK: 0 },
    )) as readonly ReadReply[] | null;
    const [stream] = reply ?? [];
    if (stream === undefined) continue;
    announce(events, stream);
    const ids = stream.messages.map(({ id }) => textOf(id));
    client.xAck(target, subscription, ids).then(() => events.settled(ids.length), events.failed);
  }
}

async function connectConsumer(settings: DriverSettings, events: ConsumerEvents): Promise<Consumer> {
  let closing = false;
  const failed = (error: Error): void => {
    if (!closing) events.failed(error);
  };
  const client = await connectRedis(settings.endpoint, failed);
  if (settings.mode === "queue") void readGroup(client, settings, { ...events, failed }).catch(failed);
  else void readStream(client, settings, events, await startId(client, settings)).catch(failed);
  return {
    close: () => {
      closing = true;
      client.destroy();
      return Promise.resolve();
    },
  };
}

export const driver: Driver = {
  client: REDIS_CLIENT,
  prepare,
  connectPublisher: async (settings, events) => {
    const command = addCommand(settings);
    const client = await connectRedis(settings.endpoint, events.failed);
    return new PipelinePublisher(client, settings, events, (value) => [...command, value]);
  },
  connectConsumer,
};
