import { parentPort, workerData } from "node:worker_threads";
import { ControlledAction, INSUFFICIENT_CAPACITY, ManyToOneRingBuffer } from "../../src/index.ts";
import { MANY_HEAD_WORD, MANY_TAIL_WORD } from "../../src/ring/many-to-one-layout.ts";
import { seeded } from "../seeded.ts";
import { passGate } from "../start-gate.ts";

import {
  type ManyToOneMessage,
  type ManyToOneWorkerData,
  NOBODY,
  Signal,
  UNKNOWN,
} from "./many-to-one-stress-plan.ts";

/** Types: who wrote the record, and the low bits of its number. */
const SEQUENCE_BITS = 20;
const MARKER = 1 << 24;

const data = workerData as ManyToOneWorkerData;
const ring = ManyToOneRingBuffer.attach(data.ring);
const signals = new Int32Array(data.signals);

/** All that is random about a record follows from its number, so both sides know it. */
function mixed(which: number, sequence: number, salt: number): number {
  let word = Math.imul(sequence ^ (which << 28) ^ data.seed, 0x9e37_79b1) ^ Math.imul(salt, 0x85eb_ca6b);
  word = Math.imul(word ^ (word >>> 15), 0x2c1b_3c6d);
  return (word ^ (word >>> 12)) >>> 0;
}

function claimedLength(which: number, sequence: number): number {
  return mixed(which, sequence, 1) % (data.lengthMax + 1);
}

/** Length of the record, or -1 when its claim is aborted. */
function committedLength(which: number, sequence: number): number {
  const claimed = claimedLength(which, sequence);
  const choice = mixed(which, sequence, 2) & 15;
  return choice === 0 ? -1 : choice < 3 ? mixed(which, sequence, 3) % (claimed + 1) : claimed;
}

function nap(): void {
  Atomics.wait(signals, Signal.NAP, 0, 0.05);
}

function pauseIfAsked(): void {
  if (Atomics.load(signals, Signal.PAUSE) === 0) return;
  Atomics.add(signals, Signal.PAUSED, 1);
  while (Atomics.load(signals, Signal.PAUSE) === 1) nap();
  Atomics.sub(signals, Signal.PAUSED, 1);
}

function send(message: ManyToOneMessage): void {
  parentPort?.postMessage(message);
}

/** Waits for the end, which comes as `terminate`. */
function standStill(): never {
  for (;;) Atomics.wait(signals, Signal.NAP, 0);
}

function produce(): void {
  const { which } = data;
  for (let sequence = data.first; sequence < data.count; sequence++) {
    pauseIfAsked();
    const length = claimedLength(which, sequence);
    const type = 1 + ((which << SEQUENCE_BITS) | (sequence & ((1 << SEQUENCE_BITS) - 1)));
    if (sequence === data.dieAt) {
      if (data.death === "anywhere") send({ kind: "dying", index: UNKNOWN });
      else if (data.death === "before the claim's header") dieClaiming(length);
    }
    let index = ring.tryClaim(type, length);
    while (index === INSUFFICIENT_CAPACITY) {
      nap();
      pauseIfAsked();
      index = ring.tryClaim(type, length);
    }
    const committed = committedLength(which, sequence);
    const salt = mixed(which, sequence, 4);
    for (let i = 0; i < length; i++) ring.bytes[index + i] = salt + i;
    if (sequence === data.dieAt && data.death === "inside the claim") {
      send({ kind: "dying", index });
      standStill();
    }
    if (committed < 0) ring.abort(index);
    else if (committed < length) ring.commitLength(index, committed);
    else ring.commit(index);
  }
  // Whoever is terminated has a successor, which comes to the end instead.
  if (data.dieAt !== undefined) standStill();
  Atomics.sub(signals, Signal.LIVING, 1);
}

/** The first half of a claim, as `tryClaim` makes it. */
function dieClaiming(length: number): never {
  const control = new Int32Array(data.ring);
  const capacityUnits = ring.capacity >> 3;
  const units = (length + 15) >> 3;
  for (;;) {
    const tail = Atomics.load(control, MANY_TAIL_WORD);
    const used = (tail - Atomics.load(control, MANY_HEAD_WORD)) | 0;
    const toEnd = capacityUnits - (tail & (capacityUnits - 1));
    const needed = units > toEnd ? units + toEnd : units;
    if (used >= 0 && needed <= capacityUnits - used) {
      if (Atomics.compareExchange(control, MANY_TAIL_WORD, tail, (tail + needed) | 0) === tail) break;
    } else nap();
  }
  send({ kind: "dying", index: UNKNOWN });
  standStill();
}

class Consumer {
  readonly #next: number[] = new Array<number>(data.producers).fill(0);
  readonly #pace = seeded(data.seed + 17);
  readonly #counts = { records: 0, throws: 0, aborts: 0, commits: 0, breaks: 0, unblocked: 0, recoveries: 0 };

  run(): void {
    for (;;) {
      const before = this.#counts.records;
      this.#drain();
      if (this.#counts.records !== before) continue;
      if (Atomics.load(signals, Signal.DEAD) !== NOBODY) this.#recover();
      else if (this.#isDone()) break;
      else nap();
    }
    if (ring.size() !== 0) throw new Error(`${ring.size()} bytes are left in the ring`);
    if (ring.words.some((word) => word !== 0)) throw new Error("the drained ring is not zeros");
    send({ kind: "done", counts: this.#counts });
  }

  #isDone(): boolean {
    if (Atomics.load(signals, Signal.LIVING) !== 0) return false;
    this.#drain();
    for (const [which, next] of this.#next.entries()) {
      if (this.#skipAborted(which, next) !== data.count) return false;
    }
    return true;
  }

  #drain(): void {
    const limit = 1 + this.#pace.below(200);
    try {
      if (this.#pace.below(2) === 0)
        ring.read((type, index, length) => this.#take(type, index, length), limit);
      else ring.controlledRead((type, index, length) => this.#decide(type, index, length), limit);
    } catch (error) {
      if ((error as Error).message !== "thrown on purpose") throw error;
      this.#counts.throws++;
    }
  }

  #take(type: number, index: number, length: number): void {
    this.#verify(type, index, length);
    if (this.#pace.below(256) === 0) throw new Error("thrown on purpose");
  }

  #decide(type: number, index: number, length: number): ControlledAction {
    const choice = this.#pace.below(64);
    if (choice === 0) {
      this.#counts.aborts++;
      return ControlledAction.ABORT;
    }
    this.#take(type, index, length);
    if (choice === 1) this.#counts.breaks++;
    else if (choice === 2) this.#counts.commits++;
    if (choice === 1) return ControlledAction.BREAK;
    return choice === 2 ? ControlledAction.COMMIT : ControlledAction.CONTINUE;
  }

  /** The number of the next record of this producer that is not aborted. */
  #skipAborted(which: number, next: number): number {
    let sequence = next;
    while (sequence < data.count && committedLength(which, sequence) < 0) sequence++;
    return sequence;
  }

  #verify(type: number, index: number, length: number): void {
    if (type === MARKER) return;
    const which = (type - 1) >> SEQUENCE_BITS;
    const sequence = this.#skipAborted(which, this.#next[which] as number);
    const low = (type - 1) & ((1 << SEQUENCE_BITS) - 1);
    const name = `record ${sequence} of producer ${which}`;
    if (low !== (sequence & ((1 << SEQUENCE_BITS) - 1))) throw new Error(`${name}: got ${low}`);
    const expected = committedLength(which, sequence);
    if (length !== expected) throw new Error(`${name}: ${length} bytes, not ${expected}`);
    const salt = mixed(which, sequence, 4);
    for (let i = 0; i < length; i++) {
      if (ring.bytes[index + i] !== ((salt + i) & 0xff))
        throw new Error(`${name}: byte ${i} of ${length} differs`);
    }
    for (let i = index + length; i % 8 !== 0; i++) {
      if (ring.bytes[i] !== 0) throw new Error(`${name}: no zeros behind its ${length} bytes`);
    }
    this.#next[which] = sequence + 1;
    this.#counts.records++;
  }

  /** Somebody was terminated. */
  #recover(): void {
    const index = Atomics.load(signals, Signal.DEAD);
    if (index === UNKNOWN) this.#recoverQuietly();
    else {
      // The others go on meanwhile, and their claims in front must not be taken from them.
      const head = Atomics.load(new Int32Array(data.ring), MANY_HEAD_WORD);
      if (((head * 8) & (ring.capacity - 1)) !== index - 8) {
        nap();
        return;
      }
      if (!ring.unblock()) throw new Error("unblock did not find the claim at the head");
      this.#counts.unblocked++;
    }
    this.#counts.recoveries++;
    Atomics.store(signals, Signal.DEAD, NOBODY);
    send({ kind: "recovered", next: this.#next[0] as number });
  }

  /** While all others stand between two records, every open claim is a dead one. */
  #recoverQuietly(): void {
    Atomics.store(signals, Signal.PAUSE, 1);
    while (Atomics.load(signals, Signal.PAUSED) < Atomics.load(signals, Signal.LIVING) - 1) {
      this.#drain();
      nap();
    }
    while (ring.size() !== 0) {
      this.#drain();
      if (ring.size() === 0) break;
      if (ring.unblock() || ring.unblock()) this.#counts.unblocked++;
      else ring.write(MARKER, new Uint8Array(0));
    }
    Atomics.store(signals, Signal.PAUSE, 0);
    while (Atomics.load(signals, Signal.PAUSED) !== 0) nap();
  }
}

try {
  if (data.first === 0) passGate(signals, Signal.GATE, data.parties);
  if (data.role === "producer") produce();
  else new Consumer().run();
} catch (error) {
  send({ kind: "failed", text: `${data.role} ${data.which}: ${(error as Error).stack}` });
}
