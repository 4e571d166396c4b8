// Runs against one process: it makes a cluster by itself.
import type { Client } from "@millrace/client";
import t from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { connectedClient } from "../harness/connected-client.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { inTime, until } from "../harness/waiting.ts";

const TOPIC = "apart";
const PARTITIONS = 12;

/** Who owns each shard that has a partition of the topic, by the address of the node alone. */
async function partitionsByOwner(client: Client): Promise<Map<string, number[]>> {
  const { partitionInfo, owners = [] } = await client.topics.describe(TOPIC);
  const owned = new Map<string, number[]>();
  for (const { partition, shard } of partitionInfo) {
    const url = owners.find((owner) => owner.shard === shard)?.url ?? "";
    owned.set(url, [...(owned.get(url) ?? []), partition]);
  }
  return owned;
}

t.test(
  "clients of other nodes see nothing of a node that is killed, and its shards serve again",
  async (t) => {
    const dataDir = temporaryFolder(t);
    const cluster = await BrokerProcess.start(t, { dataDir, target: "cluster" });
    const client = await connectedClient(t, cluster.url);
    await client.topics.create(TOPIC, { partitions: PARTITIONS });
    const owned = await partitionsByOwner(client);
    t.ok(owned.size >= 2 && !owned.has(""), `${owned.size} nodes own partitions`);
    const urls = [...owned.keys()];

    // Shard 0 stays: its node has the catalog.
    const { partitionInfo } = await client.topics.describe(TOPIC);
    const ofFirstShard = partitionInfo.find(({ shard }) => shard === 0)?.partition ?? 0;
    const spared = urls.find((url) => owned.get(url)?.includes(ofFirstShard)) as string;
    const lost = urls.find((url) => url !== spared) as string;
    const noises: string[] = [];
    const happy = await connectedClient(t, spared);
    happy.on("disconnected", (error) => noises.push(`disconnected: ${error.message}`));
    happy.on("gap", (gap) => noises.push(`gap: ${JSON.stringify(gap)}`));
    const seen: unknown[] = [];
    const own = owned.get(spared) as number[];
    const subscription = happy.subscribe(TOPIC, { from: "earliest", partitions: own });
    void (async () => {
      for await (const { value } of subscription) seen.push(value);
    })();
    await subscription.ready();
    const producer = happy.producer(TOPIC);
    let isDone = false;
    let sent = 0;
    const publishing = (async () => {
      for (; !isDone; sent += 1) await producer.send({ value: sent, partition: own[sent % own.length] });
    })();

    const nodeId = await nodeAt(cluster, lost);
    await cluster.nodes.get(nodeId)?.kill();
    const partition = owned.get(lost)?.[0];
    const back = happy.producer(TOPIC, { retryBackoffMs: 5, retryBackoffMaxMs: 50 });
    const ack = await inTime(back.send({ value: "back", partition }), "the first ack of a new owner");
    t.match(ack, { partition, offset: 0 });
    isDone = true;
    await inTime(publishing, "the publishes to other shards");
    await until(() => seen.length === sent, "all of it was delivered");
    t.same(noises, [], "who works with other nodes has heard nothing");
    t.same(
      seen.map(Number).sort((a, b) => a - b),
      Array.from({ length: sent }, (_, i) => i),
    );
  },
);

/** The node that listens there by itself. */
async function nodeAt(cluster: BrokerProcess, url: string): Promise<number> {
  const { body } = await cluster.get("/v1/status");
  const { nodes } = JSON.parse(body) as { nodes: { nodeId: number; url: string }[] };
  const node = nodes.find((one) => one.url === url);
  if (node === undefined) throw new Error(`no node at ${url}: ${body}`);
  return node.nodeId;
}
