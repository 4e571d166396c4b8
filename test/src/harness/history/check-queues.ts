import { type Stop, sentAtTheEarliest, stopsOf } from "./arrival-times.ts";
import { eventsOf, grouped, nameOf, placeOf, type SentRecords } from "./checked-records.ts";
import type {
  HistoryEvent,
  LeasedEvent,
  LeaseName,
  ReadEvent,
  SettledEvent,
  SettleEvent,
  SubscriptionEvent,
} from "./history-event.ts";

type QueueEvent = LeasedEvent | SettleEvent | SettledEvent;

/**
 * Subscriptions of mode `queue` and `keyed`: whole messages, each of them finished, none leased again after its ack was
 * confirmed, and of each key one after the other. `stored`: what the final readers read.
 */
export function problemsOfQueues(
  events: readonly HistoryEvent[],
  sent: SentRecords,
  stored: readonly ReadEvent[],
): string[] {
  const problems: string[] = [];
  const stops = stopsOf(events);
  const queueEvents = events.filter(
    (event): event is QueueEvent =>
      event.what === "leased" || event.what === "settle" || event.what === "settled",
  );
  for (const queue of eventsOf(events, "subscription")) {
    if (queue.mode === "stream") continue;
    const ofQueue = queueEvents.filter(
      (one) => one.topic === queue.topic && one.subscription === queue.subscription,
    );
    for (const lease of eventsOf(ofQueue, "leased")) {
      const problem = sent.problemOf(lease, `${queue.subscription} (${lease.worker})`);
      if (problem !== undefined) problems.push(problem);
    }
    for (const story of grouped(ofQueue, placeOf).values()) checkFinality(queue, story, stops, problems);
    checkCompleteness(queue, ofQueue, stored, problems);
    if (queue.mode === "keyed") checkKeys(queue, ofQueue, stored, stops, problems);
  }
  return problems;
}

/**
 * Whether `later` was certainly leased after `earlier`, another lease of the same message: by another life of its shard, or counted
 * as a further delivery. Else by when they came, which says something only when it is long after.
 */
function isLater(
  later: LeasedEvent,
  earlier: LeaseName & { readonly deliveryCount: number; readonly at: number },
  stops: readonly Stop[],
): boolean {
  if (later.epoch !== earlier.epoch) return later.epoch > earlier.epoch;
  if (later.counter === earlier.counter) return false;
  return later.deliveryCount > earlier.deliveryCount || sentAtTheEarliest(later.at, stops) > earlier.at;
}

function described(event: QueueEvent): string {
  return `${event.worker} (lease ${event.epoch}/${event.counter}, at ${event.at})`;
}

/** One message of one subscription: after a confirmed ack no further lease, and no further confirmed ack. */
function checkFinality(
  queue: SubscriptionEvent,
  story: readonly QueueEvent[],
  stops: readonly Stop[],
  problems: string[],
): void {
  const acks = eventsOf(story, "settled").filter(isConfirmedAck);
  const leases = eventsOf(story, "leased");
  for (const ack of acks) {
    const deliveryCount = leases.find((lease) => isSameLease(lease, ack))?.deliveryCount ?? 0;
    for (const lease of leases)
      if (isLater(lease, { ...ack, deliveryCount }, stops))
        problems.push(
          `${queue.subscription}: ${placeOf(ack)} was acked by ${described(ack)} and delivered again to ${described(lease)}`,
        );
  }
  const [first, ...others] = acks;
  for (const other of others)
    if (first !== undefined && !isSameLease(first, other))
      problems.push(
        `${queue.subscription}: ${placeOf(first)} was acked by ${described(first)} and by ${described(other)}`,
      );
}

function isSameLease(a: LeaseName, b: LeaseName): boolean {
  return a.epoch === b.epoch && a.counter === b.counter;
}

function isConfirmedAck({ action, outcome }: SettledEvent): boolean {
  return action === "ack" && outcome === "done";
}

/** Everything that is stored was acked, as far as anybody can know. */
function checkCompleteness(
  queue: SubscriptionEvent,
  events: readonly QueueEvent[],
  stored: readonly ReadEvent[],
  problems: string[],
): void {
  const refused = new Set(
    eventsOf(events, "settled")
      .filter(({ outcome }) => outcome === "LEASE_EXPIRED")
      .map(leaseAndPlaceOf),
  );
  const acked = new Set<string>();
  for (const settle of eventsOf(events, "settle"))
    if (settle.action === "ack" && !refused.has(leaseAndPlaceOf(settle))) acked.add(placeOf(settle));
  for (const record of stored)
    if (record.topic === queue.topic && !acked.has(placeOf(record)))
      problems.push(`${queue.subscription}: ${nameOf(record)} at ${placeOf(record)} was never acked`);
}

function leaseAndPlaceOf(event: SettleEvent | SettledEvent): string {
  return `${placeOf(event)} ${event.epoch}/${event.counter}`;
}

/**
 * One message of a key after the other: before each of its leases somebody has acked what comes before it in the log, and after
 * one the messages before it are not leased again.
 */
function checkKeys(
  queue: SubscriptionEvent,
  events: readonly QueueEvent[],
  stored: readonly ReadEvent[],
  stops: readonly Stop[],
  problems: string[],
): void {
  const leases = grouped(eventsOf(events, "leased"), placeOf);
  const acks = grouped(
    eventsOf(events, "settle").filter(({ action }) => action === "ack"),
    placeOf,
  );
  const keyed = stored.filter(({ topic, key }) => topic === queue.topic && key !== null);
  for (const [key, records] of grouped(keyed, ({ key }) => key as string)) {
    records.sort((a, b) => a.offset - b.offset);
    for (const [i, record] of records.entries()) {
      const before = records[i - 1];
      const [first] = leases.get(placeOf(record)) ?? [];
      if (before === undefined || first === undefined) continue;
      const what = `${queue.subscription}, key ${key}: ${placeOf(record)} was leased to ${described(first)}`;
      const ackedAt = (acks.get(placeOf(before)) ?? [])[0]?.at ?? Number.POSITIVE_INFINITY;
      if (ackedAt > first.at) problems.push(`${what} before anybody had acked ${placeOf(before)}`);
      for (const again of leases.get(placeOf(before)) ?? [])
        if (
          again.epoch > first.epoch ||
          (again.epoch === first.epoch && sentAtTheEarliest(again.at, stops) > first.at)
        )
          problems.push(`${what}, and then ${placeOf(before)} to ${described(again)}`);
    }
  }
}
