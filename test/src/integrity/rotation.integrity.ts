import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Client, Gap } from "@millrace/client";
import t, { type Test } from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { connectedClient } from "../harness/connected-client.ts";
import { type AckedRecord, type LoadProducer, PublishingLoad } from "../harness/publishing-load.ts";
import { SeededRandom, seedOf } from "../harness/seeded-random.ts";
import { TcpRelay } from "../harness/tcp-relay.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { nameOfValue, recordValue } from "../harness/test-records.ts";
import { inTime, pauseMs, until } from "../harness/waiting.ts";

/** Written in all, while old records expire; MILLRACE_ROTATION_GB sets another amount for a long run. */
const TOTAL_BYTES = Number(process.env.MILLRACE_ROTATION_GB ?? 0.4) * 1e9;
/** Bytes between two comparisons. */
const COMPARE_BYTES = Math.max(300e6, TOTAL_BYTES / 20);
const MIB = 1024 * 1024;
const PROBLEMS_SHOWN = 10;
const SHARDS = 2;
const COMPARE_PATIENCE_MS = 300_000;
/**
 * What a shard may keep beside what retention wants: the segments and checkpoints of the journal, what waits to be
 * settled, and files that are rewritten once half of them is dead.
 */
const SLACK_BYTES = SHARDS * 12 * 64 * MIB;

interface RotatedTopic {
  readonly name: string;
  readonly partitions: number;
  readonly retentionBytes?: number;
  readonly retentionMs?: number;
  readonly valueBytesMin: number;
  readonly valueBytesMax: number;
}

const TOPICS: readonly RotatedTopic[] = [
  { name: "big", partitions: 1, retentionBytes: 128 * MIB, valueBytesMin: 60_000, valueBytesMax: 200_000 },
  { name: "wide", partitions: 16, retentionBytes: 128 * MIB, valueBytesMin: 2_000, valueBytesMax: 60_000 },
  { name: "short", partitions: 2, retentionMs: 4_000, valueBytesMin: 500, valueBytesMax: 20_000 },
];

/** Log start of each partition, `topic/partition`, as the last comparison found it. */
type LogStarts = Map<string, number>;

t.test(
  "retention in rotation, with kill -9 at random: what is kept is whole, and nothing else is dropped",
  async (t) => {
    const random = new SeededRandom(seedOf(t));
    const dataDir = temporaryFolder(t);
    let broker = await BrokerProcess.start(t, { dataDir, args: ["--shards", String(SHARDS)] });
    const relay = await TcpRelay.start(t, broker.port);
    const clients = await Promise.all([0, 1, 2].map(() => connectedClient(t, relay.url)));
    for (const { name, partitions, retentionBytes, retentionMs } of TOPICS) {
      await (clients[0] as Client).topics.create(name, {
        partitions,
        ...(retentionBytes === undefined ? {} : { retentionBytes }),
        ...(retentionMs === undefined ? {} : { retentionMs }),
      });
    }
    const load = new PublishingLoad(producersOf(clients), random);
    const starts: LogStarts = new Map();
    const written = new Map<string, number>();
    let total = 0;
    let counted = 0;
    let compared = 0;
    let kills = 0;

    while (total < TOTAL_BYTES) {
      load.run();
      await pauseMs(random.between(200, 2_500));
      if (kills === 0 || random.below(3) > 0) {
        await broker.kill();
        kills += 1;
        broker = await BrokerProcess.start(t, { dataDir });
        relay.targetPort = broker.port;
      }
      for (; counted < load.acked.length; counted += 1) {
        const { bytes, ack } = load.acked[counted] as AckedRecord;
        total += bytes;
        written.set(ack.topic, (written.get(ack.topic) ?? 0) + bytes);
      }
      if (total - compared < COMPARE_BYTES && total < TOTAL_BYTES) continue;
      compared = total;
      await load.settle();
      t.same(load.failed.slice(0, PROBLEMS_SHOWN), [], "every record found its way in the end");
      for (const topic of TOPICS) await compare(t, broker, topic, load, starts, written);
      counted = load.acked.length;
    }

    t.ok(kills > 0, `${kills} times killed`);
    t.comment(`${Math.round(total / 1e6)} MB in ${load.acked.length} records, ${kills} times kill -9`);
    const wanted = TOPICS.reduce((sum, { retentionBytes }) => sum + (retentionBytes ?? 0), 0);
    // With less written than may lie about, neither could be told.
    if (TOTAL_BYTES > wanted + SLACK_BYTES) {
      await until(() => folderBytes(dataDir) <= wanted + SLACK_BYTES, "what has expired has left the disk");
      for (const { name } of TOPICS)
        t.ok((starts.get(`${name}/0`) ?? 0) > 0, `${name} has lost its oldest records`);
    } else t.comment("too little was written to judge what leaves the disk");
    t.equal((await broker.stop()).code, 0, "and the broker stops in order");
  },
);

function producersOf(clients: readonly Client[]): LoadProducer[] {
  return TOPICS.map(({ name, partitions, valueBytesMin, valueBytesMax }, i) => ({
    name,
    client: clients[i] as Client,
    topic: name,
    partitions,
    valueBytesMin,
    valueBytesMax,
  }));
}

/** Reads all that is left of a topic and compares it with what was acknowledged; nothing is under way meanwhile. */
async function compare(
  t: Test,
  broker: BrokerProcess,
  topic: RotatedTopic,
  load: PublishingLoad,
  starts: LogStarts,
  written: ReadonlyMap<string, number>,
): Promise<void> {
  const { name } = topic;
  const client = await connectedClient(t, broker.url);
  const acked = new Map<string, AckedRecord>();
  for (const record of load.acked) {
    const { ack } = record;
    if (ack.topic === name) acked.set(`${ack.partition}/${ack.offset}`, record);
  }
  const problems: string[] = [];
  const gaps: Gap[] = [];
  const firstOffsets = new Map<number, number>();
  const nextOffsets = new Map<number, number>();
  let keptBytes = 0;
  const subscription = client.subscribe(name, {
    from: "earliest",
    untilEnd: true,
    onGap: (gap) => gaps.push(gap),
  });
  const reading = async (): Promise<void> => {
    for await (const { partition, offset, value: read } of subscription) {
      const value = read as Uint8Array;
      const expected = nextOffsets.get(partition);
      const dropped = gaps.some((gap) => gap.partition === partition && gap.toOffset === offset);
      // Records may expire under the reader, too.
      if (expected === undefined || dropped) firstOffsets.set(partition, offset);
      else if (offset !== expected) problems.push(`${partition}/${offset} instead of ${expected}`);
      nextOffsets.set(partition, offset + 1);
      keptBytes += value.length;
      const { producer, sequence } = nameOfValue(value);
      const known = acked.get(`${partition}/${offset}`);
      if (known === undefined) problems.push(`${partition}/${offset} was never acknowledged`);
      else if (known.producer !== producer || known.sequence !== sequence) {
        problems.push(`${partition}/${offset} is ${producer}:${sequence} instead of ${known.sequence}`);
      } else if (!recordValue(producer, sequence, known.bytes).equals(value)) {
        problems.push(`${partition}/${offset} is altered`);
      }
    }
  };
  await inTime(reading(), `the end of ${name}`, COMPARE_PATIENCE_MS);

  const { partitionInfo = [] } = await client.topics.describe(name);
  for (const { partition, logStartOffset, highWatermark } of partitionInfo) {
    const key = `${name}/${partition}`;
    const before = starts.get(key) ?? 0;
    if (logStartOffset < before)
      problems.push(`the start of ${key} went back: ${before} to ${logStartOffset}`);
    starts.set(key, logStartOffset);
    const end = nextOffsets.get(partition) ?? highWatermark;
    if (end !== highWatermark) problems.push(`${key} was read up to ${end} instead of ${highWatermark}`);
  }
  let read = 0;
  for (const { ack } of acked.values()) {
    const first = firstOffsets.get(ack.partition);
    if (first !== undefined && ack.offset >= first) read += 1;
  }
  const present = [...nextOffsets].reduce(
    (sum, [p, next]) => sum + next - (firstOffsets.get(p) as number),
    0,
  );
  if (read !== present) problems.push(`${present} records are there, ${read} of those were acknowledged`);
  for (const gap of gaps) if (gap.reason !== "retention") problems.push(`gap: ${JSON.stringify(gap)}`);
  const bound = topic.retentionBytes;
  if (bound !== undefined) {
    // A partition's share need not be full: what is written to it decides.
    const least = Math.min(bound, written.get(name) ?? 0) * (topic.partitions === 1 ? 0.95 : 0.5);
    if (keptBytes < least) problems.push(`only ${keptBytes} bytes of ${name} are kept of at least ${least}`);
  }
  t.same(
    problems.slice(0, PROBLEMS_SHOWN),
    [],
    `${name}: ${present} records, ${Math.round(keptBytes / 1e6)} MB kept`,
  );
  await client.close();
}

/** Bytes of all files; a name that goes meanwhile counts nothing, a second name of a file nothing either. */
function folderBytes(path: string): number {
  const counted = new Set<number>();
  let bytes = 0;
  for (const entry of readdirSync(path, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const stat = statSync(join(entry.parentPath, entry.name), { throwIfNoEntry: false });
    if (stat === undefined || counted.has(stat.ino)) continue;
    counted.add(stat.ino);
    bytes += stat.size;
  }
  return bytes;
}
