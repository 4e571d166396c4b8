import { LEASED_HEAD_BYTES, NO_KEY } from "@millrace/protocol/internal";
import type { ConsumerLink } from "../shard/consumer-link.ts";
import { COMING, type EntrySource, GONE } from "../shard/entry-source.ts";
import type { DeadLetters } from "./dead-letters.ts";
import type { DispatchedQueue } from "./dispatched-queue.ts";
import type { DispatchedSubscription } from "./dispatched-subscription.ts";
import type { LeaseConsumer } from "./lease-consumer.ts";
import { LEASED_ROW_BYTES, LeaseFrame } from "./lease-frame.ts";
import { LEASE_RECORDS_MAX, type LeaseTable } from "./lease-table.ts";
import type { ReadyQueues } from "./ready-queues.ts";

/** A LEASED frame, unless a single record is larger. */
const FRAME_BYTES_TARGET = 262_144;
/** Frame bytes of one duty cycle, about. */
const CYCLE_BYTES_MAX = 4_194_304;
/** Looks at queues in one duty cycle; each gives up to 32 records, or says that it has nothing. */
const CYCLE_LOOKS_MAX = 16_384;

/** No room for a frame, or for another lease: go on when there is some. */
const NO_ROOM = -1;
/** The next record is larger than what the consumer has lent, and it has others of this shard to settle first. */
const TOO_LARGE = -2;
/** The next run does not fit behind those that are there. */
const FRAME_FULL = -3;

export interface LeasingContext {
  readonly link: ConsumerLink;
  readonly source: EntrySource;
  readonly leases: LeaseTable;
  readonly leasesMax: number;
  readonly leaseEpoch: number;
  readonly ready: ReadyQueues;
  readonly deadLetters: DeadLetters;
}

/**
 * Gives records to consumers: to those of one subscription after the other, and of its queues a run of up to 32 records
 * after the other. Shard thread only; allocates nothing per record.
 */
export class Leasing {
  readonly #link: ConsumerLink;
  readonly #source: EntrySource;
  readonly #leases: LeaseTable;
  readonly #leasesMax: number;
  readonly #ready: ReadyQueues;
  readonly #deadLetters: DeadLetters;
  readonly #frame: LeaseFrame;
  /** Where the records end that may become the next run. */
  readonly #ends: Int32Array = new Int32Array(LEASE_RECORDS_MAX);
  /** Consumers whose bytes do not suffice for the next record, until they lend more or have settled all they hold. */
  readonly #short: Set<LeaseConsumer> = new Set();
  #looks = 0;

  constructor(context: LeasingContext) {
    this.#link = context.link;
    this.#source = context.source;
    this.#leases = context.leases;
    this.#leasesMax = context.leasesMax;
    this.#ready = context.ready;
    this.#deadLetters = context.deadLetters;
    this.#frame = new LeaseFrame(context.link, context.leases, context.leaseEpoch);
  }

  /** One duty cycle's part. @returns an amount of work */
  run(nowMs: number): number {
    const ready = this.#ready;
    ready.takeDue(nowMs);
    for (const consumer of this.#short) {
      if (this.#leases.firstOf(consumer.consumerId) < 0) this.lends(consumer);
    }
    this.#looks = 0;
    let work = 0;
    let bytes = 0;
    while (bytes < CYCLE_BYTES_MAX && this.#looks < CYCLE_LOOKS_MAX) {
      const subscription = ready.takeListed();
      if (subscription === undefined) return work;
      const served = this.#serve(subscription, nowMs);
      if (served === NO_ROOM) {
        ready.relist(subscription);
        return work;
      }
      bytes += served;
      work += 1;
    }
    return work;
  }

  /** One frame for one consumer, or a word to the gateway. @returns the frame's bytes, or NO_ROOM */
  #serve(subscription: DispatchedSubscription, nowMs: number): number {
    const { lenders } = subscription;
    if (subscription.settings.paused) return this.#giveBack(subscription);
    const consumer = lenders[0];
    if (consumer === undefined) return this.#tell(subscription, nowMs);
    if (!this.#link.hasRoomForLeases()) return NO_ROOM;
    const bytes = this.#lease(subscription, consumer, nowMs);
    if (bytes === NO_ROOM) return NO_ROOM;
    if (bytes > 0 || bytes === TOO_LARGE) {
      lenders.shift();
      if (consumer.hasCredit && bytes > 0) lenders.push(consumer);
      else consumer.lends = false;
    }
    if (bytes === TOO_LARGE) {
      this.#short.add(consumer);
      // It lends, and yet it is for somebody else.
      subscription.isAwaited = true;
      this.#ready.ready(subscription.ready[0] as DispatchedQueue);
      return 0;
    }
    // There may be more than those lend who do; other gateways may have been told that there was nothing.
    if (bytes > 0 && subscription.isAwaited && this.#tell(subscription, nowMs) === NO_ROOM) return NO_ROOM;
    if (subscription.ready.length > 0) {
      this.#ready.list(subscription);
      return bytes;
    }
    // What is being read will be for somebody: nobody has to give its credit back for that while.
    if (subscription.comingQueues > 0 || lenders.length === 0) return bytes;
    return this.#giveBack(subscription) === NO_ROOM ? NO_ROOM : bytes;
  }

  /** Whoever lends learns that there is something. */
  #tell(subscription: DispatchedSubscription, nowMs: number): number {
    if (!subscription.isAwaited) return 0;
    for (;;) {
      const queue = subscription.ready[0];
      if (queue === undefined) return 0;
      this.#looks += 1;
      if (queue.next(nowMs) >= 0) break;
      this.#ready.rest(queue);
    }
    if (!this.#link.writeAvailable(subscription.settings.subscriptionId)) return NO_ROOM;
    subscription.isAwaited = false;
    return 0;
  }

  /** Nothing to lease: consumers get their credit back. */
  #giveBack(subscription: DispatchedSubscription): number {
    const { lenders } = subscription;
    while (lenders.length > 0) {
      if (!this.giveBack(lenders[0] as LeaseConsumer)) return NO_ROOM;
      lenders.shift();
    }
    return 0;
  }

  /** The consumer's credit has grown, or may be used again. */
  lends(consumer: LeaseConsumer): void {
    const { subscription } = consumer;
    this.#short.delete(consumer);
    if (subscription === undefined || !consumer.hasCredit) return;
    if (!consumer.lends) {
      consumer.lends = true;
      subscription.lenders.push(consumer);
    }
    this.#ready.list(subscription);
  }

  /** Nothing more is leased for its credit. */
  lendsNoMore(consumer: LeaseConsumer): void {
    const { subscription } = consumer;
    this.#short.delete(consumer);
    if (!consumer.lends || subscription === undefined) return;
    consumer.lends = false;
    subscription.lenders.splice(subscription.lenders.indexOf(consumer), 1);
  }

  /** Returns all the credit of a consumer. False: no room, nothing has changed. */
  giveBack(consumer: LeaseConsumer): boolean {
    if (!this.#link.writeEmpty(consumer.consumerId, consumer.messages, consumer.bytes)) return false;
    consumer.messages = 0;
    consumer.bytes = 0;
    consumer.lends = false;
    const { subscription } = consumer;
    if (subscription !== undefined) {
      subscription.isAwaited = true;
      if (subscription.ready.length > 0 && !subscription.settings.paused) this.#ready.list(subscription);
    }
    return true;
  }

  #lease(subscription: DispatchedSubscription, consumer: LeaseConsumer, nowMs: number): number {
    const frame = this.#frame;
    const { ready } = subscription;
    const messagesMax = this.#share(subscription, consumer, nowMs);
    let outcome = 0;
    frame.begin(consumer, Math.min(consumer.bytes, FRAME_BYTES_TARGET), nowMs);
    while (frame.messages < messagesMax && this.#looks < CYCLE_LOOKS_MAX) {
      const queue = ready[0];
      if (queue === undefined) break;
      this.#looks += 1;
      // A row that is not complete has no lease yet, and a run may become as many leases as it has records.
      if (this.#leases.count + LEASE_RECORDS_MAX >= this.#leasesMax) {
        outcome = NO_ROOM;
        break;
      }
      const taken = this.#takeRun(queue, consumer, messagesMax - frame.messages, nowMs);
      if (taken === FRAME_FULL) break;
      if (taken === TOO_LARGE || taken === NO_ROOM) {
        outcome = taken;
        break;
      }
      if (taken > 0 && ready.length > 1) {
        ready.shift();
        ready.push(queue);
      }
    }
    const messages = frame.messages;
    const bytes = frame.finish();
    consumer.messages -= messages;
    consumer.bytes -= bytes;
    return bytes > 0 ? bytes : outcome;
  }

  /** Messages that this consumer may get now: as many as the others, where there is not enough for all. */
  #share(subscription: DispatchedSubscription, consumer: LeaseConsumer, nowMs: number): number {
    const lenders = subscription.lenders.length;
    if (lenders < 2) {
      subscription.turnsLeft = 0;
      return consumer.messages;
    }
    if (subscription.turnsLeft === 0) {
      let wanted = 0;
      for (const { messages } of subscription.lenders) wanted += messages;
      let missing = wanted;
      for (const { state, partition } of subscription.ready) {
        missing -= state.availableUpTo(missing, nowMs, partition.highWatermark);
        if (missing === 0) break;
      }
      subscription.turnsLeft = lenders;
      subscription.turnMessages =
        missing === 0 ? Number.POSITIVE_INFINITY : Math.max(1, Math.ceil((wanted - missing) / lenders));
    }
    subscription.turnsLeft -= 1;
    return Math.min(consumer.messages, subscription.turnMessages);
  }

  /**
   * Adds a run of records of a queue to the frame.
   * @returns their number, or FRAME_FULL, TOO_LARGE, NO_ROOM; 0: look again, the queue may have left the ready ones
   */
  #takeRun(queue: DispatchedQueue, consumer: LeaseConsumer, messagesMax: number, nowMs: number): number {
    const { state, partition } = queue;
    const source = this.#source;
    const offset = queue.next(nowMs);
    if (offset < 0) {
      this.#ready.rest(queue);
      return 0;
    }
    if (queue.dying.has(offset)) {
      // Its time has come out before it could be dead-lettered.
      if (state.take(offset, 1, undefined) === 1) this.#deadLetters.postpone(queue, offset, nowMs);
      return 0;
    }
    const found = source.locate(partition, offset);
    if (found === COMING) {
      this.#ready.come(queue);
      return 0;
    }
    if (found === GONE) {
      state.skip(offset, Math.max(source.nextOffset, offset + 1));
      return 0;
    }
    const taken = this.#takeHere(queue, offset, consumer, messagesMax, nowMs);
    if (taken !== 1 || !state.keyed) return taken;
    return 1 + this.#takeMore(queue, consumer, Math.min(messagesMax, LEASE_RECORDS_MAX) - 1, nowMs);
  }

  /** Records of a keyed queue are taken one by one: those that stand behind the last one, in the same batch. */
  #takeMore(queue: DispatchedQueue, consumer: LeaseConsumer, messagesMax: number, nowMs: number): number {
    const { state, partition, dying } = queue;
    const { baseOffset, count } = this.#source;
    let more = 0;
    while (more < messagesMax && this.#looks < CYCLE_LOOKS_MAX) {
      this.#looks += 1;
      const offset = state.next(nowMs, partition.highWatermark);
      if (offset < baseOffset || offset >= baseOffset + count || dying.has(offset)) break;
      const taken = this.#takeHere(queue, offset, consumer, 1, nowMs);
      if (taken < 0) break;
      more += taken;
    }
    return more;
  }

  /** As #takeRun, of the batch that the source has found. */
  #takeHere(
    queue: DispatchedQueue,
    offset: number,
    consumer: LeaseConsumer,
    messagesMax: number,
    nowMs: number,
  ): number {
    const { state, dying } = queue;
    const source = this.#source;
    const frame = this.#frame;
    const ends = this.#ends;
    const walker = queue.walk(source);
    const index = offset - source.baseOffset;
    // Erased: its offset remains, its content is gone.
    if (!walker.seek(index) || walker.contentStart === walker.contentEnd) {
      state.skip(offset, offset + 1);
      return 0;
    }
    const recordsStart = walker.recordStart;
    const keyHash = state.keyed ? walker.keyHash() : NO_KEY;
    const room = recordsStart + frame.room;
    const max = state.keyed
      ? 1
      : Math.min(LEASE_RECORDS_MAX, messagesMax, source.baseOffset + source.count - offset);
    let fitting = 0;
    while (walker.contentEnd <= room) {
      ends[fitting] = walker.contentEnd;
      fitting += 1;
      if (fitting === max || !walker.seek(index + fitting) || walker.contentStart === walker.contentEnd)
        break;
      if (dying.size > 0 && dying.has(offset + fitting)) break;
    }
    if (fitting === 0) {
      if (frame.messages > 0) return FRAME_FULL;
      // A record larger than all that the consumer ever lends would never come otherwise.
      const isTooLarge =
        LEASED_HEAD_BYTES + LEASED_ROW_BYTES + walker.contentEnd - recordsStart > consumer.bytes;
      if (isTooLarge && this.#leases.firstOf(consumer.consumerId) >= 0) return TOO_LARGE;
      ends[0] = walker.contentEnd;
      fitting = 1;
    }
    const isWhole = fitting === source.count;
    const batchBytes = isWhole ? source.storedBytes : (ends[fitting - 1] as number) - recordsStart;
    if (!frame.open(batchBytes)) return NO_ROOM;
    const taken = state.take(offset, fitting, keyHash === NO_KEY ? undefined : keyHash);
    if (taken === 0) return 0;
    const { deliveries } = state;
    const { maxDeliveries } = queue.subscription.settings;
    if (maxDeliveries > 0 && deliveries > maxDeliveries) {
      // Counted by what an earlier life has journaled, or the limit was lowered.
      for (let at = offset; at < offset + taken; at += 1) {
        this.#deadLetters.addExhausted(queue, at, deliveries - 1, nowMs);
      }
      return 0;
    }
    if (isWhole && taken === fitting && frame.addStored(queue, source, deliveries)) return taken;
    frame.add(
      queue,
      source,
      walker.flags,
      offset,
      taken,
      deliveries,
      recordsStart,
      ends[taken - 1] as number,
    );
    return taken;
  }
}
