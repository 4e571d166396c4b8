import { existsSync, readdirSync } from "node:fs";
import t from "tap";
import { ControlClient } from "../../src/backup/control-client.ts";
import { FolderLock } from "../../src/node/folder-lock.ts";
import { readNodeFile } from "../../src/supervisor/node-file.ts";
import { identityOf } from "../../src/supervisor/process-identity.ts";
import { Supervisor } from "../../src/supervisor/supervisor.ts";
import { FakeCluster, until } from "./fake-cluster.ts";

t.test("starts, spreads the shards, and ends in order", async (t) => {
  const cluster = new FakeCluster(t);
  const supervisor = await cluster.start(2);
  t.same(cluster.loads(2), [2, 2]);
  const pids = [...cluster.pids().values()];
  t.equal(pids.length, 2);
  t.ok(supervisor.port >= 20_000 && supervisor.port < 32_000);
  await t.rejects(Supervisor.start(cluster.options(2)), { code: "DATA_DIR_IN_USE" }, "a second one");
  const other = new FakeCluster(t);
  await t.rejects(Supervisor.start(other.options(1, { port: supervisor.port })), { code: "PORT_IN_USE" });
  await supervisor.close();
  t.equal(await supervisor.ended, undefined);
  for (const pid of pids) t.equal(identityOf(pid), undefined, "no process is left");
  t.same(
    readdirSync(cluster.dataDir).filter((name) => name.startsWith("node-")),
    [],
  );
  t.same(cluster.loads(2), [0, 0], "every shard was closed");
  await (await FolderLock.acquire(cluster.dataDir, "0")).release();
});

t.test("a rolling restart replaces every node, one after the other", async (t) => {
  const cluster = new FakeCluster(t);
  const supervisor = await cluster.start(2, { reload: async () => ({ other: "settings" }) });
  const before = cluster.pids();
  await supervisor.restart();
  const after = cluster.pids();
  for (const nodeId of [0, 1]) t.not(after.get(nodeId), before.get(nodeId));
  t.same(
    cluster.log.flatMap(({ event, nodeId }) =>
      /^node-(restart|ended)/.test(event) ? [`${event} ${nodeId}`] : [],
    ),
    [0, 1].flatMap((nodeId) => [
      `node-restarting ${nodeId}`,
      `node-ended ${nodeId}`,
      `node-restarted ${nodeId}`,
    ]),
  );
  t.same(cluster.loads(2), [2, 2]);
  t.notMatch(cluster.history().join("\n"), /VIOLATION/);
});

t.test("commands come over the folder's control channel", async (t) => {
  const cluster = new FakeCluster(t);
  await cluster.start(2);
  const ask = async (command: string, more: object = {}): Promise<object> => {
    const client = (await ControlClient.request(cluster.dataDir, command, more)) as ControlClient;
    try {
      for (;;) {
        const { result } = await client.next(10_000);
        if (result !== undefined) return result as object;
      }
    } finally {
      client.close();
    }
  };
  t.same(cluster.owners(), [0, 1, 0, 1]);
  t.same(await ask("move", { shardId: 2, nodeId: 1 }), { nodeId: 1 });
  t.same(cluster.owners(), [0, 1, 1, 1]);
  await t.rejects(ask("move", { shardId: 7, nodeId: 1 }), { code: "INVALID_REQUEST" });
  await t.rejects(ask("move", { shardId: 1, nodeId: 2 }), { code: "INVALID_REQUEST" });
  t.match(await ask("cluster"), { pid: process.pid, map: { nodes: [{ state: "up" }, { state: "up" }] } });
  const pids = cluster.pids();
  await ask("restart");
  t.not(cluster.pids().get(0), pids.get(0));
  t.same(cluster.owners()[2], 1, "what was moved is back where it was moved to");
});

t.test("a node that does not end is killed, and the end says so", async (t) => {
  const cluster = new FakeCluster(t);
  const supervisor = await cluster.start(2, { limits: { ...cluster.options(2).limits, drainMsMax: 200 } });
  cluster.faults({ 0: { ignoreDrain: true } });
  await t.rejects(supervisor.close(), { message: /node 0: it had not ended/ });
  t.equal(existsSync(`${cluster.dataDir}/node-0.json`), false);
});

t.test("settings with which no node comes up are forgotten", async (t) => {
  const cluster = new FakeCluster(t);
  const supervisor = await cluster.start(2, { reload: async () => ({ exitAtStart: true }) });
  const optionsOf = (nodeId: number): string | undefined => readNodeFile(cluster.dataDir, nodeId)?.options;
  const before = optionsOf(1);
  await t.rejects(supervisor.restart(), { code: "NODES_FAILED", message: /node 0 did not come back/ });
  const { pid } = readNodeFile(cluster.dataDir, 1) as { pid: number };
  process.kill(pid, "SIGKILL");
  await until(() => cluster.logged("node-up").filter(({ nodeId }) => nodeId === 1).length === 2);
  t.equal(optionsOf(1), before);
});
