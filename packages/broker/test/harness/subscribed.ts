import { SETTLE_ACTION } from "@millrace/protocol/internal";
import type { SubscriptionOpening } from "../../src/shard/subscription-requests.ts";
import { DURABILITY_FSYNCED } from "../../src/topic.ts";
import { batchOf } from "./batches.ts";
import { openingOf, type RigPartition, ShardRig, type ShardRigOptions } from "./shard-rig.ts";

const { NACK } = SETTLE_ACTION;
export const TOPIC = 5;
export const LETTERS = 9;

/** A subscription of the topic. */
export function opening(
  subscriptionId: number,
  mode: number,
  changes: { maxDeliveries?: number; snapshots?: string[] } = {},
): SubscriptionOpening {
  const { maxDeliveries = 5, snapshots = [] } = changes;
  return [
    subscriptionId,
    TOPIC,
    mode,
    30_000,
    maxDeliveries,
    1_000,
    60_000,
    false,
    `sub-${subscriptionId}`,
    "jobs",
    snapshots,
  ];
}

/** A shard of one topic with its dead letters, and what its node knows of it. */
export class Subscribed {
  readonly rig: ShardRig;
  readonly partitions: RigPartition[];
  openings: SubscriptionOpening[] = [];
  overflow = 0;

  constructor(options: ShardRigOptions = {}, retention: readonly [number, number] = [0, 0], partitions = 2) {
    const numbers = Array.from({ length: partitions }, (_, number) => number);
    this.partitions = numbers.flatMap((number) => [
      [TOPIC, number, DURABILITY_FSYNCED, ...retention] as const,
      [LETTERS, number, DURABILITY_FSYNCED] as const,
    ]);
    this.rig = new ShardRig(options);
    this.start();
  }

  start(): void {
    this.rig.open();
    this.rig.answer("reconcile", [
      this.partitions.map(openingOf),
      this.rig.journal.cleanShutdown,
      false,
      [
        [TOPIC, this.overflow, 0],
        [LETTERS, 0, TOPIC],
      ],
    ]);
    this.rig.answer("reconcileSubscriptions", [this.openings, true]);
  }

  subscribe(subscription: SubscriptionOpening, starts: [number, number][] = []): void {
    this.rig.answer("subscribe", [subscription, starts]);
    this.openings.push(subscription);
  }

  crash(): void {
    this.rig.crash("power");
    this.start();
  }

  publish(values: readonly string[], partition = 0, topicId: number = TOPIC): void {
    this.rig.gateway.publish({ topicId, partition, count: values.length, stored: batchOf(values) });
    this.rig.settle();
  }

  /** Leases up to `messages`, as [offset, deliveries, values], and settles each as told. */
  consume(
    subscriptionId: number,
    messages: number,
    settle?: (offset: number) => number | undefined,
  ): [topicId: number, offset: number, deliveries: number, values: string[]][] {
    const { rig } = this;
    const consumerId = subscriptionId;
    rig.gateway.lend(consumerId, subscriptionId, messages);
    rig.settle();
    const leases = rig.gateway.take("leased").flatMap((event) => [...event.leases]);
    for (const lease of leases) {
      lease.values.forEach((_, i) => {
        const action = settle?.(lease.offset + i);
        if (action !== undefined) {
          rig.gateway.settle(lease, action, { argument: action === NACK ? 0 : -1, records: [i, 1] });
        }
      });
    }
    rig.gateway.recall(consumerId);
    rig.settle();
    return leases.map(({ topicId, offset, deliveries, values }) => [
      topicId,
      offset,
      deliveries,
      [...values],
    ]);
  }

  state(subscriptionId: number): readonly (readonly number[])[] {
    return this.rig.answer("subscriptionState", [subscriptionId]);
  }
}
