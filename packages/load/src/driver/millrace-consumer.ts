import type { Client, Message, ReceivedBatch, Subscription } from "@millrace/client";
import type { Consumer, ConsumerEvents, DriverSettings } from "./driver.ts";
import { millraceOptions } from "./millrace-options.ts";

/** `live` and `stream`: whole batches, the client's fast path. */
export async function consumeBatches(
  client: Client,
  settings: DriverSettings,
  events: ConsumerEvents,
): Promise<Consumer> {
  const { target, mode, from } = settings;
  const isLive = mode === "live";
  const subscription = client.subscribe(target, {
    ...millraceOptions(settings).subscribe,
    mode: isLive ? "live" : "stream",
    from: isLive ? "latest" : from,
  });
  // Not awaited: it ends with the subscription.
  const reading = read(subscription, events);
  await subscription.ready();
  return {
    async close() {
      await subscription.close();
      await reading;
      await client.close();
    },
  };
}

async function read(subscription: Subscription, events: ConsumerEvents): Promise<void> {
  let current: ReceivedBatch | undefined;
  const valueAt = (index: number): Uint8Array => (current as ReceivedBatch).valueAt(index);
  try {
    for await (const batch of subscription.batches()) {
      current = batch;
      events.received(batch.count, valueAt);
    }
  } catch (error) {
    events.failed(error as Error);
  }
}

/** Message by message with a handler: `queue` and `keyed`, where each is acked, and `stream` as a member of its subscription. */
export async function consumeMessages(
  client: Client,
  settings: DriverSettings,
  events: ConsumerEvents,
): Promise<Consumer> {
  const { target, subscription, mode, from, slots } = settings;
  const isLeased = mode === "queue" || mode === "keyed";
  let current: Uint8Array | undefined;
  const valueAt = (): Uint8Array => current as Uint8Array;
  const settledOne = (): void => events.settled(1);
  const handler = (message: Message): void => {
    current = message.value as Uint8Array;
    events.received(1, valueAt);
    if (isLeased) message.ack().then(settledOne, events.failed);
  };
  const consumer = client.consume(
    target,
    { subscription, mode, from, ...(isLeased ? { prefetch: slots } : {}) },
    handler,
    { concurrency: Math.max(1, slots) },
  );
  consumer.on("error", ({ error }) => events.failed(error as Error));
  consumer.closed.catch(events.failed);
  await consumer.ready();
  return {
    async close() {
      await consumer.close();
      await client.close();
    },
  };
}
