import { SHARD_DOWN } from "@millrace/broker/internal";
import { INSUFFICIENT_CAPACITY } from "@millrace/core";
import { ERROR_CODES, SETTLE_ACTION } from "@millrace/protocol";
import { frameBytes, storedBatch } from "./batches.ts";
import type { FakeShard, ShardEvent } from "./fake-shard.ts";

const LEASE_EXPIRED = ERROR_CODES.LEASE_EXPIRED.code;
const LEASE_RECORDS_MAX = 32;
const CHECKSUM_BYTES = 5;

export interface FakeRecord {
  readonly topicId: number;
  readonly partition: number;
  readonly offset: number;
  readonly value: Uint8Array;
  deliveries: number;
  /** Acknowledged or dead-lettered. */
  done: boolean;
  /** Counter of its lease. */
  lease: number;
}

/** What a settle said, as the shard found it. */
export interface FakeSettle {
  readonly shardId: number;
  readonly consumerId: number;
  readonly settleId: number;
  readonly action: number;
  readonly partition: number;
  readonly leaseEpoch: number;
  readonly leaseCounter: number;
  readonly firstOffset: number;
  readonly count: number;
  readonly argument: number;
  readonly reason: string | undefined;
}

interface Consumer {
  readonly subscriptionId: number;
  messages: number;
  bytes: number;
  /** Its bytes do not suffice for the next record, until it lends more or has settled all it holds. */
  isShort: boolean;
}

interface Lease {
  readonly consumerId: number;
  readonly records: FakeRecord[];
  readonly open: Set<number>;
}

/** What one shard knows of one subscription. */
interface Queue {
  readonly records: FakeRecord[];
  awaited: boolean;
  paused: boolean;
}

interface ShardMemory {
  epoch: number;
  consumers: Map<number, Consumer>;
  leases: Map<number, Lease>;
}

/**
 * The queue and keyed subscriptions of a FakeNode's shards, with the rules of the rings: credit adds up, LEASED uses it,
 * EMPTY gives back all of it, AVAILABLE is said once after each EMPTY. Records are as durable as the test; leases and credit
 * die with their shard.
 */
export class FakeQueues {
  readonly settles: FakeSettle[] = [];
  readonly detached: [shardId: number, consumerId: number][] = [];
  lends = 0;
  recalls = 0;
  /** Sees each lease before it is said. */
  onLease: ((shardId: number, consumerId: number, records: readonly FakeRecord[]) => void) | undefined;
  readonly #shards: readonly FakeShard[];
  readonly #random: () => number;
  readonly #memory: ShardMemory[];
  readonly #queues: Map<string, Queue> = new Map();
  #nextCounter = 1;

  constructor(shards: readonly FakeShard[], random: () => number) {
    this.#shards = shards;
    this.#random = random;
    this.#memory = shards.map(() => ({ epoch: 1, consumers: new Map(), leases: new Map() }));
  }

  // ---- the test's side ----

  /** There is more to lease. */
  put(
    shardId: number,
    subscriptionId: number,
    at: { readonly topicId: number; readonly partition: number; readonly offset: number },
    ...values: readonly (string | Uint8Array)[]
  ): void {
    const queue = this.#queue(shardId, subscriptionId);
    values.forEach((value, i) => {
      queue.records.push({
        topicId: at.topicId,
        partition: at.partition,
        offset: at.offset + i,
        value: typeof value === "string" ? Buffer.from(value) : value,
        deliveries: 0,
        done: false,
        lease: 0,
      });
    });
    if (!this.#shard(shardId).down) this.#command(shardId, () => {});
  }

  pause(shardId: number, subscriptionId: number, paused: boolean): void {
    this.#queue(shardId, subscriptionId).paused = paused;
    this.#command(shardId, () => {});
  }

  records(shardId: number, subscriptionId: number): readonly FakeRecord[] {
    return this.#queue(shardId, subscriptionId).records;
  }

  /** Leases of the shard end by time. */
  expire(shardId: number): void {
    this.#command(shardId, () => {
      for (const [counter, lease] of this.#memory[shardId]?.leases ?? [])
        this.#endLease(shardId, counter, lease);
    });
  }

  /** Credit that a consumer has there. */
  credit(shardId: number, consumerId: number): { messages: number; bytes: number } {
    const { messages = 0, bytes = 0 } = this.#memory[shardId]?.consumers.get(consumerId) ?? {};
    return { messages, bytes };
  }

  leaseEpoch(shardId: number): number {
    return (this.#memory[shardId] as ShardMemory).epoch;
  }

  onKilled(shardId: number): void {
    const memory = this.#memory[shardId] as ShardMemory;
    for (const { records } of memory.leases.values()) for (const record of records) record.lease = 0;
    this.#memory[shardId] = { epoch: memory.epoch + 1, consumers: new Map(), leases: new Map() };
    for (const [key, queue] of this.#queues) if (key.startsWith(`${shardId}/`)) queue.awaited = true;
  }

  // ---- the port ----

  lend(shardId: number, consumerId: number, subscriptionId: number, messages: number, bytes: number): number {
    if (messages < 0 || bytes < 1) throw new Error(`lend of messages=${messages} bytes=${bytes}`);
    this.lends += 1;
    return this.#record(shardId, () => {
      const { consumers } = this.#memory[shardId] as ShardMemory;
      const consumer = consumers.get(consumerId) ?? { subscriptionId, messages: 0, bytes: 0, isShort: false };
      consumers.set(consumerId, consumer);
      consumer.messages += messages;
      consumer.bytes += bytes;
      consumer.isShort = false;
    });
  }

  recall(shardId: number, consumerId: number): number {
    this.recalls += 1;
    return this.#record(shardId, () => this.#giveBack(shardId, consumerId));
  }

  detach(shardId: number, consumerId: number): number {
    return this.#record(shardId, () => {
      const memory = this.#memory[shardId] as ShardMemory;
      this.detached.push([shardId, consumerId]);
      memory.consumers.delete(consumerId);
      for (const [counter, lease] of memory.leases) {
        if (lease.consumerId === consumerId) this.#endLease(shardId, counter, lease);
      }
    });
  }

  settle(
    shardId: number,
    consumerId: number,
    settleId: number,
    action: number,
    partition: number,
    leaseEpoch: number,
    leaseCounter: number,
    firstOffset: number,
    count: number,
    argument: number,
    reason: Uint8Array | undefined,
  ): number {
    const settle: FakeSettle = {
      shardId,
      consumerId,
      settleId,
      action,
      partition,
      leaseEpoch,
      leaseCounter,
      firstOffset,
      count,
      argument,
      reason: reason && Buffer.from(reason).toString(),
    };
    return this.#record(shardId, () => {
      this.settles.push(settle);
      this.#settle(settle);
    });
  }

  // ---- the shard ----

  #settle({
    shardId,
    consumerId,
    settleId,
    action,
    leaseEpoch,
    leaseCounter,
    firstOffset,
    count,
  }: FakeSettle): void {
    const memory = this.#memory[shardId] as ShardMemory;
    const lease = leaseEpoch === memory.epoch ? memory.leases.get(leaseCounter) : undefined;
    const answer = (outcome: number, messages: number): void => {
      this.#say(shardId, (handler) => handler.onSettled(shardId, consumerId, settleId, outcome, messages));
    };
    if (lease === undefined || lease.consumerId !== consumerId) {
      answer(LEASE_EXPIRED, count);
      return;
    }
    const settled = lease.records.filter(
      ({ offset }) => lease.open.has(offset) && offset >= firstOffset && offset < firstOffset + count,
    );
    if (settled.length !== count) {
      answer(LEASE_EXPIRED, 0);
      return;
    }
    if (action === SETTLE_ACTION.EXTEND) {
      answer(0, 0);
      return;
    }
    for (const record of settled) {
      lease.open.delete(record.offset);
      record.lease = 0;
      if (action === SETTLE_ACTION.ACK || action === SETTLE_ACTION.DEAD_LETTER) record.done = true;
      if (action === SETTLE_ACTION.RELEASE) record.deliveries -= 1;
    }
    if (lease.open.size === 0) memory.leases.delete(leaseCounter);
    answer(0, count);
  }

  #endLease(shardId: number, counter: number, lease: Lease): void {
    for (const record of lease.records) if (lease.open.has(record.offset)) record.lease = 0;
    this.#memory[shardId]?.leases.delete(counter);
  }

  #giveBack(shardId: number, consumerId: number): void {
    const consumer = this.#memory[shardId]?.consumers.get(consumerId);
    const { messages = 0, bytes = 0 } = consumer ?? {};
    if (consumer !== undefined) {
      consumer.messages = 0;
      consumer.bytes = 0;
      this.#queue(shardId, consumer.subscriptionId).awaited = true;
    }
    this.#say(shardId, (handler) => handler.onEmpty(shardId, consumerId, messages, bytes));
  }

  /** Leases whatever can be leased, and says what has to be said. */
  #dispatch(shardId: number): void {
    const { consumers } = this.#memory[shardId] as ShardMemory;
    for (const [key, queue] of this.#queues) {
      const [shard, id] = key.split("/").map(Number);
      if (shard !== shardId) continue;
      for (;;) {
        for (const [consumerId, consumer] of consumers) {
          if (consumer.isShort && !this.#holds(shardId, consumerId)) consumer.isShort = false;
        }
        const lenders = [...consumers].filter(
          ([, { subscriptionId, messages, bytes, isShort }]) =>
            subscriptionId === id && messages > 0 && bytes > 0 && !isShort,
        );
        const available = queue.paused ? [] : queue.records.filter(({ done, lease }) => !done && lease === 0);
        const [first] = available;
        if (first === undefined) {
          for (const [consumerId] of lenders) this.#giveBack(shardId, consumerId);
          break;
        }
        const short = lenders.filter(
          ([consumerId, { bytes }]) => first.value.length + 104 > bytes && this.#holds(shardId, consumerId),
        );
        if (short.length > 0) {
          for (const [, consumer] of short) consumer.isShort = true;
          queue.awaited = true;
          continue;
        }
        const lender = lenders[Math.floor(this.#random() * lenders.length)];
        if (lender === undefined) {
          if (queue.awaited) {
            queue.awaited = false;
            this.#say(shardId, (handler) => handler.onAvailable(shardId, id as number));
          }
          break;
        }
        this.#lease(shardId, lender[0], lender[1], available);
      }
    }
  }

  #holds(shardId: number, consumerId: number): boolean {
    const leases = [...(this.#memory[shardId]?.leases.values() ?? [])];
    return leases.some((lease) => lease.consumerId === consumerId);
  }

  #lease(shardId: number, consumerId: number, consumer: Consumer, available: readonly FakeRecord[]): void {
    const memory = this.#memory[shardId] as ShardMemory;
    const [first] = available as [FakeRecord];
    const run: FakeRecord[] = [];
    let bytes = 0;
    for (const record of available) {
      if (record.partition !== first.partition || record.offset !== first.offset + run.length) break;
      if (
        record.deliveries !== first.deliveries ||
        run.length >= Math.min(LEASE_RECORDS_MAX, consumer.messages)
      )
        break;
      bytes += record.value.length + 8;
      // A record larger than what was lent would never come otherwise.
      if (run.length > 0 && bytes + 96 > consumer.bytes) break;
      run.push(record);
    }
    const leaseCounter = this.#nextCounter++;
    for (const record of run) {
      record.deliveries += 1;
      record.lease = leaseCounter;
    }
    memory.leases.set(leaseCounter, {
      consumerId,
      records: run,
      open: new Set(run.map(({ offset }) => offset)),
    });
    const frame = frameBytes({
      name: "LEASED",
      value: {
        consumerId,
        rows: [
          {
            topicId: first.topicId,
            partition: first.partition,
            baseOffset: first.offset,
            count: run.length,
            appendTimeMs: 1,
            deliveryCount: first.deliveries,
            leaseEpoch: memory.epoch,
            leaseCounter,
            batch: storedBatch(...run.map(({ value }) => value)).subarray(0, -CHECKSUM_BYTES),
          },
        ],
      },
    });
    consumer.messages -= run.length;
    consumer.bytes -= frame.length;
    this.onLease?.(shardId, consumerId, run);
    this.#say(shardId, (handler) => {
      const memory = Buffer.from(new SharedArrayBuffer(frame.length + 64));
      memory.set(frame, 24);
      handler.onLeased(shardId, consumerId, run.length, memory, 24, frame.length);
      memory.fill(0xee);
    });
  }

  /** A record in the ring for consumers. */
  #record(shardId: number, command: () => void): number {
    const shard = this.#shard(shardId);
    if (shard.down) return SHARD_DOWN;
    if (shard.consumerRecords >= shard.consumerRecordsMax) {
      shard.waiting = true;
      return INSUFFICIENT_CAPACITY;
    }
    shard.consumerRecords += 1;
    this.#command(shardId, () => {
      shard.consumerRecords -= 1;
      command();
      if (!shard.waiting) return;
      shard.waiting = false;
      this.#say(shardId, (handler) => handler.onSpace(shardId));
    });
    return 0;
  }

  #command(shardId: number, command: () => void): void {
    this.#shard(shardId).inbox.push(() => {
      command();
      this.#dispatch(shardId);
    });
  }

  #say(shardId: number, event: ShardEvent): void {
    this.#shard(shardId).outbox.push(event);
  }

  #shard(shardId: number): FakeShard {
    return this.#shards[shardId] as FakeShard;
  }

  #queue(shardId: number, subscriptionId: number): Queue {
    const key = `${shardId}/${subscriptionId}`;
    let queue = this.#queues.get(key);
    if (queue === undefined) {
      queue = { records: [], awaited: true, paused: false };
      this.#queues.set(key, queue);
    }
    return queue;
  }
}
