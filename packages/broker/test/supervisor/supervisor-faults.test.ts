import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { readNodeFile } from "../../src/supervisor/node-file.ts";
import { identityOf } from "../../src/supervisor/process-identity.ts";
import { FakeCluster, until } from "./fake-cluster.ts";

t.test("a node that dies or hangs loses its shards at once, and gets its share back", async (t) => {
  const cluster = new FakeCluster(t);
  await cluster.start(2);
  const pids = cluster.pids();
  process.kill(pids.get(0)!, "SIGKILL");
  await until(() => cluster.logged("shard-taken-over").length === 2);
  t.match(cluster.logged("node-died"), [{ nodeId: 0, shards: [0, 2], signal: "SIGKILL", deaths: 1 }]);
  await until(() => cluster.logged("shard-moved").length === 2);
  process.kill(pids.get(1)!, "SIGSTOP");
  await until(() => cluster.logged("node-killed").length === 1);
  t.match(cluster.logged("node-killed"), [{ nodeId: 1, reason: /nothing has come from it/ }]);
  await until(() => cluster.pids().get(1) !== undefined && cluster.pids().get(1) !== pids.get(1));
  await until(() => cluster.loads(2).join() === "2,2");
  t.notMatch(cluster.history().join("\n"), /VIOLATION/);
});

t.test("a node that keeps dying is left down; the others serve without it", async (t) => {
  const cluster = new FakeCluster(t);
  cluster.faults({ 1: { exitAtStart: true } });
  const supervisor = await cluster.start(2);
  t.match(cluster.logged("node-given-up"), [{ nodeId: 1, level: "error" }]);
  t.equal(cluster.logged("node-died").length, 2);
  t.same(cluster.owners(), [0, 0, 0, 0]);
  cluster.faults({});
  await supervisor.restart();
  t.same(cluster.loads(2), [2, 2], "a restart tries it again");
});

t.test("without any node there is no cluster", async (t) => {
  const cluster = new FakeCluster(t);
  cluster.faults({ 0: { exitAtStart: true } });
  await t.rejects(cluster.start(1), { code: "NODES_FAILED", message: /see .*logs/ });
  cluster.faults({ 0: { failAtStart: "PORT_FORBIDDEN" } });
  await t.rejects(cluster.start(1), { code: "PORT_FORBIDDEN", message: "the fake node was told to" });
  cluster.faults({ 0: { failOpen: { 1: "JOURNAL_DAMAGED" } } });
  await t.rejects(cluster.start(1), { code: "JOURNAL_DAMAGED", details: { shardId: 1 } });
  cluster.faults({ 0: { failOpen: { 1: "JOURNAL_QUARANTINED" } } });
  await cluster.start(1);
  t.match(cluster.logged("shard-open-failed").at(-1), { shardId: 1, isFinal: true });
});

t.test("a node that dies for good while the cluster runs ends it", async (t) => {
  const cluster = new FakeCluster(t);
  const supervisor = await cluster.start(1);
  cluster.faults({ 0: { exitAtStart: true } });
  process.kill(cluster.pids().get(0)!, "SIGKILL");
  t.match(await supervisor.ended, { code: "NODES_FAILED" });
});

t.test("a shard that a node does not close is taken from it", async (t) => {
  const cluster = new FakeCluster(t);
  const supervisor = await cluster.start(2);
  cluster.faults({ 0: { ignoreClose: true } });
  t.equal(await supervisor.move(0, 1), 1);
  t.match(cluster.logged("node-killed"), [{ nodeId: 0, reason: /shard 0 was not closed/ }]);
  t.notMatch(cluster.history().join("\n"), /VIOLATION/);
});

t.test("what the system lacks for starting a node may be there later", async (t) => {
  const cluster = new FakeCluster(t);
  const logs = join(cluster.dataDir, "logs");
  // In the place of the folder: nothing can be started.
  writeFileSync(logs, "");
  await t.rejects(cluster.start(1), { code: "NODES_FAILED", message: /EEXIST/ });
  rmSync(logs);
  mkdirSync(logs);
  await cluster.start(2, { limits: { ...cluster.options(2).limits, crashLoopDeaths: 20 } });
  renameSync(logs, `${logs}.away`);
  writeFileSync(logs, "");
  process.kill(cluster.pids().get(0)!, "SIGKILL");
  await until(() => cluster.logged("node-died").some(({ error }) => /EEXIST/.test(String(error))));
  rmSync(logs);
  renameSync(`${logs}.away`, logs);
  await until(() => cluster.loads(2).join() === "2,2" && cluster.pids().size === 2);
  t.notMatch(cluster.history().join("\n"), /VIOLATION/);
});

t.test("a start that is broken off leaves nothing behind, whatever it waits for", async (t) => {
  const cluster = new FakeCluster(t);
  cluster.faults({ 0: { failOpen: { 1: "INTERNAL" } } });
  const breaking = new AbortController();
  const start = cluster.start(1, { signal: breaking.signal });
  await until(() => cluster.logged("shard-open-failed").length > 0);
  const [pid] = cluster.pids().values();
  breaking.abort();
  await t.rejects(start, { code: "SERVER_DRAINING" });
  t.equal(identityOf(pid as number), undefined);
  t.match(cluster.logged("node-ended"), [{ nodeId: 0 }]);
  await t.rejects(cluster.start(1, { signal: breaking.signal }), { code: "SERVER_DRAINING" });
  t.equal(cluster.pids().size, 0, "nor is anything begun");
  cluster.faults({});
  await cluster.start(1);
});

t.test(
  "what a node closes because it was told to end, by whomever, is open elsewhere before it has gone",
  async (t) => {
    const cluster = new FakeCluster(t);
    await cluster.start(2);
    cluster.faults({ 0: { endSlowly: true } });
    const pid = cluster.pids().get(0) as number;
    process.kill(pid, "SIGTERM");
    await until(() => cluster.owners().join() === "1,1,1,1");
    t.ok(identityOf(pid), "it is there still");
    process.kill(pid, "SIGKILL");
    await until(() => cluster.loads(2).join() === "2,2");
    t.same(cluster.logged("shard-open-failed"), []);
    t.notMatch(cluster.history().join("\n"), /VIOLATION/);
  },
);

t.test("a shard that cannot be opened holds up neither the start nor the nodes", async (t) => {
  const cluster = new FakeCluster(t);
  const failOpen = { 3: "INTERNAL" };
  cluster.faults({ 0: { failOpen }, 1: { failOpen } });
  const limits = { ...cluster.options(2).limits, startMsMax: 200, reopenMinMs: 10 };
  const supervisor = await cluster.start(2, { limits });
  t.match(cluster.logged("nodes-not-ready"), [{ level: "warn" }]);
  t.equal(cluster.owners()[3], undefined);
  const { pid } = readNodeFile(cluster.dataDir, 1) as { pid: number };
  await supervisor.restart();
  t.not(cluster.pids().get(1), pid, "a node that is started meanwhile comes up");
  cluster.faults({});
  await until(() => cluster.owners()[3] !== undefined);
});
