import { gatewayOf } from "../link/gateway-ids.ts";
import type { Partition } from "./partition.ts";

/** The sessions of one gateway that stand at the tail of a partition: what is new is delivered to them together. */
export interface TailGroup {
  /** Their gateway's name for the group; it says which gateway that is. */
  readonly sharedStreamId: number;
  /** The next offset that is delivered to them. */
  offset: number;
}

/** Most partitions have none: they share this, which stays empty. */
export const NO_TAIL_GROUPS: TailGroup[] = [];

/** The group of the gateway, if it has one there. */
export function tailGroupOf({ tailGroups }: Partition, gateway: number): TailGroup | undefined {
  for (const group of tailGroups) if (gatewayOf(group.sharedStreamId) === gateway) return group;
  return undefined;
}

export function addTailGroup(partition: Partition, group: TailGroup): void {
  if (partition.tailGroups === NO_TAIL_GROUPS) partition.tailGroups = [group];
  else partition.tailGroups.push(group);
}

export function removeTailGroup(partition: Partition, group: TailGroup): void {
  const groups = partition.tailGroups;
  const at = groups.indexOf(group);
  if (at < 0) return;
  if (groups.length > 1) groups.splice(at, 1);
  else partition.tailGroups = NO_TAIL_GROUPS;
}
