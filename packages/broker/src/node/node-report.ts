import type { LinkStatus } from "../peer/link-status.ts";
import type { ShardStatus } from "../shard/upkeep-requests.ts";
import { VERSION } from "../version.ts";
import type { GatewayLoad, NodeReport, ShardReport } from "./cluster-status.ts";
import { EventLoopDelay } from "./event-loop-delay.ts";

/** What a node's report is made of, beside what the process says of itself. */
export interface NodeReportInput {
  readonly isDraining: boolean;
  readonly ready: boolean;
  readonly conditions: readonly string[];
  readonly url: string | null;
  readonly load: GatewayLoad | undefined;
  readonly links: readonly LinkStatus[];
}

/** Says how this node is. */
export class NodeReporter {
  readonly #nodeId: number;
  readonly #run: number;
  readonly #delay: EventLoopDelay = new EventLoopDelay();

  constructor(nodeId: number, run: number) {
    this.#nodeId = nodeId;
    this.#run = run;
  }

  report({ isDraining, ready, conditions, url, load, links }: NodeReportInput): NodeReport {
    const { rss, heapUsed } = process.memoryUsage();
    return {
      nodeId: this.#nodeId,
      state: isDraining ? "draining" : "up",
      ready,
      conditions,
      pid: process.pid,
      run: this.#run,
      version: VERSION,
      url,
      uptimeMs: Math.round(process.uptime() * 1000),
      rssBytes: rss,
      heapUsedBytes: heapUsed,
      eventLoopDelayMs: this.#delay.delayMs,
      sessions: load?.sessions ?? 0,
      links,
    };
  }

  stop(): void {
    this.#delay.stop();
  }
}

/** A shard of this node: what it says of itself (undefined: it did not answer), and how full its rings are. */
export function shardReport(
  nodeId: number,
  shardId: number,
  status: ShardStatus | undefined,
  more: {
    readonly failed?: string | undefined;
    readonly inboundFill?: number;
    readonly outboundFill?: number;
  },
): ShardReport {
  const { failed, ...fill } = more;
  if (failed !== undefined) return { shardId, nodeId, state: "failed", epoch: status?.epoch ?? 0, failed };
  if (status === undefined) return { shardId, nodeId, state: "down", epoch: 0 };
  return { ...status, shardId, nodeId, state: "up", epoch: status.epoch, ...fill };
}
