import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { connectedClient } from "../harness/connected-client.ts";
import { checkpointsOf, findInSegments, flipBit, segmentsOf, shardFolder } from "../harness/journal-files.ts";
import { type CommandResult, runCommand } from "../harness/millrace-command.ts";
import { readAll } from "../harness/reading.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { recordValue } from "../harness/test-records.ts";

const SHARD = 0;
const RECORDS = 30;
/** In front of a record's value: the entry's header, the batch's head, and the record's own. */
const ENVELOPE_BYTES = 88 + 20 + 10;
const TOPIC = "kept";

const value = (sequence: number): Buffer => recordValue("doctor", sequence, 2_000);

type Line = Readonly<Record<string, unknown>>;

/** A folder with RECORDS records in one shard, a batch each, by two brokers; the second one was killed. */
async function makeFolder(t: Test): Promise<string> {
  const dataDir = join(temporaryFolder(t), "data");
  for (const [from, to] of [
    [0, RECORDS / 2],
    [RECORDS / 2, RECORDS],
  ] as const) {
    const broker = await BrokerProcess.start(t, { dataDir, args: ["--shards", "1"] });
    const client = await connectedClient(t, broker.url);
    if (from === 0) await client.topics.create(TOPIC);
    const producer = client.producer(TOPIC, { lingerMs: 0 });
    for (let i = from; i < to; i += 1) await producer.send({ value: value(i) });
    await client.close();
    await broker[from === 0 ? "stop" : "kill"]();
  }
  return dataDir;
}

function doctor(t: Test, dataDir: string, ...options: string[]): Promise<CommandResult> {
  return runCommand(t, ["doctor", "--data", dataDir, ...options]);
}

function linesOf({ stdout }: CommandResult): Line[] {
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Line);
}

function copyOf(t: Test, dataDir: string): string {
  const copy = join(temporaryFolder(t), "data");
  cpSync(dataDir, copy, { recursive: true, filter: (path) => !path.endsWith(".sock") });
  return copy;
}

/** Sequences of the records that a broker on the folder gives, by offset. */
async function recordsOf(t: Test, dataDir: string): Promise<Map<number, Buffer>> {
  const broker = await BrokerProcess.start(t, { dataDir });
  const client = await connectedClient(t, broker.url);
  const records = await readAll(client, TOPIC);
  const { offset } = await client.producer(TOPIC).send({ value: "next" });
  t.equal(offset, RECORDS, "and goes on behind them");
  await client.close();
  await broker.stop();
  return new Map(records.map((record) => [record.offset, Buffer.from(record.value as Uint8Array)]));
}

async function startsWithout(t: Test, dataDir: string, lost: readonly number[]): Promise<void> {
  const records = await recordsOf(t, dataDir);
  for (let i = 0; i < RECORDS; i += 1) {
    if (lost.includes(i)) t.notOk(records.has(i), `offset ${i} is gone`);
    else if (records.get(i)?.equals(value(i)) !== true) t.fail(`offset ${i} is not what was published`);
  }
  t.equal(records.size, RECORDS - lost.length);
}

const made = await makeFolder(t);

function placeOf(dataDir: string, sequence: number): { path: string; name: string; at: number } {
  const found = findInSegments(dataDir, SHARD, value(sequence));
  if (found === undefined) throw new Error("the record is in no segment");
  return { path: found.file.path, name: `shards/0000/${found.file.name}`, at: found.at };
}

t.test("a folder that a broker runs on is left alone", async (t) => {
  const dataDir = join(temporaryFolder(t), "data");
  const broker = await BrokerProcess.start(t, { dataDir, args: ["--shards", "1"] });
  const refused = await doctor(t, dataDir, "--repair");
  t.match(refused, {
    code: 1,
    stdout: "",
    stderr: new RegExp(`^error DATA_DIR_IN_USE: .*pid=${broker.pid}\\b`),
  });
  const [segment] = segmentsOf(dataDir, SHARD);
  const shown = await runCommand(t, ["inspect", segment?.path ?? ""]);
  t.match(shown, { code: 0, stdout: /header file=segment/ }, "but it can be looked into");
});

t.test("a folder after a crash is healthy", async (t) => {
  const dataDir = copyOf(t, made);
  const result = await doctor(t, dataDir);
  t.match(result, { code: 0, stderr: "", stdout: /^read 1 shards, \d+ files, .*\nhealthy\n$/ });
  const last = segmentsOf(dataDir, SHARD).at(-1)?.path as string;
  writeFileSync(last, Buffer.concat([readFileSync(last), Buffer.alloc(100, 7)]));
  t.match(await doctor(t, dataDir), {
    code: 0,
    stdout: /^leftover TORN_TAIL in [^\n]*\n[^\n]*\n.*healthy; /s,
  });
  t.match(await doctor(t, dataDir, "--repair"), { code: 0, stdout: /healthy\n$/ });
  await startsWithout(t, dataDir, []);
});

t.test("damage in many places is named, repaired, and costs one batch", async (t) => {
  const dataDir = copyOf(t, made);
  const folder = shardFolder(dataDir, SHARD);
  const inValue = placeOf(dataDir, 20);
  const inHeader = placeOf(dataDir, 25);
  const headerAt = inHeader.at - ENVELOPE_BYTES;
  const expected = [
    [inValue.name, inValue.at - ENVELOPE_BYTES],
    [inHeader.name, headerAt],
    [inValue.name, 0],
    ["shards/0000/fence", 0],
    [`shards/0000/${checkpointsOf(dataDir, SHARD).at(-1)?.name}`, 0],
  ];
  flipBit(inValue.path, inValue.at + 500);
  flipBit(inHeader.path, headerAt + 10);
  flipBit(inValue.path, 20);
  flipBit(join(folder, "fence"), 20);
  flipBit(checkpointsOf(dataDir, SHARD).at(-1)?.path as string, 90);
  const before = await doctor(t, dataDir, "--json");
  t.equal(before.code, 3);
  const findings = linesOf(before).filter(({ kind }) => kind === "finding");
  t.same(findings.map(({ file, position }) => [file, position]).sort(), expected.sort());
  t.ok(findings.every(({ severity, repair }) => severity === "damage" && typeof repair === "string"));
  t.match(linesOf(before).at(-1), {
    kind: "summary",
    damaged: 5,
    left: 5,
    repairs: 0,
    aside: null,
    exitCode: 3,
  });

  for (const name of readdirSync(folder)) if (name.endsWith(".idx")) rmSync(join(folder, name));
  const after = await doctor(t, dataDir, "--repair", "--json");
  const summary = linesOf(after).at(-1);
  t.match(summary, { left: 0, exitCode: 4 });
  const originals = readdirSync(join(dataDir, String(summary?.aside), "shards", "0000"));
  t.ok(
    ["fence", inValue.name.slice(12)].every((name) => originals.includes(name)),
    "originals are kept",
  );
  t.match(await doctor(t, dataDir), { code: 0, stdout: /\nhealthy\n$/ });
  await startsWithout(t, dataDir, [20]);
});

t.test("a quarantined shard", async (t) => {
  const dataDir = copyOf(t, made);
  const mark = join(shardFolder(dataDir, SHARD), "quarantined");
  writeFileSync(mark, "sync failed with EIO\n");
  t.match(await BrokerProcess.refused(t, { dataDir }), { message: /JOURNAL_QUARANTINED/ });
  t.match(await doctor(t, dataDir), {
    code: 3,
    stdout: /QUARANTINED in shards\/0000\/quarantined at byte 0: .*EIO/,
  });
  t.match(await doctor(t, dataDir, "--repair"), { code: 4 });
  t.notOk(existsSync(mark));
  await startsWithout(t, dataDir, []);
});

t.test("what cannot be repaired is said to be so, and left as it is", async (t) => {
  const dataDir = copyOf(t, made);
  const { path, at } = placeOf(dataDir, 20);
  const bytes = readFileSync(path);
  bytes.fill(0, at - ENVELOPE_BYTES + 8, at - ENVELOPE_BYTES + 60);
  writeFileSync(path, bytes);
  const refused = /not repairable: a broker refuses to start.*cannot be repaired\n$/s;
  t.match(await doctor(t, dataDir, "--repair"), { code: 5, stdout: refused });
  t.ok(readFileSync(path).equals(bytes));

  const shard = copyOf(t, made);
  rmSync(shardFolder(shard, SHARD), { recursive: true });
  t.match(await doctor(t, shard), { code: 5, stdout: /FOLDER_MISSING/ });
  const format = copyOf(t, made);
  writeFileSync(join(format, "millrace.json"), "{");
  t.match(await doctor(t, format), { code: 5, stdout: /FORMAT_FILE_DAMAGED.*"shards": 1/s });
  t.match(await doctor(t, temporaryFolder(t)), { code: 1, stderr: /DATA_DIR_UNUSABLE/ });
});

t.test("inspect", async (t) => {
  const dataDir = copyOf(t, made);
  const { path, at } = placeOf(dataDir, 20);
  const lines = async (file: string, ...options: string[]): Promise<Line[]> =>
    linesOf(await runCommand(t, ["inspect", file, "--json", ...options]));
  const [header, ...entries] = await lines(path, "--records");
  t.match(header, { kind: "header", position: 0, file: "segment", version: 1, shardId: 0 });
  const record = entries.find(({ kind, offset }) => kind === "record" && offset === 20);
  t.match(record, { partition: 0, key: null, headers: {}, valueBase64: value(20).toString("base64") });
  t.match(
    entries.find(({ position }) => position === record?.position),
    { kind: "entry", type: "batch", baseOffset: 20, count: 1, checksum: "ok" },
  );
  flipBit(path, at + 100);
  const damaged = await lines(path);
  t.match(
    damaged.filter(({ kind }) => kind === "damage"),
    [{ position: record?.position, sentence: /offsets 20 to 20/ }],
  );
  t.ok(
    damaged.some(({ baseOffset }) => baseOffset === 21),
    "what is behind it is shown",
  );
  t.equal((await lines(path, "--limit", "2")).filter(({ kind }) => kind === "entry").length, 2);

  const text = (file: string): Promise<CommandResult> => runCommand(t, ["inspect", file]);
  t.match((await text(path)).stdout, /^ +0 {2}header file=segment .*\n +64 {2}batch topic=/);
  t.match(
    (await text(join(shardFolder(dataDir, SHARD), "fence"))).stdout,
    /file=fence size=32 shardId=0 epoch=2 /,
  );
  const checkpoint = await lines(checkpointsOf(dataDir, SHARD)[0]?.path as string);
  t.match(checkpoint[0], { file: "checkpoint", clean: true });
  t.ok(checkpoint.some(({ kind, name }) => kind === "topic" && name === TOPIC));
  t.match((await text(join(dataDir, "millrace.json"))).stdout, /"shards":1/);
  const rubbish = join(dataDir, "rubbish");
  for (const content of [
    Buffer.alloc(0),
    Buffer.alloc(5_000, 0xee),
    Buffer.from("MRSEGMT1"),
    Buffer.from("MRCHKPT1".repeat(20)),
  ]) {
    writeFileSync(rubbish, content);
    t.match(await text(rubbish), { code: 0, stderr: "" });
  }
  t.match(await text(join(dataDir, "absent")), { code: 1, stderr: /^error INPUT_FAILED: ENOENT/ });
});
