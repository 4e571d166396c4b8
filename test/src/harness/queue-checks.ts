import type { BuriedMessage } from "./dead-letter-log.ts";
import { type AckedMessage, nameOfMessage } from "./keyed-load.ts";
import type { QueueDelivery } from "./queue-history.ts";

/** What is known of one queue or keyed subscription in the end, when it has nothing left to deliver. */
export interface FinishedQueue {
  readonly mode: "queue" | "keyed";
  readonly maxDeliveries: number;
  /** All deliveries of the subscription, in their order. */
  readonly deliveries: readonly QueueDelivery[];
  /** All acknowledged publishes of the topic. */
  readonly published: readonly AckedMessage[];
  readonly deadLetters: readonly BuriedMessage[];
  /** How far from the end of a lease another consumer may have the message, ms: what the machine may be late. */
  readonly toleranceMs: number;
}

/** Deliveries of one record, in their order. */
type Story = readonly QueueDelivery[];

/** Everything that is wrong with the subscription, a line each. Shares nothing with the broker. */
export function problemsOfQueue(queue: FinishedQueue): string[] {
  const problems: string[] = [];
  const stories = storiesOf(queue.deliveries);
  const dead = deadLettersOf(queue, problems);
  for (const story of stories.values()) {
    checkFinality(story, problems);
    checkCounts(story, queue.maxDeliveries, problems);
    checkHolders(story, queue.toleranceMs, problems);
  }
  checkCompleteness(queue, stories, dead, problems);
  if (queue.mode === "keyed") checkKeys(queue.deliveries, stories, dead, problems);
  return problems;
}

/** Where it is and what it is about, for a message. */
function described(delivery: QueueDelivery): string {
  const { subscription, consumer, deliveryCount, order, settling, settledOrder, answeredOrder, outcome } =
    delivery;
  const settled = `${settling} at ${settledOrder}, answered ${outcome} at ${answeredOrder}`;
  const lease = `${delivery.leaseEpoch}/${delivery.leaseCounter}`;
  return `${subscription} ${placeOf(delivery)} (${consumer}, lease ${lease}, delivery ${deliveryCount} at ${order}, ${settled}, lost at ${delivery.lostOrder})`;
}

function placeOf({ partition, offset }: { readonly partition: number; readonly offset: number }): string {
  return `${partition}@${offset}`;
}

function storiesOf(deliveries: readonly QueueDelivery[]): Map<string, QueueDelivery[]> {
  const stories = new Map<string, QueueDelivery[]>();
  for (const delivery of deliveries) {
    const place = placeOf(delivery);
    const story = stories.get(place);
    if (story === undefined) stories.set(place, [delivery]);
    else story.push(delivery);
  }
  return stories;
}

function deadLettersOf(queue: FinishedQueue, problems: string[]): Map<string, BuriedMessage> {
  const dead = new Map<string, BuriedMessage>();
  for (const letter of queue.deadLetters) {
    const place = placeOf(letter.origin);
    if (dead.has(place)) problems.push(`${letter.subscription} ${place} is dead twice`);
    dead.set(place, letter);
    if (letter.partition !== letter.origin.partition)
      problems.push(`the dead letter of ${place} is in partition ${letter.partition}`);
  }
  return dead;
}

/** Under leases of one life of the shard, as far as it is known. */
function isSameLife(one: QueueDelivery, other: QueueDelivery): boolean {
  if (one.leaseEpoch !== undefined && other.leaseEpoch !== undefined)
    return one.leaseEpoch === other.leaseEpoch;
  return one.life >= 0 && one.life === other.life;
}

/** What was confirmed as finished is never seen again, and was nobody else's while it was being finished. */
function checkFinality(story: Story, problems: string[]): void {
  for (const one of story) {
    const { settling, outcome, answeredOrder = Number.POSITIVE_INFINITY, settledOrder = 0 } = one;
    if (outcome !== 0 || (settling !== "ack" && settling !== "dead")) continue;
    for (const other of story) {
      if (other === one) continue;
      const isLater = other.order > answeredOrder;
      const isNewer = isSameLife(one, other) && other.deliveryCount > one.deliveryCount;
      const isAgain =
        isSameLife(one, other) && other.deliveryCount >= one.deliveryCount && other.order > settledOrder;
      if (isLater || isNewer || isAgain)
        problems.push(`finished and delivered: ${described(one)}; ${described(other)}`);
      else if (other.outcome === 0 && (other.settling === "ack" || other.settling === "dead"))
        problems.push(`finished twice: ${described(one)}; ${described(other)}`);
    }
  }
}

function checkCounts(story: Story, maxDeliveries: number, problems: string[]): void {
  let confirmed = 0;
  const nacks = story.filter(({ settling, outcome }) => settling === "nack" && outcome === 0);
  for (const [i, one] of story.entries()) {
    const { deliveryCount, order } = one;
    if (deliveryCount < 1 || deliveryCount > maxDeliveries) problems.push(`count: ${described(one)}`);
    confirmed = 0;
    for (const nack of nacks)
      if ((nack.answeredOrder ?? order) < order) confirmed = Math.max(confirmed, nack.deliveryCount);
    if (deliveryCount <= confirmed)
      problems.push(`counted less than nacked (${confirmed}): ${described(one)}`);
    const before = story[i - 1];
    if (before === undefined || !isSameLife(before, one)) continue;
    const least = before.settling === "release" ? before.deliveryCount : before.deliveryCount + 1;
    if (deliveryCount < least)
      problems.push(`counted less than before: ${described(before)}; ${described(one)}`);
  }
}

/** Nobody gets what another one has, before that one has let go of it or its lease is over. */
function checkHolders(story: Story, toleranceMs: number, problems: string[]): void {
  for (const [i, one] of story.entries()) {
    const before = story[i - 1];
    if (before === undefined || !isSameLife(before, one)) continue;
    const { settledOrder, lostOrder, leaseEndMs } = before;
    const isLetGo = (settledOrder ?? one.order) < one.order || (lostOrder ?? one.order) < one.order;
    if (!isLetGo && one.ms < leaseEndMs - toleranceMs)
      problems.push(
        `held by two, ${Math.round(leaseEndMs - one.ms)} ms early: ${described(before)}; ${described(one)}`,
      );
  }
}

/** Each publish that was acknowledged is acked or dead; the dead ones are not acked, and are what they were. */
function checkCompleteness(
  queue: FinishedQueue,
  stories: ReadonlyMap<string, Story>,
  dead: ReadonlyMap<string, BuriedMessage>,
  problems: string[],
): void {
  for (const { value, ack } of queue.published) {
    const place = placeOf(ack);
    const story = stories.get(place);
    const letter = dead.get(place);
    if (story === undefined) {
      // Its consumers died before they could write it down, each time.
      if (letter === undefined) problems.push(`${place} ${value} was never delivered`);
      continue;
    }
    for (const one of story)
      if (one.value !== value) problems.push(`${place} is ${value}, delivered as ${one.value}`);
    const isAcked = story.some(({ settling, outcome }) => settling === "ack" && (outcome ?? 0) === 0);
    if (letter === undefined && !isAcked)
      problems.push(`lost: ${story.map((one) => described(one)).join("; ")}`);
    if (letter !== undefined && letter.value !== value)
      problems.push(`the dead letter of ${place} is ${letter.value}, not ${value}`);
  }
  for (const story of stories.values()) {
    const [first] = story;
    if (first === undefined) continue;
    const isDead = dead.has(placeOf(first));
    for (const one of story) {
      if (one.outcome !== 0) continue;
      if (one.settling === "ack" && isDead) problems.push(`acked and dead: ${described(one)}`);
      if (one.settling === "dead" && !isDead) problems.push(`no dead letter: ${described(one)}`);
    }
  }
}

/** Of each key one after the other: nothing comes before all that were published before it are finished. */
function checkKeys(
  deliveries: readonly QueueDelivery[],
  stories: ReadonlyMap<string, Story>,
  dead: ReadonlyMap<string, BuriedMessage>,
  problems: string[],
): void {
  const furthest = new Map<string, QueueDelivery>();
  for (const one of deliveries) {
    const { key } = nameOfMessage(one.value);
    if (key === undefined) continue;
    const before = furthest.get(key);
    if (before === undefined || one.offset > before.offset) furthest.set(key, one);
    else if (one.offset < before.offset)
      problems.push(`key ${key} goes back: ${described(before)}; ${described(one)}`);
    if (before === undefined || one.offset === before.offset) continue;
    const story = stories.get(placeOf(before)) ?? [];
    const isFinished = story.some(
      ({ settling, settledOrder = one.order }) =>
        (settling === "ack" || settling === "dead") && settledOrder < one.order,
    );
    if (!isFinished && !dead.has(placeOf(before)))
      problems.push(`key ${key} goes on too early: ${described(before)}; ${described(one)}`);
  }
  const sequences = new Map<string, number>();
  for (const one of [...stories.values()].flatMap(([first]) => first ?? []).sort(byOffset)) {
    const { key, sequence } = nameOfMessage(one.value);
    if (key === undefined) continue;
    const expected = (sequences.get(key) ?? -1) + 1;
    // A dead letter may never have been seen.
    if (sequence < expected)
      problems.push(`key ${key}: ${sequence} instead of ${expected}: ${described(one)}`);
    sequences.set(key, sequence);
  }
}

function byOffset(a: QueueDelivery, b: QueueDelivery): number {
  return a.offset - b.offset;
}
