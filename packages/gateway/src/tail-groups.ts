import { type GatewayPort, SHARD_DOWN, type Topic } from "@millrace/broker/internal";
import type { FanOut } from "./fan-out.ts";
import { partitionKey } from "./in-flight.ts";
import { TailGroup } from "./tail-group.ts";

/** The tail groups of this gateway, by partition and by the shared stream id under which shards know them. */
export class TailGroups {
  readonly #port: GatewayPort;
  readonly #byPartition: Map<number, TailGroup> = new Map();
  readonly #bySharedId: Map<number, TailGroup> = new Map();
  /** Groups whose shard has to be told to stop, once its ring has room; index = shard. */
  readonly #blocked: (Set<TailGroup> | undefined)[] = [];

  constructor(port: GatewayPort) {
    this.#port = port;
  }

  bySharedId(sharedStreamId: number): TailGroup | undefined {
    return this.#bySharedId.get(sharedStreamId);
  }

  /** The partition's group; made with an id from `newStreamId` when it is the first time. */
  of(topic: Topic, partition: number, newStreamId: () => number): TailGroup {
    const key = partitionKey(topic.topicId, partition);
    let group = this.#byPartition.get(key);
    if (group === undefined) {
      group = new TailGroup(topic, partition, newStreamId());
      this.#byPartition.set(key, group);
      this.#bySharedId.set(group.sharedStreamId, group);
    }
    return group;
  }

  ofShard(shardId: number): TailGroup[] {
    return [...this.#byPartition.values()].filter((group) => group.shardId === shardId);
  }

  ofTopic(topic: Topic): TailGroup[] {
    const groups: TailGroup[] = [];
    for (let partition = 0; partition < topic.partitions; partition += 1) {
      const group = this.#byPartition.get(partitionKey(topic.topicId, partition));
      if (group !== undefined) groups.push(group);
    }
    return groups;
  }

  remove(group: TailGroup): void {
    this.#byPartition.delete(partitionKey(group.topic.topicId, group.partition));
    this.#bySharedId.delete(group.sharedStreamId);
    this.#blocked[group.shardId]?.delete(group);
  }

  /**
   * Tells the shard to stop tail deliveries that nobody wants. Not while a read is under way: it may end as a join,
   * which the shard would have decided before it heard of the stop.
   */
  untailIfIdle(group: TailGroup, fanOut: FanOut): void {
    if (!group.tailing || !group.isIdle) return;
    fanOut.drop(group);
    const { shardId, topic, partition } = group;
    const outcome = this.#port.untail(shardId, topic.topicId, partition);
    if (outcome === 0 || outcome === SHARD_DOWN) {
      group.tailing = false;
      return;
    }
    const blocked = this.#blocked[shardId] ?? new Set();
    this.#blocked[shardId] = blocked;
    blocked.add(group);
  }

  onSpace(shardId: number, fanOut: FanOut): void {
    const blocked = this.#blocked[shardId];
    if (blocked === undefined) return;
    this.#blocked[shardId] = undefined;
    for (const group of blocked) this.untailIfIdle(group, fanOut);
  }

  onShardDown(shardId: number): void {
    this.#blocked[shardId] = undefined;
  }
}
