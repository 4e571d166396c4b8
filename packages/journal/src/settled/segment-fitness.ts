import { JOURNAL_LIMITS } from "../limits.ts";
import { sidecarPartitionAt } from "../lookup/sidecar-layout.ts";
import { TopicTally } from "../lookup/topic-tally.ts";
import { NO_ROW, type PartitionRows } from "./partition-rows.ts";
import { SETTLE_LOG_START, SETTLE_RETENTION_MS } from "./settle-jobs.ts";
import type { FileIndex } from "./settled-index.ts";

/**
 * Whether an ended segment is fit to be a settled file as it stands: it is large, its index points cover long stretches,
 * little of it is dead, what lives there expires together, and nearly all of that is of one topic. Then it is adopted, and
 * nothing is copied.
 *
 * Of one topic, because a file gives back no space before half of it is dead: in one of several topics, what belonged to a
 * topic that was deleted or truncated would stay. Long stretches do not help there, they only make it good to read. So at
 * most an eighth of what is adopted can be dead for long. The price is bounded: what is copied for this is copied once, as all
 * interleaved traffic is, and from then on a byte is written again only where another one is freed. A big topic alone, whose
 * traffic is the fastest, is still written once.
 *
 * @param index of the segment.
 */
export function isFitToAdopt(index: FileIndex, rows: PartitionRows, adoptBytesMin: number): boolean {
  const { header, table } = index;
  const segmentBytes = header.endPosition - header.basePosition;
  if (segmentBytes < adoptBytesMin) return false;
  let bytes = 0;
  let points = 0;
  const living = new TopicTally();
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
    living.add(entry.topicId, entry.bytes * livingShare);
  }
  if (living.bytes === 0 || living.bytes < segmentBytes * (1 - JOURNAL_LIMITS.adoptDeadShareMax))
    return false;
  return living.isOfOneTopic && bytes >= points * JOURNAL_LIMITS.densePointBytes;
}
