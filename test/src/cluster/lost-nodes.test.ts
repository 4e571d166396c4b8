import t from "tap";
import { type AckedLoad, checkAcked, goesOn, startLoadedCluster } from "../harness/acked-load.ts";

t.test("a node is lost, and another one takes its shards over", async (t) => {
  const { cluster, clients, loads } = await startLoadedCluster(t, 3, 3);
  await goesOn(loads);
  const [first, second, third] = loads as [AckedLoad, AckedLoad, AckedLoad];
  const lost = await cluster.lose(2);
  t.same(lost, [2]);
  await cluster.publish();
  for (const shardId of lost) await cluster.open(shardId, 1);
  await goesOn([first, second]);
  await clients[2]?.close();
  await checkAcked(t, clients.slice(0, 2), [first, second]);
  t.ok(third.acked.size > 0);
});

t.test("the node that coordinates is lost", async (t) => {
  const { cluster, clients, loads } = await startLoadedCluster(t, 3, 3);
  await goesOn(loads);
  const lost = await cluster.lose(0);
  t.same(lost, [0]);
  for (const shardId of lost) await cluster.open(shardId, 1);
  const rest = loads.slice(1);
  await goesOn(rest);
  t.match(await clients[2]?.topics.create("after", { partitions: 3 }), { name: "after" });
  t.match(await clients[1]?.topics.describe("after"), { partitions: 3 });
  await clients[0]?.close();
  await checkAcked(t, clients.slice(1), rest);
});

t.test("a shard thread dies, and nobody need say where its shard is", async (t) => {
  const { cluster, clients, loads } = await startLoadedCluster(t, 2, 2);
  await goesOn(loads);
  await cluster.node(1).node.crashShardThread(1);
  await goesOn(loads);
  await cluster.node(0).node.crashShardThread(0);
  await goesOn(loads);
  t.ok(cluster.node(1).control.events.includes("shard-reopened"));
  t.match(await clients[1]?.topics.create("after", { partitions: 2 }), { name: "after" });
  await checkAcked(t, clients, loads);
});
