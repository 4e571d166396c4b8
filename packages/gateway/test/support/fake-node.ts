import {
  type CatalogWanted,
  type ClusterStatus,
  ENTRY_HEADER_BYTES,
  type GatewayHandler,
  type NodeStatus,
  type PartitionBounds,
  SHARD_DOWN,
  type Topic,
  type TopicChanges,
  type TopicConfig,
} from "@millrace/broker/internal";
import { INSUFFICIENT_CAPACITY } from "@millrace/core";
import { ERROR_CODES, type ErrorName, MillraceError } from "@millrace/protocol";
import type { GatewayNode } from "../../src/create-broker.ts";
import { type FakeFrame, FakePartition } from "./fake-partition.ts";
import { FakeQueues } from "./fake-queues.ts";
import { deliverEvent, type FakePublish, FakeShard, readPublish, type ShardEvent } from "./fake-shard.ts";
import { fakeClusterStatus, fakeStatus } from "./fake-status.ts";
import { FakeSubscriptions } from "./fake-subscriptions.ts";

interface FakeRead {
  readonly streamId: number;
  readonly sharedStreamId: number;
  readonly topicId: number;
  readonly partition: number;
  readonly offset: number;
  readonly maxBytes: number;
}

const CONFIG: TopicConfig = { partitions: 1, retentionMs: 0, retentionBytes: 0, durability: "fsynced" };

/**
 * A node without threads: shards are arrays, time is the test's. With `auto` it answers by itself after each turn of
 * the event loop, otherwise when the test calls work(), answer() or run().
 */
export class FakeNode extends FakeSubscriptions implements GatewayNode {
  readonly shardCount: number;
  readonly clusterId: string = "fake";
  ready = false;
  auto: boolean;
  /** Everything that was handed over, oldest first. */
  readonly publishes: FakePublish[] = [];
  /** Decides what becomes of a publish; undefined: it is stored. */
  refuse: ((publish: FakePublish) => { error: ErrorName; retryAfterMs: number } | undefined) | undefined;
  untails = 0;
  reads = 0;
  /** Calls in their order, for tests of life cycles. */
  readonly calls: string[] = [];
  /** start() waits for this. */
  recovery: Promise<void> = Promise.resolve();
  handler: GatewayHandler | undefined;
  readonly shards: readonly FakeShard[];
  readonly queues: FakeQueues;
  readonly #topics: Map<number, Topic> = new Map();
  readonly #partitions: Map<string, FakePartition> = new Map();
  readonly #random: () => number;
  #nextTopicId = 1;
  #planned = false;

  constructor(options: { shards?: number; auto?: boolean; random?: () => number } = {}) {
    super();
    this.shardCount = options.shards ?? 1;
    this.auto = options.auto ?? false;
    this.#random = options.random ?? (() => 0);
    this.shards = Array.from({ length: this.shardCount }, () => new FakeShard());
    this.queues = new FakeQueues(this.shards, this.#random);
  }

  // ---- life cycle ----

  attach(handler: GatewayHandler): void {
    this.handler = handler;
    this.calls.push("attach");
  }

  async start(): Promise<void> {
    this.calls.push("start");
    await this.recovery;
    this.ready = true;
  }

  drain(): Promise<void> {
    this.calls.push("drain");
    this.run();
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.calls.push("close");
    return Promise.resolve();
  }

  readonly conditions: readonly string[] = [];
  readonly status = (): Promise<NodeStatus> => Promise.resolve(fakeStatus(this.ready));

  clusterStatus = (): Promise<ClusterStatus> => Promise.resolve(fakeClusterStatus(this.ready));
  // ---- catalog ----

  /** What catchUp() answers; absent: this node always knows everything. */
  onCatchUp: ((wanted: CatalogWanted) => Promise<void>) | undefined;

  catchUp(wanted: CatalogWanted): Promise<void> | undefined {
    return this.onCatchUp?.(wanted);
  }

  /** Owners of shards, as another node would show them. */
  readonly ownerUrls: Map<number, string> = new Map();

  ownerUrl(shardId: number): string | undefined {
    return this.ownerUrls.get(shardId);
  }

  topicByName(name: string): Topic | undefined {
    for (const topic of this.#topics.values()) if (topic.name === name) return topic;
    return undefined;
  }

  topicById(topicId: number): Topic | undefined {
    return this.#topics.get(topicId);
  }

  topics(): Iterable<Topic> {
    return this.#topics.values();
  }

  /** Makes a topic at once. */
  addTopic(name: string, config: Partial<TopicConfig> = {}): Topic {
    const topicId = this.#nextTopicId++;
    const partitions = config.partitions ?? 1;
    const topic: Topic = {
      ...CONFIG,
      ...config,
      name,
      topicId,
      createdMs: 1,
      catalogPosition: topicId,
      shards: Array.from({ length: partitions }, (_, partition) => partition % this.shardCount),
    };
    this.#topics.set(topicId, topic);
    for (let partition = 0; partition < partitions; partition += 1) {
      this.#partitions.set(`${topicId}/${partition}`, new FakePartition(topic, partition));
    }
    return topic;
  }

  async createTopic(name: string, config: TopicConfig): Promise<Topic> {
    if (this.topicByName(name) !== undefined) throw new MillraceError("TOPIC_EXISTS", name);
    const topic = this.addTopic(name, config);
    this.handler?.onTopicCreated(topic);
    return topic;
  }

  async alterTopic(name: string, changes: TopicChanges): Promise<Topic> {
    const topic = this.topicByName(name);
    if (topic === undefined) throw new MillraceError("UNKNOWN_TOPIC", name);
    const altered = { ...topic, ...changes, catalogPosition: topic.catalogPosition + 100 };
    this.#topics.set(topic.topicId, altered);
    this.handler?.onTopicAltered(altered);
    return altered;
  }

  async truncateTopic(
    topic: Topic,
    starts: readonly (readonly [number, number])[],
  ): Promise<PartitionBounds[]> {
    for (const [partition, offset] of starts) {
      if (offset > this.partition(topic, partition).highWatermark) {
        throw new MillraceError("OFFSET_OUT_OF_RANGE", `${offset}`, { details: { partition, offset } });
      }
    }
    for (const [partition, offset] of starts) this.partition(topic, partition).truncate(offset);
    const partitions = starts.map(([partition]) => partition);
    return this.bounds(topic, partitions);
  }

  async deleteTopic(name: string): Promise<Topic> {
    const topic = this.topicByName(name);
    if (topic === undefined) throw new MillraceError("UNKNOWN_TOPIC", name);
    this.#topics.delete(topic.topicId);
    this.handler?.onTopicDeleted(topic);
    return topic;
  }

  partition(topic: Topic, partition: number): FakePartition {
    return this.#partitions.get(`${topic.topicId}/${partition}`) as FakePartition;
  }

  async bounds(topic: Topic, partitions: readonly number[]): Promise<PartitionBounds[]> {
    await Promise.resolve();
    return partitions.map((partition) => {
      if (this.shards[topic.shards[partition] as number]?.down) {
        throw new MillraceError("SHARD_RESTARTED", "down");
      }
      const log = this.partition(topic, partition);
      const { logStartOffset, highWatermark, logEpoch, restores, retainedBytes } = log;
      return { partition, logStartOffset, highWatermark, logEpoch, restores, retainedBytes };
    });
  }

  async offsetForTime(topic: Topic, partition: number, timeMs: number): Promise<number> {
    const log = this.partition(topic, partition);
    const found = log.entries.find((entry) => entry.timeMs >= timeMs)?.baseOffset ?? log.highWatermark;
    return Math.max(found, log.logStartOffset);
  }

  // ---- rings ----

  claimBatch(shardId: number, storedBytes: number): number {
    const shard = this.shards[shardId] as FakeShard;
    if (shard.down) return SHARD_DOWN;
    if (shard.usedBytes + ENTRY_HEADER_BYTES + storedBytes > shard.capacityBytes) {
      shard.waiting = true;
      return INSUFFICIENT_CAPACITY;
    }
    // Not always the same place: whoever keeps a view of it will read something else.
    const index = Math.floor(this.#random() * 1000) * 8;
    shard.memory.fill(0xaa, index, index + ENTRY_HEADER_BYTES + storedBytes);
    shard.claimed = { index, storedBytes };
    return index;
  }

  batchBytes(shardId: number): Buffer {
    return (this.shards[shardId] as FakeShard).memory;
  }

  batchWords(shardId: number): Int32Array {
    return (this.shards[shardId] as FakeShard).words;
  }

  commitBatch(shardId: number, index: number): void {
    const shard = this.shards[shardId] as FakeShard;
    if (shard.claimed?.index !== index) throw new Error("commit of what was not claimed");
    const { storedBytes } = shard.claimed;
    shard.claimed = undefined;
    const publish = readPublish(shard, index, storedBytes);
    this.publishes.push(publish);
    const used = ENTRY_HEADER_BYTES + storedBytes;
    shard.usedBytes += used;
    this.#command(shard, () => {
      shard.usedBytes -= used;
      this.#append(shard, publish);
      if (!shard.waiting) return;
      shard.waiting = false;
      shard.outbox.push((handler) => handler.onSpace(shardId));
    });
  }

  read(
    shardId: number,
    streamId: number,
    sharedStreamId: number,
    topicId: number,
    partition: number,
    offset: number,
    maxBytes: number,
  ): number {
    const shard = this.shards[shardId] as FakeShard;
    if (shard.down) return SHARD_DOWN;
    if (shard.usedBytes + 40 > shard.capacityBytes) {
      shard.waiting = true;
      return INSUFFICIENT_CAPACITY;
    }
    this.reads += 1;
    const read = { streamId, sharedStreamId, topicId, partition, offset, maxBytes };
    this.#command(shard, () => this.#answerRead(shard, read));
    return 0;
  }

  untail(shardId: number, topicId: number, partition: number): number {
    const shard = this.shards[shardId] as FakeShard;
    if (shard.down) return SHARD_DOWN;
    if (shard.usedBytes + 16 > shard.capacityBytes) {
      shard.waiting = true;
      return INSUFFICIENT_CAPACITY;
    }
    this.untails += 1;
    this.#command(shard, () => {
      const log = this.#partitions.get(`${topicId}/${partition}`);
      if (log !== undefined) log.tailed = false;
    });
    return 0;
  }

  lend(...args: Parameters<FakeQueues["lend"]>): number {
    return this.#told(this.queues.lend(...args));
  }

  recall(...args: Parameters<FakeQueues["recall"]>): number {
    return this.#told(this.queues.recall(...args));
  }

  detach(...args: Parameters<FakeQueues["detach"]>): number {
    return this.#told(this.queues.detach(...args));
  }

  settle(...args: Parameters<FakeQueues["settle"]>): number {
    return this.#told(this.queues.settle(...args));
  }

  // ---- the shards' side ----

  /** The shard handles so many commands. */
  work(shardId: number, commands: number = Number.POSITIVE_INFINITY): void {
    const shard = this.shards[shardId] as FakeShard;
    for (let left = commands; left > 0; left -= 1) {
      const command = shard.inbox.shift();
      if (command === undefined) return;
      command();
    }
  }

  /** The gateway hears so many of the shard's answers, or of the reader thread's, and the end of a drain. */
  answer(shardId: number, answers: number = Number.POSITIVE_INFINITY, cold = false): void {
    const shard = this.shards[shardId] as FakeShard;
    const outbox = cold ? shard.coldOutbox : shard.outbox;
    for (let left = answers; left > 0; left -= 1) {
      const event = outbox.shift();
      if (event === undefined) break;
      event(this.handler as GatewayHandler);
    }
    this.handler?.onDrainEnd();
  }

  /** Everything, until nothing is left. @returns whether there was anything. */
  run(): boolean {
    let any = false;
    while (
      this.shards.some(({ inbox, outbox, coldOutbox }) => inbox.length + outbox.length + coldOutbox.length)
    ) {
      any = true;
      for (let shardId = 0; shardId < this.shardCount; shardId += 1) {
        this.work(shardId);
        this.answer(shardId);
        this.answer(shardId, undefined, true);
      }
    }
    return any;
  }

  /** Stores a batch as if another gateway had published it. */
  append(topic: Topic, partition: number, count: number, stored: Uint8Array, timeMs = 1): void {
    const log = this.partition(topic, partition);
    log.append(count, stored, timeMs);
    const shard = this.shards[topic.shards[partition] as number] as FakeShard;
    this.flushTail(shard, log);
    this.#plan();
  }

  /** The shard's thread dies. What it had not answered is lost; the reader thread may still answer. */
  kill(shardId: number): void {
    const shard = this.shards[shardId] as FakeShard;
    shard.down = true;
    shard.inbox = [];
    shard.outbox = [];
    shard.usedBytes = 0;
    shard.waiting = false;
    shard.consumerRecords = 0;
    this.queues.onKilled(shardId);
    for (const log of this.#partitions.values()) {
      if (log.topic.shards[log.partition] === shardId) log.tailed = false;
    }
    this.loseHome(shardId);
    this.handler?.onShardDown(shardId);
  }

  revive(shardId: number): void {
    (this.shards[shardId] as FakeShard).down = false;
    this.handler?.onShardUp(shardId);
    this.#plan();
  }

  fail(shardId: number): void {
    (this.shards[shardId] as FakeShard).down = true;
    this.handler?.onShardFailed(shardId, "EIO on sync");
  }

  flushTail(shard: FakeShard, log: FakePartition): void {
    while (log.tailed && log.tailOffset < log.highWatermark) {
      const entry = log.entryAt(log.tailOffset);
      if (entry === undefined || entry.baseOffset > log.tailOffset) {
        const next = entry?.baseOffset ?? log.highWatermark;
        const { sharedStreamId } = log;
        shard.outbox.push((handler) => handler.onProgress(sharedStreamId, next, "gap"));
        log.tailOffset = next;
        continue;
      }
      const frame = log.frame(log.tailOffset, log.sharedStreamId, 262_144, true) as FakeFrame;
      shard.outbox.push(deliverEvent(log.sharedStreamId, true, frame));
      log.tailOffset = frame.nextOffset;
    }
  }

  protected override isDown(shardId: number): boolean {
    return (this.shards[shardId] as FakeShard).down;
  }

  protected override say(shardId: number, event: ShardEvent): void {
    (this.shards[shardId] as FakeShard).outbox.push(event);
    this.#plan();
  }

  #command(shard: FakeShard, command: () => void): void {
    shard.inbox.push(command);
    this.#plan();
  }

  #told(outcome: number): number {
    this.#plan();
    return outcome;
  }

  #plan(): void {
    if (!this.auto || this.#planned) return;
    this.#planned = true;
    setImmediate(() => {
      this.#planned = false;
      if (this.auto) this.run();
    });
  }

  #append(shard: FakeShard, publish: FakePublish): void {
    const { sessionId, topicId, partition, producerId, baseSequence, count, stored } = publish;
    const log = this.#partitions.get(`${topicId}/${partition}`) as FakePartition;
    const refusal = this.refuse?.(publish);
    if (refusal !== undefined) {
      const { code } = ERROR_CODES[refusal.error];
      shard.outbox.push((handler) =>
        handler.onPublishError(
          sessionId,
          topicId,
          partition,
          producerId,
          baseSequence,
          count,
          code,
          refusal.retryAfterMs,
        ),
      );
      return;
    }
    const base = log.append(count, stored, 1);
    const { logEpoch } = log;
    shard.outbox.push((handler) =>
      handler.onAck(sessionId, topicId, partition, producerId, baseSequence, count, base, logEpoch, 2),
    );
    this.flushTail(shard, log);
  }

  #answerRead(shard: FakeShard, read: FakeRead): void {
    const { streamId, sharedStreamId, topicId, partition, offset, maxBytes } = read;
    const log = this.#partitions.get(`${topicId}/${partition}`) as FakePartition;
    const { logStartOffset, highWatermark, logEpoch } = log;
    if (offset < logStartOffset) {
      shard.outbox.push((handler) => handler.onProgress(streamId, logStartOffset, "retention"));
      return;
    }
    if (offset > highWatermark) {
      shard.outbox.push((handler) =>
        handler.onReadError(
          streamId,
          ERROR_CODES.OFFSET_OUT_OF_RANGE.code,
          logStartOffset,
          highWatermark,
          logEpoch,
        ),
      );
      return;
    }
    if (offset === highWatermark) {
      this.flushTail(shard, log);
      shard.outbox.push((handler) => handler.onJoined(streamId, sharedStreamId, highWatermark));
      if (log.tailed) return;
      log.tailed = true;
      log.sharedStreamId = sharedStreamId;
      log.tailOffset = highWatermark;
      return;
    }
    const outbox = offset < log.cacheStartOffset ? shard.coldOutbox : shard.outbox;
    const entry = log.entryAt(offset);
    if (entry === undefined || entry.baseOffset > offset) {
      const next = entry?.baseOffset ?? highWatermark;
      outbox.push((handler) => handler.onProgress(streamId, next, "gap"));
      return;
    }
    const frame = log.frame(offset, streamId, maxBytes, false);
    if (typeof frame === "number") outbox.push((handler) => handler.onNeedsCredit(streamId, frame));
    else outbox.push(deliverEvent(streamId, false, frame));
  }
}
