// Runs against one process: it says itself what it runs against.
import t from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { connectedClient } from "../harness/connected-client.ts";
import { jsonOutput, runCommand } from "../harness/millrace-command.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { until } from "../harness/waiting.ts";

t.test("a cluster outlives its supervisor, is adopted, moved, restarted and ended", async (t) => {
  const dataDir = temporaryFolder(t);
  const first = await BrokerProcess.start(t, { dataDir, target: "cluster" });
  const { port, url } = first;
  const client = await connectedClient(t, url);
  await client.topics.create("numbers", { partitions: 4 });
  const producer = client.producer("numbers");
  let count = 0;
  const publish = async (): Promise<void> => {
    const values = Array.from({ length: 100 }, () => String(count++));
    await Promise.all(values.map((value) => producer.send({ key: value, value })));
  };
  await publish();

  await first.process.kill("SIGKILL");
  await publish();
  t.match(await jsonOutput(t, ["status", "--url", url, "--json"]), [{ supervisor: { pid: null } }]);
  t.match(await runCommand(t, ["restart", "--data", dataDir]), {
    code: 1,
    stderr: /NO_SUPERVISOR: nodes serve/,
  });
  const refused = await BrokerProcess.refused(t, { dataDir, target: "process" });
  t.match(refused.message, /DATA_DIR_IN_USE.*node \d of a cluster runs without a supervisor/);
  const elsewhere = { dataDir: temporaryFolder(t), port, target: "cluster" } as const;
  t.match((await BrokerProcess.refused(t, elsewhere)).message, /PORT_IN_USE/);

  const next = await BrokerProcess.start(t, { dataDir, port, target: "cluster" });
  t.equal(next.logged("node-adopted").length, 3);
  t.equal(next.logged("shard-moved").length, 0);
  const move = ["shard", "move", "3", "--to", "2", "--data", dataDir, "--json"];
  t.same(await jsonOutput(t, move), [{ shardId: 3, nodeId: 2 }]);
  const before = [...next.nodes].map(([, { pid }]) => pid);
  t.match(await runCommand(t, ["restart", "--data", dataDir]), { code: 0 });
  const after = [...next.nodes].map(([, { pid }]) => pid);
  t.notOk(after.some((pid) => before.includes(pid)));
  await publish();
  const own = next.nodes.get(1)?.pid as number;
  process.kill(own, "SIGTERM");
  await until(() => next.nodes.get(1)?.pid !== own && next.nodes.has(1), "the node to be there again");
  await until(() => next.logged("node-ended").at(-1)?.nodeId === 1, "it is said that it has ended");
  t.same([...next.logged("node-killed"), ...next.logged("node-died")], []);
  await publish();
  await next.nodes.get(0)?.kill();
  await publish();

  const reader = await connectedClient(t, url);
  const seen = new Set<string>();
  for await (const { value } of reader.subscribe("numbers", { from: "earliest" })) {
    t.notOk(seen.has(value as string), "once");
    seen.add(value as string);
    if (seen.size === count) break;
  }
  t.same(await next.stop(), { code: 0, signal: null });
  for (const node of next.nodes.values()) t.notOk(node.isRunning, "no node is left");
});
