import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { BrokerNode, type NodeOptions } from "../../src/node/broker-node.ts";
import { shardDirectory } from "../../src/node/data-folder.ts";
import type { GatewayHandler } from "../../src/node/gateway-handler.ts";

const CONFIG = { partitions: 2, retentionMs: 0, retentionBytes: 0, durability: "fsynced" } as const;

interface RunningNode {
  readonly node: BrokerNode;
  readonly failed: number[];
  readonly events: string[];
  readonly close: () => Promise<void>;
}

/** A node of two shards on one thread, with a gateway that hears of failed shards only. */
async function startNode(t: Test, dataDir: string, options: Partial<NodeOptions> = {}): Promise<RunningNode> {
  const events: string[] = [];
  const failed: number[] = [];
  const logger = { log: (_level: string, event: string) => void events.push(event) };
  const node = await BrokerNode.open({ dataDir, shards: 2, shardThreads: 1, logger, ...options });
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closed ??= node.close();
    return closed;
  };
  t.teardown(close);
  const heard: Partial<GatewayHandler> = { onShardFailed: (shardId) => void failed.push(shardId) };
  node.attach(
    new Proxy(heard as GatewayHandler, { get: (target, name) => Reflect.get(target, name) ?? (() => {}) }),
  );
  await node.start();
  return { node, failed, events, close };
}

t.test("a quarantined shard stays out of service, and the others are served", async (t) => {
  const dataDir = t.testdir();
  const first = await startNode(t, dataDir);
  const topic = await first.node.createTopic("a", CONFIG);
  await first.node.drain();
  await first.close();
  writeFileSync(join(shardDirectory(dataDir, 1), "quarantined"), "EIO on sync\n");

  const { node, failed, events } = await startNode(t, dataDir);
  t.same(failed, [1]);
  t.equal(node.ready, false, "which /readyz tells");
  t.same(node.conditions, ["out of service until it is repaired: shard 1"], "and why");
  t.ok(events.includes("shard-quarantined"));
  t.match(await node.status(), { failedShards: [1], shards: [{ shardId: 0 }] });
  t.match(node.topicByName("a"), { topicId: topic.topicId });
  const healthy = topic.shards.indexOf(0);
  t.match(await node.bounds(topic, [healthy]), [{ logStartOffset: 0 }]);
  await t.rejects(node.bounds(topic, [topic.shards.indexOf(1)]), { code: "JOURNAL_FAILED" });
  t.match(await node.createTopic("b", CONFIG), { name: "b" }, "its partitions come with the repair");
  t.match(await node.deleteTopic("a"), { name: "a" });
});

t.test("without the catalog's shard there is nothing to serve", async (t) => {
  const dataDir = t.testdir();
  const first = await startNode(t, dataDir);
  await first.close();
  writeFileSync(join(shardDirectory(dataDir, 0), "quarantined"), "EIO on sync\n");
  await t.rejects(startNode(t, dataDir), { code: "JOURNAL_QUARANTINED" });
});

t.test("a node says how full its volume is", async (t) => {
  const { node } = await startNode(t, t.testdir(), { retentionTotalBytes: 10 ** 9 });
  const { disk, retentionTotalBytes, shards } = await node.status();
  t.ok(disk.totalBytes > 0);
  t.equal(retentionTotalBytes, 10 ** 9);
  t.match(shards, [
    { settledFiles: 0, backlogBytes: 0, refusing: null },
    { settledFiles: 0, backlogBytes: 0, refusing: null },
  ]);
});
