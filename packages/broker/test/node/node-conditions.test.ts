import t from "tap";
import type { RefusalReason } from "../../src/link/link-buffers.ts";
import { nodeConditions, type ShardCondition } from "../../src/node/node-conditions.ts";

function shards(...refusals: (RefusalReason | "failed" | undefined)[]): ShardCondition[] {
  return refusals.map((refusal, shardId) => ({
    shardId,
    hasFailed: refusal === "failed",
    refusal: refusal === "failed" ? "disk-full" : refusal,
  }));
}

t.test("each reason why a node does not serve everything is named once, with its shards", async (t) => {
  t.same(nodeConditions(false, shards(undefined, undefined)), []);
  t.same(nodeConditions(true, shards("disk-low", "disk-low")), ["the disk is low: publishes are refused"]);
  t.same(nodeConditions(true, shards("failed", "settling-behind", "disk-full", "disk-full")), [
    "out of service until it is repaired: shard 0",
    "the disk is low: publishes are refused",
    "the disk is full: publishes are refused by shard 2, 3",
    "too much waits to be settled: publishes are refused by shard 1",
  ]);
});
