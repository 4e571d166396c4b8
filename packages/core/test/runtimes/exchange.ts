import { Doorbell, INSUFFICIENT_CAPACITY, OneToOneRingBuffer } from "../../src/index.ts";
import { type Seeded, seeded } from "../seeded.ts";

/** Neither browser nor Node in particular: this file imports nothing but the package and uses no global of either. */

/** A lost wake-up would be slept through for ever; the exchange takes a second or so. */
export const STALLED_MS = 30_000;
const RECORDS_PER_STEP = 64;

/** What the two parties share. Structured-cloneable. */
export interface ExchangeMemory {
  readonly there: SharedArrayBuffer;
  readonly back: SharedArrayBuffer;
  readonly originBell: SharedArrayBuffer;
  readonly echoBell: SharedArrayBuffer;
  readonly count: number;
  readonly seed: number;
}

/** @param count of records that go there and come back. */
export function allocateExchange(count: number, seed: number): ExchangeMemory {
  return {
    there: OneToOneRingBuffer.allocate(4096, 2 ** 32 - 8192),
    back: OneToOneRingBuffer.allocate(8192, 2 ** 31 - 8192),
    originBell: Doorbell.allocate(),
    echoBell: Doorbell.allocate(),
    count,
    seed,
  };
}

/** A payload is a sequence, bytes made from it, and an FNV-1a checksum over both; every length from 8 bytes on. */
export function fillPayload(payload: Uint8Array, sequence: number): void {
  const length = payload.length - 4;
  for (let i = 0; i < length; i++)
    payload[i] = i < 4 ? sequence >>> (8 * i) : Math.imul(sequence + i, 0x9e3779b1);
  const sum = checksum(payload, length);
  for (let i = 0; i < 4; i++) payload[length + i] = sum >>> (8 * i);
}

export function checksum(payload: Uint8Array, length: number): number {
  let sum = 0x811c9dc5;
  for (let i = 0; i < length; i++) sum = Math.imul(sum ^ (payload[i] as number), 0x01000193);
  return sum;
}

/** From 8 to 503 bytes. */
export function lengthOf(random: Seeded): number {
  return 8 + random.below(496);
}

/** One side of an exchange: a duty cycle over a ring to write and a ring to read, and a bell for each side. */
export interface Party {
  readonly name: string;
  readonly bell: Doorbell;
  /** Does what can be done now; false when there was nothing. @throws Error when a record is not what it must be. */
  step(): boolean;
  readonly done: boolean;
}

/** Sends `count` records, and expects them back in order with their types one higher. */
export class Origin implements Party {
  readonly name = "origin";
  readonly bell: Doorbell;
  private readonly peer: Doorbell;
  private readonly out: OneToOneRingBuffer;
  private readonly back: OneToOneRingBuffer;
  private readonly count: number;
  private readonly lengths: Seeded;
  private readonly expectedLengths: Seeded;
  private readonly expected: Uint8Array = new Uint8Array(512);
  private nextLength: number;
  private sent = 0;
  private received = 0;

  /** @param poke reaches the other party's event loop, should it park. */
  constructor(memory: ExchangeMemory, poke?: () => void) {
    this.bell = Doorbell.attach(memory.originBell);
    this.peer = Doorbell.attach(memory.echoBell, poke);
    this.out = OneToOneRingBuffer.attach(memory.there);
    this.back = OneToOneRingBuffer.attach(memory.back);
    this.count = memory.count;
    this.lengths = seeded(memory.seed);
    this.expectedLengths = seeded(memory.seed);
    this.nextLength = lengthOf(this.lengths);
  }

  get done(): boolean {
    return this.received === this.count;
  }

  step(): boolean {
    const before = this.sent + this.received;
    for (let i = 0; i < RECORDS_PER_STEP && this.sent < this.count; i++) {
      // In turns through the zero-copy door and through write(), which copies.
      if (!(this.sent % 2 === 0 ? this.sendInPlace() : this.sendCopy())) break;
      this.nextLength = lengthOf(this.lengths);
      this.sent++;
    }
    const published = this.out.publish();
    const read = this.back.read((type, index, length) => this.check(type, index, length), RECORDS_PER_STEP);
    if (published || read > 0) this.peer.ring();
    return this.sent + this.received !== before;
  }

  private sendInPlace(): boolean {
    const index = this.out.tryClaim(1 + (this.sent & 0xff), this.nextLength);
    if (index === INSUFFICIENT_CAPACITY) return false;
    fillPayload(this.out.bytes.subarray(index, index + this.nextLength), this.sent);
    this.out.commit(index);
    return true;
  }

  private sendCopy(): boolean {
    const payload = new Uint8Array(this.nextLength);
    fillPayload(payload, this.sent);
    return this.out.write(1 + (this.sent & 0xff), payload) !== INSUFFICIENT_CAPACITY;
  }

  private check(type: number, index: number, length: number): void {
    const sequence = this.received++;
    const wanted = this.expected.subarray(0, lengthOf(this.expectedLengths));
    fillPayload(wanted, sequence);
    if (type !== 2 + (sequence & 0xff)) throw new Error(`record ${sequence}: type ${type}`);
    if (length !== wanted.length)
      throw new Error(`record ${sequence}: ${length} bytes, not ${wanted.length}`);
    const bytes = this.back.bytes;
    for (let i = 0; i < length; i++) {
      if (bytes[index + i] !== wanted[i]) throw new Error(`record ${sequence}: byte ${i} of ${length}`);
    }
  }
}

/** Verifies the checksum of each record and sends it back with its type one higher. */
export class Echo implements Party {
  readonly name = "echo";
  readonly bell: Doorbell;
  private readonly peer: Doorbell;
  private readonly there: OneToOneRingBuffer;
  private readonly out: OneToOneRingBuffer;
  private left: number;

  /** @param poke reaches the other party's event loop, should it park. */
  constructor(memory: ExchangeMemory, poke?: () => void) {
    this.bell = Doorbell.attach(memory.echoBell);
    this.peer = Doorbell.attach(memory.originBell, poke);
    this.there = OneToOneRingBuffer.attach(memory.there);
    this.out = OneToOneRingBuffer.attach(memory.back);
    this.left = memory.count;
  }

  get done(): boolean {
    return this.left === 0;
  }

  step(): boolean {
    const { there, out } = this;
    const before = this.left;
    there.poll();
    for (let header = there.next(); header >= 0; header = there.next()) {
      const length = (there.words[header >> 2] as number) - 8;
      const type = there.words[(header >> 2) + 1] as number;
      const payload = there.bytes.subarray(header + 8, header + 8 + length);
      const sum = checksum(payload, length - 4);
      for (let i = 0; i < 4; i++) {
        if (payload[length - 4 + i] !== ((sum >>> (8 * i)) & 0xff))
          throw new Error(`checksum, ${this.left} left`);
      }
      // Still in its ring when the other is full: it comes again with the next poll.
      if (out.write(type + 1, payload) === INSUFFICIENT_CAPACITY) break;
      there.advance();
      this.left--;
    }
    there.release();
    if (out.publish() || this.left !== before) this.peer.ring();
    return this.left !== before;
  }
}

/** Runs a party on a thread that may block. @throws Error when it stalls, or as `step`. */
export function runBlocking(party: Party): void {
  while (!party.done) {
    if (party.step()) continue;
    party.bell.prepareSleep();
    if (party.step()) {
      party.bell.cancelSleep();
      continue;
    }
    const startMs = performance.now();
    party.bell.wait(STALLED_MS);
    if (performance.now() - startMs >= STALLED_MS && !party.step()) throw new Error(`${party.name} stalled`);
  }
}

/** Runs a party on an event loop, which sleeps in Atomics.waitAsync. Rejects as `runBlocking` throws. */
export async function runWaitingAsync(party: Party): Promise<void> {
  while (!party.done) {
    if (party.step()) continue;
    party.bell.prepareSleep();
    if (party.step()) {
      party.bell.cancelSleep();
      continue;
    }
    const startMs = performance.now();
    await party.bell.waitAsync(STALLED_MS);
    if (performance.now() - startMs >= STALLED_MS && !party.step()) throw new Error(`${party.name} stalled`);
  }
}

/**
 * Runs a party on an event loop that parks, to be woken by pokes.
 *
 * @param onPoke subscribes to the pokes.
 */
export function runParking(party: Party, onPoke: (woken: () => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${party.name} stalled`)), STALLED_MS);
    const drain = (): void => {
      try {
        party.bell.cancelSleep();
        do {
          while (party.step());
          party.bell.park();
        } while (party.step());
        if (!party.done) return;
        party.bell.cancelSleep();
        clearTimeout(timer);
        resolve();
      } catch (error) {
        clearTimeout(timer);
        reject(error);
      }
    };
    onPoke(drain);
    drain();
  });
}
