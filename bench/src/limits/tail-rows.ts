import { type CommandedChild, plainProcess } from "@millrace/load/internal";
import { BATCH_BYTES, type RowOutcome, VALUE_BYTES } from "../harness/bench-row.ts";
import { compare } from "../harness/comparison.ts";
import type { ConsumerCommands } from "./generators/consumer.ts";
import type { PublisherCommands } from "./generators/publisher.ts";
import { type LimitContext, type RowBroker, withBroker } from "./limit-context.ts";
import type { LimitRow } from "./limit-row.ts";
import { WINDOW_BYTES } from "./publish-rows.ts";
import { TailSubject } from "./subjects.ts";
import type { RelayCommands } from "./yardsticks/relay.ts";

const TOPIC = "bench";
const SHAPE = { valueBytes: VALUE_BYTES, batchBytes: BATCH_BYTES } as const;

export const tailRows: readonly LimitRow[] = [tailRow("fsynced", 0.45), tailRow("memory", 0.6)];

function tailRow(durability: string, target: number): LimitRow {
  const name = `tail-${durability}`;
  return {
    name,
    description: `one producer and one tailing consumer, 16 KiB batches, ${durability}, against relay`,
    target,
    sense: "at-least",
    run: (context) => withBroker(context, name, (broker) => runTailRow(context, durability, broker)),
  };
}

/** Producer and consumer of a tail, both connected to the broker. */
export interface TailPair {
  readonly publisher: CommandedChild<PublisherCommands>;
  readonly consumer: CommandedChild<ConsumerCommands>;
  readonly subject: TailSubject;
  readonly recordsPerFrame: number;
  readonly payloadBytes: number;
  end(): Promise<void>;
}

export async function connectTail(
  context: LimitContext,
  broker: RowBroker,
  durability: string,
): Promise<TailPair> {
  const { children } = context;
  const generator = (name: string): URL => new URL(`./generators/${name}.js`, import.meta.url);
  const publisher = await children.fork<PublisherCommands>(generator("publisher"));
  const consumer = await children.fork<ConsumerCommands>(generator("consumer"));
  const { url } = broker.process;
  const target = { url, topic: TOPIC, durability, shape: SHAPE };
  const { recordsPerFrame, payloadBytes } = await publisher.call("connectBroker", target);
  const bytesPerRecord = payloadBytes / recordsPerFrame;
  await consumer.call("connectBroker", { url, topic: TOPIC, from: { kind: "earliest" }, bytesPerRecord });
  return {
    publisher,
    consumer,
    recordsPerFrame,
    payloadBytes,
    subject: new TailSubject("broker", broker.process.measured(), publisher, consumer),
    end: async () => {
      await children.end(publisher.pid);
      await children.end(consumer.pid);
    },
  };
}

async function runTailRow(context: LimitContext, durability: string, broker: RowBroker): Promise<RowOutcome> {
  const { children } = context;
  const tail = await connectTail(context, broker, durability);
  const relay = await children.fork<RelayCommands>(new URL("./yardsticks/relay.js", import.meta.url));
  try {
    const { publisher, consumer, recordsPerFrame, payloadBytes } = tail;
    const url = await relay.call("listen", null);
    await consumer.call("connectRelay", {
      url: `${url}/subscribe`,
      recordsPerFrame,
      bytesPerFrame: payloadBytes,
    });
    await publisher.call("connect", {
      to: "relay",
      url: `${url}/publish`,
      shape: SHAPE,
      windowBytes: WINDOW_BYTES,
    });
    const yardstick = new TailSubject("relay", plainProcess("yardstick", relay), publisher, consumer);
    const outcome = await compare(context, yardstick, tail.subject, {
      unit: "records",
      generatorsAt: "yardstick",
    });
    const { throttledRecords, lagRecordsMax } = tail.subject;
    return {
      ...outcome,
      raw: { ...outcome.raw, throttledRecords, lagRecordsMax },
      details: [
        ...outcome.details,
        `the consumer was up to ${lagRecordsMax} records behind the producer's acks`,
      ],
    };
  } finally {
    await children.end(relay.pid);
    await tail.end();
  }
}
