import type { Content, HistoryEvent, Place, RecordName, SentEvent } from "./history-event.ts";

/** For messages and as a key. */
export function nameOf({ producer, number }: RecordName): string {
  return `${producer}:${number}`;
}

/** For messages and as a key. */
export function placeOf({ topic, partition, offset }: Place): string {
  return `${topic}/${partition}@${offset}`;
}

/** A partition of a topic, as a key. */
export function partitionOf({
  topic,
  partition,
}: {
  readonly topic: string;
  readonly partition: number;
}): string {
  return `${topic}/${partition}`;
}

/** What was sent, by name; whoever has a record in hand asks here whether it is what it was. */
export class SentRecords {
  readonly #sent: Map<string, SentEvent> = new Map();

  constructor(events: readonly HistoryEvent[]) {
    for (const event of events) if (event.what === "sent") this.#sent.set(nameOf(event), event);
  }

  get(name: RecordName): SentEvent | undefined {
    return this.#sent.get(nameOf(name));
  }

  /** What is wrong with the record that somebody was given; undefined when nothing is. */
  problemOf(given: Content & Place, who: string): string | undefined {
    const sent = this.get(given);
    if (sent === undefined) return `${who}: ${placeOf(given)} holds ${nameOf(given)}, which nobody sent`;
    if (sent.topic !== given.topic)
      return `${who}: ${placeOf(given)} holds ${nameOf(given)}, which was sent to ${sent.topic}`;
    if (sent.digest === given.digest && sent.key === given.key) return undefined;
    return `${who}: ${placeOf(given)} is altered: ${nameOf(given)} has ${given.digest}, key ${given.key}, and was sent with ${sent.digest}, key ${sent.key}`;
  }
}

/** A list for each key. */
export function grouped<Value>(
  values: readonly Value[],
  keyOf: (value: Value) => string,
): Map<string, Value[]> {
  const groups = new Map<string, Value[]>();
  for (const value of values) {
    const key = keyOf(value);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [value]);
    else group.push(value);
  }
  return groups;
}

/** The events of one kind, in their order. */
export function eventsOf<What extends HistoryEvent["what"]>(
  events: readonly HistoryEvent[],
  what: What,
): Extract<HistoryEvent, { what: What }>[] {
  return events.filter((event): event is Extract<HistoryEvent, { what: What }> => event.what === what);
}
