import type { Driver, DriverSettings } from "@millrace/load";
import rabbit from "rabbitmq-stream-js-client";
import { InFlightWindow } from "../in-flight-window.ts";
import { ValueCopies } from "../value-copies.ts";
import { supportRabbitMq310 } from "./stream-connection-3-10.ts";

/** Unconfirmed records of a publisher. */
const PUBLISH_WINDOW = 10_000;
/** What a message of a frame takes beside its value: publishing id, length, and the AMQP 1.0 section around it. */
const MESSAGE_OVERHEAD_BYTES = 17;
const FRAME_MAX_BYTES = 1024 * 1024;

supportRabbitMq310();

type Client = Awaited<ReturnType<typeof rabbit.connect>>;

/** RabbitMQ streams by their binary protocol. Endpoint: `{ host, streamPort }`. Consumers have no acks. */
export const driver: Driver = {
  client: "rabbitmq-stream-js-client 1.0.0 (Node)",

  async prepare(settings) {
    const client = await open(settings);
    await client.createStream({ stream: settings.target });
    await client.close();
  },

  async connectPublisher(settings, events) {
    const client = await open(settings, events);
    const publisher = await client.declarePublisher({
      stream: settings.target,
      maxChunkLength: messagesOfFrame(settings),
    });
    const limit = settings.options.publishWindow;
    const window = new InFlightWindow(events, typeof limit === "number" ? limit : PUBLISH_WINDOW);
    publisher.on("publish_confirm", (error, publishingIds) => {
      if (error === null) window.acknowledged(publishingIds.length);
      else window.failed(new Error(`refused: code=${error}`));
    });
    const copies = settings.stamped ? new ValueCopies() : undefined;
    const fail = (error: unknown): void => window.failed(error as Error);
    return {
      publish(value) {
        if (window.full) return false;
        window.taken(1);
        // The library keeps a reference until it has encoded the frame.
        const content = copies?.copy(value) ?? Buffer.from(value.buffer, value.byteOffset, value.byteLength);
        publisher.send(content).catch(fail);
        return true;
      },
      room: () => window.room(),
      // What is not a full frame goes out at the end of the turn of the event loop.
      push: () => {},
      flush: () => window.empty(),
      close: () => client.close(),
    };
  },

  async connectConsumer(settings, events) {
    const client = await open(settings, events);
    let value: Uint8Array = new Uint8Array(0);
    const valueAt = (): Uint8Array => value;
    const offset = settings.from === "latest" ? rabbit.Offset.next() : rabbit.Offset.first();
    await client.declareConsumer({ stream: settings.target, offset }, (message) => {
      value = message.content;
      events.received(1, valueAt);
    });
    return { close: () => client.close() };
  },
};

function messagesOfFrame(settings: DriverSettings): number {
  const messages = Math.floor(settings.batchBytes / (settings.valueBytes + MESSAGE_OVERHEAD_BYTES));
  return Math.max(1, messages);
}

function open(settings: DriverSettings, events?: { failed(error: Error): void }): Promise<Client> {
  return rabbit.connect({
    hostname: String(settings.endpoint.host),
    port: Number(settings.endpoint.streamPort),
    username: "guest",
    password: "guest",
    vhost: "/",
    heartbeat: 0,
    frameMax: FRAME_MAX_BYTES,
    listeners: {
      connection_closed: (hadError) => {
        if (hadError) events?.failed(new Error("the broker closed the connection"));
      },
    },
  });
}
