import { ERROR_CODES } from "@millrace/protocol";
import { SETTLE_ACTION } from "@millrace/protocol/internal";
import type { Clock } from "../shard/clock.ts";
import type { ConsumerLink } from "../shard/consumer-link.ts";
import type { DeadLetters } from "./dead-letters.ts";
import type { DispatchedQueue } from "./dispatched-queue.ts";
import { LEASE_RECORDS_MAX, type LeaseTable } from "./lease-table.ts";
import type { QueueChanges } from "./queue-changes.ts";
import type { ReadyQueues } from "./ready-queues.ts";
import type { SettleAnswers } from "./settle-answers.ts";

/** Records of leases that end by time in one duty cycle, and with their consumers, about: their failures are one entry. */
const CYCLE_FAILURES_MAX = 8_192;
const EXTENSION_MS_MAX = 43_200_000;
const OK = 0;

export interface SettlementContext {
  readonly link: ConsumerLink;
  readonly leases: LeaseTable;
  readonly leaseEpoch: number;
  readonly clock: Clock;
  readonly ready: ReadyQueues;
  readonly changes: QueueChanges;
  readonly answers: SettleAnswers;
  readonly deadLetters: DeadLetters;
  /** By the number in the lease table. */
  queueOf(owner: number): DispatchedQueue | undefined;
}

/** One SETTLE record; see inbound-layout.ts. */
export interface SettleRecord {
  consumerId: number;
  settleId: number;
  action: number;
  partition: number;
  leaseEpoch: number;
  leaseCounter: number;
  firstOffset: number;
  count: number;
  /** Milliseconds; -1: not stated. */
  argument: number;
  reason: string;
}

/**
 * The end of leases: what consumers say of their records, and what follows when they say nothing. Whoever settles shows the
 * lease's token; once the lease has ended, by whatever means, that is too late. Shard thread only.
 */
export class Settlement {
  readonly #context: SettlementContext;
  readonly #leases: LeaseTable;

  constructor(context: SettlementContext) {
    this.#context = context;
    this.#leases = context.leases;
  }

  /** @returns records whose failure has to be journaled one by one */
  settle(record: SettleRecord, nowMs: number): number {
    const leases = this.#leases;
    const { firstOffset, count } = record;
    const slot = record.leaseEpoch === this.#context.leaseEpoch ? leases.find(record.leaseCounter) : -1;
    if (slot < 0 || leases.consumerAt(slot) !== record.consumerId) {
      // Nobody knows any more what of it was unsettled: its gateway does.
      this.#answer(record, ERROR_CODES.LEASE_EXPIRED.code, Math.min(count, LEASE_RECORDS_MAX));
      return 0;
    }
    const queue = this.#context.queueOf(leases.ownerAt(slot));
    const open = countBits(leases.openIn(slot, firstOffset, count));
    if (queue === undefined || queue.partition.partition !== record.partition || open !== count) {
      this.#answer(record, ERROR_CODES.LEASE_EXPIRED.code, 0);
      return 0;
    }
    return this.#apply(record, queue, slot, nowMs);
  }

  #apply(record: SettleRecord, queue: DispatchedQueue, slot: number, nowMs: number): number {
    const leases = this.#leases;
    const { firstOffset, count, argument } = record;
    const { answers, deadLetters } = this.#context;
    const { consumerId, settleId } = record;
    const deliveries = leases.deliveriesAt(slot);
    const end = firstOffset + count;
    switch (record.action) {
      case SETTLE_ACTION.ACK:
        leases.settle(slot, firstOffset, count);
        if (queue.state.ack(firstOffset, count) > 0) this.#context.changes.ack(queue, firstOffset, count);
        // The next of its key, or one that was too far ahead of the oldest.
        this.#context.ready.ready(queue);
        answers.push(consumerId, settleId, OK, count);
        return 0;
      case SETTLE_ACTION.NACK: {
        leases.settle(slot, firstOffset, count);
        const delayMs = argument >= 0 ? argument : backOffMs(queue, deliveries);
        for (let offset = firstOffset; offset < end; offset += 1) {
          this.#failed(queue, offset, deliveries, nowMs, delayMs);
        }
        answers.push(consumerId, settleId, OK, count);
        return count;
      }
      case SETTLE_ACTION.RELEASE:
        leases.settle(slot, firstOffset, count);
        for (let offset = firstOffset; offset < end; offset += 1) queue.state.release(offset, deliveries - 1);
        this.#context.ready.ready(queue);
        this.#answer(record, OK, count);
        return 0;
      case SETTLE_ACTION.DEAD_LETTER: {
        leases.settle(slot, firstOffset, count);
        const settle = { consumerId, settleId, messages: count, left: count };
        for (let offset = firstOffset; offset < end; offset += 1) {
          deadLetters.addRefused(queue, offset, deliveries, record.reason, settle, nowMs);
        }
        return count;
      }
      case SETTLE_ACTION.EXTEND: {
        const extensionMs = argument >= 0 ? argument : queue.subscription.settings.leaseMs;
        const deadlineMs = nowMs + Math.min(extensionMs, EXTENSION_MS_MAX);
        // Other records of the same lease may have been given more time before.
        if (deadlineMs > leases.deadlineAt(slot)) leases.extend(slot, deadlineMs);
        this.#answer(record, OK, 0);
        return 0;
      }
      default:
        throw new Error(`unknown action in the ring for consumers: action=${record.action}`);
    }
  }

  /** Ends leases whose time is over. @returns records that failed by it */
  expire(nowMs: number): number {
    let failures = 0;
    while (failures < CYCLE_FAILURES_MAX) {
      const slot = this.#leases.expired(nowMs);
      if (slot < 0) break;
      failures += this.#end(slot, nowMs);
    }
    return failures;
  }

  /**
   * Ends leases of consumers that are gone: their records go to others at once, and their deliveries count. Takes those off
   * `consumerIds` that have none left.
   * @returns records that failed by it, and consumers
   */
  endAllOf(consumerIds: number[], nowMs: number): number {
    let failures = 0;
    let ended = 0;
    while (ended < consumerIds.length && failures < CYCLE_FAILURES_MAX) {
      const slot = this.#leases.firstOf(consumerIds[ended] as number);
      if (slot < 0) ended += 1;
      else failures += this.#end(slot, nowMs);
    }
    consumerIds.splice(0, ended);
    return failures + ended;
  }

  #end(slot: number, nowMs: number): number {
    const leases = this.#leases;
    const queue = this.#context.queueOf(leases.ownerAt(slot));
    const first = leases.offsetAt(slot);
    const deliveries = leases.deliveriesAt(slot);
    const open = leases.openAt(slot);
    leases.release(slot);
    if (queue === undefined) return 1;
    for (let i = 0; i < LEASE_RECORDS_MAX; i += 1) {
      if (((open >>> i) & 1) === 1) this.#failed(queue, first + i, deliveries, nowMs, 0);
    }
    return countBits(open);
  }

  /** A delivery has failed: another one follows after a while, or none. */
  #failed(queue: DispatchedQueue, offset: number, deliveries: number, nowMs: number, delayMs: number): void {
    const { changes, clock, deadLetters, ready } = this.#context;
    const { maxDeliveries } = queue.subscription.settings;
    const notBeforeMs = nowMs + delayMs;
    // Finished meanwhile, by somebody who needs no lease for it.
    if (queue.state.isFinished(offset)) return;
    changes.retry(queue, offset, deliveries, clock.wallMs() + delayMs);
    if (maxDeliveries > 0 && deliveries >= maxDeliveries) {
      deadLetters.addExhausted(queue, offset, deliveries, nowMs);
      return;
    }
    queue.state.retry(offset, deliveries, notBeforeMs);
    if (delayMs === 0) ready.ready(queue);
    else ready.readyAt(queue, notBeforeMs);
  }

  /** Needs no commit: at once, or behind the others where there is no room. */
  #answer({ consumerId, settleId }: SettleRecord, outcome: number, messages: number): void {
    if (!this.#context.link.writeSettled(consumerId, settleId, outcome, messages)) {
      this.#context.answers.push(consumerId, settleId, outcome, messages);
    }
  }
}

function backOffMs(queue: DispatchedQueue, deliveries: number): number {
  const { backoffMinMs, backoffMaxMs } = queue.subscription.settings;
  return Math.min(backoffMaxMs, backoffMinMs * 2 ** (deliveries - 1));
}

function countBits(mask: number): number {
  let bits = mask - ((mask >>> 1) & 0x5555_5555);
  bits = (bits & 0x3333_3333) + ((bits >>> 2) & 0x3333_3333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}
