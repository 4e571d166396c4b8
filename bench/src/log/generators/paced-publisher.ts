/**
 * Generator `paced-publisher`: an open loop. It publishes single records at a fixed rate, whether the broker answers
 * or not, and measures each latency from the moment at which the record was to be sent: a broker that stands still
 * for a second makes a second's worth of records late, not one.
 */
import {
  delay,
  LatencyRecorder,
  type LatencySummary,
  monotonicMs,
  reportFailure,
  serveCommands,
} from "@millrace/load/internal";
import { BrokerSession } from "../../wire/broker-session.ts";
import { buildPublishBlock, type PublishBlock } from "../../wire/publish-block.ts";
import { SendTimes } from "../../wire/send-times.ts";

export interface PacedCommands {
  /** Creates the topic, `fsynced`, with one partition. */
  connect(args: { url: string; topic: string; valueBytes: number }): Promise<void>;
  /** Publishes for warmUpMs + durationMs; the latencies are those of records that were due in the latter. */
  run(args: { perSecond: number; warmUpMs: number; durationMs: number }): Promise<PacedResult>;
}

export interface PacedResult {
  readonly latency: LatencySummary;
  /** How late the generator itself sent: timers wake on whole milliseconds. Part of the latency. */
  readonly lateness: LatencySummary;
  /** Publishes that the broker refused for now, which are not sent again. */
  readonly throttled: number;
}

const BLOCK_BYTES = 1024 * 1024;
const UNANSWERED_MAX = 262_144;
const DRAIN_TIMEOUT_MS = 30_000;

const intended = new SendTimes(UNANSWERED_MAX);
const latencies = new LatencyRecorder();
const latenesses = new LatencyRecorder();
let session: BrokerSession | undefined;
let block: PublishBlock | undefined;
let cursor = 0;
let measuredFromMs = Number.POSITIVE_INFINITY;
let throttled = 0;
let creditRequested = false;
let nextDueMs = 0;
let dueUntilMs = 0;
let intervalMs = 1;

function answered(records: number, acknowledged: boolean): void {
  const nowMs = monotonicMs();
  for (let left = records; left > 0; left--) {
    const dueMs = intended.shift();
    if (!acknowledged) throttled++;
    else if (dueMs >= measuredFromMs) latencies.record(nowMs - dueMs);
  }
}

/** Sends what is due, as far as there is credit. */
function pump(): void {
  if (session === undefined || block === undefined) return;
  const nowMs = monotonicMs();
  const untilMs = Math.min(nowMs, dueUntilMs);
  while (nextDueMs <= untilMs) {
    const due = Math.floor((untilMs - nextDueMs) / intervalMs) + 1;
    const room = Math.floor((session.publishCreditLimit - session.publishedBytes) / block.frameBytes);
    const count = Math.min(due, room, block.frames - cursor);
    if (count <= 0) {
      if (!creditRequested) session.requestCredit(block.frameBytes);
      creditRequested = true;
      return;
    }
    for (let sent = 0; sent < count; sent++) {
      intended.push(nextDueMs);
      if (nextDueMs >= measuredFromMs) latenesses.record(nowMs - nextDueMs);
      nextDueMs += intervalMs;
    }
    const from = cursor * block.wireBytes;
    cursor = (cursor + count) % block.frames;
    session.publishedBytes += count * block.frameBytes;
    session.write(block.bytes.subarray(from, from + count * block.wireBytes));
  }
}

async function run(args: Parameters<PacedCommands["run"]>[0]): Promise<PacedResult> {
  latencies.reset();
  latenesses.reset();
  throttled = 0;
  intervalMs = 1000 / args.perSecond;
  nextDueMs = monotonicMs();
  measuredFromMs = nextDueMs + args.warmUpMs;
  dueUntilMs = measuredFromMs + args.durationMs;
  while (nextDueMs <= dueUntilMs) {
    pump();
    await delay(1);
    if (monotonicMs() > dueUntilMs + DRAIN_TIMEOUT_MS) throw new Error("the broker gives no credit");
  }
  const deadlineMs = monotonicMs() + DRAIN_TIMEOUT_MS;
  while (intended.size > 0) {
    if (monotonicMs() > deadlineMs) throw new Error(`acks are missing: unanswered=${intended.size}`);
    await delay(5);
  }
  return { latency: latencies.summary(), lateness: latenesses.summary(), throttled };
}

serveCommands<PacedCommands>({
  connect: async ({ url, topic, valueBytes }) => {
    session = await BrokerSession.open(url, "bench-paced", {
      onAck: (records) => {
        creditRequested = false;
        answered(records, true);
        pump();
      },
      onThrottled: (records) => answered(records, false),
      onEntry: () => undefined,
      onDelivered: () => undefined,
      onFailure: reportFailure,
    });
    const topicIds = [await session.createTopic(topic, "fsynced")];
    // Batches of one record.
    block = buildPublishBlock({ topicIds, valueBytes, batchBytes: 1 }, BLOCK_BYTES);
  },
  run,
});
