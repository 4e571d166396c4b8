import t from "tap";
import { checkAcked, goesOn, startLoadedCluster } from "../harness/acked-load.ts";
import { until } from "../harness/waiting.ts";

t.test("an owner that was taken for dead hears from the map that its shard is another's", async (t) => {
  const { cluster, clients, loads } = await startLoadedCluster(t, 2, 2);
  await goesOn(loads);
  await cluster.open(1, 0);
  await goesOn(loads);
  const { control } = cluster.node(1);
  const { shards } = await control.ask("hello", { protocol: 1, supervisorPid: process.pid });
  t.same(shards, []);
  await checkAcked(t, clients, loads);
});

t.test("or finds it at the fence, and says so", async (t) => {
  const { cluster, clients, loads } = await startLoadedCluster(t, 2, 2);
  await goesOn(loads);
  // Nobody is told yet: clients of node 1 go on writing to the deposed owner, which acknowledges nothing of it.
  const { epoch } = await cluster.node(0).control.ask("open", { shardId: 1 });
  const { control } = cluster.node(1);
  await until(() => control.events.includes("shard-fenced"), "the deposed owner looks at the fence");
  cluster.place(1, 0, epoch);
  await cluster.publish();
  await goesOn(loads);
  await checkAcked(t, clients, loads);
});

t.test("the coordinator is deposed: nobody loses a topic, and none is made twice", async (t) => {
  const { cluster, clients, loads } = await startLoadedCluster(t, 2, 2);
  await goesOn(loads);
  await clients[1]?.topics.create("before", { partitions: 2 });
  await cluster.open(0, 1);
  await goesOn(loads);
  t.match(await clients[0]?.topics.describe("before"), { partitions: 2 });
  await clients[0]?.topics.create("after", { partitions: 2 });
  t.match(await clients[1]?.topics.describe("after"), { partitions: 2 });
  await t.rejects(clients[1]?.topics.create("before") as Promise<unknown>, { code: "TOPIC_EXISTS" });
  await checkAcked(t, clients, loads);
});
