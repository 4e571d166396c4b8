import type { Partition } from "../shard/partition.ts";
import { type DispatchedQueue, PartitionQueues, QUEUE_PLACE } from "./dispatched-queue.ts";
import type { DispatchedSubscription } from "./dispatched-subscription.ts";
import { QueueTimers } from "./queue-timers.ts";

/**
 * Which queues may have something to give, and which subscriptions are to be served because of that. What nobody waits
 * for costs nothing: a queue that has nothing is found again by a new record, by its time, or by what was read.
 * Shard thread only.
 */
export class ReadyQueues {
  readonly #listed: DispatchedSubscription[] = [];
  readonly #timers: QueueTimers<DispatchedQueue> = new QueueTimers();

  /** Infinity: nothing comes by time alone. */
  nextMs(): number {
    return this.#timers.nextMs();
  }

  /** The next subscription to be served; it is not listed any more. */
  takeListed(): DispatchedSubscription | undefined {
    const subscription = this.#listed.shift();
    if (subscription !== undefined) subscription.isListed = false;
    return subscription;
  }

  /** Serves it later, behind the others. */
  list(subscription: DispatchedSubscription): void {
    if (subscription.isListed) return;
    subscription.isListed = true;
    this.#listed.push(subscription);
  }

  /** It could not be served: it is next. */
  relist(subscription: DispatchedSubscription): void {
    if (subscription.isListed) return;
    subscription.isListed = true;
    this.#listed.unshift(subscription);
  }

  /** A queue that is new here. */
  add(queue: DispatchedQueue): void {
    queuesOf(queue.partition).all.push(queue);
    this.ready(queue);
  }

  /** There may be something in this queue. */
  ready(queue: DispatchedQueue): void {
    const { subscription } = queue;
    if (queue.isOver) return;
    if (queue.place !== QUEUE_PLACE.READY) {
      if (queue.place === QUEUE_PLACE.COMING) subscription.comingQueues -= 1;
      queue.place = QUEUE_PLACE.READY;
      subscription.ready.push(queue);
    }
    if (subscription.lenders.length > 0 || subscription.isAwaited) this.list(subscription);
  }

  /** There may be something from `atMs` on. */
  readyAt(queue: DispatchedQueue, atMs: number): void {
    if (atMs < queue.dueMs) this.#timers.schedule(queue, atMs);
  }

  /** The first ready queue of its subscription has nothing for now. */
  rest(queue: DispatchedQueue): void {
    this.#leaves(queue, QUEUE_PLACE.RESTING);
    this.#timers.schedule(queue, queue.state.nextTimerMs());
    if (queue.awaitsRecords || queue.state.selected) return;
    queue.awaitsRecords = true;
    queuesOf(queue.partition).awaitingRecords.push(queue);
  }

  /** What the first ready queue of its subscription has next is being read. */
  come(queue: DispatchedQueue): void {
    this.#leaves(queue, QUEUE_PLACE.COMING);
    queue.subscription.comingQueues += 1;
    this.awaitArrival(queue);
  }

  awaitArrival(queue: DispatchedQueue): void {
    if (queue.awaitsArrival) return;
    queue.awaitsArrival = true;
    queuesOf(queue.partition).awaitingArrival.push(queue);
  }

  /** Forgets a queue for good. */
  remove(queue: DispatchedQueue): void {
    const { subscription, partition } = queue;
    queue.isOver = true;
    if (queue.place === QUEUE_PLACE.COMING) subscription.comingQueues -= 1;
    if (queue.place === QUEUE_PLACE.READY) subscription.ready.splice(subscription.ready.indexOf(queue), 1);
    this.#timers.cancel(queue);
    const queues = partition.queues;
    if (queues === undefined) return;
    queues.all.splice(queues.all.indexOf(queue), 1);
    queues.awaitingRecords = queues.awaitingRecords.filter((other) => other !== queue);
    queues.awaitingArrival = queues.awaitingArrival.filter((other) => other !== queue);
    if (queues.all.length === 0) partition.queues = undefined;
  }

  /** Queues whose time has come out are ready. */
  takeDue(nowMs: number): void {
    for (;;) {
      const queue = this.#timers.takeDue(nowMs);
      if (queue === undefined) return;
      this.ready(queue);
    }
  }

  /** The partition has new records. */
  advanced(partition: Partition): void {
    const queues = partition.queues;
    if (queues === undefined || queues.awaitingRecords.length === 0) return;
    const awaiting = queues.awaitingRecords;
    queues.awaitingRecords = [];
    for (const queue of awaiting) {
      queue.awaitsRecords = false;
      this.ready(queue);
    }
  }

  /** Some of the partition's records were read. */
  arrived(partition: Partition): void {
    const queues = partition.queues;
    if (queues === undefined || queues.awaitingArrival.length === 0) return;
    const awaiting = queues.awaitingArrival;
    queues.awaitingArrival = [];
    for (const queue of awaiting) {
      queue.awaitsArrival = false;
      queue.dyingIsComing = false;
      if (queue.place === QUEUE_PLACE.COMING) this.ready(queue);
    }
  }

  #leaves(queue: DispatchedQueue, place: number): void {
    const { ready } = queue.subscription;
    if (ready[0] === queue) ready.shift();
    else ready.splice(ready.indexOf(queue), 1);
    queue.place = place;
  }
}

function queuesOf(partition: Partition): PartitionQueues {
  partition.queues ??= new PartitionQueues();
  return partition.queues;
}
