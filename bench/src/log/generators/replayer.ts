/**
 * Generator `replayer`: reads topics from their beginning to their end over raw connections and counts what comes,
 * from a broker; or ranges of a file from the yardstick `file-server`, with the same sockets and the same buffers.
 */
import { delay, monotonicMs, reportFailure, serveCommands } from "@millrace/load/internal";
import type { Counters } from "../../harness/sampling.ts";
import { BrokerSession } from "../../wire/broker-session.ts";
import { RawConnection } from "../../wire/raw-connection.ts";
import { rangeRequest } from "../yardsticks/range-request.ts";

export interface ReplayerCommands {
  /** One connection for each topic, to be replayed one after the other. */
  connectBroker(args: { url: string; topics: readonly string[]; bytesPerRecord: number }): Promise<void>;
  /** One connection for each of so many ranges of equal length, from the file's beginning on. */
  connectFileServer(args: {
    url: string;
    ranges: number;
    rangeBytes: number;
    bytesPerRecord: number;
  }): Promise<void>;
  /** Begins to replay what is connected. */
  start(args: null): void;
  /** Up to now, or up to the last byte once all is replayed. */
  mark(args: null): Counters;
  finished(args: null): boolean;
  disconnect(args: null): void;
  /** So many replays at a time, each of another topic, around and around. */
  startLanes(args: { url: string; topics: readonly string[]; lanes: number; bytesPerRecord: number }): void;
  stopLanes(args: null): Promise<{ replays: number }>;
}

/** What a subscription may be sent ahead of what this process has read. */
const CREDIT_BYTES = 32 * 1024 * 1024;
const SUBSCRIPTION_ID = 1;

interface Source {
  /** Resolves with the last byte. */
  replay(): Promise<void>;
  close(): void;
}

let sources: Source[] = [];
let records = 0;
let bytes = 0;
let finishedMs: number | undefined;
let laning = false;
let replays = 0;
let lanes: Promise<unknown> = Promise.resolve();

async function openTopic(url: string, topic: string, bytesPerRecord: number): Promise<Source> {
  let nextOffset = -1;
  let wanted = Number.POSITIVE_INFINITY;
  let got = 0;
  let deliveredBytes = 0;
  let grantedBytes = CREDIT_BYTES;
  let onEnd = (): void => undefined;
  const session: BrokerSession = await BrokerSession.open(url, "bench-replayer", {
    onAck: () => undefined,
    onThrottled: () => undefined,
    onEntry: (baseOffset, count) => {
      if (nextOffset >= 0 && baseOffset !== nextOffset) {
        throw new Error(`offsets are not contiguous: expected=${nextOffset} delivered=${baseOffset}`);
      }
      nextOffset = baseOffset + count;
      got += count;
      records += count;
      bytes += count * bytesPerRecord;
    },
    onDelivered: (frameBytes) => {
      deliveredBytes += frameBytes;
      if (got >= wanted) onEnd();
      if (grantedBytes - deliveredBytes > CREDIT_BYTES / 2) return;
      grantedBytes = deliveredBytes + CREDIT_BYTES;
      session.grant(SUBSCRIPTION_ID, grantedBytes);
    },
    onFailure: reportFailure,
  });
  return {
    replay: async () => {
      wanted = await session.subscribe(topic, SUBSCRIPTION_ID, { kind: "earliest" }, CREDIT_BYTES);
      if (got >= wanted) return;
      await new Promise<void>((resolve) => {
        onEnd = resolve;
      });
    },
    close: () => session.close(),
  };
}

async function openRange(
  url: string,
  position: number,
  rangeBytes: number,
  bytesPerRecord: number,
): Promise<Source> {
  let got = 0;
  let onEnd = (): void => undefined;
  const onChunk = (_chunk: Buffer, length: number): void => {
    got += length;
    bytes += length;
    records += length / bytesPerRecord;
    if (got >= rangeBytes) onEnd();
  };
  const connection = await RawConnection.open(url, onChunk, reportFailure);
  return {
    replay: async () => {
      connection.write(rangeRequest(position, rangeBytes));
      await new Promise<void>((resolve) => {
        onEnd = resolve;
      });
    },
    close: () => connection.close(),
  };
}

async function replayAll(): Promise<void> {
  for (const source of sources) await source.replay();
  finishedMs = monotonicMs();
}

async function runLane(args: Parameters<ReplayerCommands["startLanes"]>[0], lane: number): Promise<void> {
  for (let index = lane; laning; index += args.lanes) {
    const topic = args.topics[index % args.topics.length] as string;
    const source = await openTopic(args.url, topic, args.bytesPerRecord);
    const replayed = source.replay();
    let over = false;
    const end = (): void => {
      over = true;
    };
    replayed.then(end, reportFailure);
    while (laning && !over) await delay(1);
    source.close();
    if (over) replays++;
  }
}

serveCommands<ReplayerCommands>({
  connectBroker: async ({ url, topics, bytesPerRecord }) => {
    for (const topic of topics) sources.push(await openTopic(url, topic, bytesPerRecord));
  },
  connectFileServer: async ({ url, ranges, rangeBytes, bytesPerRecord }) => {
    for (let index = 0; index < ranges; index++) {
      sources.push(await openRange(url, index * rangeBytes, rangeBytes, bytesPerRecord));
    }
  },
  start: () => {
    finishedMs = undefined;
    replayAll().catch(reportFailure);
  },
  mark: () => ({ timeMs: finishedMs ?? monotonicMs(), records, bytes }),
  finished: () => finishedMs !== undefined,
  disconnect: () => {
    for (const source of sources) source.close();
    sources = [];
    finishedMs = undefined;
  },
  startLanes: (args) => {
    laning = true;
    replays = 0;
    const running = Array.from({ length: args.lanes }, (_, lane) => runLane(args, lane));
    lanes = Promise.all(running);
    lanes.catch(reportFailure);
  },
  stopLanes: async () => {
    laning = false;
    await lanes;
    return { replays };
  },
});
