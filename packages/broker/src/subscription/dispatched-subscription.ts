import type { DispatchedQueue } from "./dispatched-queue.ts";
import type { LeaseConsumer } from "./lease-consumer.ts";
import type { QueueSettings } from "./subscription-queue.ts";

/** A subscription of mode queue or keyed while its shard gives its records to consumers. Shard thread only. */
export class DispatchedSubscription {
  settings: QueueSettings;
  readonly queues: DispatchedQueue[] = [];
  /** Queues that may have something to give; the first is next. */
  readonly ready: DispatchedQueue[] = [];
  /** Queues whose next record is being read. */
  comingQueues = 0;
  readonly consumers: Set<LeaseConsumer> = new Set();
  /** Consumers with credit; the first is next. */
  readonly lenders: LeaseConsumer[] = [];
  /** While several lend: consumers that have not had their turn of this round, and the most that each gets in it. */
  turnsLeft = 0;
  turnMessages = 0;
  /** Whoever lends is to be told when there is something. */
  isAwaited = true;
  /** In the dispatcher's list of those to be served. */
  isListed = false;

  constructor(settings: QueueSettings) {
    this.settings = settings;
  }
}
