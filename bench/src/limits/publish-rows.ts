import { join } from "node:path";
import { type CommandedChild, plainProcess } from "@millrace/load/internal";
import { BATCH_BYTES, type RowOutcome, VALUE_BYTES } from "../harness/bench-row.ts";
import { type ComparisonOptions, compare } from "../harness/comparison.ts";
import { DiskSubject } from "../harness/disk-subject.ts";
import type { DiskCommands } from "../harness/disk-writer.ts";
import type { Subject } from "../harness/sampling.ts";
import type { ConsumerCommands } from "./generators/consumer.ts";
import type { BlockShape, PublisherCommands } from "./generators/publisher.ts";
import { type LimitContext, withBroker } from "./limit-context.ts";
import type { LimitRow } from "./limit-row.ts";
import { PublishSubject } from "./subjects.ts";
import type { SinkCommands } from "./yardsticks/sink.ts";

/** What a generator may have in flight to a yardstick. To the broker its credit is the limit. */
export const WINDOW_BYTES: number = 4 * 1024 * 1024;

/** One write of the disk yardstick. */
const DISK_WRITE_BYTES: number = 1024 * 1024;
const TOPIC = "bench";
/** How many of the first and of the last records are read back after the samples. */
const READ_BACK_RECORDS = 200_000;

interface PublishRow {
  readonly name: string;
  readonly description: string;
  readonly target: number;
  readonly durability: "memory" | "written" | "fsynced";
  readonly batchBytes: number;
  readonly yardstick: "sink" | "disk" | "disk-synced";
}

/** Batches of one record: the smallest size makes each record its own frame. */
const ONE_RECORD = 1;

const ROWS: readonly PublishRow[] = [
  {
    name: "publish-memory",
    description: "16 KiB batches, one pipelining connection, memory, against sink",
    target: 0.4,
    durability: "memory",
    batchBytes: BATCH_BYTES,
    yardstick: "sink",
  },
  {
    name: "publish-written",
    description: "16 KiB batches, one pipelining connection, written, against disk",
    target: 0.7,
    durability: "written",
    batchBytes: BATCH_BYTES,
    yardstick: "disk",
  },
  {
    name: "publish-fsynced",
    description: "16 KiB batches, one pipelining connection, fsynced, against disk with fdatasync",
    target: 0.7,
    durability: "fsynced",
    batchBytes: BATCH_BYTES,
    yardstick: "disk-synced",
  },
  {
    name: "publish-single",
    description: "one record per frame, pipelined, memory, against sink",
    target: 0.45,
    durability: "memory",
    batchBytes: ONE_RECORD,
    yardstick: "sink",
  },
];

export const publishRows: readonly LimitRow[] = ROWS.map((row) => ({
  name: row.name,
  description: row.description,
  target: row.target,
  sense: "at-least",
  run: (context) => withBroker(context, row.name, (broker) => runPublishRow(context, row, broker.process)),
}));

async function runPublishRow(
  context: LimitContext,
  row: PublishRow,
  broker: Parameters<Parameters<typeof withBroker>[2]>[0]["process"],
): Promise<RowOutcome> {
  const { children } = context;
  const publisher = await children.fork<PublisherCommands>(
    new URL("./generators/publisher.js", import.meta.url),
  );
  const shape: BlockShape = { valueBytes: VALUE_BYTES, batchBytes: row.batchBytes };
  const started: { pid: number }[] = [publisher];
  try {
    const target = { url: broker.url, topic: TOPIC, durability: row.durability, shape };
    const frame = await publisher.call("connectBroker", target);
    const yardstick = await startYardstick(context, row, publisher, shape, frame);
    started.push(yardstick.child);
    const subject = new PublishSubject("broker", broker.measured(), publisher);
    const outcome = await compare(context, yardstick.subject, subject, yardstick.options);
    const published = (await subject.mark()).records;
    context.progress.say("reading back");
    const readBack = await readBackEnds(
      context,
      broker.url,
      published,
      frame.payloadBytes / frame.recordsPerFrame,
    );
    return {
      ...outcome,
      raw: { ...outcome.raw, published, readBack, throttledRecords: subject.throttledRecords },
      details: [
        ...outcome.details,
        `${published} records published, ${readBack} of them read back without a gap`,
      ],
    };
  } finally {
    for (const child of started) await children.end(child.pid);
  }
}

async function startYardstick(
  context: LimitContext,
  row: PublishRow,
  publisher: CommandedChild<PublisherCommands>,
  shape: BlockShape,
  frame: { recordsPerFrame: number; payloadBytes: number },
): Promise<{ child: { pid: number }; subject: Subject; options: ComparisonOptions }> {
  if (row.yardstick === "sink") {
    const sink = await context.children.fork<SinkCommands>(new URL("./yardsticks/sink.js", import.meta.url));
    const url = await sink.call("listen", null);
    await publisher.call("connect", { to: "sink", url, shape, windowBytes: WINDOW_BYTES });
    const subject = new PublishSubject("sink", plainProcess("yardstick", sink), publisher);
    return { child: sink, subject, options: { unit: "records", generatorsAt: "yardstick" } };
  }
  const disk = await context.children.fork<DiskCommands>(
    new URL("../harness/disk-writer.js", import.meta.url),
    { label: "disk" },
  );
  const subject = new DiskSubject(disk, {
    path: join(context.folder, "yardstick.dat"),
    sync: row.yardstick === "disk-synced",
    writeBytes: DISK_WRITE_BYTES,
    recordsPerMebibyte: (frame.recordsPerFrame * 1024 * 1024) / frame.payloadBytes,
  });
  return { child: disk, subject, options: { unit: "bytes", generatorsAt: "broker" } };
}

/**
 * Reads the first and the last records of what was acknowledged, whose offsets must follow each other: a fast
 * broker that does not keep its records readable has reached nothing.
 */
async function readBackEnds(
  context: LimitContext,
  url: string,
  published: number,
  bytesPerRecord: number,
): Promise<number> {
  const count = Math.min(READ_BACK_RECORDS, published);
  const module = new URL("./generators/consumer.js", import.meta.url);
  const consumer = await context.children.fork<ConsumerCommands>(module);
  try {
    for (const offset of [0, published - count]) {
      const from = { kind: "offset", offset } as const;
      await consumer.call("connectBroker", { url, topic: TOPIC, from, bytesPerRecord });
      await consumer.call("waitFor", { from: "broker", records: count, timeoutMs: 30_000 });
      await consumer.call("disconnect", { from: "broker" });
    }
  } finally {
    await context.children.end(consumer.pid);
  }
  return Math.min(2 * count, published);
}
