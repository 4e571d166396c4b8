import type { Subscription, Topic } from "@millrace/broker/internal";
import type { CommitOutcome } from "@millrace/protocol";
import t from "tap";
import { seededRandom, storedBatch } from "./support/batches.ts";
import { FakeNode } from "./support/fake-node.ts";
import { InMemoryGateway } from "./support/in-memory.ts";
import { MemberModel, type MemberWitness, type ModelPartition } from "./support/member-model.ts";

// Members that come, go, vanish, fall silent and are paused, over shards that are lost and come back; the home shard's groups
// are real. A partition is worked on by one member at a time, from the cursor on, and in the end everything was processed.
// SEED=n runs one seed, SEEDS=n so many.

const seeds =
  process.env.SEED === undefined
    ? Array.from({ length: Number(process.env.SEEDS ?? 60) }, (_, seed) => seed + 1)
    : [Number(process.env.SEED)];

const SHARDS = 3;
const STEPS = 400;

class Run implements MemberWitness {
  readonly random: () => number;
  readonly node: FakeNode;
  readonly net: InMemoryGateway;
  readonly topic: Topic;
  members: MemberModel[] = [];
  /** The cursors as clients know them; undefined: a seek or a commit may be under way. */
  readonly processed: Set<number>[];
  readonly #down: Set<number> = new Set();
  assignments = 0;

  constructor(seed: number) {
    this.random = seededRandom(seed);
    this.node = new FakeNode({ shards: SHARDS });
    this.net = new InMemoryGateway({ node: this.node });
    this.node.useHomes(() => this.net.clock.monotonicMs());
    this.topic = this.node.addTopic("flights", { partitions: 4 + this.#below(9) });
    this.processed = Array.from({ length: this.topic.partitions }, () => new Set());
  }

  async step(): Promise<void> {
    const roll = this.random();
    if (roll < 0.2) this.#append();
    else if (roll < 0.25) this.#join();
    else if (roll < 0.27) this.#pick(this.#open())?.stop();
    else if (roll < 0.28) this.#pick(this.#open())?.vanish();
    else if (roll < 0.38) this.#commit();
    else if (roll < 0.43) this.#release();
    else if (roll < 0.44) this.#silence();
    else if (roll < 0.49) this.#pick(this.#open())?.grant(20_000);
    else if (roll < 0.5) this.#pick(this.#open())?.consumeAgain();
    else if (roll < 0.505) await this.#pause();
    else if (roll < 0.53) this.#killOrRevive();
    else if (roll < 0.535) await this.#seek();
    else if (roll < 0.55) this.#stall();
    else if (roll < 0.555) this.#fillRing();
    else if (roll < 0.63) this.node.run();
    else if (roll < 0.635) this.#advance(31_000);
    else if (roll < 0.8) this.#advance(this.#below(40));
    else await this.net.settle();
    this.node.homeWork();
    this.members = this.#open();
  }

  /** Takes all obstacles away: everything is processed, and committed. */
  async finish(): Promise<void> {
    for (const shardId of [...this.#down]) this.#revive(shardId);
    for (let shardId = 0; shardId < SHARDS; shardId += 1) this.#freeRing(shardId);
    if (this.#subscription?.paused) await this.#pause();
    if (this.#open().length === 0) this.#join();
    for (let round = 0; round < 12; round += 1) {
      this.#advance(round < 4 ? 31_000 : 50);
      this.node.homeWork();
      await this.net.settle();
      for (const member of this.#open()) {
        member.isSilent = false;
        member.client.socket.stalled = false;
        member.client.socket.drain();
        member.consumeAgain();
        member.grant(1_000_000);
        member.commit();
        member.release();
      }
      await this.net.settle();
    }
    const subscription = this.#subscription as Subscription;
    const { partitions } = this.topic;
    const held = this.#open().flatMap((member) => [...member.held.keys()]);
    check(held.length === partitions, `${held.length} of ${partitions} partitions are held`);
    for (let partition = 0; partition < partitions; partition += 1) {
      const { highWatermark } = this.node.partition(this.topic, partition);
      const { offset } = this.node.cursor(subscription, partition);
      check(
        offset === highWatermark,
        `partition ${partition} was committed to ${offset} of ${highWatermark}`,
      );
      const processed = this.processed[partition] as Set<number>;
      for (let at = 0; at < highWatermark; at += 1) check(processed.has(at), `${partition}:${at} is missing`);
    }
    const errors = this.net.logged.filter(({ level }) => level === "error");
    check(
      errors.length === this.net.logged.filter(({ event }) => event === "shard-failed").length,
      JSON.stringify(errors),
    );
  }

  onAssigned(member: MemberModel, { partition, epoch, startOffset }: ModelPartition): void {
    this.assignments += 1;
    for (const other of this.members) {
      if (other === member || other.isOver) continue;
      check(!other.held.has(partition), `partition ${partition} is held by two`);
    }
    const cursor = this.node.cursor(this.#subscription as Subscription, partition);
    check(
      cursor.epoch === epoch,
      `partition ${partition} was assigned under an epoch that is not the shard's`,
    );
    check(
      cursor.sought || cursor.offset === startOffset,
      `partition ${partition} does not start at the cursor`,
    );
  }

  onProcessed(partition: number, firstOffset: number, nextOffset: number): void {
    for (let at = firstOffset; at < nextOffset; at += 1) this.processed[partition]?.add(at);
  }

  onCommitted(_outcome: CommitOutcome): void {}

  get #subscription(): Subscription | undefined {
    return this.node.subscription(this.topic.topicId, "board");
  }

  #open(): MemberModel[] {
    return this.members.filter(({ isOver }) => !isOver);
  }

  #append(): void {
    for (let batches = 1 + this.#below(4); batches > 0; batches -= 1) {
      const partition = this.#below(this.topic.partitions);
      if (this.#down.has(this.topic.shards[partition] as number)) continue;
      const values = Array.from({ length: 1 + this.#below(4) }, (_, i) => `value ${i}`);
      this.node.append(this.topic, partition, values.length, storedBatch(...values));
    }
  }

  #join(): void {
    if (this.members.length >= 5) return;
    const isPaused = (): boolean => this.#subscription?.paused === true;
    this.members.push(new MemberModel(this.net.connect(), 3_000, this, isPaused));
  }

  #commit(): void {
    const member = this.#pick(this.#open());
    if (member !== undefined && !member.isSilent) member.commit();
  }

  #release(): void {
    const member = this.#pick(this.#open());
    if (member !== undefined && !member.isSilent) member.release();
  }

  #silence(): void {
    const member = this.#pick(this.#open());
    if (member !== undefined) member.isSilent = !member.isSilent;
  }

  #stall(): void {
    const socket = this.#pick(this.#open())?.client.socket;
    if (socket === undefined) return;
    socket.stalled = !socket.stalled;
    if (!socket.stalled) socket.drain();
  }

  /** A shard's ring takes no reads for a while. */
  #fillRing(): void {
    const shardId = this.#below(SHARDS);
    const shard = this.node.shards[shardId];
    if (shard === undefined || this.#down.has(shardId)) return;
    if (shard.capacityBytes === 0) this.#freeRing(shardId);
    else shard.capacityBytes = 0;
  }

  #freeRing(shardId: number): void {
    const shard = this.node.shards[shardId];
    if (shard === undefined) return;
    shard.capacityBytes = Number.POSITIVE_INFINITY;
    this.node.handler?.onSpace(shardId);
  }

  async #pause(): Promise<void> {
    const subscription = this.#subscription;
    if (subscription !== undefined) {
      await this.node.alterSubscription(subscription, { paused: !subscription.paused });
    }
  }

  /** Only back: what it leaves out nobody would process. */
  async #seek(): Promise<void> {
    const subscription = this.#subscription;
    // As the node does: all shards of the topic, and the home shard, have to answer.
    if (subscription === undefined || this.#down.size > 0) return;
    const partition = this.#below(this.topic.partitions);
    const { offset } = this.node.cursor(subscription, partition);
    await this.node.seekSubscription(subscription, [[partition, this.#below(offset + 1)]]);
  }

  #killOrRevive(): void {
    const lost = this.#pick([...this.#down]);
    if (lost !== undefined && this.random() < 0.8) {
      this.#revive(lost);
      return;
    }
    const shardId = this.#below(SHARDS);
    if (this.#down.has(shardId)) return;
    this.#down.add(shardId);
    this.node.kill(shardId);
    if (this.random() > 0.3) return;
    for (let partition = 0; partition < this.topic.partitions; partition += 1) {
      if (this.topic.shards[partition] !== shardId) continue;
      const log = this.node.partition(this.topic, partition);
      log.logEpoch += 1;
      log.skip(3);
    }
  }

  #revive(shardId: number): void {
    this.#down.delete(shardId);
    this.node.revive(shardId);
  }

  /** Clients are alive meanwhile. */
  #advance(ms: number): void {
    for (const { client } of this.#open()) client.send({ name: "PONG", value: { nonce: 1 } });
    this.net.clock.advance(ms);
  }

  #below(bound: number): number {
    return Math.floor(this.random() * bound);
  }

  #pick<T>(from: readonly T[]): T | undefined {
    return from[this.#below(from.length)];
  }
}

function check(fact: boolean, message: string): void {
  if (!fact) throw new Error(message);
}

t.test("members share a subscription, whatever happens", async (t) => {
  let assignments = 0;
  for (const seed of seeds) {
    const run = new Run(seed);
    try {
      for (let step = 0; step < STEPS; step += 1) await run.step();
      await run.finish();
    } catch (error) {
      throw new Error(`SEED=${seed}: ${(error as Error).message}`, { cause: error });
    }
    assignments += run.assignments;
  }
  t.comment(`${assignments} assignments`);
});
