/** What has to move so that partitions are spread evenly; index = member, in the order of `held`. */
export interface StickyPlan {
  /** Partitions that each member is to give up. */
  readonly revoked: readonly (readonly number[])[];
  /** Free partitions that each member gets. */
  readonly assigned: readonly (readonly number[])[];
}

/**
 * How many partitions each member is to have: floor or ceil of the average. Those who hold most keep one more, so that as
 * few as possible move; of equals the earlier member.
 */
export function balancedCounts(partitions: number, heldCounts: readonly number[]): number[] {
  const members = heldCounts.length;
  if (members === 0) return [];
  const floor = Math.floor(partitions / members);
  const larger = partitions % members;
  const order = heldCounts.map((_, member) => member);
  order.sort((a, b) => (heldCounts[b] as number) - (heldCounts[a] as number) || a - b);
  const counts = new Array<number>(members).fill(floor);
  for (let i = 0; i < larger; i += 1) counts[order[i] as number] = floor + 1;
  return counts;
}

/**
 * Spreads `partitions` over members with as few moves as there can be: who has too many gives up the newest of them, and
 * what is free goes to who has too few. Partitions that are neither held nor free are on their way to be freed: nobody has
 * them now, and room is left for them.
 *
 * @param held each member's partitions, oldest first
 * @param free ascending
 */
export function stickyPlan(
  partitions: number,
  held: readonly (readonly number[])[],
  free: readonly number[],
): StickyPlan {
  const counts = balancedCounts(
    partitions,
    held.map(({ length }) => length),
  );
  const revoked = held.map((list, member) => list.slice(counts[member]));
  const assigned: number[][] = held.map(() => []);
  const wanting = held
    .map((list, member) => ({ member, missing: (counts[member] as number) - list.length }))
    .filter(({ missing }) => missing > 0)
    // Who has least comes first: somebody without any waits for the first that is freed.
    .sort((a, b) => b.missing - a.missing || a.member - b.member);
  // In turns, so that neighbours, which are often of one shard, are spread.
  for (let next = 0; next < free.length; ) {
    const before = next;
    for (const each of wanting) {
      if (each.missing === 0 || next >= free.length) continue;
      each.missing -= 1;
      assigned[each.member]?.push(free[next] as number);
      next += 1;
    }
    if (next === before) break;
  }
  return { revoked, assigned };
}
