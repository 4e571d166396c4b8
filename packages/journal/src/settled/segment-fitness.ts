import { JOURNAL_LIMITS } from "../limits.ts";
import { sidecarPartitionAt } from "../lookup/sidecar-layout.ts";
import { NO_ROW, type PartitionRows } from "./partition-rows.ts";
import { SETTLE_LOG_START, SETTLE_RETENTION_MS } from "./settle-jobs.ts";
import type { FileIndex } from "./settled-index.ts";

/**
 * Whether an ended segment is fit to be read alone: it is large, its index points cover long stretches, what it holds
 * expires together, and little of it is dead. Then it is adopted, and nothing is copied.
 *
 * @param index of the segment.
 */
export function isFitToAdopt(index: FileIndex, rows: PartitionRows, adoptBytesMin: number): boolean {
  const { header, table } = index;
  const segmentBytes = header.endPosition - header.basePosition;
  if (segmentBytes < adoptBytesMin) return false;
  let bytes = 0;
  let points = 0;
  let livingBytes = 0;
  let retentionMs = -1;
  for (let i = 0; i < header.partitionCount; i++) {
    const entry = sidecarPartitionAt(table, i);
    bytes += entry.bytes;
    points += entry.pointCount;
    const row = rows.find(entry.topicId, entry.partition);
    if (row === NO_ROW) continue;
    const { firstOffset, endOffset } = entry;
    const logStart = rows.field(row, SETTLE_LOG_START);
    if (endOffset <= logStart) continue;
    const retention = rows.field(row, SETTLE_RETENTION_MS);
    if (retentionMs >= 0 && retentionMs !== retention) return false;
    retentionMs = retention;
    // Entries of a partition are taken to be of one size, which is near enough.
    const livingShare = (endOffset - Math.max(logStart, firstOffset)) / (endOffset - firstOffset);
    livingBytes += entry.bytes * livingShare;
  }
  if (livingBytes === 0 || livingBytes < segmentBytes * (1 - JOURNAL_LIMITS.adoptDeadShareMax)) return false;
  return bytes >= points * JOURNAL_LIMITS.densePointBytes;
}
