import { spawnSync } from "node:child_process";
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { type BrokerOptions, BrokerProcess } from "../harness/broker-process.ts";
import { connectedClient } from "../harness/connected-client.ts";
import { publishFrame, RawClient } from "../harness/raw-client.ts";
import { offsetsOf, readAll, valuesOf } from "../harness/reading.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { recordValue } from "../harness/test-records.ts";
import { inTime } from "../harness/waiting.ts";

/** The broker must end with 1 and one line that names the code; resolves with that line. */
async function refusal(t: Test, options: BrokerOptions, code: string): Promise<string> {
  const { code: exitCode, signal, message } = await BrokerProcess.refused(t, options);
  t.same({ exitCode, signal }, { exitCode: 1, signal: null });
  t.ok(message.startsWith(`error ${code}: `), message);
  t.notMatch(message, "\n", "one line says it");
  return message;
}

t.test("a byte of a synced journal flipped", async (t) => {
  const dataDir = temporaryFolder(t);
  const options = { dataDir, args: ["--shards", "1"] };
  const first = await BrokerProcess.start(t, options);
  const raw = await RawClient.connect(t, first.url);
  const { topicId } = await raw.createTopic("damaged");
  const batches = 40;
  for (let sequence = 0; sequence < batches; sequence += 1) {
    // One after the other: each entry tells that those before it are durable.
    await raw.publish(
      publishFrame({ topicId, sequence, records: [{ value: recordValue("damaged", sequence, 500) }] }),
    );
    await raw.next("ACK");
  }
  await first.kill();

  const { file, bytes, basePosition, entries } = segmentWithBatches(join(dataDir, "shards", "0000"), topicId);
  t.equal(entries.length, batches);
  const victim = entries[batches / 2] as number;
  const at = victim + ENTRY_HEADER_BYTES + 200;
  const damaged = Buffer.from(bytes);
  damaged[at] = (damaged[at] as number) ^ 0x10;
  writeFileSync(file, damaged);
  for (const attempt of [1, 2]) {
    const message = await refusal(t, options, "JOURNAL_DAMAGED");
    t.ok(message.includes(`${file} position ${basePosition + victim}`), `start ${attempt}: ${message}`);
    t.ok(readFileSync(file).equals(damaged), "the evidence is left as it was");
  }

  writeFileSync(file, bytes);
  const mended = await BrokerProcess.start(t, options);
  const client = await connectedClient(t, mended.url);
  t.same(
    valuesOf(await readAll(client, "damaged")).map((value) => Buffer.from(value as Uint8Array)),
    Array.from({ length: batches }, (_, sequence) => recordValue("damaged", sequence, 500)),
    "refusing has lost nothing",
  );
});

const SEGMENT_HEADER_BYTES = 64;
const ENTRY_HEADER_BYTES = 88;
const ENTRY_TYPE_BATCH = 1;

interface SegmentWithBatches {
  readonly file: string;
  readonly bytes: Buffer;
  readonly basePosition: number;
  /** Byte offsets in the file, of the topic's batches. */
  readonly entries: number[];
}

/** The newest segment, read as docs/reference/journal-format.md says. */
function segmentWithBatches(shardFolder: string, topicId: number): SegmentWithBatches {
  const name = readdirSync(shardFolder)
    .filter((one) => one.endsWith(".log"))
    .sort()
    .at(-1) as string;
  const file = join(shardFolder, name);
  const bytes = readFileSync(file);
  const entries: number[] = [];
  let at = SEGMENT_HEADER_BYTES;
  while (at + ENTRY_HEADER_BYTES <= bytes.length && bytes.readUInt32LE(at) !== 0) {
    // The broker's own topic is in there too.
    if (bytes.readUInt32LE(at + 4) === ENTRY_TYPE_BATCH && bytes.readUInt32LE(at + 32) === topicId)
      entries.push(at);
    at += Math.ceil(bytes.readUInt32LE(at) / 8) * 8;
  }
  return { file, bytes, basePosition: Number(bytes.readBigUInt64LE(24)), entries };
}

t.test("a byte of a fence flipped", async (t) => {
  const dataDir = temporaryFolder(t);
  const options = { dataDir, args: ["--shards", "1"] };
  await (await BrokerProcess.start(t, options)).kill();
  const fence = join(dataDir, "shards", "0000", "fence");
  const intact = readFileSync(fence);
  const damaged = Buffer.from(intact);
  damaged[20] = (damaged[20] as number) ^ 1;
  writeFileSync(fence, damaged);
  t.match(await refusal(t, options, "JOURNAL_DAMAGED"), fence);
  writeFileSync(fence, intact);
  await BrokerProcess.start(t, options);
});

t.test("a full disk", async (t) => {
  const disk = join(temporaryFolder(t), "disk");
  const why = mountSmallDisk(t, disk);
  if (why !== undefined) {
    t.pass(`skipped: ${why}`, { skip: why });
    return;
  }
  const options = { dataDir: join(disk, "data"), args: ["--shards", "1"] };
  const broker = await BrokerProcess.start(t, options);
  const raw = await RawClient.connect(t, broker.url);
  const { topicId } = await raw.createTopic("crowded");
  const value = (sequence: number): Buffer => recordValue("full", sequence, 20_000);
  const publish = (sequence: number): Promise<void> =>
    raw.publish(publishFrame({ topicId, sequence, records: [{ value: value(sequence) }] }));
  for (let sequence = 0; sequence < 10; sequence += 1) {
    await publish(sequence);
    await raw.next("ACK");
  }

  const filler = join(disk, "filler");
  fill(filler);
  // What was accepted before the disk turned out to be full waits for room; what comes then is refused.
  let refused = 10;
  const refusals = () => raw.waiting.filter(({ name }) => name === "ERROR");
  await publish(refused);
  await raw.ping();
  while (refusals().length === 0) {
    refused += 1;
    await publish(refused);
    await raw.ping();
    if (refused > 200) throw new Error("200 publishes were accepted on a full disk");
  }
  const error = await raw.next("ERROR");
  t.match(error, { name: "DISK_FULL", retriable: true });
  const firstRefused = Number(error.details.firstSequence);

  const client = await connectedClient(t, broker.url);
  const before = await readAll(client, "crowded");
  t.ok(before.length >= 10, `reads go on: ${before.length} records`);
  const producer = client.producer("crowded");
  let isAnswered = false;
  const retried = producer.send({ value: "retried" }).finally(() => {
    isAnswered = true;
  });
  retried.catch(() => {});
  t.equal((await broker.get("/healthz")).status, 200);
  t.equal(isAnswered, false, "the SDK tries again");

  rmSync(filler);
  await inTime(retried, "the SDK's record to be stored");
  await publish(refused + 1);
  const isAcked = (): boolean =>
    raw.history.some(
      ({ frame }) =>
        frame.name === "ACK" &&
        frame.value.ranges.some(
          ({ firstSequence, count }) => firstSequence <= refused + 1 && refused + 1 < firstSequence + count,
        ),
    );
  while (!isAcked()) await raw.next("ACK");

  const expected = Array.from({ length: firstRefused }, (_, sequence) => value(sequence).toString("latin1"));
  const check = async (url: string): Promise<void> => {
    const records = await readAll(await connectedClient(t, url), "crowded");
    t.same(
      offsetsOf(records),
      records.map((_, offset) => offset),
    );
    const values = valuesOf(records).map((one) =>
      typeof one === "string" ? one : Buffer.from(one as Uint8Array).toString("latin1"),
    );
    t.same(values.slice(0, firstRefused), expected, "all that was accepted is stored once");
    t.same(
      values.slice(firstRefused).sort(),
      [value(refused + 1).toString("latin1"), "retried"].sort(),
      "what was refused is not",
    );
  };
  await check(broker.url);
  t.same(await broker.stop(), { code: 0, signal: null });
  await check((await BrokerProcess.start(t, options)).url);
});

/** Mounts 24 MiB at `path` until the test has ended; says why that does not work. */
function mountSmallDisk(t: Test, path: string): string | undefined {
  if (process.platform !== "linux" || process.getuid?.() !== 0)
    return "only root on Linux mounts a small disk";
  mkdirSync(path);
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=24m", "tmpfs", path], { encoding: "utf8" });
  if (mounted.status !== 0) return `cannot mount a tmpfs: ${mounted.error?.message ?? mounted.stderr.trim()}`;
  let isMounted = true;
  const unmount = (): void => {
    if (isMounted && spawnSync("umount", [path]).status !== 0) spawnSync("umount", ["-l", path]);
    isMounted = false;
  };
  t.teardown(unmount);
  process.once("exit", unmount);
  return undefined;
}

/** Takes all the room that is left. */
function fill(file: string): void {
  const fd = openSync(file, "w");
  const block = Buffer.alloc(4096, 1);
  try {
    while (writeSync(fd, block) > 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
  } finally {
    closeSync(fd);
  }
}
