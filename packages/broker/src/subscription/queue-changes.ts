import { type DispatchedQueue, NO_NUMBERS } from "./dispatched-queue.ts";
import type { QueueChange } from "./queue-change.ts";

/**
 * What has become of records since the last entry of the journal, queue by queue: acknowledged ranges and failed
 * deliveries. Shard thread only.
 */
export class QueueChanges {
  #dirty: DispatchedQueue[] = [];

  get isEmpty(): boolean {
    return this.#dirty.length === 0;
  }

  ack(queue: DispatchedQueue, offset: number, count: number): void {
    const { acks } = queue;
    const last = acks.length - 2;
    if (last >= 0 && (acks[last] as number) + (acks[last + 1] as number) === offset) {
      acks[last + 1] = (acks[last + 1] as number) + count;
    } else {
      if (acks === NO_NUMBERS) queue.acks = [offset, count];
      else acks.push(offset, count);
      this.#add(queue);
    }
  }

  retry(queue: DispatchedQueue, offset: number, deliveries: number, notBeforeWallMs: number): void {
    if (queue.retries === NO_NUMBERS) queue.retries = [offset, deliveries, notBeforeWallMs];
    else queue.retries.push(offset, deliveries, notBeforeWallMs);
    this.#add(queue);
  }

  /** The changes since it was last called. */
  take(): QueueChange[] {
    const changes: QueueChange[] = [];
    for (const queue of this.#dirty) {
      queue.isDirty = false;
      if (queue.isOver) continue;
      const { subscriptionId } = queue.queue;
      const { topicId, partition } = queue.partition;
      if (queue.acks.length > 0) changes.push(["acks", subscriptionId, topicId, partition, queue.acks]);
      if (queue.retries.length > 0) {
        changes.push(["retries", subscriptionId, topicId, partition, queue.retries]);
      }
      this.drop(queue);
    }
    this.#dirty = [];
    return changes;
  }

  /** What is not in the journal yet of this queue will not be. */
  drop(queue: DispatchedQueue): void {
    queue.acks = NO_NUMBERS;
    queue.retries = NO_NUMBERS;
  }

  #add(queue: DispatchedQueue): void {
    if (queue.isDirty) return;
    queue.isDirty = true;
    this.#dirty.push(queue);
  }
}
