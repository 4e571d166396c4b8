// Runs against one process: it is about what a shard does that finds its files damaged, the same code in every process.
import { cpSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { connectedClient } from "../harness/connected-client.ts";
import {
  alterFile,
  checkpointsOf,
  findInSegments,
  flipBit,
  segmentsOf,
  shardFolder,
  withFlippedBit,
} from "../harness/journal-files.ts";
import { RawClient } from "../harness/raw-client.ts";
import { readAll } from "../harness/reading.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { recordValue } from "../harness/test-records.ts";

const SHARD = 0;
const RECORDS = 20;
const ENTRY_HEADER_BYTES = 88;

const value = (sequence: number): Buffer => recordValue("damage", sequence, 3000);

/** A data folder with RECORDS records in one shard, each synced by itself, the last five by a second broker. */
async function makeFolder(t: Test, end: "kill" | "stop"): Promise<string> {
  const dataDir = join(temporaryFolder(t), "data");
  for (const [from, to] of [
    [0, RECORDS - 5],
    [RECORDS - 5, RECORDS],
  ] as const) {
    const broker = await BrokerProcess.start(t, { dataDir, args: ["--shards", "1"] });
    const client = await connectedClient(t, broker.url);
    if (from === 0) await client.topics.create("kept");
    const producer = client.producer("kept", { lingerMs: 0 });
    for (let i = from; i < to; i += 1) await producer.send({ value: value(i) });
    await client.close();
    await broker[end]();
  }
  return dataDir;
}

const crashed = await makeFolder(t, "kill");
const stopped = await makeFolder(t, "stop");

function copyOf(t: Test, dataDir: string): string {
  const copy = join(temporaryFolder(t), "data");
  // The lock's socket cannot be copied, and says nothing about the copy.
  cpSync(dataDir, copy, { recursive: true, filter: (path) => !path.endsWith(".sock") });
  return copy;
}

async function refused(t: Test, dataDir: string, file: string, title: string): Promise<string> {
  const { code, message } = await BrokerProcess.refused(t, { dataDir });
  t.equal(code, 1, title);
  t.match(message, /^error JOURNAL_DAMAGED: /m);
  t.ok(message.includes(file), `the message names ${file}: ${message.slice(0, 300)}`);
  return message;
}

async function startsWithEverything(t: Test, dataDir: string, title: string): Promise<void> {
  const broker = await BrokerProcess.start(t, { dataDir });
  const client = await connectedClient(t, broker.url);
  const records = await readAll(client, "kept");
  t.ok(
    records.length === RECORDS && records.every((record, i) => value(i).equals(record.value as Uint8Array)),
    `${title}: ${records.length} records, byte for byte`,
  );
  const { offset } = await client.producer("kept").send({ value: "next" });
  t.equal(offset, RECORDS, "and it goes on behind them");
  await client.close();
  await broker.stop();
}

t.test("damage in front of what was synced refuses the start, and names its place", async (t) => {
  const found = findInSegments(crashed, SHARD, value(10));
  if (found === undefined) throw new Error("the record is in no segment");
  const { file, at } = found;
  // The entry's header, the batch's head of 20 bytes, and the record's own envelope are in front of the value.
  const changes: Record<string, (bytes: Buffer) => Buffer> = {
    "a flipped bit in a value": (bytes) => withFlippedBit(bytes, at + 1500),
    "a flipped bit in an entry's header": (bytes) => withFlippedBit(bytes, at - ENTRY_HEADER_BYTES),
    "a sector of zeros": (bytes) => bytes.fill(0, at + 512, at + 1024),
    "a sector of another place": (bytes) =>
      Buffer.from(bytes).fill(bytes.subarray(512, 1024), at + 512, at + 1024),
    "a file that ends there": (bytes) => bytes.subarray(0, at + 100),
    "a segment's header": (bytes) => bytes.fill(0xff, 8, 40),
  };
  for (const [title, change] of Object.entries(changes)) {
    const dataDir = copyOf(t, crashed);
    const path = join(shardFolder(dataDir, SHARD), file.name);
    alterFile(path, change);
    const message = await refused(t, dataDir, file.name, title);
    const position = Number(/position[ =:]*(\d+)/i.exec(message)?.[1] ?? -1);
    const isInHeader = title.includes("segment's");
    const place = file.position + at;
    t.ok(
      isInHeader ? position >= 0 : position > place - 4000 && position <= place,
      `position ${position} of ${place}`,
    );
  }
  const flipped = copyOf(t, crashed);
  const path = join(shardFolder(flipped, SHARD), file.name);
  flipBit(path, at + 100);
  const evidence = readFileSync(path);
  await refused(t, flipped, file.name, "the first start");
  await refused(t, flipped, file.name, "and the next one");
  t.ok(readFileSync(path).equals(evidence), "the evidence is left as it was");
  flipBit(path, at + 100);
  await startsWithEverything(t, flipped, "once it is repaired");
});

t.test("a torn tail is cut, and nothing that was acknowledged with it", async (t) => {
  const segments = segmentsOf(crashed, SHARD);
  const last = segments.at(-1);
  if (last === undefined) throw new Error("no segment");
  const tails: Record<string, (bytes: Buffer) => Buffer> = {
    "bytes of no meaning behind the end": (bytes) => Buffer.concat([bytes, Buffer.alloc(5000, 0xa5)]),
    "zeros behind the end": (bytes) => Buffer.concat([bytes, Buffer.alloc(1_000_000)]),
    // The catalog's record of the topic comes first.
    "an older entry again": (bytes) => Buffer.concat([bytes, bytes.subarray(64, 3000)]),
    "half an entry": (bytes) => Buffer.concat([bytes, bytes.subarray(64, 100)]),
  };
  for (const [title, change] of Object.entries(tails)) {
    const dataDir = copyOf(t, crashed);
    alterFile(join(shardFolder(dataDir, SHARD), last.name), change);
    await startsWithEverything(t, dataDir, title);
  }
  await startsWithEverything(t, copyOf(t, crashed), "no tear at all");
});

t.test("files that are missing", async (t) => {
  const segment = copyOf(t, crashed);
  const file = segmentsOf(segment, SHARD).find(
    ({ path }) => path === findInSegments(segment, SHARD, value(3))?.file.path,
  );
  if (file === undefined) throw new Error("no segment");
  rmSync(file.path);
  const withoutSegment = await BrokerProcess.refused(t, { dataDir: segment });
  t.match(withoutSegment, { code: 1, message: /JOURNAL_DAMAGED/ }, "a segment");

  const fence = copyOf(t, crashed);
  rmSync(join(shardFolder(fence, SHARD), "fence"));
  await refused(t, fence, "fence", "the fence");

  const shard = copyOf(t, crashed);
  rmSync(shardFolder(shard, SHARD), { recursive: true });
  const withoutShard = await BrokerProcess.refused(t, { dataDir: shard });
  t.match(withoutShard, { code: 1, message: /DATA_DIR_UNUSABLE|JOURNAL_DAMAGED/ }, "a shard's folder");

  const description = copyOf(t, crashed);
  rmSync(join(description, "millrace.json"));
  t.match(await BrokerProcess.refused(t, { dataDir: description }), {
    code: 1,
    message: /DATA_DIR_UNUSABLE/,
  });
});

t.test("a damaged fence", async (t) => {
  const dataDir = copyOf(t, crashed);
  const fence = join(shardFolder(dataDir, SHARD), "fence");
  flipBit(fence, 20);
  await refused(t, dataDir, "fence", "nobody can say who owns the shard");
  flipBit(fence, 20);
  await startsWithEverything(t, dataDir, "once it is repaired");
});

t.test("a damaged checkpoint is passed over", async (t) => {
  const dataDir = copyOf(t, stopped);
  const checkpoints = checkpointsOf(dataDir, SHARD);
  t.ok(checkpoints.length > 0);
  const newest = checkpoints.at(-1);
  alterFile(newest?.path ?? "", (bytes) => bytes.fill(0, bytes.length >> 1));
  await startsWithEverything(t, dataDir, "the newest one");
});

t.test("damage that the start does not read is never delivered", async (t) => {
  const dataDir = copyOf(t, stopped);
  const found = findInSegments(dataDir, SHARD, value(10));
  if (found === undefined) throw new Error("the record is in no segment");
  flipBit(found.file.path, found.at + 2000);
  const broker = await BrokerProcess.start(t, { dataDir });
  const raw = await RawClient.connect(t, broker.url);
  const { subscriptionId } = await raw.subscribe("kept", { kind: "earliest" }, 1_000_000);
  const error = await raw.next("ERROR");
  t.match(error, { name: "READ_FAILED", code: 56, details: { subscriptionId } });
  const delivered = raw.waiting.flatMap((frame) => (frame.name === "DELIVER" ? frame.value.entries : []));
  t.ok(
    delivered.every(({ baseOffset, count }) => baseOffset + count <= 10),
    `${delivered.length} batches before it`,
  );
  const behind = await RawClient.connect(t, broker.url);
  await behind.subscribe("kept", { kind: "offset", offset: 11 }, 1_000_000);
  const { entries } = await behind.next("DELIVER");
  t.equal(entries[0]?.baseOffset, 11, "what is behind it can be read");
  const client = await connectedClient(t, broker.url);
  t.match(await client.producer("kept").send({ value: "more" }), { offset: RECORDS });
});
