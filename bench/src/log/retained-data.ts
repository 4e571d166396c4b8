import { type CommandedChild, delay, monotonicMs } from "@millrace/load/internal";
import { BATCH_BYTES, VALUE_BYTES } from "../harness/bench-row.ts";
import { freeBytes } from "../harness/file-system.ts";
import type { Counters } from "../harness/sampling.ts";
import type { IngestCommands } from "./generators/ingest.ts";
import { type LogContext, RestartableBroker } from "./log-context.ts";
import { INGEST_CONNECTIONS, INTERLEAVED_TOPICS, topicNames } from "./log-plan.ts";
import { type FolderState, waitUntilSettled } from "./settled.ts";

const POLL_MS = 20;
/** An ingest that gets nothing acknowledged for so long is over. */
const STALL_MS = 60_000;
/** Free space to ask for, per byte to retain: settling writes a second copy before it deletes the first. */
const FREE_FACTOR = 2;

/** Data of some topics, acknowledged as `fsynced`, on a broker that has been ended. */
export interface RetainedData {
  readonly broker: RestartableBroker;
  readonly topics: readonly string[];
  /** Stored bytes of all topics, and records. */
  readonly bytes: number;
  readonly records: number;
  readonly bytesPerRecord: number;
  /** When the broker was ended. */
  readonly state: FolderState & { quiet: boolean };
}

/** The data that several rows share: all topics interleaved, batch by batch. Made on first use. */
export function interleavedData(context: LogContext): Promise<RetainedData> {
  const { interleavedBytes } = context.logPlan;
  context.shared.interleaved ??= retain(context, "interleaved", INTERLEAVED_TOPICS, interleavedBytes);
  return context.shared.interleaved;
}

/**
 * Starts a fresh broker, publishes so many bytes to so many topics in turn, waits for settling, and ends it.
 * @throws Error when the disk has not twice the room for it
 */
export async function retain(
  context: LogContext,
  name: string,
  topicCount: number,
  bytes: number,
): Promise<RetainedData> {
  const free = freeBytes(context.folder);
  if (free < bytes * FREE_FACTOR) {
    const gigabytes = (value: number): string => (value / 1e9).toFixed(0);
    throw new Error(
      `skipped: needs ${gigabytes(bytes * FREE_FACTOR)} GB of free disk, there are ${gigabytes(free)}; ` +
        "--folder chooses another",
    );
  }
  const broker = new RestartableBroker(context, name);
  const topics = topicNames(topicCount);
  try {
    await broker.start();
    const done = await ingest(context, broker, topics, "create", bytes);
    context.progress.say("waiting until all is settled");
    const state = await waitUntilSettled(broker.folder, context.logPlan.settleTimeoutMs);
    await broker.stop();
    return { broker, topics, ...done, bytesPerRecord: done.bytes / done.records, state };
  } catch (error) {
    const explained = broker.explain(error);
    await broker.remove();
    throw explained;
  }
}

/** Publishes at least so many bytes and resolves when all is acknowledged. */
async function ingest(
  context: LogContext,
  broker: RestartableBroker,
  topics: readonly string[],
  mode: "create" | "open",
  bytes: number,
): Promise<{ bytes: number; records: number }> {
  const generator = await startIngest(context, broker, topics, mode);
  try {
    await untilIngested(context, generator, bytes);
    await generator.call("stop", null);
    return await generator.call("mark", null);
  } finally {
    await context.children.end(generator.pid);
  }
}

/** A generator that has begun to publish as fast as the broker takes it. */
export async function startIngest(
  context: LogContext,
  broker: RestartableBroker,
  topics: readonly string[],
  mode: "create" | "open",
): Promise<CommandedChild<IngestCommands>> {
  const generator = await forkIngest(context);
  const shape = { valueBytes: VALUE_BYTES, batchBytes: BATCH_BYTES };
  await generator.call("connect", {
    url: broker.url,
    topics,
    mode,
    connections: INGEST_CONNECTIONS,
    ...shape,
  });
  await generator.call("start", null);
  return generator;
}

export function forkIngest(context: LogContext): Promise<CommandedChild<IngestCommands>> {
  return context.children.fork<IngestCommands>(new URL("./generators/ingest.js", import.meta.url));
}

/** Resolves once so many bytes are acknowledged. */
export async function untilIngested(
  context: LogContext,
  generator: CommandedChild<IngestCommands>,
  bytes: number,
): Promise<Counters> {
  let mark = await generator.call("mark", null);
  let movedMs = monotonicMs();
  let saidMs = 0;
  while (mark.bytes < bytes) {
    await delay(POLL_MS);
    const now = await generator.call("mark", null);
    if (now.bytes > mark.bytes) movedMs = now.timeMs;
    else if (now.timeMs - movedMs > STALL_MS) throw new Error(`ingest stands still: bytes=${now.bytes}`);
    mark = now;
    if (now.timeMs - saidMs < 2_000) continue;
    saidMs = now.timeMs;
    context.progress.say(`publishing: ${(mark.bytes / 1e9).toFixed(1)} of ${(bytes / 1e9).toFixed(1)} GB`);
  }
  return mark;
}
