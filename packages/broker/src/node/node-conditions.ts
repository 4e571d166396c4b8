import type { RefusalReason } from "../link/link-buffers.ts";

/** A shard as seen from its node. */
export interface ShardCondition {
  readonly shardId: number;
  /** It is out of service until it is repaired. */
  readonly hasFailed: boolean;
  readonly refusal: RefusalReason | undefined;
}

/** What keeps a node from serving everything, one sentence each, for people: whoever can connect can read it. */
export function nodeConditions(diskLow: boolean, shards: readonly ShardCondition[]): string[] {
  const conditions: string[] = [];
  const failed = shards.filter(({ hasFailed }) => hasFailed);
  if (failed.length > 0) conditions.push(`out of service until it is repaired: ${named(failed)}`);
  if (diskLow) conditions.push("the disk is low: publishes are refused");
  const refusing = (reason: RefusalReason): ShardCondition[] =>
    shards.filter(({ refusal, hasFailed }) => !hasFailed && refusal === reason);
  const full = refusing("disk-full");
  if (full.length > 0) conditions.push(`the disk is full: publishes are refused by ${named(full)}`);
  const behind = refusing("settling-behind");
  if (behind.length > 0) {
    conditions.push(`too much waits to be settled: publishes are refused by ${named(behind)}`);
  }
  return conditions;
}

function named(shards: readonly ShardCondition[]): string {
  return `shard ${shards.map(({ shardId }) => shardId).join(", ")}`;
}
