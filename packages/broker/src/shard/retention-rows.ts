import {
  RETENTION_FIELDS,
  RETENTION_KEEP_BYTES,
  RETENTION_LOG_START,
  RETENTION_MS,
  RETENTION_PARTITION,
  RETENTION_TOPIC_ID,
  SETTLE_FIELDS,
  SETTLE_LOG_START,
  SETTLE_PARTITION,
  SETTLE_RETENTION_MS,
  SETTLE_TOPIC_ID,
} from "@millrace/journal/internal";
import type { Partition } from "./partition.ts";

/** Rows of SETTLE_FIELDS for a settle job: every partition that exists, with its log start as committed. */
export function settleRows(partitions: Iterable<Partition>): Float64Array {
  const sorted = byPlace(partitions);
  const rows = new Float64Array(sorted.length * SETTLE_FIELDS);
  let at = 0;
  for (const { topicId, partition, logStartOffset, retentionMs } of sorted) {
    rows[at + SETTLE_TOPIC_ID] = topicId;
    rows[at + SETTLE_PARTITION] = partition;
    rows[at + SETTLE_LOG_START] = logStartOffset;
    rows[at + SETTLE_RETENTION_MS] = retentionMs;
    at += SETTLE_FIELDS;
  }
  return rows;
}

/** Rows of RETENTION_FIELDS for a retention plan. `retentionMs`: 0 = for ever; `keepBytes`: of settled entries, Infinity = all. */
export function retentionRows(
  partitions: Iterable<Partition>,
  retentionMs: (partition: Partition) => number,
  keepBytes: (partition: Partition) => number,
): Float64Array {
  const sorted = byPlace(partitions);
  const rows = new Float64Array(sorted.length * RETENTION_FIELDS);
  let at = 0;
  for (const partition of sorted) {
    rows[at + RETENTION_TOPIC_ID] = partition.topicId;
    rows[at + RETENTION_PARTITION] = partition.partition;
    rows[at + RETENTION_LOG_START] = partition.logStartOffset;
    rows[at + RETENTION_MS] = retentionMs(partition);
    rows[at + RETENTION_KEEP_BYTES] = keepBytes(partition);
    at += RETENTION_FIELDS;
  }
  return rows;
}

function byPlace(partitions: Iterable<Partition>): Partition[] {
  return [...partitions].sort(
    (left, right) => left.topicId - right.topicId || left.partition - right.partition,
  );
}
