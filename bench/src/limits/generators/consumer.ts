/**
 * Generator `consumer`: one raw connection that counts the records delivered to it and does nothing else
 * with them. From a broker it subscribes to a topic and keeps granting credit; from a relay it takes frames.
 */
import { delay, monotonicMs, reportFailure, serveCommands } from "@millrace/load/internal";
import type { SubscribeFrom } from "@millrace/protocol/internal";
import type { Counters } from "../../harness/sampling.ts";
import { BrokerSession } from "../../wire/broker-session.ts";
import { FrameCounter } from "../../wire/frame-counter.ts";
import { RawConnection } from "../../wire/raw-connection.ts";

export type ConsumeFrom = "relay" | "broker";

export interface ConsumerCommands {
  connectRelay(args: { url: string; recordsPerFrame: number; bytesPerFrame: number }): Promise<void>;
  connectBroker(args: {
    url: string;
    topic: string;
    from: SubscribeFrom;
    bytesPerRecord: number;
  }): Promise<void>;
  mark(args: { from: ConsumeFrom }): Counters;
  /** Resolves once that many records have come, and says how long the wait took. */
  waitFor(args: { from: ConsumeFrom; records: number; timeoutMs: number }): Promise<void>;
  disconnect(args: { from: ConsumeFrom }): void;
}

/** What a subscription may be sent ahead of what this process has read. */
const CREDIT_BYTES = 32 * 1024 * 1024;
const SUBSCRIPTION_ID = 1;

interface Source {
  mark(): Counters;
  close(): void;
}

const sources = new Map<ConsumeFrom, Source>();

async function connectRelay(args: Parameters<ConsumerCommands["connectRelay"]>[0]): Promise<void> {
  const counter = new FrameCounter();
  const connection = await RawConnection.open(args.url, counter.push, reportFailure);
  sources.set("relay", {
    mark: () => ({
      timeMs: monotonicMs(),
      records: counter.frames * args.recordsPerFrame,
      bytes: counter.frames * args.bytesPerFrame,
    }),
    close: () => connection.close(),
  });
}

async function connectBroker(args: Parameters<ConsumerCommands["connectBroker"]>[0]): Promise<void> {
  let records = 0;
  let nextOffset = -1;
  let deliveredBytes = 0;
  let grantedBytes = CREDIT_BYTES;
  const session: BrokerSession = await BrokerSession.open(args.url, "bench-consumer", {
    onAck: () => undefined,
    onThrottled: () => undefined,
    onEntry: (baseOffset, count) => {
      let fresh = count;
      if (nextOffset >= 0 && baseOffset !== nextOffset) {
        throw new Error(`offsets are not contiguous: expected=${nextOffset} delivered=${baseOffset}`);
      }
      // A batch may begin below the offset that was asked for; a client discards those records.
      const start = args.from.kind === "offset" && nextOffset < 0 ? args.from.offset : baseOffset;
      if (start > baseOffset) fresh = Math.max(0, count - (start - baseOffset));
      nextOffset = baseOffset + count;
      records += fresh;
    },
    onDelivered: (frameBytes) => {
      deliveredBytes += frameBytes;
      if (grantedBytes - deliveredBytes > CREDIT_BYTES / 2) return;
      grantedBytes = deliveredBytes + CREDIT_BYTES;
      session.grant(SUBSCRIPTION_ID, grantedBytes);
    },
    onFailure: reportFailure,
  });
  await session.subscribe(args.topic, SUBSCRIPTION_ID, args.from, CREDIT_BYTES);
  sources.set("broker", {
    mark: () => ({ timeMs: monotonicMs(), records, bytes: records * args.bytesPerRecord }),
    close: () => session.close(),
  });
}

function sourceOf(from: ConsumeFrom): Source {
  const source = sources.get(from);
  if (source === undefined) throw new Error(`not connected: from=${from}`);
  return source;
}

serveCommands<ConsumerCommands>({
  connectRelay,
  connectBroker,
  mark: ({ from }) => sourceOf(from).mark(),
  waitFor: async ({ from, records, timeoutMs }) => {
    const deadlineMs = monotonicMs() + timeoutMs;
    while (sourceOf(from).mark().records < records) {
      if (monotonicMs() > deadlineMs) {
        throw new Error(
          `records are missing: expected=${records} delivered=${sourceOf(from).mark().records}`,
        );
      }
      await delay(5);
    }
  },
  disconnect: ({ from }) => {
    sourceOf(from).close();
    sources.delete(from);
  },
});
