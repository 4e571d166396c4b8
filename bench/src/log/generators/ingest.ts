/**
 * Generator `ingest`: a few raw connections, each of which sends 16 KiB batches to all topics in turn, pipelined as
 * far as the broker's credit goes, and notes how long each batch waits for its ack.
 */
import {
  LatencyRecorder,
  type LatencySummary,
  monotonicMs,
  reportFailure,
  serveCommands,
} from "@millrace/load/internal";
import type { Counters } from "../../harness/sampling.ts";
import { BrokerSession } from "../../wire/broker-session.ts";
import { buildPublishBlock, type PublishBlock } from "../../wire/publish-block.ts";
import { PublishLoad } from "../../wire/publish-load.ts";
import { SendTimes } from "../../wire/send-times.ts";

export interface IngestTarget {
  readonly url: string;
  /** Of one partition each. */
  readonly topics: readonly string[];
  /** "create" them with durability `fsynced`, or "open" what is there. */
  readonly mode: "create" | "open";
  readonly connections: number;
  readonly valueBytes: number;
  readonly batchBytes: number;
}

export interface IngestCommands {
  /** Returns records and stored bytes of one frame. */
  connect(args: IngestTarget): Promise<{ recordsPerFrame: number; payloadBytes: number }>;
  start(args: null): void;
  /** What is acknowledged. */
  mark(args: null): Counters;
  /** Latencies from now on. */
  resetLatency(args: null): void;
  latency(args: null): LatencySummary;
  /** Resolves when all is answered. */
  stop(args: null): Promise<{ throttledRecords: number }>;
}

const BLOCK_BYTES = 1024 * 1024;
/**
 * Frames of one connection that may be unanswered, and of one of its topics at least. Credit comes back when a frame
 * is in the broker's ring, which is before its ack.
 */
const UNANSWERED_MAX = 65_536;
const UNANSWERED_PER_TOPIC_MIN = 1024;

const loads: PublishLoad[] = [];
const latencies = new LatencyRecorder();
let recordsPerFrame = 0;

async function connect(target: IngestTarget): Promise<{ recordsPerFrame: number; payloadBytes: number }> {
  let block: PublishBlock | undefined;
  for (let index = 0; index < target.connections; index++) {
    const connection = new IngestConnection();
    const session = await connection.open(target.url);
    block ??= await blockOf(session, target);
    // Each begins elsewhere in the turn, or all would be at the same topic at once.
    const firstFrame = Math.floor((index * block.frames) / target.connections);
    loads.push(connection.load(block, target.topics.length, firstFrame));
  }
  if (block === undefined) throw new RangeError("connections must be at least 1");
  recordsPerFrame = block.recordsPerFrame;
  return { recordsPerFrame, payloadBytes: block.payloadBytes };
}

async function blockOf(session: BrokerSession, target: IngestTarget): Promise<PublishBlock> {
  const topicIds: number[] = [];
  for (const topic of target.topics) {
    topicIds.push(
      target.mode === "create" ? await session.createTopic(topic, "fsynced") : await session.topicId(topic),
    );
  }
  const { valueBytes, batchBytes } = target;
  return buildPublishBlock({ topicIds, valueBytes, batchBytes }, BLOCK_BYTES);
}

/** One connection, its load and the times at which its frames were sent. */
class IngestConnection {
  readonly #sent: SendTimes[] = [];
  readonly #topicIndexes: Map<number, number> = new Map();
  #session: BrokerSession | undefined;
  #load: PublishLoad | undefined;
  #recordsPerFrame = 1;
  #creditRequested = false;

  async open(url: string): Promise<BrokerSession> {
    this.#session = await BrokerSession.open(url, "bench-ingest", {
      onAckRange: (topicId, records) => this.#answered(topicId, records, true),
      onAck: (records) => {
        this.#creditRequested = false;
        this.#load?.answered(records / this.#recordsPerFrame);
      },
      onThrottled: (records, retryAfterMs, topicId) => {
        this.#answered(topicId, records, false);
        this.#load?.throttled(records / this.#recordsPerFrame, retryAfterMs);
      },
      onEntry: () => undefined,
      onDelivered: () => undefined,
      onFailure: reportFailure,
    });
    return this.#session;
  }

  load(block: PublishBlock, topics: number, firstFrame: number): PublishLoad {
    const session = this.#session as BrokerSession;
    this.#recordsPerFrame = block.recordsPerFrame;
    const share = 2 ** Math.floor(Math.log2(UNANSWERED_MAX / topics));
    for (let index = 0; index < topics; index++) {
      this.#sent.push(new SendTimes(Math.max(UNANSWERED_PER_TOPIC_MIN, share)));
      this.#topicIndexes.set(block.topicIds[index] as number, index);
    }
    this.#load = new PublishLoad(
      block,
      {
        room: () => session.publishCreditLimit - session.publishedBytes,
        starved: () => {
          if (this.#creditRequested) return;
          this.#creditRequested = true;
          session.requestCredit(block.frameBytes);
        },
        write: (bytes, frames, onWritten, first) => {
          const nowMs = monotonicMs();
          for (let frame = first; frame < first + frames; frame++) this.#sentTo(frame % topics).push(nowMs);
          session.publishedBytes += frames * block.frameBytes;
          session.write(bytes, onWritten);
        },
      },
      firstFrame,
    );
    return this.#load;
  }

  #answered(topicId: number, records: number, acknowledged: boolean): void {
    const index = this.#topicIndexes.get(topicId);
    if (index === undefined) throw new RangeError(`an answer about a topic of others: topicId=${topicId}`);
    const sent = this.#sentTo(index);
    const nowMs = monotonicMs();
    for (let left = records / this.#recordsPerFrame; left > 0; left--) {
      const sentMs = sent.shift();
      if (acknowledged) latencies.record(nowMs - sentMs);
    }
  }

  #sentTo(index: number): SendTimes {
    return this.#sent[index] as SendTimes;
  }
}

serveCommands<IngestCommands>({
  connect,
  start: () => {
    for (const load of loads) load.start();
  },
  mark: () => {
    const marks = loads.map((load) => load.mark());
    return {
      timeMs: monotonicMs(),
      records: marks.reduce((sum, mark) => sum + mark.records, 0),
      bytes: marks.reduce((sum, mark) => sum + mark.bytes, 0),
    };
  },
  resetLatency: () => latencies.reset(),
  latency: () => latencies.summary(),
  stop: async () => {
    await Promise.all(loads.map((load) => load.stop()));
    const throttled = loads.reduce((sum, load) => sum + load.framesThrottled, 0);
    return { throttledRecords: throttled * recordsPerFrame };
  },
});
