import { eventsOf, grouped, nameOf, partitionOf, placeOf, type SentRecords } from "./checked-records.ts";
import type { AckedEvent, HistoryEvent, ReadEvent, TopicEvent } from "./history-event.ts";

/**
 * The log as it is stored in the end, against what was sent and acknowledged: nothing lost, altered, invented or stored twice, in
 * each partition and of each key in the order of sending. `stored`: what the final readers read.
 */
export function problemsOfLogs(
  events: readonly HistoryEvent[],
  sent: SentRecords,
  stored: readonly ReadEvent[],
): string[] {
  const problems: string[] = [];
  for (const { producer, number, code } of eventsOf(events, "failed"))
    problems.push(`${producer}:${number} was refused for good: ${code}`);
  const topics = new Map(eventsOf(events, "topic").map((topic) => [topic.topic, topic]));
  const byName = grouped(stored, nameOf);
  for (const [name, copies] of byName)
    if (copies.length > 1) problems.push(`${name} is stored twice: ${copies.map(placeOf).join(", ")}`);
  checkAcks(eventsOf(events, "acked"), topics, byName, grouped(stored, placeOf), problems);
  checkOrder(stored, problems);
  checkKeys(stored, sent, problems);
  return problems;
}

/** Each record that was acknowledged is where the acknowledgement said. */
function checkAcks(
  acks: readonly AckedEvent[],
  topics: ReadonlyMap<string, TopicEvent>,
  byName: ReadonlyMap<string, ReadEvent[]>,
  byPlace: ReadonlyMap<string, ReadEvent[]>,
  problems: string[],
): void {
  const given = new Map<string, string>();
  for (const ack of acks) {
    const name = nameOf(ack);
    const place = placeOf(ack);
    const other = given.get(place);
    if (ack.offset >= 0 && other !== undefined && other !== name)
      problems.push(`${place} was acknowledged for ${other} and for ${name}`);
    given.set(place, name);
    const [copy] = byName.get(name) ?? [];
    const [now] = byPlace.get(place) ?? [];
    if (copy === undefined) {
      // What is acknowledged before it is synced may be gone. Its offset is never given to another.
      const isLost = topics.get(ack.topic)?.durability === "fsynced";
      if (isLost) problems.push(`${name} was acknowledged at ${place} and is lost`);
      if (now !== undefined) problems.push(`${place} was acknowledged for ${name} and holds ${nameOf(now)}`);
    } else if (ack.offset >= 0 && placeOf(copy) !== place) {
      problems.push(`${name} was acknowledged at ${place} and is at ${placeOf(copy)}`);
    }
  }
}

/** Of each producer, in each partition, one after the other as they were sent. */
function checkOrder(stored: readonly ReadEvent[], problems: string[]): void {
  for (const records of grouped(stored, (one) => `${partitionOf(one)} ${one.producer}`).values()) {
    records.sort((a, b) => a.offset - b.offset);
    checkAscending(records, problems);
  }
}

/** Of each key and producer, wherever they are: one partition, in the order of sending. */
function checkKeys(stored: readonly ReadEvent[], sent: SentRecords, problems: string[]): void {
  const keyed = stored.filter((one) => (sent.get(one)?.key ?? null) !== null);
  for (const records of grouped(keyed, (one) => `${one.topic} ${sent.get(one)?.key}`).values()) {
    const partitions = new Set(records.map(({ partition }) => partition));
    if (partitions.size > 1)
      problems.push(`key ${sent.get(records[0] as ReadEvent)?.key} is in partitions ${[...partitions]}`);
    for (const ofProducer of grouped(records, ({ producer }) => producer).values()) {
      ofProducer.sort((a, b) => a.offset - b.offset);
      checkAscending(ofProducer, problems);
    }
  }
}

function checkAscending(records: readonly ReadEvent[], problems: string[]): void {
  for (const [i, record] of records.entries()) {
    const before = records[i - 1];
    // Twice the same is told of elsewhere.
    if (before !== undefined && before.number > record.number)
      problems.push(
        `${nameOf(record)} at ${placeOf(record)} comes after ${nameOf(before)} at ${placeOf(before)}`,
      );
  }
}
