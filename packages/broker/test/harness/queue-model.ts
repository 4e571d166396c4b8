import assert from "node:assert/strict";
import { SETTLE_ACTION } from "@millrace/protocol/internal";
import type { Lease } from "./recording-gateway.ts";

const { ACK, NACK, RELEASE, DEAD_LETTER, EXTEND } = SETTLE_ACTION;

/** What is known of "is it finished by this": nothing was done for it, it may be, or it was said to be durable. */
const NO = 0;
const MAYBE = 1;
const SURE = 2;

interface Holder {
  readonly consumerId: number;
  readonly token: string;
  /** Until then nobody else may be given the record, whatever happens. */
  safeUntilMs: number;
  /** It gave the record up, or is gone. */
  gaveUp: boolean;
}

interface ModelRecord {
  readonly offset: number;
  readonly value: string;
  readonly key: string | undefined;
  /** In this life of the shard. */
  holder: Holder | undefined;
  acked: number;
  dead: number;
  /** Deliveries that count before the next one: at least, at most, and what must outlive a crash. */
  countMin: number;
  countMax: number;
  durableCount: number;
  /** The log may begin behind it. */
  mayBeGone: boolean;
  /** It may have a dead letter of an earlier pass, before the subscription was moved. */
  mayHaveLetter: boolean;
  /** Dead letters that are surely of before the subscription was moved, and those found in all. */
  lettersBefore: number;
  letters: number;
}

/** A SETTLE that is not answered. */
export interface SentSettle {
  readonly action: number;
  readonly token: string;
  readonly records: readonly ModelRecord[];
  readonly deliveries: number;
  readonly sentMs: number;
  readonly argument: number;
  /** When it was sent, nothing had happened that could have ended the lease. */
  readonly wasHeld: boolean;
}

/**
 * What a queue or keyed subscription promises of one partition, as plain as can be. It is told what its consumers do and
 * what they are given, and says when that must not be.
 */
export class QueueModel {
  readonly name: string;
  readonly keyed: boolean;
  readonly maxDeliveries: number;
  /** False: they are given in the order in which they were redriven. */
  readonly #byOffset: boolean;
  #mayStartAt = 0;
  readonly #records: Map<number, ModelRecord> = new Map();

  constructor(name: string, keyed: boolean, maxDeliveries: number, byOffset = true) {
    this.name = name;
    this.keyed = keyed;
    this.maxDeliveries = maxDeliveries;
    this.#byOffset = byOffset;
  }

  records(): Iterable<ModelRecord> {
    return this.#records.values();
  }

  /** A record stands at this offset: it was acked to its producer, or somebody was given it. */
  learn(offset: number, value: string, key: string | undefined): ModelRecord {
    let record = this.#records.get(offset);
    if (record === undefined) {
      record = {
        offset,
        value,
        key,
        holder: undefined,
        acked: NO,
        dead: NO,
        countMin: 0,
        countMax: 0,
        durableCount: 0,
        mayBeGone: offset < this.#mayStartAt,
        mayHaveLetter: false,
        lettersBefore: 0,
        letters: 0,
      };
      this.#records.set(offset, record);
    }
    assert.equal(record.value, value, `${this.#at(record)}: another record`);
    return record;
  }

  /** @param safeUntilMs no lease that was just heard of ends by itself before */
  leased(lease: Lease, nowMs: number, safeUntilMs: number): void {
    lease.records.forEach(({ value, key }, i) => {
      const record = this.learn(lease.offset + i, String(value), key === undefined ? undefined : String(key));
      const at = this.#at(record);
      assert.ok(record.acked !== SURE, `${at}: is given again after its ack was confirmed`);
      assert.ok(record.dead !== SURE, `${at}: is given again though it is a dead letter`);
      const { holder } = record;
      if (holder !== undefined && !holder.gaveUp) {
        assert.ok(
          nowMs >= holder.safeUntilMs,
          `${at}: is given to ${lease.consumerId}, ${holder.consumerId} has it`,
        );
      }
      const { deliveries } = lease;
      const [least, most] = [record.countMin + 1, record.countMax + 1];
      assert.ok(
        deliveries >= least && deliveries <= most,
        `${at}: delivery ${deliveries}, not ${least}..${most}`,
      );
      assert.ok(deliveries <= this.maxDeliveries, `${at}: delivery ${deliveries} of ${this.maxDeliveries}`);
      if (this.keyed && record.key !== undefined) this.#checkKey(record, record.key);
      record.countMin = deliveries;
      record.countMax = deliveries;
      record.acked = NO;
      record.dead = deliveries === this.maxDeliveries ? MAYBE : NO;
      const token = tokenOf(lease);
      record.holder = { consumerId: lease.consumerId, token, safeUntilMs, gaveUp: false };
    });
  }

  /** Records before it with its key are finished, as far as anybody can know. */
  #checkKey(record: ModelRecord, key: string): void {
    for (const other of this.#records.values()) {
      if (other.key !== key || other === record) continue;
      if (this.#byOffset && other.offset < record.offset) {
        const mayBeFinished = other.acked !== NO || other.dead !== NO || other.mayBeGone;
        assert.ok(mayBeFinished, `${this.#at(record)}: is given before ${other.offset}, which has its key`);
      } else if (other.holder !== undefined && other.acked === NO && other.dead === NO && !other.mayBeGone) {
        assert.fail(`${this.#at(record)}: is given while ${other.offset} is out, which has its key`);
      }
    }
  }

  sent(
    lease: Lease,
    action: number,
    first: number,
    count: number,
    argument: number,
    nowMs: number,
  ): SentSettle {
    const token = tokenOf(lease);
    const records: ModelRecord[] = [];
    let wasHeld = true;
    for (let offset = first; offset < first + count; offset += 1) {
      const record = this.#records.get(offset);
      assert.ok(record !== undefined);
      records.push(record);
      const { holder } = record;
      if (holder?.token !== token || holder.gaveUp) {
        wasHeld = false;
        continue;
      }
      if (action === ACK) record.acked = Math.max(record.acked, MAYBE);
      else if (action === DEAD_LETTER) record.dead = Math.max(record.dead, MAYBE);
      else if (action !== EXTEND) {
        holder.gaveUp = true;
        if (action === RELEASE) record.countMin -= 1;
      }
    }
    return { action, token, records, deliveries: lease.deliveries, sentMs: nowMs, argument, wasHeld };
  }

  /** @param isSafe nothing can have ended the lease since it was sent, but time */
  settled(sent: SentSettle, error: string | undefined, nowMs: number, isSafe: boolean): void {
    const { action, token } = sent;
    if (error !== undefined) {
      assert.equal(error, "LEASE_EXPIRED");
      for (const record of sent.records) {
        if (record.holder?.token !== token || !isSafe || !sent.wasHeld) continue;
        const { safeUntilMs } = record.holder;
        assert.ok(nowMs >= safeUntilMs, `${this.#at(record)}: a settle in time was too late`);
      }
      return;
    }
    for (const record of sent.records) {
      const at = this.#at(record);
      assert.ok(sent.wasHeld, `${at}: was settled by somebody who did not have it`);
      if (action === ACK) {
        assert.equal(record.holder?.token, token, `${at}: two had it`);
        record.acked = SURE;
        if (this.keyed && record.key !== undefined) this.#finishedBefore(record, record.key);
      } else if (action === DEAD_LETTER) {
        assert.equal(record.holder?.token, token, `${at}: two had it`);
        record.dead = SURE;
      } else if (action === RELEASE && record.holder?.token === token) {
        record.countMax = sent.deliveries - 1;
        record.dead = NO;
      } else if (action === NACK) {
        record.durableCount = Math.max(record.durableCount, sent.deliveries);
      } else if (action === EXTEND && record.holder?.token === token) {
        record.holder.safeUntilMs = Math.max(record.holder.safeUntilMs, sent.sentMs + sent.argument);
      }
    }
  }

  /** What had to be done before this record could be given is as durable as its ack. */
  #finishedBefore(record: ModelRecord, key: string): void {
    for (const other of this.#byOffset ? this.#records.values() : []) {
      if (other.key !== key || other.offset >= record.offset) continue;
      if (other.acked === MAYBE && other.dead === NO) other.acked = SURE;
    }
  }

  detached(consumerId: number): void {
    for (const { holder } of this.#records.values())
      if (holder?.consumerId === consumerId) holder.gaveUp = true;
  }

  restarted(): void {
    for (const record of this.#records.values()) {
      record.holder = undefined;
      record.countMin = record.durableCount;
      if (record.countMax >= this.maxDeliveries && record.dead === NO) record.dead = MAYBE;
    }
  }

  /** The subscription goes on at `offset`, and leases that are out have ended. */
  moved(offset: number): void {
    for (const record of this.#records.values()) {
      if (record.dead !== NO) record.mayHaveLetter = true;
      if (record.dead === SURE) record.lettersBefore += 1;
      record.holder = undefined;
      record.dead = NO;
      record.acked = record.offset < offset ? SURE : NO;
      record.countMin = 0;
      record.countMax = 0;
      record.durableCount = 0;
    }
  }

  /** The log's start was moved: nobody is owed these any more. */
  dropBelow(offset: number): void {
    this.#mayStartAt = Math.max(this.#mayStartAt, offset);
    for (const record of this.#records.values()) {
      if (record.offset < offset) record.mayBeGone = true;
    }
  }

  /** What stands in the topic of dead letters, by offset: how often. */
  verifyDead(letters: ReadonlyMap<number, number>): void {
    for (const record of this.#records.values()) {
      record.letters = letters.get(record.offset) ?? 0;
      const found = Math.min(1, record.letters);
      const at = this.#at(record);
      if (found === 1 && !record.mayHaveLetter) {
        assert.ok(record.acked !== SURE, `${at}: a dead letter though its ack was confirmed`);
        assert.ok(record.dead !== NO, `${at}: a dead letter for nothing`);
        record.dead = SURE;
      } else if (found === 0) {
        assert.ok(record.dead !== SURE || record.mayBeGone, `${at}: a dead letter is lost`);
      }
    }
  }

  /** Everything was given away and settled. */
  verifyFinished(): void {
    for (const record of this.#records.values()) {
      if (record.mayBeGone) continue;
      // It may have died before a move and again after it: then one letter more than before the move is its end.
      const hasDied = record.dead === SURE || (record.dead !== NO && record.letters > record.lettersBefore);
      assert.ok(record.acked !== NO || hasDied, `${this.#at(record)}: is lost`);
    }
  }

  #at(record: ModelRecord): string {
    return `${this.name} ${record.offset} ${record.key ?? ""}`;
  }
}

function tokenOf({ leaseEpoch, leaseCounter }: Lease): string {
  return `${leaseEpoch}/${leaseCounter}`;
}
