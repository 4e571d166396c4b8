import { eventsOf, grouped, nameOf, partitionOf, placeOf, type SentRecords } from "./checked-records.ts";
import type { GapEvent, HistoryEvent, ReadEvent, StartEvent } from "./history-event.ts";

type ReaderEvent = StartEvent | ReadEvent | GapEvent;

/**
 * Everybody who reads, by himself or as a member of a stream subscription: whole records, one offset after the other from where
 * the reading starts, with every gap reported before the record that follows it.
 */
export function problemsOfReaders(events: readonly HistoryEvent[], sent: SentRecords): string[] {
  const problems: string[] = [];
  const reading = events.filter(
    (event): event is ReaderEvent => event.what === "start" || event.what === "read" || event.what === "gap",
  );
  for (const ofPartition of grouped(reading, (one) => `${one.reader} ${partitionOf(one)}`).values())
    checkReading(ofPartition, sent, problems);
  return problems;
}

/** One reader in one partition, in the order of what it was told. */
function checkReading(events: readonly ReaderEvent[], sent: SentRecords, problems: string[]): void {
  let next: number | undefined;
  let gaps: GapEvent[] = [];
  for (const event of events) {
    if (event.what === "start") {
      next = event.offset;
      gaps = [];
    } else if (event.what === "gap") gaps.push(event);
    else {
      const problem = sent.problemOf(event, event.reader);
      if (problem !== undefined) problems.push(problem);
      if (next === undefined) {
        problems.push(`${event.reader}: ${placeOf(event)} of a partition that it does not have`);
        next = event.offset;
      }
      next = afterGaps(next, event.offset, gaps);
      if (event.offset !== next) {
        const kind = event.offset > next ? "a gap that nobody reported" : "again";
        const told = gaps.map(({ fromOffset, toOffset, reason }) => ` ${reason} ${fromOffset}-${toOffset}`);
        problems.push(`${event.reader}: ${placeOf(event)} instead of ${next}: ${kind}; told of${told}`);
      }
      next = event.offset + 1;
    }
  }
}

/** Goes over the reported gaps that lie before `offset`; those are taken off the list, and those that turned out to be none. */
function afterGaps(from: number, offset: number, gaps: GapEvent[]): number {
  let next = from;
  for (let gap = gaps[0]; gap !== undefined && next !== offset; gap = gaps[0]) {
    if (gap.fromOffset === next) next = gap.toOffset;
    else if (Math.max(gap.fromOffset, gap.toOffset) > next) break;
    gaps.shift();
  }
  return next;
}

/**
 * Readers for themselves have read everything that is stored in the topics that they read; the members of a stream
 * subscription together. `stored`: what the final readers read.
 */
export function problemsOfCompleteness(
  events: readonly HistoryEvent[],
  stored: readonly ReadEvent[],
): string[] {
  const problems: string[] = [];
  const starts = eventsOf(events, "start").filter(({ isFinal }) => !isFinal);
  const whoReads = new Map(starts.map((start) => [`${start.reader} ${start.topic}`, readersOf(start)]));
  const read = new Map<string, Set<string>>();
  for (const subscription of eventsOf(events, "subscription"))
    if (subscription.mode === "stream")
      read.set(`${subscription.subscription} of ${subscription.topic}`, new Set());
  for (const who of whoReads.values()) read.set(who, read.get(who) ?? new Set());
  for (const event of eventsOf(events, "read")) {
    const who = whoReads.get(`${event.reader} ${event.topic}`);
    if (who !== undefined) read.get(who)?.add(placeOf(event));
  }
  for (const [who, places] of read) {
    for (const record of stored) {
      if (who.endsWith(` of ${record.topic}`) && !places.has(placeOf(record)))
        problems.push(`${who}: ${nameOf(record)} at ${placeOf(record)} was never read`);
    }
  }
  return problems;
}

/** All members of one subscription are one. */
function readersOf({ reader, subscription, topic }: StartEvent): string {
  return `${subscription ?? reader} of ${topic}`;
}
