import { createRequire } from "node:module";
import { type Client, connect, MillraceError } from "@millrace/client";
import type {
  Consumer,
  ConsumerEvents,
  Driver,
  DriverSettings,
  Publisher,
  PublisherEvents,
  Requester,
  Responder,
} from "./driver.ts";
import { consumeBatches, consumeMessages } from "./millrace-consumer.ts";
import { millraceOptions } from "./millrace-options.ts";
import { MillracePublisher } from "./millrace-publisher.ts";

/** Millrace on its own client: one WebSocket a connection, as an application has it. */
export const driver: Driver = {
  client: `@millrace/client ${clientVersion()} (Node)`,

  async prepare(settings: DriverSettings): Promise<void> {
    const { target, partitions, durability, mode, from, subscription } = settings;
    const client = await connectOnce(settings, () => undefined);
    try {
      await client.topics
        .create(target, { partitions, durability, ...millraceOptions(settings).topic })
        .catch(unlessThere("TOPIC_EXISTS"));
      await checkTopic(client, settings);
      if ((mode === "queue" || mode === "keyed") && subscription !== "") {
        await client.subscriptions
          .create(target, subscription, { mode, from, ...millraceOptions(settings).subscription })
          .catch(unlessThere("SUBSCRIPTION_EXISTS"));
      }
    } finally {
      await client.close();
    }
  },

  async connectPublisher(settings: DriverSettings, events: PublisherEvents): Promise<Publisher> {
    const client = await connectOnce(settings, events.failed);
    return MillracePublisher.open(client, settings, events);
  },

  async connectConsumer(settings: DriverSettings, events: ConsumerEvents): Promise<Consumer> {
    const client = await connectOnce(settings, events.failed);
    const isBalanced = settings.mode === "stream" && millraceOptions(settings).balanced === true;
    const consume =
      settings.mode === "queue" || settings.mode === "keyed" || isBalanced ? consumeMessages : consumeBatches;
    return consume(client, settings, events);
  },

  async connectRequester(settings: DriverSettings): Promise<Requester> {
    const client = await connectOnce(settings, () => undefined);
    const { target } = settings;
    return {
      async request(value) {
        await client.request(target, value);
      },
      close: () => client.close(),
    };
  },

  async connectResponder(settings: DriverSettings): Promise<Responder> {
    const client = await connectOnce(settings, () => undefined);
    const concurrency = Math.max(1, settings.slots);
    const responder = client.respond(settings.target, (request) => request.value, { concurrency });
    await responder.ready();
    return {
      async close() {
        await responder.close();
        await client.close();
      },
    };
  },
};

/** A connection that is lost is not made again: what it would hide belongs into the result. */
async function connectOnce(settings: DriverSettings, failed: (error: Error) => void): Promise<Client> {
  const { endpoint } = settings;
  const { url, tlsCa } = endpoint;
  if (typeof url !== "string")
    throw new TypeError(`the endpoint of Millrace is { url, tlsCa? }: got ${JSON.stringify(endpoint)}`);
  const client = await connect(url, {
    name: "millrace-load",
    reconnect: false,
    direct: millraceOptions(settings).direct,
    tls: typeof tlsCa === "string" ? { ca: tlsCa } : undefined,
  });
  client.on("closed", (error) => {
    if (error !== undefined) failed(error);
  });
  return client;
}

/** A topic that was there before may be another one than the result would say. */
async function checkTopic(client: Client, settings: DriverSettings): Promise<void> {
  const { target } = settings;
  const wanted = {
    partitions: settings.partitions,
    durability: settings.durability,
    ...millraceOptions(settings).topic,
  };
  const { partitions, durability } = await client.topics.describe(target);
  if (partitions === wanted.partitions && durability === wanted.durability) return;
  const is = `${partitions} partitions, ${durability}`;
  throw new Error(
    `the topic ${target} is there already, with ${is} instead of ${wanted.partitions}, ${wanted.durability}`,
  );
}

function unlessThere(code: MillraceError["code"]): (error: unknown) => void {
  return (error) => {
    if (!(error instanceof MillraceError) || error.code !== code) throw error;
  };
}

function clientVersion(): string {
  const manifest = createRequire(import.meta.url)("@millrace/client/package.json") as { version: string };
  return manifest.version;
}
