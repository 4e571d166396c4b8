import { RecordWalker } from "@millrace/protocol/internal";
import type { EntrySource } from "../shard/entry-source.ts";
import type { Partition } from "../shard/partition.ts";
import type { DeadLetter } from "./dead-letter.ts";
import type { DispatchedSubscription } from "./dispatched-subscription.ts";
import type { QueueState } from "./queue-state.ts";
import type { Timed } from "./queue-timers.ts";
import type { SubscriptionQueue } from "./subscription-queue.ts";

/** Most queues have nothing of this most of the time: these are theirs together, and stay empty. */
export const NO_NUMBERS: number[] = [];
export const NO_LETTERS: Map<number, DeadLetter> = new Map();

/** Where a queue stands with what it has to give. */
export const QUEUE_PLACE = { RESTING: 0, READY: 1, COMING: 2 } as const;

/** One queue of a subscription, with what its shard has to remember until the end of the cycle. */
export class DispatchedQueue implements Timed {
  readonly subscription: DispatchedSubscription;
  readonly queue: SubscriptionQueue;
  readonly partition: Partition;
  /** Its number in the lease table. */
  readonly owner: number;
  place: number = QUEUE_PLACE.RESTING;
  /** Among those of its partition that are told of new records. */
  awaitsRecords = false;
  /** Among those of its partition that are told when something was read. */
  awaitsArrival = false;
  dueMs: number = Number.POSITIVE_INFINITY;
  heapIndex = -1;
  /** What goes to the journal at the end of the cycle, as in the changes `acks` and `retries`. */
  acks: number[] = NO_NUMBERS;
  retries: number[] = NO_NUMBERS;
  isDirty = false;
  /** Records on their way to the dead-letter topic, by offset. */
  dying: Map<number, DeadLetter> = NO_LETTERS;
  /** The first of them has to be read before. */
  dyingIsComing = false;
  /** Deleted. */
  isOver = false;
  #walker: RecordWalker | undefined;
  #walkedBytes: Uint8Array | undefined;
  #walkedStart = -1;
  #walkedOffset = -1;

  constructor(subscription: DispatchedSubscription, queue: SubscriptionQueue, owner: number) {
    this.subscription = subscription;
    this.queue = queue;
    this.partition = queue.partition;
    this.owner = owner;
  }

  /** Replaced when the subscription returns to a snapshot. */
  get state(): QueueState {
    return this.queue.state;
  }

  /** As QueueState.next: what retention has taken holds nothing back. */
  next(nowMs: number): number {
    const { state, partition } = this;
    const { logStartOffset, highWatermark } = partition;
    state.skipBelow(logStartOffset);
    return state.next(nowMs, highWatermark);
  }

  /** A walker over the batch that the source has found; where it was before, if that is the same. */
  walk(source: EntrySource): RecordWalker {
    this.#walker ??= new RecordWalker();
    const { bytes, start, baseOffset } = source;
    if (bytes !== this.#walkedBytes || start !== this.#walkedStart || baseOffset !== this.#walkedOffset) {
      this.#walker.reset(bytes, start, start + source.storedBytes);
      this.#walkedBytes = bytes;
      this.#walkedStart = start;
      this.#walkedOffset = baseOffset;
    }
    return this.#walker;
  }
}

/** The queues of one partition that want to be told of something. */
export class PartitionQueues {
  readonly all: DispatchedQueue[] = [];
  awaitingRecords: DispatchedQueue[] = [];
  awaitingArrival: DispatchedQueue[] = [];
}
