import { sentAtTheEarliest, stopsOf } from "./arrival-times.ts";
import { grouped, partitionOf } from "./checked-records.ts";
import type { CommittedEvent, HistoryEvent, StartEvent } from "./history-event.ts";

/** A cursor whose commit was confirmed never goes back: whoever is given the partition then starts there or further on. */
export function problemsOfCursors(events: readonly HistoryEvent[]): string[] {
  const problems: string[] = [];
  const stops = stopsOf(events);
  const cursorEvents = events.filter(
    (event): event is CommittedEvent | StartEvent =>
      event.what === "committed" || (event.what === "start" && event.subscription !== null),
  );
  for (const ofCursor of grouped(cursorEvents, (one) => `${one.subscription} of ${partitionOf(one)}`)) {
    const [cursor, story] = ofCursor;
    const commits: CommittedEvent[] = [];
    for (const event of story) {
      if (event.what === "committed") {
        commits.push(event);
        continue;
      }
      const broken = commits.find(
        ({ reader, offset, at }) =>
          offset > event.offset && (reader === event.reader || at < sentAtTheEarliest(event.at, stops)),
      );
      if (broken !== undefined)
        problems.push(
          `${cursor}: ${event.reader} starts at ${event.offset}, ${broken.reader} had committed ${broken.offset}`,
        );
    }
  }
  return problems;
}
