import { problemsOfCursors } from "./check-cursors.ts";
import { problemsOfLogs } from "./check-log.ts";
import { problemsOfQueues } from "./check-queues.ts";
import { problemsOfCompleteness, problemsOfReaders } from "./check-readers.ts";
import { eventsOf, nameOf, placeOf, SentRecords } from "./checked-records.ts";
import type { HistoryEvent, ReadEvent } from "./history-event.ts";

/**
 * Everything that is wrong with a history, a line each; an empty list when nothing is. The events are in the order of their
 * times, and the load has ended: everything was answered, everything consumed, and everything that is stored was read once more
 * from the beginning. Shares no code with the broker.
 */
export function problemsOfHistory(events: readonly HistoryEvent[]): string[] {
  const sent = new SentRecords(events);
  const stored = storedRecords(events);
  return [
    ...eventsOf(events, "problem").map(({ text }) => text),
    ...problemsOfLogs(events, sent, stored),
    ...problemsOfReaders(events, sent),
    ...problemsOfCompleteness(events, stored),
    ...problemsOfCursors(events),
    ...problemsOfQueues(events, sent, stored),
    ...problemsOfPlaces(events),
  ];
}

/** How much was checked, for the test's own words. */
export function sizeOfHistory(events: readonly HistoryEvent[]): string {
  const counts = new Map<string, number>();
  for (const { what } of events) counts.set(what, (counts.get(what) ?? 0) + 1);
  return [...counts].map(([what, count]) => `${count} ${what}`).join(", ");
}

function storedRecords(events: readonly HistoryEvent[]): ReadEvent[] {
  const finals = new Set(
    eventsOf(events, "start")
      .filter(({ isFinal }) => isFinal)
      .map(({ reader }) => reader),
  );
  return eventsOf(events, "read").filter(({ reader }) => finals.has(reader));
}

/** A place is one record's for ever, whoever saw it there and whenever. */
function problemsOfPlaces(events: readonly HistoryEvent[]): string[] {
  const problems: string[] = [];
  const names = new Map<string, string>();
  for (const event of events) {
    if (event.what !== "read" && event.what !== "leased" && event.what !== "acked") continue;
    if (event.offset < 0) continue;
    const place = placeOf(event);
    const name = nameOf(event);
    const before = names.get(place);
    if (before === undefined) names.set(place, name);
    else if (before !== name) {
      problems.push(`${place} was ${before} and is ${name}`);
      names.set(place, name);
    }
  }
  return problems;
}
