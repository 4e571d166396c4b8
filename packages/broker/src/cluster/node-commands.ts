import { MillraceError } from "@millrace/protocol";
import { type ClusterMap, clusterMapOf } from "./cluster-map.ts";
import type { LocalShards } from "./local-shards.ts";
import type { NodeCommands } from "./node-control.ts";

/** What the commands of the control channel do to their node. */
export interface CommandedNode {
  readonly shardCount: number;
  readonly locals: LocalShards;
  /** @returns version of the map that it follows */
  readonly follow: (map: ClusterMap) => number;
  readonly commit: (shardId: number) => Promise<number>;
  readonly status: () => Promise<object>;
  readonly onDrain: () => void;
}

/** See NodeRequests. */
export function nodeCommands(node: CommandedNode): NodeCommands {
  const { shardCount, locals } = node;
  const shardOf = ({ shardId }: Readonly<Record<string, unknown>>): number => {
    if (!Number.isInteger(shardId) || (shardId as number) < 0 || (shardId as number) >= shardCount) {
      throw new RangeError(`no such shard: shardId=${String(shardId)} shards=${shardCount}`);
    }
    return shardId as number;
  };
  return {
    map: ({ map }) => ({ version: node.follow(clusterMapOf(map, shardCount)) }),
    open: (params) => locals.open(shardOf(params)),
    close: async (params) => {
      await locals.close(shardOf(params));
      return {};
    },
    commit: async (params) => {
      const shardId = shardOf(params);
      if (!locals.isOpen(shardId)) {
        throw new MillraceError("SHARD_RESTARTED", `shard ${shardId} is not open at this node`, {
          details: { shardId },
        });
      }
      return { position: await node.commit(shardId) };
    },
    status: async () => ({ ...(await node.status()) }),
    drain: () => {
      // The answer first.
      setImmediate(node.onDrain);
      return {};
    },
  };
}
