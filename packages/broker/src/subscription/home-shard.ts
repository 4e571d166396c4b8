import { partitionForKey } from "@millrace/protocol";

/** The shard that keeps the members of a stream subscription and shares the partitions out among them. */
export function homeShardOf(topicId: number, name: string, shardCount: number): number {
  return partitionForKey(`${topicId}/${name}`, shardCount);
}
