import type { OneToOneRingBuffer } from "@millrace/core";
import type { Journal } from "@millrace/journal";
import { readU64 } from "@millrace/journal/internal";
import { ERROR_CODES } from "@millrace/protocol";
import { BROKER_LIMITS } from "../limits.ts";
import { gatewayOf } from "../link/gateway-ids.ts";
import * as inbound from "../link/inbound-layout.ts";
import type { Clock } from "../shard/clock.ts";
import type { ConsumerLink } from "../shard/consumer-link.ts";
import type { EntrySource } from "../shard/entry-source.ts";
import type { OwnAppends } from "../shard/own-appends.ts";
import type { Partition } from "../shard/partition.ts";
import type { ShardState } from "../shard/shard-state.ts";
import { DeadLetters } from "./dead-letters.ts";
import { DispatchedQueue } from "./dispatched-queue.ts";
import { DispatchedSubscription } from "./dispatched-subscription.ts";
import { LeaseConsumer } from "./lease-consumer.ts";
import { LeaseTable } from "./lease-table.ts";
import { Leasing } from "./leasing.ts";
import type { QueueChange } from "./queue-change.ts";
import { QueueChanges } from "./queue-changes.ts";
import { ReadyQueues } from "./ready-queues.ts";
import { SettleAnswers } from "./settle-answers.ts";
import { Settlement, type SettleRecord } from "./settlement.ts";
import type { QueueSettings, SubscriptionQueue } from "./subscription-queue.ts";

/** Records of the consumers' ring handled per duty cycle at most, and of them those that fail records one by one. */
const DRAIN_RECORDS_MAX = 4_096;
const DRAIN_FAILURES_MAX = 8_192;

export interface DispatcherContext {
  readonly link: ConsumerLink;
  readonly state: ShardState;
  readonly journal: Journal;
  readonly source: EntrySource;
  readonly ownAppends: OwnAppends;
  readonly clock: Clock;
  stageChanges(changes: readonly QueueChange[]): void;
  /** Runs once everything staged so far is committed; asks for that commit. */
  afterCommit(run: () => void): void;
}

/**
 * Gives the records of queue and keyed subscriptions to consumers and takes what they settle.
 *
 *   settle: credit lent and leases settled -> expired and orphaned leases -> dead letters -> one entry of the journal
 *   lease:  LEASED frames into the outbound ring, for what is below the high watermarks
 *
 * What is settled is answered once that entry is committed; leases are in memory alone. Shard thread only.
 */
export class Dispatcher {
  readonly #context: DispatcherContext;
  readonly #ring: OneToOneRingBuffer;
  readonly #leases: LeaseTable = new LeaseTable(BROKER_LIMITS.leasesPerShardMax);
  readonly #ready: ReadyQueues = new ReadyQueues();
  readonly #changes: QueueChanges = new QueueChanges();
  readonly #answers: SettleAnswers;
  readonly #deadLetters: DeadLetters;
  readonly #settlement: Settlement;
  readonly #leasing: Leasing;
  readonly #subscriptions: Map<number, DispatchedSubscription> = new Map();
  readonly #queues: Map<SubscriptionQueue, DispatchedQueue> = new Map();
  readonly #owners: (DispatchedQueue | undefined)[] = [];
  readonly #freeOwners: number[] = [];
  readonly #consumers: Map<number, LeaseConsumer> = new Map();
  /** Consumers that are gone and whose leases have not all ended. */
  readonly #orphaned: number[] = [];
  /** By gateway that is gone: what its consumers have said before this position of the ring counts no more. */
  readonly #unheard: Map<number, number> = new Map();
  /** Answers that wait for a commit are below this number. */
  #answersStaged = 0;
  readonly #record: SettleRecord = {
    consumerId: 0,
    settleId: 0,
    action: 0,
    partition: 0,
    leaseEpoch: 0,
    leaseCounter: 0,
    firstOffset: 0,
    count: 0,
    argument: 0,
    reason: "",
  };

  constructor(context: DispatcherContext) {
    this.#context = context;
    this.#ring = context.link.inbound;
    const { link, source, journal, ownAppends, clock } = context;
    const ready = this.#ready;
    const changes = this.#changes;
    const answers = new SettleAnswers(link);
    this.#answers = answers;
    this.#deadLetters = new DeadLetters({
      link,
      state: context.state,
      source,
      journal,
      ownAppends,
      clock,
      ready,
      changes,
      answers,
      stageChanges: (staged) => context.stageChanges(staged),
    });
    const deadLetters = this.#deadLetters;
    const leases = this.#leases;
    const leaseEpoch = journal.epoch;
    this.#settlement = new Settlement({
      link,
      leases,
      leaseEpoch,
      clock,
      ready,
      changes,
      answers,
      deadLetters,
      queueOf: (owner) => this.#owners[owner],
    });
    const leasesMax = BROKER_LIMITS.leasesPerShardMax;
    this.#leasing = new Leasing({ link, source, leases, leasesMax, leaseEpoch, ready, deadLetters });
    source.onArrived = (partition) => ready.arrived(partition);
  }

  // What the control plane tells.

  /**
   * From now on this subscription's consumers get what these queues have. Called for each of its queues once: when it
   * is made, when the shard has recovered, and later for queues over dead letters.
   */
  open(settings: QueueSettings, queues: readonly SubscriptionQueue[]): void {
    let subscription = this.#subscriptions.get(settings.subscriptionId);
    if (subscription === undefined) {
      subscription = new DispatchedSubscription(settings);
      this.#subscriptions.set(settings.subscriptionId, subscription);
    }
    subscription.settings = settings;
    for (const queue of queues) {
      if (this.#queues.has(queue)) continue;
      const owner = this.#freeOwners.pop() ?? this.#owners.length;
      const dispatched = new DispatchedQueue(subscription, queue, owner);
      this.#owners[owner] = dispatched;
      this.#queues.set(queue, dispatched);
      subscription.queues.push(dispatched);
      this.#ready.add(dispatched);
    }
  }

  /** Its settings have changed; a paused one gives nothing until it is configured again. */
  configure(settings: QueueSettings): void {
    const subscription = this.#subscriptions.get(settings.subscriptionId);
    if (subscription === undefined) return;
    subscription.settings = settings;
    this.#ready.list(subscription);
  }

  /** It was deleted: its leases end, and settling them is too late. Nothing for one that was never opened. */
  close(subscriptionId: number): void {
    const subscription = this.#subscriptions.get(subscriptionId);
    if (subscription === undefined) return;
    this.#subscriptions.delete(subscriptionId);
    for (const queue of [...subscription.queues]) this.#closeQueue(queue);
    for (const consumer of subscription.consumers) consumer.subscription = undefined;
    // Whatever was lent comes back.
    this.#ready.list(subscription);
  }

  /** A partition is gone with its topic: as close(), for its queues alone. */
  closePartition(partition: Partition): void {
    const queues = partition.queues?.all ?? [];
    // Nobody has to look for each of them there.
    partition.queues = undefined;
    for (const queue of queues) this.#closeQueue(queue);
  }

  /** Leases of this queue end without any trace: to be called in the same step before its state is moved by seek(). */
  endLeases(queue: SubscriptionQueue): void {
    const dispatched = this.#queues.get(queue);
    if (dispatched === undefined) return;
    // What was settled before stands before it in the journal, too.
    this.#stage();
    this.#endLeases(dispatched);
  }

  /** Somebody else changed the state of this queue (seek, redrive): there may be something to give. */
  wake(queue: SubscriptionQueue): void {
    const dispatched = this.#queues.get(queue);
    if (dispatched !== undefined) this.#ready.ready(dispatched);
  }

  /**
   * Moves an unfinished record to the dead-letter topic, as soon as that is possible: `reason` is told to whoever looks
   * at it. Nothing for a record that is finished, or on its way there already.
   */
  deadLetter(queue: SubscriptionQueue, offset: number, reason: string): void {
    const dispatched = this.#queues.get(queue);
    if (dispatched === undefined || queue.state.isFinished(offset)) return;
    let deliveries = 0;
    const { highWatermark } = queue.partition;
    queue.state.unfinished(
      offset,
      1,
      this.#context.clock.monotonicMs(),
      highWatermark,
      (found, _state, count) => {
        if (found === offset) deliveries = count;
      },
    );
    this.#deadLetters.add(dispatched, offset, deliveries, reason, undefined);
  }

  /**
   * All consumers of a gateway are gone, as by DETACH.
   * @returns for hasLeft(): answers to its consumers are below this number
   */
  gatewayGone(gateway: number): number {
    for (const consumerId of [...this.#consumers.keys()]) {
      if (gatewayOf(consumerId) === gateway) this.#detach(consumerId);
    }
    this.#deadLetters.gatewayGone(gateway);
    return this.#answers.end;
  }

  /**
   * The same while nothing can be journaled: what its consumers have said in the ring before that position is passed over,
   * and what they have settled is answered to nobody.
   */
  gatewayGoneUnheard(gateway: number, ringEnd: number): void {
    this.#unheard.set(gateway, ringEnd);
    this.gatewayGone(gateway);
    this.#answers.forget((consumerId) => gatewayOf(consumerId) === gateway);
  }

  /** Whether the leases of that gateway's consumers have ended, and all that was to be answered to them was. */
  hasLeft(gateway: number, answersEnd: number): boolean {
    if (this.#answers.first < answersEnd) return false;
    return !this.#orphaned.some((consumerId) => gatewayOf(consumerId) === gateway);
  }

  // The duty cycle.

  /** The partition's high watermark has risen, or the start of its log. */
  advanced(partition: Partition): void {
    if (partition.queues !== undefined) this.#ready.advanced(partition);
  }

  /**
   * Everything that goes to the journal. `isFinishing`: only what consumers say.
   * @returns an amount of work
   */
  settle(nowMs: number, isFinishing: boolean): number {
    if (this.#context.journal.isFull) {
      // Consumers wait: what they settle could not be confirmed. Leases of those that are gone are confirmed to nobody: that
      // their deliveries have failed is journaled when there is room.
      const ended = isFinishing ? 0 : this.#settlement.endAllOf(this.#orphaned, nowMs);
      return ended + this.#answers.flush();
    }
    let work = this.#answers.flush() + this.#drain(nowMs);
    if (!isFinishing) {
      work += this.#settlement.expire(nowMs);
      work += this.#settlement.endAllOf(this.#orphaned, nowMs);
      work += this.#deadLetters.run(nowMs);
    }
    this.#stage();
    return work;
  }

  /** LEASED frames, and words about credit. @returns an amount of work */
  lease(nowMs: number): number {
    return this.#leasing.run(nowMs);
  }

  /** Whether everything that consumers have settled is answered. */
  get isSettled(): boolean {
    return this.#ring.poll() === 0 && this.#answers.size === 0;
  }

  /** Milliseconds until there is something to do by time alone. */
  nextTimerMs(nowMs: number): number {
    // Leases do not end while their end cannot be journaled.
    const deadlineMs = this.#context.journal.isFull
      ? Number.POSITIVE_INFINITY
      : this.#leases.nextDeadlineMs();
    const atMs = Math.min(deadlineMs, this.#ready.nextMs());
    return Math.min(Math.max(0, atMs - nowMs), this.#deadLetters.nextMs);
  }

  #closeQueue(queue: DispatchedQueue): void {
    this.#endLeases(queue);
    this.#ready.remove(queue);
    this.#changes.drop(queue);
    const { queues } = queue.subscription;
    queues.splice(queues.indexOf(queue), 1);
    this.#queues.delete(queue.queue);
    this.#owners[queue.owner] = undefined;
    this.#freeOwners.push(queue.owner);
  }

  #endLeases(queue: DispatchedQueue): void {
    this.#leases.releaseOwner(queue.owner);
    for (const { consumerId, settleId, messages } of this.#deadLetters.forget(queue)) {
      this.#answers.push(consumerId, settleId, ERROR_CODES.LEASE_EXPIRED.code, messages);
    }
  }

  #stage(): void {
    if (!this.#changes.isEmpty) {
      const changes = this.#changes.take();
      if (changes.length > 0) this.#context.stageChanges(changes);
    }
    const end = this.#answers.end;
    if (end === this.#answersStaged) return;
    this.#answersStaged = end;
    this.#context.afterCommit(() => this.#answers.commit(end));
  }

  /** Handles what stands in the consumers' ring, within the limits of one cycle. */
  #drain(nowMs: number): number {
    const ring = this.#ring;
    if (ring.poll() === 0) return 0;
    const recordsMax = Math.min(DRAIN_RECORDS_MAX, this.#context.link.answersThatFit());
    const { words } = ring;
    let handled = 0;
    let failures = 0;
    while (handled < recordsMax && failures < DRAIN_FAILURES_MAX) {
      const index = ring.next();
      if (index < 0) break;
      const w = index >> 2;
      const consumerId = (words[w + inbound.CONSUMER_ID] as number) >>> 0;
      if (this.#unheard.size > 0 && this.#isUnheard(gatewayOf(consumerId))) {
        ring.advance();
        handled += 1;
        continue;
      }
      switch (words[w + 1]) {
        case inbound.INBOUND.SETTLE:
          this.#read(index, consumerId);
          failures += this.#settlement.settle(this.#record, nowMs);
          break;
        case inbound.INBOUND.LEND:
          this.#lend(
            consumerId,
            (words[w + inbound.LEND_SUBSCRIPTION_ID] as number) >>> 0,
            words[w + inbound.LEND_MESSAGES] as number,
            words[w + inbound.LEND_CREDIT_BYTES] as number,
          );
          break;
        case inbound.INBOUND.RECALL:
          this.#recall(consumerId);
          break;
        case inbound.INBOUND.DETACH:
          this.#detach(consumerId);
          break;
        default:
          throw new Error(`unknown record in the ring for consumers: type=${words[w + 1]}`);
      }
      ring.advance();
      handled += 1;
    }
    return handled;
  }

  /** Of the record that next() has returned. */
  #isUnheard(gateway: number): boolean {
    const end = this.#unheard.get(gateway);
    if (end === undefined) return false;
    if (this.#ring.recordPosition < end) return true;
    this.#unheard.delete(gateway);
    return false;
  }

  #read(index: number, consumerId: number): void {
    const { words, bytes } = this.#ring;
    const record = this.#record;
    const w = index >> 2;
    const reasonBytes = words[w + inbound.SETTLE_REASON_BYTES] as number;
    const reasonAt = index + inbound.SETTLE_REASON;
    record.consumerId = consumerId;
    record.settleId = (words[w + inbound.SETTLE_ID] as number) >>> 0;
    record.action = words[w + inbound.SETTLE_ACTION] as number;
    record.partition = words[w + inbound.SETTLE_PARTITION] as number;
    record.leaseEpoch = (words[w + inbound.SETTLE_LEASE_EPOCH] as number) >>> 0;
    record.leaseCounter = readU64(words, w + inbound.SETTLE_LEASE_COUNTER);
    record.firstOffset = readU64(words, w + inbound.SETTLE_FIRST_OFFSET);
    record.count = (words[w + inbound.SETTLE_COUNT] as number) >>> 0;
    record.argument = words[w + inbound.SETTLE_ARGUMENT] as number;
    record.reason = reasonBytes === 0 ? "" : bytes.toString("utf8", reasonAt, reasonAt + reasonBytes);
  }

  #lend(consumerId: number, subscriptionId: number, messages: number, bytes: number): void {
    const subscription = this.#subscriptions.get(subscriptionId);
    if (subscription === undefined) {
      this.#context.link.writeEmpty(consumerId, messages, bytes);
      return;
    }
    let consumer = this.#consumers.get(consumerId);
    // Without a subscription it was of one that was closed, and whose credit has come back.
    if (consumer?.subscription === undefined) {
      consumer = new LeaseConsumer(consumerId, subscription);
      this.#consumers.set(consumerId, consumer);
      subscription.consumers.add(consumer);
    }
    consumer.messages += messages;
    consumer.bytes += bytes;
    this.#leasing.lends(consumer);
  }

  #recall(consumerId: number): void {
    const consumer = this.#consumers.get(consumerId);
    if (consumer === undefined) this.#context.link.writeEmpty(consumerId, 0, 0);
    else {
      this.#leasing.lendsNoMore(consumer);
      this.#leasing.giveBack(consumer);
    }
  }

  #detach(consumerId: number): void {
    const consumer = this.#consumers.get(consumerId);
    if (consumer === undefined) return;
    this.#leasing.lendsNoMore(consumer);
    this.#consumers.delete(consumerId);
    consumer.subscription?.consumers.delete(consumer);
    this.#orphaned.push(consumerId);
  }
}
