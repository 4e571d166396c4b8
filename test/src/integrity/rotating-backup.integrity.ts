// Runs against one process: its segments are small, which is nothing that a node of a cluster can be told.
import { existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Client, Gap, PartitionInfo, ReceivedBatch } from "@millrace/client";
import t, { type Test } from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { connectedClient } from "../harness/connected-client.ts";
import { runCommandProcess, startCommand } from "../harness/millrace-command.ts";
import type { OwnedProcess } from "../harness/owned-process.ts";
import { type AckedRecord, PublishingLoad } from "../harness/publishing-load.ts";
import { restoredBroker } from "../harness/restored-broker.ts";
import { SeededRandom, seedOf } from "../harness/seeded-random.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { nameOfValue, recordValue } from "../harness/test-records.ts";
import { inTime, until } from "../harness/waiting.ts";

const MIB = 1024 * 1024;
const SEGMENT_BYTES = MIB;
const PROBLEMS_SHOWN = 10;
/** So slow that it can be stopped while it copies. */
const SLOW_RATE = "16MiB";
/** A hang becomes a message; the test itself measures nothing. */
const TIMEOUT_MS = 300_000;

const TOPICS = [
  { name: "big", partitions: 1, retentionBytes: 4 * MIB, valueBytesMin: 5_000, valueBytesMax: 20_000 },
  { name: "wide", partitions: 8, retentionBytes: 4 * MIB, valueBytesMin: 1_000, valueBytesMax: 10_000 },
  { name: "kept", partitions: 2, retentionBytes: undefined, valueBytesMin: 10, valueBytesMax: 500 },
] as const;

/** They lose their oldest records all the time. */
const MOVING = ["big", "wide"] as const;

type TopicName = (typeof TOPICS)[number]["name"];

/** Log starts by partition, of each topic. */
type LogStarts = ReadonlyMap<string, readonly number[]>;

interface Running {
  readonly dataDir: string;
  readonly client: Client;
  readonly load: PublishingLoad;
}

/** A backup that was made under load, and what was known before it. */
interface Made {
  readonly folder: string;
  readonly ackedBefore: number;
  readonly startsBefore: LogStarts;
}

/** All of a topic, and the bounds of its partitions after that was read. */
interface ReadTopic {
  readonly batches: readonly ReceivedBatch[];
  readonly gaps: readonly Gap[];
  readonly partitionInfo: readonly PartitionInfo[];
}

t.setTimeout(TIMEOUT_MS);
t.test(
  "backups taken while segments are settled and what is old is dropped",
  { timeout: TIMEOUT_MS },
  async (t) => {
    const folders = temporaryFolder(t);
    const dataDir = join(folders, "data");
    const broker = await BrokerProcess.start(t, {
      dataDir,
      segmentBytes: SEGMENT_BYTES,
      args: ["--shards", "2"],
    });
    const client = await connectedClient(t, broker.url);
    for (const { name, partitions, retentionBytes } of TOPICS) {
      await client.topics.create(name, {
        partitions,
        ...(retentionBytes === undefined ? {} : { retentionBytes }),
      });
    }
    const producers = TOPICS.map((topic) => ({ ...topic, client, topic: topic.name }));
    const load = new PublishingLoad(producers, new SeededRandom(seedOf(t)));
    load.run();
    await until(async () => isEverythingMoving(await logStarts(client)), "old records are dropped");
    const made: Made[] = [];
    const running = { dataDir, client, load };
    made.push(await backUp(t, join(folders, "fast"), "unlimited", running));
    made.push(
      await backUp(t, join(folders, "slow"), SLOW_RATE, running, (command) => outlive(command, running)),
    );
    await load.settle();
    t.same(load.failed.slice(0, PROBLEMS_SHOWN), [], "every record found its way");
    const present = new Set(settledFiles(dataDir).map(({ path }) => path));
    const gone = settledFiles((made[1] as Made).folder).filter(({ path }) => !present.has(path));
    t.ok(gone.length > 0, `${gone.length} files of the slow backup are gone from the data folder`);

    const { batches } = await readTopic(client, "kept");
    for (const backup of made) await compare(t, join(folders, "restored"), backup, load.acked, batches);
    t.equal((await broker.stop()).code, 0);
  },
);

function isEverythingMoving(starts: LogStarts): boolean {
  return MOVING.every((name) => starts.get(name)?.every((offset) => offset > 0));
}

async function logStarts(client: Client): Promise<LogStarts> {
  const starts = new Map<string, readonly number[]>();
  for (const { name } of TOPICS) {
    const { partitionInfo } = await client.topics.describe(name);
    const byNumber = [...partitionInfo].sort((a, b) => a.partition - b.partition);
    starts.set(
      name,
      byNumber.map(({ logStartOffset }) => logStartOffset),
    );
  }
  return starts;
}

async function backUp(
  t: Test,
  folder: string,
  rate: string,
  { dataDir, client, load }: Running,
  meanwhile: (command: OwnedProcess) => Promise<void> = async () => {},
): Promise<Made> {
  const startsBefore = await logStarts(client);
  const ackedBefore = load.acked.length;
  const command = startCommand(t, ["backup", folder, "--data", dataDir, "--rate", rate, "--json"]);
  await until(() => existsSync(join(folder, "shards")), "the backup copies");
  await meanwhile(command);
  const { code } = await inTime(command.exited, "the backup to end");
  t.equal(code, 0, command.stderr);
  const summary = JSON.parse(command.stdout) as unknown;
  t.ok(load.acked.length > ackedBefore, "publishing went on meanwhile");
  const files = settledFiles(folder);
  t.ok(files.length > 0, `${files.length} settled files`);
  t.match(summary, { live: true, linkedFiles: files.length }, "each of them got a second name");
  // The original may be gone.
  const originals = new Map(settledFiles(dataDir).map(({ path, inode }) => [path, inode]));
  const copied = files.filter(({ path, inode }) => (originals.get(path) ?? inode) !== inode);
  t.same(copied, [], "and is the same file");
  t.comment(command.stdout.trim());
  return { folder, ackedBefore, startsBefore };
}

/** Stops the command until much of what it is to copy has been dropped by the broker. */
async function outlive(command: OwnedProcess, { dataDir, client }: Running): Promise<void> {
  command.signal("SIGSTOP");
  const before = await logStarts(client);
  const [snapshot] = readdirSync(dataDir).filter((name) => name.startsWith("snapshot-"));
  const files = readdirSync(join(dataDir, snapshot as string), { recursive: true, encoding: "utf8" });
  const settled = files.filter((path) => path.endsWith(".settled"));
  await until(() => settled.some((path) => !existsSync(join(dataDir, "shards", path))), "files are dropped");
  await until(async () => {
    const now = await logStarts(client);
    return MOVING.every((name) => `${now.get(name)}` !== `${before.get(name)}`);
  }, "old records are dropped");
  command.signal("SIGCONT");
}

function settledFiles(folder: string): { path: string; inode: number }[] {
  return readdirSync(join(folder, "shards"), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".settled"))
    .flatMap((path) => {
      const stat = statSync(join(folder, "shards", path), { throwIfNoEntry: false });
      return stat === undefined ? [] : [{ path, inode: stat.ino }];
    });
}

async function readTopic(client: Client, topic: TopicName): Promise<ReadTopic> {
  const gaps: Gap[] = [];
  const reading = async (): Promise<ReceivedBatch[]> => {
    const batches: ReceivedBatch[] = [];
    const onGap = (gap: Gap): void => void gaps.push(gap);
    const subscription = client.subscribe(topic, { from: "earliest", untilEnd: true, onGap });
    for await (const batch of subscription.batches()) batches.push(batch);
    return batches;
  };
  const batches = await inTime(reading(), `the end of ${topic}`);
  const { partitionInfo } = await client.topics.describe(topic);
  return { batches, gaps, partitionInfo };
}

/** Restores a backup, has it verified, and compares it with what was acknowledged, record by record. */
async function compare(
  t: Test,
  folder: string,
  made: Made,
  acked: readonly AckedRecord[],
  keptBatches: readonly ReceivedBatch[],
): Promise<void> {
  const broker = await restoredBroker(t, made.folder, folder);
  const client = await connectedClient(t, broker.url);
  for (const topic of TOPICS) {
    const { name } = topic;
    const read = await readTopic(client, name);
    const problems = [
      ...problemsOfDropping(topic, read, made.startsBefore),
      ...problemsOfRecords(name, read, acked, made.ackedBefore),
      ...(name === "kept" ? problemsOfBatches(read.batches, keptBatches) : []),
    ];
    const records = read.batches.reduce((sum, { count }) => sum + count, 0);
    t.same(problems.slice(0, PROBLEMS_SHOWN), [], `${name}: ${records} records`);
  }
  await client.close();
  t.equal((await broker.stop()).code, 0);
  const doctor = await runCommandProcess(t, ["doctor", "--data", folder]);
  t.equal(doctor.code, 0, `it is sound: ${doctor.stderr}`);
  rmSync(folder, { recursive: true });
}

/** What is not there had been dropped before the backup, or lies beyond the bound: the restored broker goes on dropping. */
function problemsOfDropping(
  topic: (typeof TOPICS)[number],
  { batches, gaps, partitionInfo }: ReadTopic,
  startsBefore: LogStarts,
): string[] {
  const problems: string[] = [];
  for (const { partition, logStartOffset } of partitionInfo) {
    const before = startsBefore.get(topic.name)?.[partition] as number;
    if (logStartOffset < before) problems.push(`${partition} starts at ${logStartOffset}, before ${before}`);
    if (logStartOffset === 0) continue;
    const bytes = batches
      .filter((batch) => batch.partition === partition && batch.baseOffset >= logStartOffset)
      .flatMap((batch) => [...batch])
      .reduce((sum, { value }) => sum + (value as Uint8Array).length, 0);
    // What the broker counts is a little more than values.
    const least = ((topic.retentionBytes ?? Number.POSITIVE_INFINITY) / topic.partitions) * 0.9;
    if (bytes < least) problems.push(`${partition} has ${bytes} bytes, not ${least}`);
  }
  for (const gap of gaps) {
    const info = partitionInfo.find(({ partition }) => partition === gap.partition) as PartitionInfo;
    const isDropped = gap.reason === "retention" && gap.toOffset <= info.logStartOffset;
    // Offsets that somebody may know of the old log are not given out again.
    const isEnd = gap.reason === "gap" && gap.toOffset === info.highWatermark;
    if (!isDropped && !isEnd) problems.push(`gap: ${JSON.stringify(gap)}`);
  }
  return problems;
}

/**
 * Each partition holds a stretch of what was acknowledged, with no holes but gaps that were told of, up to the last one before
 * the backup at least.
 */
function problemsOfRecords(
  topic: TopicName,
  { batches, gaps, partitionInfo }: ReadTopic,
  acked: readonly AckedRecord[],
  ackedBefore: number,
): string[] {
  const problems: string[] = [];
  const known = new Map<string, AckedRecord>();
  for (const record of acked) {
    if (record.ack.topic === topic) known.set(`${record.ack.partition}/${record.ack.offset}`, record);
  }
  const next = new Map<number, number>();
  for (const { partition, offset, value: read } of batches.flatMap((batch) => [...batch])) {
    const value = read as Uint8Array;
    const place = `${partition}/${offset}`;
    const start = partitionInfo[partition]?.logStartOffset as number;
    const expected = next.get(partition) ?? Math.min(start, offset);
    const isTold = gaps.some((gap) => gap.partition === partition && gap.toOffset === offset);
    if (offset !== expected && !isTold) problems.push(`${place} instead of ${expected}`);
    next.set(partition, offset + 1);
    const { producer, sequence } = nameOfValue(value);
    const record = known.get(place);
    if (record?.producer !== producer || record.sequence !== sequence) {
      problems.push(`${place} is ${producer}:${sequence} instead of ${record?.producer}:${record?.sequence}`);
    } else if (!recordValue(producer, sequence, record.bytes).equals(value)) {
      problems.push(`${place} is altered`);
    }
  }
  for (const { ack } of acked.slice(0, ackedBefore)) {
    if (ack.topic !== topic || ack.offset < (next.get(ack.partition) ?? 0)) continue;
    problems.push(`${ack.partition}/${ack.offset} was acknowledged before the backup and is not in it`);
  }
  return problems;
}

/** What was published at once is there at once, or not at all. */
function problemsOfBatches(batches: readonly ReceivedBatch[], all: readonly ReceivedBatch[]): string[] {
  const counts = new Map(
    all.map(({ partition, baseOffset, count }) => [`${partition}/${baseOffset}`, count]),
  );
  return batches.flatMap(({ partition, baseOffset, count }) => {
    const whole = counts.get(`${partition}/${baseOffset}`);
    return whole === count ? [] : [`batch ${partition}/${baseOffset} has ${count} records of ${whole}`];
  });
}
