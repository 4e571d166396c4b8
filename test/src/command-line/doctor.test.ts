// Runs against one process: it looks at folders at rest, which are the same whoever has written them.
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Client, Gap } from "@millrace/client";
import t, { type Test } from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { connectedClient } from "../harness/connected-client.ts";
import { checkpointsOf, flipBit, segmentsOf, shardFolder } from "../harness/journal-files.ts";
import {
  copyOfFolder,
  ENVELOPE_BYTES,
  jsonLines,
  KEPT_RECORDS,
  KEPT_SHARD,
  KEPT_TOPIC,
  keptValue,
  makeKeptFolder,
  placeOfValue,
} from "../harness/kept-folder.ts";
import { type CommandResult, runCommand } from "../harness/millrace-command.ts";
import { readAll } from "../harness/reading.ts";
import { SmallDisk } from "../harness/small-disk.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { until } from "../harness/waiting.ts";

const MIB = 1024 * 1024;

function doctor(t: Test, dataDir: string, ...options: string[]): Promise<CommandResult> {
  return runCommand(t, ["doctor", "--data", dataDir, ...options]);
}

/** Starts a broker on the folder, which gives everything but the lost records, and says so of each of them. */
async function startsWithout(t: Test, dataDir: string, lost: readonly number[]): Promise<void> {
  const broker = await BrokerProcess.start(t, { dataDir });
  const client = await connectedClient(t, broker.url);
  await readsWithout(t, client, lost);
  const { offset } = await client.producer(KEPT_TOPIC).send({ value: "next" });
  t.equal(offset, KEPT_RECORDS, "and goes on behind them");
  await client.close();
  await broker.stop();
}

async function readsWithout(t: Test, client: Client, lost: readonly number[]): Promise<void> {
  const gaps: Gap[] = [];
  const found = await readAll(client, KEPT_TOPIC, { onGap: (gap) => gaps.push(gap) });
  const records = new Map(found.map(({ offset, value }) => [offset, Buffer.from(value as Uint8Array)]));
  const expected = lost.map((offset) => ({
    topic: KEPT_TOPIC,
    partition: 0,
    fromOffset: offset,
    toOffset: offset + 1,
    reason: "damage",
  }));
  t.same(gaps, expected, "gaps are told for what is lost, and for nothing else");
  for (let i = 0; i < KEPT_RECORDS; i += 1) {
    if (lost.includes(i)) t.notOk(records.has(i), `offset ${i} is gone`);
    else if (records.get(i)?.equals(keptValue(i)) !== true) t.fail(`offset ${i} is not what was published`);
  }
  t.equal(records.size, KEPT_RECORDS - lost.length);
}

const made = await makeKeptFolder(t);

t.test("a folder that a broker runs on is left alone", async (t) => {
  const dataDir = join(temporaryFolder(t), "data");
  const broker = await BrokerProcess.start(t, { dataDir, args: ["--shards", "1"] });
  const refused = await doctor(t, dataDir, "--repair");
  t.match(refused, {
    code: 1,
    stdout: new RegExp(`data folder: ${dataDir}: process ${broker.pid} runs on it`),
    stderr: new RegExp(`^error DATA_DIR_IN_USE: .*pid=${broker.pid}\\b`),
  });
  const port = ["--port", String(broker.port)];
  t.match(await runCommand(t, ["doctor", "--machine", "--data", dataDir, ...port]), {
    code: 0,
    stdout: new RegExp(`\\nok       port: 127.0.0.1 port ${broker.port} is served by process ${broker.pid} `),
    stderr: "",
  });
  const elsewhere = ["doctor", "--machine", "--data", `${dataDir}-2`, ...port];
  t.match(await runCommand(t, elsewhere), {
    code: 1,
    stdout: new RegExp(`failed   port: another Millrace broker listens on .*process ${broker.pid} `),
    stderr: "error CHECK_FAILED: a start would fail: port\n",
  });
  const [segment] = segmentsOf(dataDir, KEPT_SHARD);
  const shown = await runCommand(t, ["inspect", segment?.path ?? ""]);
  t.match(shown, { code: 0, stdout: /header file=segment/ }, "but it can be looked into");
});

t.test("a folder after a crash is healthy", async (t) => {
  const dataDir = copyOfFolder(t, made);
  const result = await doctor(t, dataDir);
  t.match(result, { code: 0, stderr: "", stdout: /\nread 1 shards, \d+ files, .*\nhealthy\n$/ });
  const last = segmentsOf(dataDir, KEPT_SHARD).at(-1)?.path as string;
  writeFileSync(last, Buffer.concat([readFileSync(last), Buffer.alloc(100, 7)]));
  t.match(await doctor(t, dataDir), {
    code: 0,
    stdout: /\nleftover TORN_TAIL in [^\n]*\n[^\n]*\n.*healthy; /s,
  });
  t.match(await doctor(t, dataDir, "--repair"), { code: 0, stdout: /healthy\n$/ });
});

t.test("damage in many places is named, repaired, and costs one batch", async (t) => {
  const dataDir = copyOfFolder(t, made);
  const folder = shardFolder(dataDir, KEPT_SHARD);
  const inValue = placeOfValue(dataDir, 20);
  const inHeader = placeOfValue(dataDir, 25);
  const headerAt = inHeader.at - ENVELOPE_BYTES;
  const expected = [
    [inValue.name, inValue.at - ENVELOPE_BYTES],
    [inHeader.name, headerAt],
    [inValue.name, 0],
    ["shards/0000/fence", 0],
    [`shards/0000/${checkpointsOf(dataDir, KEPT_SHARD).at(-1)?.name}`, 0],
  ];
  flipBit(inValue.path, inValue.at + 500);
  flipBit(inHeader.path, headerAt + 10);
  flipBit(inValue.path, 20);
  flipBit(join(folder, "fence"), 20);
  flipBit(checkpointsOf(dataDir, KEPT_SHARD).at(-1)?.path as string, 90);
  const before = await doctor(t, dataDir, "--json");
  t.equal(before.code, 3);
  const findings = jsonLines(before).filter(({ kind }) => kind === "finding");
  t.same(findings.map(({ file, position }) => [file, position]).sort(), expected.sort());
  t.ok(findings.every(({ severity, repair }) => severity === "damage" && typeof repair === "string"));
  t.match(jsonLines(before).at(-1), {
    kind: "summary",
    damaged: 5,
    left: 5,
    repairs: 0,
    aside: null,
    exitCode: 3,
  });

  for (const name of readdirSync(folder)) if (name.endsWith(".idx")) rmSync(join(folder, name));
  const after = await doctor(t, dataDir, "--repair", "--json");
  const summary = jsonLines(after).at(-1);
  t.match(summary, { left: 0, exitCode: 4 });
  const originals = readdirSync(join(dataDir, String(summary?.aside), "shards", "0000"));
  t.ok(
    ["fence", inValue.name.slice(12)].every((name) => originals.includes(name)),
    "originals are kept",
  );
  t.match(await doctor(t, dataDir), { code: 0, stdout: /\nhealthy\n$/ });
  await startsWithout(t, dataDir, [20]);
});

t.test("what a repair had to erase is told also when it has been settled", async (t) => {
  const disk = SmallDisk.mount(t, 128 * MIB);
  if (disk === undefined) return;
  const dataDir = join(disk.path, "data");
  cpSync(copyOfFolder(t, made), dataDir, { recursive: true });
  const { path, at } = placeOfValue(dataDir, 7);
  flipBit(path, at + 500);
  t.match(await doctor(t, dataDir, "--repair"), { code: 4, stdout: /offsets 7 to 7 of topic/ });
  const broker = await BrokerProcess.start(t, { dataDir });
  const client = await connectedClient(t, broker.url);
  await readsWithout(t, client, [7]);
  // So much that the oldest segments are due.
  await client.topics.create("filler");
  const filler = client.producer("filler");
  for (let i = 0; i < 24 * 16; i += 1) void filler.append({ value: Buffer.alloc(MIB / 16, i) });
  await filler.flush();
  const folder = shardFolder(dataDir, KEPT_SHARD);
  await until(
    () => readdirSync(folder).some((name) => /^0{16}-.*\.settled$/.test(name)) && !existsSync(path),
    "the repaired segment is settled and gone",
  );
  await readsWithout(t, client, [7]);
  await client.close();
  await broker.stop();
});

t.test("a quarantined shard", async (t) => {
  const dataDir = copyOfFolder(t, made);
  const mark = join(shardFolder(dataDir, KEPT_SHARD), "quarantined");
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
  const dataDir = copyOfFolder(t, made);
  const { path, at } = placeOfValue(dataDir, 20);
  const bytes = readFileSync(path);
  bytes.fill(0, at - ENVELOPE_BYTES + 8, at - ENVELOPE_BYTES + 60);
  writeFileSync(path, bytes);
  const refused = /not repairable: a broker refuses to start.*cannot be repaired\n$/s;
  t.match(await doctor(t, dataDir, "--repair"), { code: 5, stdout: refused });
  t.ok(readFileSync(path).equals(bytes));

  const shard = copyOfFolder(t, made);
  rmSync(shardFolder(shard, KEPT_SHARD), { recursive: true });
  t.match(await doctor(t, shard), { code: 5, stdout: /FOLDER_MISSING/ });
  const format = copyOfFolder(t, made);
  writeFileSync(join(format, "millrace.json"), "{");
  t.match(await doctor(t, format), { code: 5, stdout: /FORMAT_FILE_DAMAGED.*"shards": 1/s });
  t.match(await doctor(t, temporaryFolder(t)), { code: 1, stderr: /DATA_DIR_UNUSABLE/ });
});
