import { BatchBuilder, type OutgoingRecord } from "@millrace/protocol/internal";
import type { Partition } from "../../src/shard/partition.ts";
import { QueueState } from "../../src/subscription/queue-state.ts";
import type { QueueSettings, SubscriptionQueue } from "../../src/subscription/subscription-queue.ts";
import { DURABILITY_FSYNCED } from "../../src/topic.ts";
import type { Lease } from "./recording-gateway.ts";
import { ShardRig, type ShardRigOptions } from "./shard-rig.ts";

export const TOPIC = 5;
export const LETTERS = 9;
export const SUBSCRIPTION = 70;

export const SETTINGS: QueueSettings = {
  subscriptionId: SUBSCRIPTION,
  name: "workers",
  topicId: TOPIC,
  topicName: "jobs",
  keyed: false,
  leaseMs: 30_000,
  maxDeliveries: 5,
  backoffMinMs: 1_000,
  backoffMaxMs: 60_000,
  paused: false,
};

/** A shard with one topic, its dead letters and one subscription, opened by hand. */
export class QueueRig {
  readonly rig: ShardRig;
  readonly queues: SubscriptionQueue[] = [];
  settings: QueueSettings;
  readonly #builder: BatchBuilder = new BatchBuilder(500_000);
  readonly #spanMax: number | undefined;

  constructor(
    settings: Partial<QueueSettings> = {},
    partitions = 1,
    options: ShardRigOptions = {},
    spanMax?: number,
  ) {
    this.#spanMax = spanMax;
    const numbers = Array.from({ length: partitions }, (_, partition) => partition);
    this.rig = ShardRig.started(
      numbers.flatMap((partition) => [
        [TOPIC, partition, DURABILITY_FSYNCED] as const,
        [LETTERS, partition, DURABILITY_FSYNCED] as const,
      ]),
      options,
    );
    this.settings = { ...SETTINGS, ...settings };
    this.rig.shard.state.deadLetterTopics.set(TOPIC, LETTERS);
    for (const partition of numbers) this.queues.push(this.queue(TOPIC, partition, false));
    this.rig.shard.dispatcher.open(this.settings, this.queues);
  }

  queue(topicId: number, partition: number, selected: boolean): SubscriptionQueue {
    const { subscriptionId, keyed } = this.settings;
    const spanMax = this.#spanMax;
    const state = new QueueState({
      keyed,
      start: 0,
      selected,
      ...(spanMax === undefined ? {} : { spanMax }),
    });
    return { subscriptionId, partition: this.partition(topicId, partition), state, redelivered: 0, dead: 0 };
  }

  partition(topicId: number, partition = 0): Partition {
    const found = this.rig.shard.state.find(topicId, partition);
    if (found === undefined) throw new Error(`no partition ${partition} of topic ${topicId}`);
    return found;
  }

  configure(changes: Partial<QueueSettings>): void {
    this.settings = { ...this.settings, ...changes };
    this.rig.shard.dispatcher.configure(this.settings);
  }

  /** One batch, stored and acked. */
  publish(records: readonly (string | OutgoingRecord)[], partition = 0, topicId: number = TOPIC): void {
    const builder = this.#builder;
    builder.reset();
    for (const record of records) {
      if (!builder.append(typeof record === "string" ? { value: record } : record))
        throw new Error("too large");
    }
    const stored = builder.finish().slice();
    if (!this.rig.gateway.publish({ topicId, partition, count: records.length, stored })) {
      throw new Error("the ring is full");
    }
    this.rig.settle();
  }

  lend(consumerId: number, messages: number, bytes?: number): void {
    this.rig.gateway.lend(consumerId, SUBSCRIPTION, messages, bytes);
    this.rig.settle();
  }

  /** What was leased since it was last asked. */
  leases(): Lease[] {
    this.rig.settle();
    return this.rig.gateway.take("leased").flatMap(({ leases }) => [...leases]);
  }

  /** As leases, where there must be one. */
  lease(): Lease {
    const [lease, ...others] = this.leases();
    if (lease === undefined || others.length > 0)
      throw new Error(`${others.length + (lease ? 1 : 0)} leases`);
    return lease;
  }

  /** Outcomes since it was last asked: settle's id, error, messages. */
  settled(): [number, string | undefined, number][] {
    this.rig.settle();
    return this.rig.gateway
      .take("settled")
      .map(({ settleId, error, messages }) => [settleId, error, messages]);
  }

  advance(ms: number): void {
    this.rig.clock.advance(ms);
    this.rig.settle();
  }
}
