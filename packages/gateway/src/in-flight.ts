import { LIMITS } from "@millrace/protocol";
import type { Session } from "./session.ts";

/** One number for a topic and partition; exact, since topic ids are 32 bit and partitions few. */
export function partitionKey(topicId: number, partition: number): number {
  return topicId * LIMITS.partitionsMax + partition;
}

/** Records of one session and partition that a shard holds and has not answered. */
export interface InFlight {
  readonly key: number;
  readonly topicId: number;
  readonly partition: number;
  readonly shardId: number;
  records: number;
  /** Of their PUBLISH frames. */
  bytes: number;
}

/**
 * Notes that `count` records went to their shard. Needed only when a shard is lost: then the session is told that all
 * of that partition is. Producers mostly stay with a partition, so the last one is at hand without a look-up.
 */
export function addInFlight(
  session: Session,
  topicId: number,
  partition: number,
  shardId: number,
  count: number,
  bytes: number,
): void {
  session.credit.unanswered += bytes;
  const last = session.lastInFlight;
  if (last !== undefined && last.partition === partition && last.topicId === topicId) {
    last.records += count;
    last.bytes += bytes;
    return;
  }
  session.inFlight ??= new Map();
  const key = partitionKey(topicId, partition);
  let entry = session.inFlight.get(key);
  if (entry === undefined) {
    entry = { key, topicId, partition, shardId, records: 0, bytes: 0 };
    session.inFlight.set(key, entry);
  }
  entry.records += count;
  entry.bytes += bytes;
  session.lastInFlight = entry;
  if (last !== undefined && last.records === 0) session.inFlight.delete(last.key);
}

/** Notes that `count` records were acknowledged or refused. */
export function settleInFlight(session: Session, topicId: number, partition: number, count: number): void {
  const last = session.lastInFlight;
  if (last !== undefined && last.partition === partition && last.topicId === topicId) {
    answer(session, last, count);
    return;
  }
  const entry = session.inFlight?.get(partitionKey(topicId, partition));
  if (entry === undefined) return;
  answer(session, entry, count);
  if (entry.records === 0) session.inFlight?.delete(entry.key);
}

/** Notes that all records of the entry are lost or answered. */
export function settleAllInFlight(session: Session, entry: InFlight): void {
  answer(session, entry, entry.records);
}

function answer(session: Session, entry: InFlight, count: number): void {
  // A retried batch is answered twice when its first answer was late, so the count may pass what is in flight.
  const all = count >= entry.records;
  // Batches differ in size; what is left when the last one is answered is all there is.
  const bytes = all ? entry.bytes : Math.floor((entry.bytes * count) / entry.records);
  entry.records = all ? 0 : entry.records - count;
  entry.bytes -= bytes;
  session.credit.unanswered -= bytes;
}
