// A node that has no shards behind it: it says what a node says, writes down who has which shard, and misbehaves on demand.
// What it should do wrong stands in the data folder, in a file that tests write.

import { appendFileSync, existsSync, readFileSync, renameSync, unlinkSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { ClusterMap, ClusterShardEntry } from "../../src/cluster/cluster-map.ts";
import { type NodeShard, nodeSocketName } from "../../src/cluster/control-messages.ts";
import { writeNodeFile } from "../../src/supervisor/node-file.ts";
import { NODE_SETTINGS_VARIABLE, ownIdentity } from "../../src/supervisor/node-process.ts";
import { isRunning } from "../../src/supervisor/process-identity.ts";
import type { NodeSettings } from "../../src/supervisor/supervisor-options.ts";
import { SYSTEM_ENTROPY } from "../../src/system-clock.ts";
import { type FakeFaults, faultsPath, historyPath, ownerPath } from "./fake-files.ts";

const { dataDir, nodeId, port, options, settings } = JSON.parse(
  process.env[NODE_SETTINGS_VARIABLE] as string,
) as NodeSettings;
const file = { ...ownIdentity(), nodeId, port, options };
const run = SYSTEM_ENTROPY.uint32();
const shards = new Map<number, { epoch: number; state: NodeShard["state"] }>();
const sockets = new Set<Socket>();
let commander: Socket | undefined;
let map: ClusterMap | undefined;
let isReady = false;

writeNodeFile(dataDir, file);
const { exitAtStart, failAtStart } = faults();
if (failAtStart !== undefined) {
  writeNodeFile(dataDir, { ...file, failure: { code: failAtStart, message: "the fake node was told to" } });
  process.exit(1);
}
if (exitAtStart === true || settings.exitAtStart === true) process.exit(3);

const path = join(dataDir, nodeSocketName(nodeId));
createServer((socket) => {
  sockets.add(socket);
  let text = "";
  socket.setEncoding("utf8");
  socket.on("error", () => socket.destroy());
  socket.on("close", () => sockets.delete(socket));
  socket.on("data", (chunk: string) => {
    text += chunk;
    const lines = text.split("\n");
    text = lines.pop() ?? "";
    for (const line of lines) void answer(socket, JSON.parse(line));
  });
}).listen(`${path}.${process.pid}`, () => renameSync(`${path}.${process.pid}`, path));
process.on("SIGTERM", end);

interface Request {
  readonly id: number;
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
}

async function answer(socket: Socket, { id, method, params }: Request): Promise<void> {
  const send = (line: object): void => void socket.write(`${JSON.stringify(line)}\n`);
  try {
    send({ id, result: await carryOut(socket, method, params) });
  } catch (error) {
    const { code = "INTERNAL", message } = error as { code?: string; message: string };
    send({ id, error: { code, message } });
  }
}

async function carryOut(socket: Socket, method: string, params: Request["params"]): Promise<object> {
  const shardId = params.shardId as number;
  switch (method) {
    case "hello":
      commander = socket;
      return {
        ...{
          nodeId,
          run,
          pid: process.pid,
          version: "0.0.0",
          protocol: 1,
          peer: { path: `peer-${nodeId}.sock` },
        },
        ...{ url: `ws://127.0.0.1:${1000 + nodeId}`, mapVersion: map?.version ?? 0, ready: isReady },
        shards: [...shards].map(([id, shard]) => ({ shardId: id, ...shard })),
      };
    case "map":
      map = params.map as ClusterMap;
      if (!isReady && map.shards.every(isSettled)) {
        isReady = true;
        commander?.write(`${JSON.stringify({ event: "ready", data: {} })}\n`);
      }
      return { version: map.version };
    case "open":
      return { epoch: await open(shardId), recoveryMs: 1 };
    case "close":
      if (faults().ignoreClose === true) return new Promise(() => {});
      close(shardId);
      return {};
    case "status":
      return { node: { pid: process.pid } };
    case "commit":
      return { position: 4096 };
    case "drain":
      if (faults().ignoreDrain !== true) setImmediate(end);
      return {};
    default:
      return {};
  }
}

function isSettled({ nodeId, failed, isRetried }: ClusterShardEntry): boolean {
  return nodeId !== null || failed !== undefined || isRetried === true;
}

/** Says who opens what, and that nobody else has it. */
async function open(shardId: number): Promise<number> {
  const known = shards.get(shardId);
  if (known !== undefined) return known.epoch;
  const { failOpen } = faults();
  if (failOpen?.[String(shardId)] !== undefined) {
    throw Object.assign(new Error("the fake node was told to"), { code: failOpen[String(shardId)] });
  }
  shards.set(shardId, { epoch: 0, state: "opening" });
  const owner = ownerPath(dataDir, shardId);
  const { pid, startTime, epoch } = existsSync(owner)
    ? (JSON.parse(readFileSync(owner, "utf8")) as { pid: number; startTime: string; epoch: number })
    : { pid: 0, startTime: "", epoch: 0 };
  if (pid !== 0 && isRunning({ pid, startTime })) note("VIOLATION", shardId);
  writeFileSync(owner, JSON.stringify({ ...ownIdentity(), epoch: epoch + 1 }));
  await sleep(2);
  shards.set(shardId, { epoch: epoch + 1, state: "open" });
  note("open", shardId);
  return epoch + 1;
}

function close(shardId: number): void {
  const shard = shards.get(shardId);
  if (shard === undefined) return;
  note("close", shardId);
  shards.delete(shardId);
  writeFileSync(ownerPath(dataDir, shardId), JSON.stringify({ pid: 0, epoch: shard.epoch }));
}

function end(): void {
  for (const shardId of [...shards.keys()]) {
    close(shardId);
    commander?.write(`${JSON.stringify({ event: "shard-drained", data: { shardId } })}\n`);
  }
  if (faults().endSlowly === true) return;
  unlinkSync(path);
  process.exit(0);
}

function note(what: string, shardId: number): void {
  appendFileSync(historyPath(dataDir), `${what} ${shardId} ${nodeId}\n`);
}

function faults(): FakeFaults {
  try {
    const all = JSON.parse(readFileSync(faultsPath(dataDir), "utf8")) as Record<string, FakeFaults>;
    return all[String(nodeId)] ?? {};
  } catch {
    return {};
  }
}
