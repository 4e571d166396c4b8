import type { ClusterStatus, DiskReport, GatewayLoad, NodeAnswer } from "../node/cluster-status.ts";
import type { GatewayLink } from "../node/gateway-link.ts";
import { NodeReporter, shardReport } from "../node/node-report.ts";
import type { LinkStatus } from "../peer/link-status.ts";
import type { ShardStatus } from "../shard/upkeep-requests.ts";
import { SYSTEM_CLOCK } from "../system-clock.ts";
import { VERSION } from "../version.ts";
import type { ClusterMap } from "./cluster-map.ts";
import { askNodes, STATUS_CALL, STATUS_TIMEOUT_MS } from "./cluster-status.ts";

/** What is asked about the cluster at one of its nodes. */
export interface AskedNode {
  readonly clusterId: string;
  readonly nodeId: number;
  readonly run: number;
  readonly url: string;
  readonly map: ClusterMap | undefined;
  readonly ready: boolean;
  readonly isDraining: boolean;
  readonly conditions: readonly string[];
  readonly load: GatewayLoad | undefined;
  readonly links: readonly LinkStatus[];
  /** Process id of the supervisor that commands it. */
  readonly supervisorPid: number | undefined;
  /** Whoever has shard 0 open. */
  readonly coordinator: number | undefined;
  readonly topics: number;
  readonly subscriptions: number;
  readonly disk: DiskReport;
  /** Shards that it serves. */
  readonly served: readonly { readonly shardId: number; readonly link: GatewayLink | undefined }[];
  /** Rejects when the shard does not answer. */
  readonly statusOf: (shardId: number) => Promise<ShardStatus>;
  readonly call: (
    nodeId: number,
    method: string,
    args: readonly unknown[],
    timeoutMs: number,
  ) => Promise<unknown>;
}

/** Says how a node is, and how the cluster is as far as it can find out. Main thread. */
export class NodeStatusDesk {
  readonly #reporter: NodeReporter;
  readonly #look: () => AskedNode;

  /** @param look the node as it is now */
  constructor(nodeId: number, run: number, look: () => AskedNode) {
    this.#reporter = new NodeReporter(nodeId, run);
    this.#look = look;
  }

  /** For other nodes, and the supervisor. */
  async own(): Promise<NodeAnswer> {
    const look = this.#look();
    const { nodeId, served, statusOf } = look;
    const shards = await Promise.all(
      served.map(async ({ shardId, link }) => {
        const status = await statusOf(shardId).catch(() => undefined);
        return shardReport(nodeId, shardId, status, { ...link?.fill });
      }),
    );
    return { node: this.#reporter.report(look), shards };
  }

  async cluster(): Promise<ClusterStatus> {
    const look = this.#look();
    const { clusterId, nodeId, map, supervisorPid, coordinator, topics, subscriptions, disk, call } = look;
    const ask = (other: number): Promise<unknown> => call(other, STATUS_CALL, [], STATUS_TIMEOUT_MS);
    const note =
      supervisorPid === undefined ? "none: no shard moves until one runs" : "it commands this node";
    return {
      version: VERSION,
      clusterId,
      nodeId,
      timeMs: SYSTEM_CLOCK.wallMs(),
      supervisor: { pid: supervisorPid ?? null, note },
      coordinator: coordinator ?? null,
      topics,
      subscriptions,
      disk,
      ...(await askNodes({ nodeId, map, own: () => this.own(), ask })),
    };
  }

  stop(): void {
    this.#reporter.stop();
  }
}
