import type { ClusterStatus, NodeReport, ShardReport, UnreachedNode } from "@millrace/broker/internal";
import { textTable } from "./text-table.ts";
import { roundedSizeText } from "./unit-text.ts";

/** How a broker is, for people. */
export function statusText(status: ClusterStatus): string[] {
  const { nodes, shards, disk, supervisor } = status;
  const reached = nodes.filter(isReached);
  return [
    `millrace ${status.version}, cluster ${status.clusterId}, asked node ${status.nodeId}`,
    `supervisor  ${supervisor.pid === null ? supervisor.note : `pid ${supervisor.pid}`}`,
    `catalog     ${status.topics} topics, ${status.subscriptions} subscriptions; ${coordinatorText(status)}`,
    `disk        ${roundedSizeText(disk.freeBytes)} of ${roundedSizeText(disk.totalBytes)} free${disk.low ? ": too little, publishes are refused" : ""}`,
    "",
    ...textTable(
      ["NODE", "STATE", "PID", "UPTIME", "SESSIONS", "RSS", "HEAP", "LOOP P50", "P99", "MAX"],
      nodes.map((node) => (isReached(node) ? nodeRow(node) : [node.nodeId, "unreached"])),
    ),
    "",
    ...textTable(
      [
        "SHARD",
        "NODE",
        "STATE",
        "EPOCH",
        "PARTITIONS",
        "COMMITTED",
        "STORED",
        "BACKLOG",
        "RINGS",
        "REFUSING",
      ],
      shards.map(shardRow),
    ),
    ...linkLines(reached),
    ...noteLines(nodes, shards),
  ];
}

function isReached(node: NodeReport | UnreachedNode): node is NodeReport {
  return !("unreached" in node);
}

function coordinatorText({ coordinator }: ClusterStatus): string {
  return coordinator === null ? "nobody changes it at the moment" : `node ${coordinator} changes it`;
}

function nodeRow(node: NodeReport): (string | number)[] {
  const { p50, p99, max } = node.eventLoopDelayMs;
  return [
    node.nodeId,
    node.state === "up" && !node.ready ? "not ready" : node.state,
    node.pid,
    uptimeText(node.uptimeMs),
    node.sessions,
    roundedSizeText(node.rssBytes),
    roundedSizeText(node.heapUsedBytes),
    `${p50} ms`,
    `${p99} ms`,
    `${max} ms`,
  ];
}

function shardRow(shard: ShardReport): (string | number)[] {
  const { shardId, nodeId, state, epoch } = shard;
  const known = shard.state === "up";
  return [
    shardId,
    nodeId ?? "-",
    state,
    epoch,
    known ? (shard.partitions ?? 0) : "-",
    known ? (shard.committedPosition ?? 0) : "-",
    known ? roundedSizeText(shard.storedBytes ?? 0) : "-",
    known ? roundedSizeText(shard.backlogBytes ?? 0) : "-",
    known ? `${percent(shard.inboundFill)} in, ${percent(shard.outboundFill)} out` : "-",
    shard.refusing ?? "-",
  ];
}

function linkLines(nodes: readonly NodeReport[]): string[] {
  const rows = nodes.flatMap(({ nodeId, links }) =>
    links
      .filter(({ direction }) => direction === "out")
      .map((link) => [
        `${nodeId} to ${link.nodeId}`,
        link.state,
        link.rttMs === undefined || link.rttMs === null ? "-" : `${Math.round(link.rttMs * 100) / 100} ms`,
        roundedSizeText(link.queuedBytes),
        link.lanes.map(({ shardId }) => shardId).join(" ") || "-",
        link.lastError ?? "-",
      ]),
  );
  if (rows.length === 0) return [];
  return ["", ...textTable(["LINK", "STATE", "RTT", "QUEUED", "SHARDS", "LAST ERROR"], rows)];
}

function noteLines(nodes: readonly (NodeReport | UnreachedNode)[], shards: readonly ShardReport[]): string[] {
  const notes: string[] = [];
  for (const node of nodes) {
    if (!isReached(node)) notes.push(`node ${node.nodeId} did not answer: ${node.unreached}`);
    else for (const condition of node.conditions) notes.push(`node ${node.nodeId}: ${condition}`);
  }
  for (const { shardId, failed } of shards) {
    if (failed !== undefined) notes.push(`shard ${shardId} is out of service: ${failed}`);
  }
  return notes.length === 0 ? [] : ["", ...notes];
}

function percent(part: number | undefined): string {
  return `${Math.round((part ?? 0) * 100)} %`;
}

/** Rounded down, in its largest units: `3d 4h`, `12m 5s`. */
function uptimeText(ms: number): string {
  const seconds = Math.floor(ms / 1_000);
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m ${seconds % 60}s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)}h ${Math.floor((seconds % 3_600) / 60)}m`;
  return `${Math.floor(seconds / 86_400)}d ${Math.floor((seconds % 86_400) / 3_600)}h`;
}
