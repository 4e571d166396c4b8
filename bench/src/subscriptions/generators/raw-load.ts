/**
 * Generator `raw-load`: publishes to a topic and consumes it over another connection, in one process. As a stream it
 * counts records and goes on granting credit; of a queue or keyed subscription it acks each lease as one range,
 * and counts records whose ack was confirmed.
 */
import { monotonicMs, reportFailure, serveCommands } from "@millrace/load/internal";
import type { Counters } from "../../harness/sampling.ts";
import { BrokerSession } from "../../wire/broker-session.ts";
import { LeaseAcker } from "../../wire/lease-acker.ts";
import { maskedFrame } from "../../wire/masked-frame.ts";
import { Drain } from "./drain.ts";
import { openPublisher, type PublishedLoad, type WindowedPublisher } from "./windowed-publisher.ts";

export type LoadMode = "stream" | "queue" | "keyed";

export interface LoadCommands {
  connect(args: { spec: PublishedLoad; mode: LoadMode }): Promise<void>;
  start(args: null): void;
  mark(args: null): Counters;
  /** Ends the load, and resolves once everything has been consumed. */
  stop(args: null): Promise<void>;
  /** What there is to say beside the rates. */
  figures(args: null): Readonly<Record<string, number>>;
}

const CREDIT_BYTES = 32 * 1024 * 1024;
const STREAM_ID = 1;
const SLOTS = 65_535;

let publisher: WindowedPublisher | undefined;
let consumed: () => number = () => 0;
let acker: LeaseAcker | undefined;
const drain = new Drain();

/** After each piece of progress: there may be room to publish again. */
function progressed(): void {
  publisher?.load.pump();
  drain.progressed();
}

async function consumeStream({ url, topics: [topic = ""] }: PublishedLoad): Promise<void> {
  let records = 0;
  let deliveredBytes = 0;
  let grantedBytes = CREDIT_BYTES;
  const session: BrokerSession = await BrokerSession.open(url, "bench-stream", {
    onAck: () => undefined,
    onThrottled: () => undefined,
    onEntry: (_baseOffset, count) => {
      records += count;
    },
    onDelivered: (frameBytes) => {
      deliveredBytes += frameBytes;
      if (grantedBytes - deliveredBytes < CREDIT_BYTES / 2) {
        grantedBytes = deliveredBytes + CREDIT_BYTES;
        session.grant(STREAM_ID, grantedBytes);
      }
      progressed();
    },
    onFailure: reportFailure,
  });
  await session.subscribe(topic, STREAM_ID, { kind: "earliest" }, CREDIT_BYTES);
  consumed = () => records;
}

async function consumeQueue({ url, topics: [topic = ""] }: PublishedLoad, mode: LoadMode): Promise<void> {
  const acking = new LeaseAcker((frame) => session.write(maskedFrame(frame)));
  const session: BrokerSession = await BrokerSession.open(url, "bench-queue", {
    onAck: () => undefined,
    onThrottled: () => undefined,
    onEntry: () => undefined,
    onDelivered: () => undefined,
    onLeased: acking.onLeased,
    onSettled: (bytes, start, end) => {
      acking.onSettled(bytes, start, end);
      progressed();
    },
    onFailure: reportFailure,
  });
  await session.ask((requestId) => ({
    name: "CONSUME",
    value: {
      requestId,
      topic,
      subscription: mode,
      mode,
      slots: SLOTS,
      creditLimit: CREDIT_BYTES,
      create: { mode, from: ["earliest"] },
      extensions: {},
    },
  }));
  acker = acking;
  consumed = () => acking.records;
}

serveCommands<LoadCommands>({
  connect: async ({ spec, mode }) => {
    publisher = await openPublisher(spec, () => consumed(), reportFailure);
    await (mode === "stream" ? consumeStream(spec) : consumeQueue(spec, mode));
  },
  start: () => publisher?.load.start(),
  mark: () => ({ timeMs: monotonicMs(), records: consumed(), bytes: 0 }),
  stop: async () => {
    await publisher?.load.stop();
    await drain.until(() => consumed() >= (publisher?.published() ?? 0));
  },
  figures: () => ({
    leases: acker?.leases ?? 0,
    frames: acker?.frames ?? 0,
    records: consumed(),
  }),
});
