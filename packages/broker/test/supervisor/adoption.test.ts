import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import { FolderLock } from "../../src/node/folder-lock.ts";
import {
  claimNodeFile,
  type NodeFile,
  readNodeFile,
  readNodeFiles,
  writeNodeFile,
} from "../../src/supervisor/node-file.ts";
import { AdoptedNode } from "../../src/supervisor/node-process.ts";
import { identityOf, isRunning, type ProcessIdentity } from "../../src/supervisor/process-identity.ts";
import { FakeCluster, PLAIN_NODE, until } from "./fake-cluster.ts";
import { ownerPath } from "./fake-files.ts";

const NOBODY = JSON.stringify({ pid: 0, startTime: "", epoch: 1 });

const SUPERVISOR = fileURLToPath(new URL("./supervisor-main.js", import.meta.url));

/** A supervisor in a process of its own, that serves. */
async function supervisor(t: Test, cluster: FakeCluster, nodes: number): Promise<ChildProcess> {
  const [env, ...node] = PLAIN_NODE as [string, ...string[]];
  const child = spawn(env, [...node, SUPERVISOR, cluster.dataDir, String(nodes)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.teardown(() => child.kill("SIGKILL"));
  const [said] = (await once(child.stdout as NonNullable<typeof child.stdout>, "data")) as [Buffer];
  t.equal(said.toString().trim(), "serving");
  return child;
}

async function kill(child: ChildProcess): Promise<void> {
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}

t.test("nodes outlive their supervisor, and the next one adopts them as they are", async (t) => {
  const cluster = new FakeCluster(t);
  await kill(await supervisor(t, cluster, 3));
  const pids = cluster.pids();
  const history = cluster.history();
  await sleep(100);
  t.same(cluster.pids(), pids);
  await t.rejects(FolderLock.acquire(cluster.dataDir, "0"), {
    code: "DATA_DIR_IN_USE",
    message: /node \d of a cluster runs without a supervisor/,
  });
  const next = await cluster.start(3, { shards: undefined });
  t.equal(cluster.logged("node-adopted").length, 3);
  t.same(cluster.pids(), pids);
  t.same(cluster.history(), history, "nothing was moved");
  process.kill(pids.get(2)!, "SIGKILL");
  await until(() => cluster.logged("shard-taken-over").length >= 1);
  t.ok(cluster.logged("node-died")[0], "the end of a process that is not ours is noticed");
  await until(() => cluster.loads(3).join() === "1,1,2" && cluster.pids().get(2) !== pids.get(2));
  await next.close();
  t.notMatch(cluster.history().join("\n"), /VIOLATION/);
});

t.test("of nodes that have died or hang since, the shards are taken over", async (t) => {
  const cluster = new FakeCluster(t);
  await kill(await supervisor(t, cluster, 3));
  const pids = cluster.pids();
  const dying = identityOf(pids.get(0)!);
  process.kill(pids.get(0)!, "SIGKILL");
  await until(() => dying === undefined || !isRunning(dying));
  process.kill(pids.get(1)!, "SIGSTOP");
  await cluster.start(3);
  t.same(
    cluster.logged("node-adopted").map(({ nodeId }) => nodeId),
    [2],
  );
  t.match(cluster.logged("node-killed"), [{ nodeId: 1 }]);
  await until(() => cluster.loads(3).join() === "1,1,2");
  t.notMatch(cluster.history().join("\n"), /VIOLATION/);
});

t.test("fewer nodes, or others' settings, are what the next supervisor wants", async (t) => {
  const cluster = new FakeCluster(t);
  await kill(await supervisor(t, cluster, 3));
  const pids = cluster.pids();
  await cluster.start(2, { settings: { other: true } });
  await until(() => cluster.logged("restart-done").length === 1 && cluster.pids().size === 2);
  t.not(cluster.pids().get(0), pids.get(0));
  await until(() => cluster.loads(2).join() === "2,2");
  t.notMatch(cluster.history().join("\n"), /VIOLATION/);
});

t.test("the supervisor of a copy of the folder lets the original's nodes alone", async (t) => {
  const original = new FakeCluster(t);
  await kill(await supervisor(t, original, 2));
  const pids = original.pids();
  const copy = new FakeCluster(t);
  cpSync(original.dataDir, copy.dataDir, { recursive: true, filter: (path) => !path.endsWith(".sock") });
  writeFileSync(join(copy.dataDir, "history.txt"), "");
  for (let shardId = 0; shardId < 4; shardId += 1) writeFileSync(ownerPath(copy.dataDir, shardId), NOBODY);
  await copy.start(2, { shards: undefined });
  t.same(copy.logged("node-adopted"), []);
  t.same(copy.logged("node-killed"), []);
  t.same(original.pids(), pids);
  for (const pid of pids.values()) t.ok(identityOf(pid), "it lives");
});

t.test("without a start time a process is a node only when it says so", async (t) => {
  const cluster = new FakeCluster(t);
  const bystander = spawn("sleep", ["600"], { stdio: "ignore" });
  t.teardown(() => bystander.kill("SIGKILL"));
  const identity = { pid: bystander.pid!, startTime: "" };
  writeNodeFile(cluster.dataDir, { ...identity, nodeId: 0, port: 1, options: "" });
  await cluster.start(1);
  t.same(cluster.logged("node-adopted"), []);
  const adopted = new AdoptedNode(identity);
  t.teardown(() => adopted.forget());
  adopted.kill();
  await sleep(50);
  t.equal(bystander.exitCode ?? bystander.signalCode, null, "it was not killed");
  adopted.greeted();
  adopted.kill();
  t.same(await adopted.ended, { pid: bystander.pid });
});

t.test("a node that its supervisor had no time to name is in nobody's way for long", async (t) => {
  const cluster = new FakeCluster(t);
  await kill(await supervisor(t, cluster, 2));
  const [file] = readNodeFiles(cluster.dataDir) as [NodeFile];
  rmSync(join(cluster.dataDir, `node-${file.nodeId}.json`));
  await t.rejects(cluster.start(2), {
    code: "DATA_DIR_IN_USE",
    details: { nodeId: file.nodeId, pid: file.pid },
  });
  // As if its successor had been started before its socket was there.
  const bystander = spawn("sleep", ["600"], { stdio: "ignore" });
  t.teardown(() => bystander.kill("SIGKILL"));
  writeNodeFile(cluster.dataDir, { ...file, ...(identityOf(bystander.pid!) as ProcessIdentity) });
  await cluster.start(2);
  t.equal(isRunning(file), false, "it has ended");
  t.match(cluster.logged("node-killed"), [{ reason: /another process answers for it/ }]);
  await until(() => cluster.loads(2).join() === "2,2");
  const next = readNodeFile(cluster.dataDir, file.nodeId) as NodeFile;
  claimNodeFile(cluster.dataDir, { ...file, failure: { code: "DATA_DIR_IN_USE", message: "" } });
  t.same(readNodeFile(cluster.dataDir, file.nodeId), next, "and does not take the name of the one that runs");
});
