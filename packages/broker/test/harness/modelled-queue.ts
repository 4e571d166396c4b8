import assert from "node:assert/strict";
import { LeaseTable } from "../../src/subscription/lease-table.ts";
import { QueueState } from "../../src/subscription/queue-state.ts";

interface ModelRecord {
  readonly key: number | undefined;
  /** False: retention or a gap took it. */
  exists: boolean;
  finished: boolean;
  leased: boolean;
  deliveries: number;
  notBeforeMs: number;
}

interface ModelLease {
  readonly consumer: number;
  readonly offset: number;
  readonly deliveries: number;
  readonly open: Set<number>;
  deadlineMs: number;
}

type JournalRow =
  | { readonly kind: "ack"; readonly offset: number; readonly count: number }
  | { readonly kind: "retry"; readonly offset: number; readonly deliveries: number; readonly wallMs: number }
  | { readonly kind: "seek"; readonly offset: number }
  | { readonly kind: "return"; readonly bytes: Uint8Array };

interface ModelSnapshot {
  readonly bytes: Uint8Array;
  readonly records: readonly {
    readonly finished: boolean;
    readonly deliveries: number;
    readonly notBeforeWallMs: number;
  }[];
}

export interface ModelledQueueOptions {
  readonly keyed: boolean;
  readonly start: number;
  readonly spanMax: number;
  /** A canary: a crash loses the newest row of the journal, which must be noticed. */
  readonly losesRows?: boolean;
}

const LEASE_MS = 100;
const OWNER = 7;

/**
 * A queue's state and its leases, driven as a dispatcher drives them, beside a model of plain objects that says by
 * the rules alone what may be given: unfinished, leased by nobody, due, within the span, and, when keyed, no
 * older unfinished record of its key. Every operation asserts that both agree; the journal is a list of rows.
 */
export class ModelledQueue {
  nowMs = 1000;
  readonly leases: Map<number, ModelLease> = new Map();
  /** Counters of leases that ended, of this life of the table. */
  readonly ended: number[] = [];
  readonly #options: ModelledQueueOptions;
  readonly #records: ModelRecord[] = [];
  #state: QueueState;
  #table: LeaseTable = new LeaseTable(64);
  #wallAheadMs = 1_000_000;
  #checkpoint: { readonly bytes: Uint8Array };
  #journal: JournalRow[] = [];
  #logStartOffset: number;
  #snapshot: ModelSnapshot | undefined;

  constructor(options: ModelledQueueOptions) {
    this.#options = options;
    this.#logStartOffset = options.start;
    this.#state = new QueueState(options);
    this.#checkpoint = { bytes: this.#state.encode(this.nowMs, this.nowMs + this.#wallAheadMs) };
  }

  get start(): number {
    return this.#options.start;
  }

  get highWatermark(): number {
    return this.start + this.#records.length;
  }

  get unfinishedCount(): number {
    return this.#records.filter((record) => isUnfinished(record)).length;
  }

  /** Adds a record; `exists` false: an offset that was never used. */
  publish(key: number | undefined, exists = true): void {
    const given = this.#options.keyed ? key : undefined;
    this.#records.push({
      key: given,
      exists,
      finished: false,
      leased: false,
      deliveries: 0,
      notBeforeMs: 0,
    });
  }

  advance(ms: number): void {
    this.nowMs += ms;
  }

  /** Leases one run, of at most `max` records; its counter, or -1 when there is nothing, which the model checks. */
  dispatch(consumer: number, max: number): number {
    for (;;) {
      const offset = this.#state.next(this.nowMs, this.highWatermark);
      if (offset < 0) {
        const forgotten = this.#offsets().find((candidate) => this.#mayBeGiven(candidate));
        assert.equal(forgotten, undefined, `offset ${forgotten} may be given`);
        this.#checkCountsOfAll();
        return -1;
      }
      assert.ok(offset < this.highWatermark, "nothing above the high watermark");
      const record = this.#record(offset);
      if (!record.exists) {
        let end = offset + 1;
        while (end < this.highWatermark && !this.#record(end).exists) end += 1;
        this.#state.skip(offset, end);
        continue;
      }
      const batch = Math.min(max, this.highWatermark - offset);
      const hash = record.key === undefined ? undefined : record.key * 1_000_000_007;
      const count = this.#state.take(offset, this.#runOfExisting(offset, batch), hash);
      if (count > 0) return this.#lease(consumer, offset, count, this.#state.deliveries);
    }
  }

  ack(counter: number, first: number, count: number): void {
    for (const offset of this.#settle(counter, first, count)) {
      const record = this.#record(offset);
      assert.equal(this.#state.ack(offset, 1), isUnfinished(record) ? 1 : 0);
      record.finished = true;
      record.leased = false;
      this.#journal.push({ kind: "ack", offset, count: 1 });
    }
    this.check();
  }

  /** As an expiry and a nack do; `delayMs` 0: at once. */
  nack(counter: number, first: number, count: number, delayMs: number): void {
    const deliveries = this.#lease_(counter).deliveries;
    for (const offset of this.#settle(counter, first, count)) this.#retry(offset, deliveries, delayMs);
    this.check();
  }

  release(counter: number, first: number, count: number): void {
    const deliveries = this.#lease_(counter).deliveries - 1;
    for (const offset of this.#settle(counter, first, count)) {
      const record = this.#record(offset);
      assert.equal(this.#state.release(offset, deliveries), isUnfinished(record));
      record.leased = false;
      record.notBeforeMs = 0;
    }
    this.check();
  }

  /** A record goes to the dead-letter topic from whatever state it is in; who has it keeps a lease of nothing. */
  dead(offset: number): void {
    const record = this.#record(offset);
    const newly = this.#state.dead(offset);
    // Of a removed record the state may or may not have been told.
    if (record.exists) assert.equal(newly, !record.finished);
    record.finished = true;
    record.leased = false;
    this.#journal.push({ kind: "ack", offset, count: 1 });
    this.check();
  }

  extend(counter: number, ms: number): void {
    const lease = this.#lease_(counter);
    lease.deadlineMs = this.nowMs + ms;
    this.#table.extend(this.#table.find(counter), lease.deadlineMs);
    this.check();
  }

  /** Ends the leases whose time is over. */
  expire(delayMs: number): void {
    for (let slot = this.#table.expired(this.nowMs); slot >= 0; slot = this.#table.expired(this.nowMs)) {
      const counter = this.#table.counterAt(slot);
      const lease = this.#lease_(counter);
      assert.ok(lease.deadlineMs <= this.nowMs, "expired");
      assert.equal(lease.deadlineMs, Math.min(...[...this.leases.values()].map((other) => other.deadlineMs)));
      this.#end(counter, slot, delayMs);
    }
    const deadlines = [...this.leases.values()].map((lease) => lease.deadlineMs);
    assert.equal(this.#table.nextDeadlineMs(), Math.min(Number.POSITIVE_INFINITY, ...deadlines));
    this.check();
  }

  detach(consumer: number): void {
    for (let slot = this.#table.firstOf(consumer); slot >= 0; slot = this.#table.firstOf(consumer)) {
      assert.equal(this.#table.consumerAt(slot), consumer);
      this.#end(this.#table.counterAt(slot), slot, 0);
    }
    assert.ok([...this.leases.values()].every((lease) => lease.consumer !== consumer));
    this.check();
  }

  /** Retention removes everything below `offset`. */
  truncate(offset: number): void {
    for (let at = this.start; at < offset; at += 1) this.#record(at).exists = false;
    this.#logStartOffset = Math.max(this.#logStartOffset, offset);
    this.#state.skip(this.#state.floor, offset);
    this.check();
  }

  seek(offset: number): void {
    this.#endLeases();
    for (const at of this.#offsets()) {
      const record = this.#record(at);
      record.finished = at < offset;
      record.leased = false;
      record.deliveries = 0;
      record.notBeforeMs = 0;
    }
    this.#state.seek(offset);
    this.#journal.push({ kind: "seek", offset });
    this.check();
  }

  /** Remembers where the queue stands. */
  snapshot(): void {
    const records = this.#records.map(({ finished, leased, deliveries, notBeforeMs }) => ({
      finished,
      deliveries,
      notBeforeWallMs: leased ? 0 : notBeforeMs + this.#wallAheadMs,
    }));
    this.#snapshot = { bytes: this.#state.encode(this.nowMs, this.nowMs + this.#wallAheadMs), records };
  }

  /** Goes back to the snapshot, if there is one. */
  returnToSnapshot(): void {
    if (this.#snapshot === undefined) return;
    const { bytes, records } = this.#snapshot;
    this.#endLeases();
    this.#records.forEach((record, index) => {
      const past = records[index];
      record.finished = past?.finished ?? false;
      record.leased = false;
      record.deliveries = past?.deliveries ?? 0;
      record.notBeforeMs = (past?.notBeforeWallMs ?? 0) - this.#wallAheadMs;
    });
    this.#state.returnTo(bytes, this.nowMs, this.nowMs + this.#wallAheadMs);
    this.#state.skip(this.#state.floor, this.#logStartOffset);
    this.#journal.push({ kind: "return", bytes });
    this.check();
  }

  checkpoint(): void {
    this.#checkpoint = { bytes: this.#state.encode(this.nowMs, this.nowMs + this.#wallAheadMs) };
    this.#journal = [];
  }

  /** The process dies and starts again after `downMs`, with another monotonic clock. */
  crash(downMs: number, startsAtMs: number): void {
    const wallMs = this.nowMs + downMs + this.#wallAheadMs;
    for (const record of this.#records) {
      record.notBeforeMs = record.leased ? 0 : record.notBeforeMs - this.nowMs - downMs + startsAtMs;
      record.leased = false;
    }
    this.nowMs = startsAtMs;
    this.#wallAheadMs = wallMs - startsAtMs;
    this.#table = new LeaseTable(64);
    this.leases.clear();
    this.ended.length = 0;
    this.#state = QueueState.decode(this.#checkpoint.bytes, startsAtMs, wallMs, this.#options.spanMax);
    if (this.#options.losesRows) this.#journal.pop();
    for (const row of this.#journal) {
      if (row.kind === "ack") this.#state.ack(row.offset, row.count);
      else if (row.kind === "seek") this.#state.seek(row.offset);
      else if (row.kind === "return") this.#state.returnTo(row.bytes, startsAtMs, wallMs);
      else this.#state.retry(row.offset, row.deliveries, row.wallMs - this.#wallAheadMs);
    }
    this.#state.skip(this.#state.floor, this.#logStartOffset);
    this.check();
  }

  /** Everything that holds after each operation. */
  check(): void {
    assert.equal(this.#table.count, this.leases.size);
    for (const [counter, lease] of this.leases) {
      const slot = this.#table.find(counter);
      assert.ok(slot >= 0, "a lease is found");
      assert.equal(this.#table.offsetAt(slot), lease.offset);
      assert.equal(this.#table.deliveriesAt(slot), lease.deliveries);
      let open = 0;
      for (const offset of lease.open) open = (open | (1 << (offset - lease.offset))) >>> 0;
      assert.equal(this.#table.openAt(slot), open);
    }
    for (const counter of this.ended)
      assert.equal(this.#table.find(counter), -1, "a lease that ended is not found");
    for (const offset of this.#offsets()) {
      const record = this.#record(offset);
      if (record.exists) assert.equal(this.#state.isFinished(offset), record.finished, `offset ${offset}`);
      if (offset < this.#state.floor) assert.ok(!isUnfinished(record), "nothing unfinished below the floor");
    }
    const { leased } = this.#state.counts(this.nowMs, this.highWatermark);
    assert.equal(leased, this.#records.filter((record) => record.leased && isUnfinished(record)).length);
    const span = this.#state.cursor - this.#state.floor;
    assert.ok(span >= 0 && span <= this.#options.spanMax, "the span");
  }

  #offsets(): number[] {
    return this.#records.map((_, index) => this.start + index);
  }

  #record(offset: number): ModelRecord {
    return this.#records[offset - this.start] as ModelRecord;
  }

  #lease_(counter: number): ModelLease {
    return this.leases.get(counter) as ModelLease;
  }

  #floor(): number {
    return this.#offsets().find((offset) => isUnfinished(this.#record(offset))) ?? this.highWatermark;
  }

  #mayBeGiven(offset: number): boolean {
    const record = this.#record(offset);
    if (!isUnfinished(record) || record.leased || record.notBeforeMs > this.nowMs) return false;
    if (offset >= this.#floor() + this.#options.spanMax) return false;
    return record.key === undefined || this.#isFirstOfKey(offset, record.key);
  }

  #isFirstOfKey(offset: number, key: number): boolean {
    return this.#offsets().every((older) => {
      const record = this.#record(older);
      return older >= offset || record.key !== key || !isUnfinished(record);
    });
  }

  #runOfExisting(offset: number, max: number): number {
    let count = 1;
    while (count < max && this.#record(offset + count).exists) count += 1;
    return count;
  }

  #lease(consumer: number, offset: number, count: number, deliveries: number): number {
    for (let at = offset; at < offset + count; at += 1) {
      assert.ok(this.#mayBeGiven(at), `offset ${at} must not be given`);
      assert.equal(deliveries, this.#record(at).deliveries + 1, `deliveries of ${at}`);
      this.#record(at).leased = true;
    }
    const deadlineMs = this.nowMs + LEASE_MS;
    const counter = this.#table.grant(OWNER, consumer, offset, count, deliveries, deadlineMs);
    assert.ok(counter >= 0 && !this.leases.has(counter) && !this.ended.includes(counter), "a new counter");
    const open = new Set(Array.from({ length: count }, (_, index) => offset + index));
    this.leases.set(counter, { consumer, offset, deliveries, open, deadlineMs });
    this.check();
    return counter;
  }

  /** Settles in table and model; the records that were open. */
  #settle(counter: number, first: number, count: number): number[] {
    const lease = this.#lease_(counter);
    const settled = [...lease.open].filter((offset) => offset >= first && offset < first + count);
    assert.equal(this.#table.settle(this.#table.find(counter), first, count), settled.length);
    for (const offset of settled) lease.open.delete(offset);
    if (lease.open.size === 0) this.#forget(counter);
    return settled;
  }

  #retry(offset: number, deliveries: number, delayMs: number): void {
    const record = this.#record(offset);
    const notBeforeMs = this.nowMs + delayMs;
    assert.equal(this.#state.retry(offset, deliveries, notBeforeMs), isUnfinished(record));
    record.leased = false;
    if (!isUnfinished(record)) return;
    record.deliveries = deliveries;
    record.notBeforeMs = notBeforeMs;
    this.#journal.push({ kind: "retry", offset, deliveries, wallMs: notBeforeMs + this.#wallAheadMs });
  }

  #end(counter: number, slot: number, delayMs: number): void {
    const lease = this.#lease_(counter);
    this.#table.release(slot);
    for (const offset of lease.open) this.#retry(offset, lease.deliveries, delayMs);
    this.#forget(counter);
  }

  #endLeases(): void {
    assert.equal(this.#table.releaseOwner(OWNER), this.leases.size);
    for (const counter of this.leases.keys()) this.ended.push(counter);
    this.leases.clear();
  }

  #forget(counter: number): void {
    this.leases.delete(counter);
    this.ended.push(counter);
    if (this.ended.length > 50) this.ended.shift();
  }

  /** Once nothing may be given, the cursor has passed everything within the span: the counts are exact. */
  #checkCountsOfAll(): void {
    const seen = { available: 0, leased: 0, waiting: 0 };
    this.#state.unfinished(
      0,
      Number.POSITIVE_INFINITY,
      this.nowMs,
      this.highWatermark,
      (offset, state, deliveries) => {
        const record = this.#record(offset);
        seen[state] += 1;
        if (offset >= this.#state.cursor) return;
        assert.ok(isUnfinished(record));
        assert.equal(state, record.leased ? "leased" : "waiting", `offset ${offset}`);
        assert.equal(deliveries, record.deliveries + (record.leased ? 1 : 0));
      },
    );
    assert.deepEqual(this.#state.counts(this.nowMs, this.highWatermark), seen);
    assert.equal(this.#state.availableUpTo(3, this.nowMs, this.highWatermark), Math.min(3, seen.available));
    const blocked = this.#state.cursor - this.#state.floor >= this.#options.spanMax;
    assert.equal(this.#state.blockedOffset(), blocked ? this.#floor() : -1);
  }
}

function isUnfinished(record: ModelRecord): boolean {
  return record.exists && !record.finished;
}
