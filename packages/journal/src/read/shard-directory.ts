/** The name of a shard's folder below the folder of all shards. */
export function shardDirectoryName(shardId: number): string {
  return String(shardId).padStart(4, "0");
}
