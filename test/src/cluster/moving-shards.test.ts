import t from "tap";
import { type AckedLoad, checkAcked, goesOn, startLoadedCluster } from "../harness/acked-load.ts";
import { connectedClient } from "../harness/connected-client.ts";

t.test("shards move under load, and nothing that was acknowledged is lost", async (t) => {
  const { cluster, clients, loads } = await startLoadedCluster(t, 2, 3);
  await goesOn(loads);
  for (const [shardId, to] of [
    [1, 0],
    [0, 1],
    [2, 1],
  ] as const) {
    await cluster.move(shardId, to);
    await goesOn(loads);
  }
  await checkAcked(t, clients, loads);
  t.match(await clients[1]?.topics.create("after", { partitions: 2 }), { name: "after" });
});

t.test("a node is drained in order", async (t) => {
  const { cluster, clients, loads } = await startLoadedCluster(t, 2, 2);
  await goesOn(loads);
  await cluster.move(1, 0);
  const { control, drained } = cluster.node(1);
  await control.ask("drain", {});
  await drained;
  cluster.nodes.delete(1);
  await cluster.publish();
  const back = await cluster.startNode(1);
  await back.node.whenReady();
  t.equal(back.node.ready, true, "it comes back, and serves without a shard of its own");
  t.match(await (await connectedClient(t, back.broker.url)).topics.describe("load"), { partitions: 4 });
  await cluster.move(1, 1);
  const [here] = loads as [AckedLoad, AckedLoad];
  await goesOn([here]);
  await clients[1]?.close();
  await checkAcked(t, clients.slice(0, 1), [here]);
});
