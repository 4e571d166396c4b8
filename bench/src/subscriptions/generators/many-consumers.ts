/**
 * Generator `many-consumers`: one consumer for each of many subscriptions of mode queue, spread over some connections, which
 * ack each lease as one range; and the publisher of bursts that all of them get.
 */
import { monotonicMs, reportFailure, serveCommands } from "@millrace/load/internal";
import { BrokerSession } from "../../wire/broker-session.ts";
import { LeaseAcker } from "../../wire/lease-acker.ts";
import { maskedFrame } from "../../wire/masked-frame.ts";
import { Drain } from "./drain.ts";
import { openPublisher, type PublishedLoad, type WindowedPublisher } from "./windowed-publisher.ts";

export interface ManyConsumersCommands {
  /** Makes topics, subscriptions and consumers, so many of each topic. How long the latter took. */
  open(args: { spec: PublishedLoad; subscriptionsPerTopic: number }): Promise<{ consumersMs: number }>;
  /** Publishes so many batches and waits until all subscriptions have acked them. */
  burst(args: { batches: number }): Promise<{ messages: number; ms: number }>;
}

/** A session may have 1,024 consumers. */
const CONSUMERS_PER_SESSION = 1_000;
const REQUESTS_AT_ONCE = 64;
/** As many as a batch has records, so that all frames are alike, whether a subscription has one batch before it or many. */
const SLOTS = 64;
const CREDIT_BYTES = 1024 * 1024;

interface Group {
  readonly session: BrokerSession;
  readonly acker: LeaseAcker;
}

let publisher: WindowedPublisher | undefined;
const groups: Group[] = [];
const drain = new Drain();
let subscriptionsPerTopic = 0;
/** Records that may have been published in all. */
let wantedRecords = 0;

function ackedMessages(): number {
  return groups.reduce((sum, { acker }) => sum + acker.records, 0);
}

async function openGroup(url: string): Promise<Group> {
  const acker = new LeaseAcker((frame) => session.write(maskedFrame(frame)));
  const session: BrokerSession = await BrokerSession.open(url, "bench-consumers", {
    onAck: () => undefined,
    onThrottled: () => undefined,
    onEntry: () => undefined,
    onDelivered: () => undefined,
    onLeased: acker.onLeased,
    onSettled: (bytes, start, end) => {
      acker.onSettled(bytes, start, end);
      drain.progressed();
    },
    onFailure: reportFailure,
  });
  const group = { session, acker };
  groups.push(group);
  return group;
}

async function consume({ session }: Group, topic: string, subscription: string): Promise<void> {
  await session.ask((requestId) => ({
    name: "CONSUME",
    value: {
      requestId,
      topic,
      subscription,
      mode: "queue",
      slots: SLOTS,
      creditLimit: CREDIT_BYTES,
      create: { mode: "queue", from: ["earliest"] },
      extensions: {},
    },
  }));
}

serveCommands<ManyConsumersCommands>({
  open: async (args) => {
    const { spec } = args;
    ({ subscriptionsPerTopic } = args);
    publisher = await openPublisher(spec, () => wantedRecords, reportFailure);
    const startedMs = monotonicMs();
    const wanted = spec.topics.flatMap((topic) =>
      Array.from({ length: subscriptionsPerTopic }, (_, i) => [topic, `subscription-${i}`] as const),
    );
    let group: Group | undefined;
    for (let at = 0; at < wanted.length; at += REQUESTS_AT_ONCE) {
      if (group === undefined || at % CONSUMERS_PER_SESSION < REQUESTS_AT_ONCE)
        group = await openGroup(spec.url);
      const current = group;
      const some = wanted.slice(at, at + REQUESTS_AT_ONCE);
      await Promise.all(some.map(([topic, subscription]) => consume(current, topic, subscription)));
    }
    return { consumersMs: monotonicMs() - startedMs };
  },
  burst: async ({ batches }) => {
    const publishing = publisher as WindowedPublisher;
    const records = batches * publishing.block.recordsPerFrame;
    const from = ackedMessages();
    const startedMs = monotonicMs();
    const messages = records * subscriptionsPerTopic;
    wantedRecords += records;
    publishing.load.start();
    await drain.until(() => ackedMessages() >= from + messages);
    const ms = monotonicMs() - startedMs;
    await publishing.load.stop();
    return { messages, ms };
  },
});
