import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { ReceivedRecord } from "@millrace/client";
import t, { type Test } from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { connectedClient } from "../harness/connected-client.ts";
import { runCommandProcess, startCommand } from "../harness/millrace-command.ts";
import { type AckedRecord, PublishingLoad } from "../harness/publishing-load.ts";
import { readAll } from "../harness/reading.ts";
import { restoredBroker } from "../harness/restored-broker.ts";
import { SeededRandom, seedOf } from "../harness/seeded-random.ts";
import { problemsOfLog } from "../harness/stored-log.ts";
import { TcpRelay } from "../harness/tcp-relay.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { pauseMs, until } from "../harness/waiting.ts";

const PROBLEMS_SHOWN = 10;

const TOPICS = [
  { name: "wide", durability: "fsynced", partitions: 8, valueBytesMax: 200_000 },
  { name: "written", durability: "written", partitions: 2, valueBytesMax: 20_000 },
] as const;

/** A backup that was made, and what had been acknowledged before it was asked for. */
interface Made {
  readonly folder: string;
  readonly acked: readonly AckedRecord[];
}

interface Running {
  readonly dataDir: string;
  broker: BrokerProcess;
  readonly relay: TcpRelay;
  readonly load: PublishingLoad;
  readonly folders: string;
}

t.test("backups of a busy broker are prefixes with all that was acknowledged before", async (t) => {
  const running = await start(t);
  const { load, folders } = running;
  const made: Made[] = [];
  load.run();
  await pauseMs(200);
  for (const name of ["first", "second"]) made.push(await backUp(t, running, join(folders, name)));
  // Elsewhere time is spent waiting, and what is published meanwhile only makes the comparisons longer.
  await load.settle();
  await killCommand(t, running);
  load.run();
  await killBroker(t, running);
  made.push(await backUp(t, running, join(folders, "last")));
  await load.settle();
  t.same(load.failed.slice(0, PROBLEMS_SHOWN), [], "every record found its way");

  const now = await readTopics(t, running.broker);
  for (const { name, durability } of TOPICS) {
    const acked = load.acked.filter(({ ack }) => ack.topic === name);
    const problems = problemsOfLog(now.get(name) ?? [], acked, [], { isComplete: durability === "fsynced" });
    t.same(problems.slice(0, PROBLEMS_SHOWN), [], `the broker's own ${name} has lost nothing`);
  }
  t.same(
    readdirSync(running.dataDir).filter((name) => name.startsWith("snapshot")),
    [],
    "no snapshot is left behind",
  );
  for (const backup of made.slice(1)) await compare(t, running, backup, now);
  t.comment(`${load.acked.length} records acknowledged, ${made.length} backups made`);
});

async function start(t: Test): Promise<Running> {
  const random = new SeededRandom(seedOf(t));
  const folders = temporaryFolder(t);
  const dataDir = join(folders, "data");
  const broker = await BrokerProcess.start(t, { dataDir, args: ["--shards", "3"] });
  const relay = await TcpRelay.start(t, broker.port);
  const client = await connectedClient(t, relay.url);
  for (const { name, durability, partitions } of TOPICS)
    await client.topics.create(name, { durability, partitions });
  const producers = TOPICS.map(({ name, partitions, valueBytesMax }) => ({
    name,
    client,
    topic: name,
    partitions,
    valueBytesMax,
  }));
  return { dataDir, broker, relay, load: new PublishingLoad(producers, random), folders };
}

async function backUp(t: Test, { dataDir, load }: Running, folder: string): Promise<Made> {
  const acked = [...load.acked];
  const { code, stdout, stderr } = await runCommandProcess(t, [
    "backup",
    folder,
    "--data",
    dataDir,
    "--json",
  ]);
  t.equal(code, 0, stderr);
  t.match(JSON.parse(stdout), { live: true, shards: 3 });
  t.ok(load.acked.length > acked.length, "publishing went on meanwhile");
  t.comment(stdout.trim());
  return { folder, acked };
}

/** The command is killed while it copies: the broker notices, and the copy is none. */
async function killCommand(t: Test, { dataDir, broker, folders }: Running): Promise<void> {
  const folder = join(folders, "command-killed");
  const command = startCommand(t, ["backup", folder, "--data", dataDir, "--rate", "1MiB"]);
  await until(() => existsSync(join(folder, "shards")), "the backup copies");
  const second = await runCommandProcess(t, ["backup", join(folders, "too-many"), "--data", dataDir]);
  t.match(second, { code: 1, stderr: /^error BACKUP_RUNNING: / });
  await command.kill("SIGKILL");
  await until(() => broker.logged("control-command-failed").length >= 2, "the broker notices");
  await until(() => !readdirSync(dataDir).some((name) => name.startsWith("snapshot")), "it lets go");
  const restore = await runCommandProcess(t, ["restore", folder, "--data", join(folders, "nothing")]);
  t.match(restore, { code: 1, stderr: /^error BACKUP_INCOMPLETE: / });
  t.notOk(existsSync(join(folders, "nothing")));
}

/** The broker is killed while its snapshot is copied: the command says so and takes back what it did. */
async function killBroker(t: Test, running: Running): Promise<void> {
  const { dataDir, relay, folders } = running;
  const folder = join(folders, "broker-killed");
  const command = startCommand(t, ["backup", folder, "--data", dataDir, "--rate", "1MiB"]);
  await until(() => existsSync(join(folder, "shards")), "the backup copies");
  await running.broker.kill();
  const { code } = await command.exited;
  t.equal(code, 1);
  t.match(command.stderr, /^error BROKER_GONE: /m);
  t.notOk(existsSync(folder), "nothing is left of the copy");
  running.broker = await BrokerProcess.start(t, { dataDir });
  relay.targetPort = running.broker.port;
}

async function readTopics(t: Test, broker: BrokerProcess): Promise<Map<string, ReceivedRecord[]>> {
  const client = await connectedClient(t, broker.url);
  const topics = new Map<string, ReceivedRecord[]>();
  for (const { name } of TOPICS) topics.set(name, await readAll(client, name));
  await client.close();
  return topics;
}

/** Restores a backup and compares it, record by record, with what the old broker holds by now. */
async function compare(
  t: Test,
  { folders }: Running,
  { folder, acked }: Made,
  now: ReadonlyMap<string, readonly ReceivedRecord[]>,
): Promise<void> {
  const broker = await restoredBroker(t, folder, join(folders, "restored"));
  const then = await readTopics(t, broker);
  for (const { name } of TOPICS) {
    const records = then.get(name) ?? [];
    const ackedThere = acked.filter(({ ack }) => ack.topic === name);
    const problems = problemsOfPrefix(records, now.get(name) ?? [], ackedThere);
    t.same(
      problems.slice(0, PROBLEMS_SHOWN),
      [],
      `${name}: ${records.length}, ${ackedThere.length} had acks`,
    );
  }
  t.equal((await broker.stop()).code, 0);
  rmSync(join(folders, "restored"), { recursive: true });
}

/** `records` must be the first ones of each partition of `all`, and hold all that was acknowledged. */
function problemsOfPrefix(
  records: readonly ReceivedRecord[],
  all: readonly ReceivedRecord[],
  acked: readonly AckedRecord[],
): string[] {
  const problems: string[] = [];
  const rest = new Map<number, ReceivedRecord[]>();
  for (const record of all) {
    const partition = rest.get(record.partition);
    if (partition === undefined) rest.set(record.partition, [record]);
    else partition.push(record);
  }
  const count = new Map<number, number>();
  const end = new Map<number, number>();
  for (const { partition, offset, value } of records) {
    const i = count.get(partition) ?? 0;
    count.set(partition, i + 1);
    end.set(partition, offset + 1);
    const expected = rest.get(partition)?.[i];
    if (expected?.offset !== offset) {
      problems.push(`${partition}/${offset} stands where ${partition}/${expected?.offset} should`);
    } else if (!Buffer.from(expected.value as Uint8Array).equals(value as Uint8Array)) {
      problems.push(`${partition}/${offset} holds another record`);
    }
  }
  for (const { producer, sequence, ack } of acked) {
    if (ack.offset < (end.get(ack.partition) ?? 0)) continue;
    problems.push(
      `${producer}:${sequence} was acknowledged at ${ack.partition}/${ack.offset} and is not there`,
    );
  }
  return problems;
}
