import type {
  Consumer,
  ConsumerEvents,
  Driver,
  DriverSettings,
  Publisher,
  PublisherEvents,
} from "@millrace/load";
import { BrokerSession, type SessionEvents } from "../../wire/broker-session.ts";
import { LeaseAcker } from "../../wire/lease-acker.ts";
import { maskedFrame } from "../../wire/masked-frame.ts";
import { RawPublisher } from "./raw-publisher.ts";

const CREDIT_BYTES = 32 * 1024 * 1024;
const STREAM_ID = 1;

/**
 * Millrace without a client: frames that were encoded before, over raw sockets, consumers that count and look at no record,
 * and queue consumers that ack each lease as one range. What is left is the broker's cost and that of the sockets.
 */
export const driver: Driver = {
  client: "pre-encoded frames over a raw socket (Node)",
  prepare,
  connectPublisher,
  connectConsumer,
};

async function prepare(settings: DriverSettings): Promise<void> {
  const session = await BrokerSession.open(
    urlOf(settings),
    "bench-prepare",
    quietEvents(() => undefined),
  );
  try {
    await session.createTopic(settings.target, settings.durability, settings.partitions);
  } catch (error) {
    if (!(error as Error).message.startsWith("TOPIC_EXISTS")) throw error;
  } finally {
    session.close();
  }
}

async function connectPublisher(settings: DriverSettings, events: PublisherEvents): Promise<Publisher> {
  if (settings.stamped) throw new Error("frames that were encoded before carry no time");
  return await RawPublisher.open(urlOf(settings), settings, events);
}

async function connectConsumer(settings: DriverSettings, events: ConsumerEvents): Promise<Consumer> {
  if (settings.mode === "queue" || settings.mode === "keyed") return await consumeLeases(settings, events);
  return await consumeStream(settings, events);
}

async function consumeStream(settings: DriverSettings, events: ConsumerEvents): Promise<Consumer> {
  const valueAt = sameValue(settings);
  let received = 0;
  let deliveredBytes = 0;
  let grantedBytes = CREDIT_BYTES;
  const session: BrokerSession = await BrokerSession.open(urlOf(settings), "bench-stream", {
    ...quietEvents(events.failed),
    onEntry: (_baseOffset, count) => {
      received += count;
    },
    onDelivered: (frameBytes) => {
      deliveredBytes += frameBytes;
      if (grantedBytes - deliveredBytes < CREDIT_BYTES / 2) {
        grantedBytes = deliveredBytes + CREDIT_BYTES;
        session.grant(STREAM_ID, grantedBytes);
      }
      if (received === 0) return;
      const count = received;
      received = 0;
      events.received(count, valueAt);
    },
  });
  const from = { kind: settings.from };
  await session.subscribe(settings.target, STREAM_ID, from, CREDIT_BYTES);
  return closing(session);
}

async function consumeLeases(settings: DriverSettings, events: ConsumerEvents): Promise<Consumer> {
  const { target, subscription, mode, slots, from } = settings;
  const acker = new LeaseAcker((frame) => session.write(maskedFrame(frame)));
  const valueAt = sameValue(settings);
  let settled = 0;
  const session: BrokerSession = await BrokerSession.open(urlOf(settings), "bench-queue", {
    ...quietEvents(events.failed),
    onLeased: acker.onLeased,
    onSettled: (bytes, start, end) => {
      acker.onSettled(bytes, start, end);
      const count = acker.records - settled;
      settled = acker.records;
      events.received(count, valueAt);
      events.settled(count);
    },
  });
  await session.ask((requestId) => ({
    name: "CONSUME",
    value: {
      requestId,
      topic: target,
      subscription,
      mode,
      slots,
      creditLimit: CREDIT_BYTES,
      create: { mode, from: [from] },
      extensions: {},
    },
  }));
  return closing(session);
}

function closing(session: BrokerSession): Consumer {
  return {
    close: async () => session.close(),
  };
}

function urlOf({ endpoint }: DriverSettings): string {
  return String(endpoint.url);
}

/** Of a session that neither publishes nor consumes yet. */
export function quietEvents(onFailure: (error: Error) => void): SessionEvents {
  return {
    onAck: () => undefined,
    onThrottled: () => undefined,
    onEntry: () => undefined,
    onDelivered: () => undefined,
    onFailure,
  };
}

/** Whoever asks for a value is given one of its length: this consumer looks at none. */
function sameValue({ valueBytes }: DriverSettings): () => Uint8Array {
  const value = new Uint8Array(valueBytes);
  return () => value;
}
