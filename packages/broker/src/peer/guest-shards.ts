import type { LocalShardWay } from "../node/shard-way.ts";

/** The shards of this node, for gateways of other nodes. Main thread. */
export interface GuestShards {
  /** Undefined while this node does not serve it; another one for each of its openings. */
  way(shardId: number): LocalShardWay | undefined;
  /** Of the opening that is served; any number when there is none. */
  epoch(shardId: number): number;
  /** The shard forgets everything of that gateway. Resolves when it is done; rejects when the shard goes away meanwhile. */
  gatewayGone(shardId: number, gateway: number): Promise<void>;
}
