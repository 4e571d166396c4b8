/** What a node knows of its cluster. */
export interface ClusterKnowledge {
  /** A supervisor has said which node has which shard. */
  readonly hasMap: boolean;
  /** Shards that no node has open. */
  readonly unowned: readonly number[];
  /** Shards that another node has open, and the way there is interrupted. */
  readonly unreached: readonly number[];
  /** Why the copy of the catalog may be old. */
  readonly catalog: string | undefined;
  readonly hasSupervisor: boolean;
}

/** What keeps a node of a cluster from serving everything, one sentence each, for people. */
export function clusterConditions(known: ClusterKnowledge): string[] {
  const { hasMap, unowned, unreached, catalog, hasSupervisor } = known;
  const conditions: string[] = [];
  if (!hasMap) conditions.push("no supervisor has said yet which node has which shard");
  else if (unowned.length > 0) conditions.push(`no node has shard ${unowned.join(", ")} open`);
  if (unreached.length > 0) conditions.push(`the way to shard ${unreached.join(", ")} is interrupted`);
  if (catalog !== undefined) conditions.push(catalog);
  if (hasMap && !hasSupervisor) conditions.push("there is no supervisor: no shard moves until one runs");
  return conditions;
}
