import { BROKER_LIMITS } from "../limits.ts";
import { AckLedger } from "./ack-ledger.ts";
import { KeyGate } from "./key-gate.ts";
import { LEASE_RECORDS_MAX } from "./lease-table.ts";
import { RetryQueue } from "./retry-queue.ts";

/** What is to be known of a queue when it is made. */
export interface QueueOptions {
  /** Records of one key are given one at a time and in order. */
  readonly keyed: boolean;
  /** The first offset that is given. */
  readonly start: number;
  /** Only what select() names is given, in the order in which it is due: redriven records of a dead-letter topic. */
  readonly selected?: boolean;
  /** Offsets from the oldest unfinished record to the newest one given; of a selected queue: records. For tests. */
  readonly spanMax?: number;
}

export interface QueueCounts {
  readonly available: number;
  readonly leased: number;
  /** For their retry, or behind their key. */
  readonly waiting: number;
}

export type RecordState = "available" | "leased" | "waiting";

/** `dueMs`: from when on it may be given; 0: now, or it is leased; -1: when its key is free. */
export type RecordVisitor = (offset: number, state: RecordState, deliveries: number, dueMs: number) => void;

/**
 * Which records of one partition a queue or keyed subscription has finished, and which comes next.
 *
 *     finished │ floor: finished, leased, scheduled, behind their key │ cursor: fresh │ high watermark
 *
 * Records below the cursor of which nothing else is known are leased; who has them is the LeaseTable's. After a
 * restart (decode, or retry() and ack() from the journal) the cursor stands at the floor and passes over what is
 * known: finished records, and those that come at their time; when keyed they first take their place in their
 * key's line. Times are monotonic milliseconds of the caller, at least 0. Shard thread only.
 */
export class QueueState {
  readonly keyed: boolean;
  readonly selected: boolean;
  readonly #spanMax: number;
  #ledger: AckLedger;
  #retries: RetryQueue = new RetryQueue();
  /** When keyed. */
  readonly #gate: KeyGate | undefined;
  #cursor: number;
  /** Unfinished records below the cursor. */
  #outstanding = 0;
  /** What next() said last, and when; -1: it has been answered. */
  #offered = -1;
  #nowMs = 0;
  #deliveries = 0;
  /** The cursor has not reached a fresh record yet: it passes many that wait for their time since before a restart. */
  #isPassing = false;

  constructor(options: QueueOptions) {
    this.keyed = options.keyed;
    this.selected = options.selected ?? false;
    this.#spanMax = options.spanMax ?? BROKER_LIMITS.queueSpanMax;
    this.#ledger = new AckLedger(options.start);
    this.#cursor = options.start;
    if (this.keyed) this.#gate = new KeyGate((offset) => this.#keyFreed(offset));
  }

  /** The oldest unfinished offset: everything below is done with. A selected queue's stays where it began. */
  get floor(): number {
    return this.#ledger.floor;
  }

  /** No offset from here on was given since the start, a restart or a seek. */
  get cursor(): number {
    return this.#cursor;
  }

  /** Deliveries of the run that take() gave last, this one included. */
  get deliveries(): number {
    return this.#deliveries;
  }

  /** Whether encode() has nothing to say but the floor. */
  get isPlain(): boolean {
    return this.#ledger.finishedAbove === 0 && this.#retries.size === 0;
  }

  /** Bytes of memory of its tables. */
  get byteSize(): number {
    return this.#ledger.byteSize + this.#retries.byteSize + (this.#gate?.byteSize ?? 0);
  }

  /**
   * The offset to look at now: a due retry, a record whose key got free, else a fresh one below `highWatermark`;
   * -1: none, until nextTimerMs() or until something changes. Answer it with take() or, when there is no such
   * record, with skip(); asking again without that is harmless.
   */
  next(nowMs: number, highWatermark: number): number {
    this.#nowMs = nowMs;
    const slot = this.#retries.due(nowMs);
    if (slot >= 0) this.#offered = this.#retries.offsetAt(slot);
    else this.#offered = this.selected ? -1 : this.#nextFresh(highWatermark);
    return this.#offered;
  }

  /**
   * Takes a run of records from `offset` on, which next() must have said last, to be leased: at most `max`, at
   * most 32, and one when keyed; all have the same `deliveries`. `max` must not reach beyond the stored batch.
   * `keyHash` (up to 53 bits): of the record's key; undefined: it has none. 0: nothing to lease, it waits for its key
   * or its time; ask next() again.
   */
  take(offset: number, max: number, keyHash: number | undefined): number {
    if (offset !== this.#offered || max < 1) return 0;
    this.#offered = -1;
    const limit = this.keyed ? 1 : Math.min(max, LEASE_RECORDS_MAX);
    const slot = this.#retries.find(offset);
    if (slot < 0) return this.#takeFresh(offset, limit, keyHash);
    if (offset >= this.#cursor && !this.selected) this.#pass(1);
    if (!this.#holdsKey(offset, keyHash)) {
      this.#retries.park(slot);
      return 0;
    }
    if (this.#retries.notBeforeAt(slot) > this.#nowMs) {
      this.#retries.schedule(slot);
      return 0;
    }
    return this.#takeAgain(offset, slot, limit);
  }

  /**
   * There are no records from `from` to `to - 1` any more, or never were. To be said when retention moved the log's
   * start, and after a restart (this is not journaled); other gaps when next() meets them.
   */
  skip(from: number, to: number): void {
    // What of a gap lies beyond the span is met again when the floor has come closer.
    const bounded = !this.selected && from > this.floor;
    this.#finish(from, bounded ? Math.min(to, this.floor + this.#spanMax) : to);
  }

  /** Retention has taken what is below `logStartOffset`: it holds nothing back. Selected queues keep what was selected. */
  skipBelow(logStartOffset: number): void {
    if (!this.selected && this.floor < logStartOffset) this.skip(this.floor, logStartOffset);
  }

  /** Finishes records, in whatever state they are; how many were not finished. Frees their keys. */
  ack(offset: number, count: number): number {
    return this.#finish(offset, offset + count);
  }

  /** Finishes a record that went to the dead-letter topic; false: it was finished. */
  dead(offset: number): boolean {
    return this.#finish(offset, offset + 1) > 0;
  }

  /**
   * Gives a leased record back, to be given again from `notBeforeMs` on; `deliveries` so far. Its key stays held.
   * Also replays what the journal says of records that were not given since. False: it is finished.
   */
  retry(offset: number, deliveries: number, notBeforeMs: number): boolean {
    if (this.isFinished(offset)) return false;
    const slot = this.#retries.set(offset, deliveries, notBeforeMs);
    if (this.selected || offset < this.#cursor) this.#retries.schedule(slot);
    return true;
  }

  /** Gives a leased record back at once; `deliveries` without the one that is not to count. False: it is finished. */
  release(offset: number, deliveries: number): boolean {
    return this.retry(offset, deliveries, AT_ONCE);
  }

  /** Selected queues: gives this record from now on. False: it is there already, or the queue is full. */
  select(offset: number): boolean {
    if (!this.selected) throw new RangeError(`not a selected queue: offset=${offset}`);
    if (this.#retries.size >= this.#spanMax || this.#retries.find(offset) >= 0) return false;
    this.#retries.schedule(this.#retries.set(offset, 0, AT_ONCE));
    return true;
  }

  /**
   * Forgets everything and goes on at `offset`, back or forth. Leases that are out are to be ended by the caller
   * (LeaseTable.releaseOwner) in the same step: a late settle would be applied to the new pass.
   */
  seek(offset: number): void {
    this.#ledger.reset(offset);
    this.#retries.clear();
    this.#gate?.clear();
    this.#cursor = offset;
    this.#outstanding = 0;
    this.#offered = -1;
    this.#isPassing = false;
  }

  isFinished(offset: number): boolean {
    return this.selected ? this.#retries.find(offset) < 0 : this.#ledger.isFinished(offset);
  }

  /** Looks at the due retries alone. A record that waited before a restart is available until the cursor passes it. */
  counts(nowMs: number, highWatermark: number): QueueCounts {
    const due = this.#retries.dueCount(nowMs, Number.POSITIVE_INFINITY);
    const scheduled = this.#retries.scheduled;
    const behind = this.#gate?.waiting ?? 0;
    const given = this.selected ? this.#retries.size : this.#outstanding;
    return {
      available: due + this.#fresh(highWatermark),
      leased: given - scheduled - behind,
      waiting: scheduled - due + behind,
    };
  }

  /** Available records, as counts() says, or `max` if there are more; looks at no more than that. */
  availableUpTo(max: number, nowMs: number, highWatermark: number): number {
    return Math.min(max, this.#fresh(highWatermark) + this.#retries.dueCount(nowMs, max));
  }

  /** When next() may have something that it has not now; Infinity: not by time alone. */
  nextTimerMs(): number {
    return this.#isPassing ? AT_ONCE : this.#retries.nextMs();
  }

  /** The oldest unfinished offset when nothing fresh is given because of it, else -1. */
  blockedOffset(): number {
    return !this.selected && this.#cursor - this.floor >= this.#spanMax ? this.floor : -1;
  }

  /** Unfinished records below `highWatermark` from `from` on, ascending, at most `limit`; a lease that is out counts. */
  unfinished(from: number, limit: number, nowMs: number, highWatermark: number, visit: RecordVisitor): void {
    if (this.selected) {
      const offsets: number[] = [];
      for (let slot = 0; slot < this.#retries.size; slot += 1) {
        if (this.#retries.offsetAt(slot) >= from) offsets.push(this.#retries.offsetAt(slot));
      }
      offsets.sort((a, b) => a - b);
      for (const offset of offsets.slice(0, limit)) this.#describe(offset, nowMs, visit);
      return;
    }
    let offset = this.#ledger.nextUnfinished(from);
    for (let left = limit; left > 0 && offset < highWatermark; left -= 1) {
      this.#describe(offset, nowMs, visit);
      offset = this.#ledger.nextUnfinished(offset + 1);
    }
  }

  /** What must outlive a restart: leases do not. `wallMs`: the wall clock at `nowMs`. */
  encode(nowMs: number, wallMs: number): Buffer {
    const ledgerLength = this.#ledger.encodedLength;
    const bytes = Buffer.allocUnsafe(HEAD_BYTES + ledgerLength + this.#retries.encodedLength);
    bytes.writeUInt8(VERSION, 0);
    bytes.writeUInt8((this.keyed ? KEYED : 0) | (this.selected ? SELECTED : 0), 1);
    bytes.writeUInt16LE(0, 2);
    bytes.writeUInt32LE(ledgerLength, 4);
    bytes.writeDoubleLE(nowMs, 8);
    bytes.writeDoubleLE(wallMs, 16);
    this.#ledger.encodeInto(bytes, HEAD_BYTES);
    this.#retries.encodeInto(bytes, HEAD_BYTES + ledgerLength);
    return bytes;
  }

  /** @throws RangeError when the bytes are no such state. */
  static decode(bytes: Uint8Array, nowMs: number, wallMs: number, spanMax?: number): QueueState {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (view.getUint8(0) !== VERSION) throw new RangeError(`a queue of version ${view.getUint8(0)}`);
    const flags = view.getUint8(1);
    const retriesAt = HEAD_BYTES + view.getUint32(4, true);
    const ledger = AckLedger.decode(bytes.subarray(HEAD_BYTES, retriesAt));
    const keyed = (flags & KEYED) !== 0;
    const selected = (flags & SELECTED) !== 0;
    const state = new QueueState({
      keyed,
      selected,
      start: ledger.floor,
      ...(spanMax === undefined ? {} : { spanMax }),
    });
    // A wall clock that was put back must not make anything wait longer.
    const elapsedMs = Math.max(0, wallMs - view.getFloat64(16, true));
    state.#ledger = ledger;
    state.#retries = RetryQueue.decode(
      bytes.subarray(retriesAt),
      nowMs - view.getFloat64(8, true) - elapsedMs,
    );
    if (selected) for (let slot = 0; slot < state.#retries.size; slot += 1) state.#retries.schedule(slot);
    return state;
  }

  /** Goes back, or on, to what encode() has said. Leases as with seek(). @throws RangeError as decode() */
  returnTo(bytes: Uint8Array, nowMs: number, wallMs: number): void {
    const other = QueueState.decode(bytes, nowMs, wallMs, this.#spanMax);
    if (other.keyed !== this.keyed || other.selected !== this.selected) {
      throw new RangeError(`the state of another kind of queue: keyed=${other.keyed}`);
    }
    this.seek(other.floor);
    this.#ledger = other.#ledger;
    this.#retries = other.#retries;
  }

  #nextFresh(highWatermark: number): number {
    const limit = Math.min(highWatermark, this.floor + this.#spanMax);
    this.#isPassing = false;
    for (let passed = 0; this.#cursor < limit; passed += 1) {
      // The caller has others to serve.
      this.#isPassing = passed === PASSED_MAX;
      if (this.#isPassing) return -1;
      const offset = this.#ledger.nextUnfinished(this.#cursor);
      this.#cursor = Math.min(offset, limit);
      if (offset >= limit) return -1;
      const slot = this.#knownAhead() ? this.#retries.find(offset) : -1;
      // When keyed, the caller has to say its key first: records behind it wait for it.
      if (slot < 0 || this.keyed) return offset;
      this.#pass(1);
      this.#retries.schedule(slot);
      if (this.#retries.notBeforeAt(slot) <= this.#nowMs) return offset;
    }
    return -1;
  }

  #takeFresh(offset: number, limit: number, keyHash: number | undefined): number {
    if (offset !== this.#cursor) return 0;
    this.#deliveries = 1;
    if (this.keyed) {
      this.#pass(1);
      return this.#holdsKey(offset, keyHash) ? 1 : 0;
    }
    const end = Math.min(offset + limit, this.floor + this.#spanMax);
    const known = this.#knownAhead();
    let to = offset + 1;
    while (to < end && !this.#ledger.isFinished(to) && !(known && this.#retries.find(to) >= 0)) {
      to += 1;
    }
    this.#pass(to - offset);
    return to - offset;
  }

  /** A run of due records with the same deliveries. */
  #takeAgain(offset: number, first: number, limit: number): number {
    const deliveries = this.#retries.deliveriesAt(first);
    let count = 0;
    for (let slot = first; slot >= 0; slot = this.#retries.find(offset + count)) {
      if (count === limit || this.#retries.deliveriesAt(slot) !== deliveries) break;
      if (count > 0 && !(this.#retries.isScheduled(slot) && this.#retries.notBeforeAt(slot) <= this.#nowMs))
        break;
      // Leased without a past is what needs no row; a selected queue has nothing but its rows.
      if (deliveries === 0 && !this.selected) this.#retries.remove(slot);
      else this.#retries.park(slot);
      count += 1;
    }
    this.#deliveries = deliveries + 1;
    return count;
  }

  #finish(offset: number, end: number): number {
    const from = this.selected ? offset : Math.max(offset, this.floor);
    if (end <= from) return 0;
    if (this.#offered >= from && this.#offered < end) this.#offered = -1;
    this.#gate?.leaveBetween(from, end);
    const known = this.#retries.size > 0 ? this.#retries.removeBetween(from, end) : 0;
    if (this.selected) return known;
    const given = Math.max(from, Math.min(end, this.#cursor));
    const newly = this.#ledger.finish(from, given - from);
    this.#outstanding -= newly;
    const ahead = this.#ledger.finish(given, end - given);
    this.#cursor = Math.max(this.#cursor, this.floor);
    return newly + ahead;
  }

  /** False: it stands in its key's line. */
  #holdsKey(offset: number, keyHash: number | undefined): boolean {
    return this.#gate === undefined || keyHash === undefined || this.#gate.enter(keyHash, offset);
  }

  /** Due from now on, behind what is due already; or at the time at which it was to be tried again. */
  #keyFreed(offset: number): void {
    const slot = this.#retries.find(offset);
    this.#retries.schedule(slot >= 0 ? slot : this.#retries.set(offset, 0, this.#nowMs));
  }

  /** The cursor passes unfinished records. */
  #pass(count: number): void {
    this.#cursor += count;
    this.#outstanding += count;
  }

  /** False: the cursor will meet no record that was given before a restart. */
  #knownAhead(): boolean {
    return this.#retries.size > this.#retries.scheduled;
  }

  #fresh(highWatermark: number): number {
    if (this.selected || highWatermark <= this.#cursor) return 0;
    const finished = this.#ledger.finishedAbove - (this.#cursor - this.floor - this.#outstanding);
    return Math.max(0, highWatermark - this.#cursor - finished);
  }

  #describe(offset: number, nowMs: number, visit: RecordVisitor): void {
    const slot = this.#retries.find(offset);
    const deliveries = slot < 0 ? 0 : this.#retries.deliveriesAt(slot);
    const notBeforeMs = slot < 0 ? AT_ONCE : this.#retries.notBeforeAt(slot);
    const given = this.selected || offset < this.#cursor;
    if (this.#gate?.waits(offset)) visit(offset, "waiting", deliveries, -1);
    else if (given && !(slot >= 0 && this.#retries.isScheduled(slot)))
      visit(offset, "leased", deliveries + 1, 0);
    else if (notBeforeMs <= nowMs) visit(offset, "available", deliveries, 0);
    else visit(offset, "waiting", deliveries, notBeforeMs);
  }
}

/** Waiting records that the cursor passes in one call, after a restart. */
const PASSED_MAX = 4096;
/** Before any time the caller's clock says. */
const AT_ONCE = 0;
const VERSION = 1;
const KEYED = 1;
const SELECTED = 2;
/** version u8, flags u8, 0 u16, ledger bytes u32, nowMs f64, wallMs f64. */
const HEAD_BYTES = 24;
