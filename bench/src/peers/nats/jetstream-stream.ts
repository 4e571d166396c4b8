import type { Consumer, ConsumerEvents, DriverSettings } from "@millrace/load";
import { AckPolicy, jetstream, jetstreamManager, RetentionPolicy, StorageType } from "@nats-io/jetstream";
import { connectNats, watchConnection } from "./nats-connection.ts";

/** Of the memory that a stream may take; the oldest messages go first then, as in `nats bench`, which defaults to 1 GB. */
const MEMORY_STREAM_BYTES_MAX = 2 * 1024 ** 3;
/** Messages that a pull consumer may be sent ahead; the next request goes out when a quarter of them has come. */
const PULL_AHEAD = 5000;
const PULL_AGAIN_AT = 0.75;
/** All connections of a work queue together. The default of 1,000 makes the server wait for acks. */
const ACK_PENDING_MAX = 65_536;
/** Acks that go out before a PING asks whether the server has read them. */
const ACKS_BETWEEN_PINGS = 500;
/** At a low rate: how long an ack waits for that PING. */
const PING_DELAY_MS = 5;

/** What `DriverSettings.options` may hold. */
interface JetStreamOptions {
  /** Messages go when they are acked, and only one consumer takes them. */
  readonly workQueue?: boolean;
  /** Each ack waits for the server's answer (AckSync) instead of a PING behind many. */
  readonly confirmAcks?: boolean;
}

export function streamName(settings: DriverSettings): string {
  return settings.target.replace(/[^A-Za-z0-9_-]/g, "_");
}

function optionsOf(settings: DriverSettings): JetStreamOptions {
  return settings.options as JetStreamOptions;
}

/** Makes the stream, and the durable consumer of a queue. What is there with the same configuration stays. */
export async function prepareStream(settings: DriverSettings): Promise<void> {
  const connection = await connectNats(settings.endpoint);
  const manager = await jetstreamManager(connection);
  const name = streamName(settings);
  const memory = settings.durability === "memory";
  await manager.streams.add({
    name,
    subjects: [settings.target],
    storage: memory ? StorageType.Memory : StorageType.File,
    retention: optionsOf(settings).workQueue ? RetentionPolicy.Workqueue : RetentionPolicy.Limits,
    max_bytes: memory ? MEMORY_STREAM_BYTES_MAX : -1,
    num_replicas: 1,
    allow_batched: true,
  });
  if (settings.mode === "queue") {
    await manager.consumers.add(name, {
      durable_name: settings.subscription,
      ack_policy: AckPolicy.Explicit,
      max_ack_pending: ACK_PENDING_MAX,
    });
  }
  await connection.close();
}

export function connectStreamConsumer(settings: DriverSettings, events: ConsumerEvents): Promise<Consumer> {
  return settings.mode === "queue"
    ? connectQueueConsumer(settings, events)
    : connectOrderedConsumer(settings, events);
}

/** An ordered pull consumer: no acks, in order, made anew by the client if something is missing. */
async function connectOrderedConsumer(settings: DriverSettings, events: ConsumerEvents): Promise<Consumer> {
  const connection = await connectNats(settings.endpoint);
  const unwatch = watchConnection(connection, events.failed);
  const name = streamName(settings);
  const manager = await jetstreamManager(connection);
  const { state } = await manager.streams.info(name);
  // By sequence, not by "new": the position is fixed before the first pull request.
  const earliest = settings.mode === "stream" && settings.from === "earliest";
  const startSequence = earliest ? state.first_seq : state.last_seq + 1;
  const consumer = await jetstream(connection).consumers.get(name, {
    ...(startSequence > 1 ? { opt_start_seq: startSequence } : {}),
  });
  const messages = await consumer.consume({
    max_messages: PULL_AHEAD,
    threshold_messages: PULL_AHEAD * PULL_AGAIN_AT,
    callback: (message) => events.received(1, () => message.data),
  });
  return {
    close: async () => {
      unwatch();
      await messages.close();
      await connection.close();
    },
  };
}

/** A durable pull consumer whose messages are acked one by one; several connections share it. */
async function connectQueueConsumer(settings: DriverSettings, events: ConsumerEvents): Promise<Consumer> {
  const connection = await connectNats(settings.endpoint);
  const unwatch = watchConnection(connection, events.failed);
  const { confirmAcks } = optionsOf(settings);
  let unpinged = 0;
  let timer: NodeJS.Timeout | undefined;
  const ping = (): void => {
    clearTimeout(timer);
    timer = undefined;
    const count = unpinged;
    unpinged = 0;
    connection.flush().then(() => events.settled(count), events.failed);
  };
  const consumer = await jetstream(connection).consumers.get(streamName(settings), settings.subscription);
  const messages = await consumer.consume({
    max_messages: settings.slots,
    threshold_messages: Math.max(1, Math.floor(settings.slots * PULL_AGAIN_AT)),
    callback: (message) => {
      events.received(1, () => message.data);
      if (confirmAcks) {
        message.ackAck().then(() => events.settled(1), events.failed);
        return;
      }
      message.ack();
      if (++unpinged >= ACKS_BETWEEN_PINGS) ping();
      else timer ??= setTimeout(ping, PING_DELAY_MS);
    },
  });
  return {
    close: async () => {
      clearTimeout(timer);
      unwatch();
      await messages.close();
      await connection.close();
    },
  };
}
