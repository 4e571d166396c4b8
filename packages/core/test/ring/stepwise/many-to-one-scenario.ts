import { INSUFFICIENT_CAPACITY, ManyToOneRingBuffer } from "../../../src/index.ts";
import {
  MANY_HEAD_CACHE_WORD,
  MANY_HEAD_WORD,
  MANY_TAIL_WORD,
} from "../../../src/ring/many-to-one-layout.ts";
import type { MessageHandler } from "../../../src/ring/ring-buffer.ts";
import type { Explorer, Run, Steps } from "./explorer.ts";

/** A ManyToOneRingBuffer whose methods stop before each access to shared memory. */
export interface StepwiseRing {
  readonly words: Int32Array;
  tryClaim(type: number, length: number): Generator<void, number, void>;
  commit(index: number): Steps;
  commitLength(index: number, length: number): Steps;
  abort(index: number): Steps;
  read(handler: MessageHandler, limit?: number): Generator<void, number, void>;
  unblock(): Generator<void, boolean, void>;
}

export interface StepwiseRingClass {
  attach(buffer: SharedArrayBuffer): StepwiseRing;
}

/** What a producer does: the payload's length in bytes, and how the claim ends: whole, so many bytes of it, or not at all. */
export interface Produced {
  readonly length: number;
  readonly end: "commit" | "abort" | number;
}

export interface Scenario {
  readonly name: string;
  /** Of head and tail, in bytes. */
  readonly startPosition: number;
  /** Lengths of records that are committed before the threads start. */
  readonly before: readonly number[];
  readonly producers: readonly (readonly Produced[])[];
  /** What the consumer does meanwhile: "r" reads, "2" reads at most two, "u" unblocks. */
  readonly consumer: string;
}

/** Few enough places for all orders, and enough for records of one, two and (with padding) more units. */
const CAPACITY = 128;

/**
 * Threads are the producers, then the consumer; record types say who wrote them and as which of theirs.
 *
 * @param dies the producer that will not come to its end. @returns what starts the scenario, over and over.
 */
export function prepareScenario(
  explorer: Explorer,
  ringClass: StepwiseRingClass,
  scenario: Scenario,
  dies?: number,
): () => Run {
  const buffer = ManyToOneRingBuffer.allocate(CAPACITY, scenario.startPosition);
  const memory = new Int32Array(buffer);
  const written = [MANY_TAIL_WORD, MANY_HEAD_CACHE_WORD, MANY_HEAD_WORD].map((at) =>
    memory.subarray(at, at + 1),
  );
  const plain = ManyToOneRingBuffer.attach(buffer);
  const first = scenario.before.map((length, sequence) => {
    const type = typeOf(0, sequence);
    const index = plain.tryClaim(type, length);
    fill(plain.words, index, length, type);
    plain.commit(index);
    return type;
  });
  const image = memory.slice();
  return () => {
    memory.set(image);
    /** Types of all records that were committed, by producer, and of those that were read. */
    const committed: number[][] = [first, ...scenario.producers.map(() => [])];
    const read: number[] = [];
    const handler: MessageHandler = (type, index, length) => {
      verify(plain, index, length, type);
      read.push(type);
    };
    const rings = scenario.producers.map(() => ringClass.attach(buffer));
    const threads = rings.map((ring, which) =>
      produce(explorer, ring, scenario.producers[which] ?? [], which + 1, committed[which + 1] as number[]),
    );
    const consumer = ringClass.attach(buffer);
    threads.push(consume(explorer, consumer, scenario.consumer, handler));
    rings.push(consumer);
    return {
      memory: [...written, plain.words],
      threads,
      results: () => `${read.join()};${committed.join(";")};${rings.map(privateState).join(";")}`,
      finish() {
        const other = ManyToOneRingBuffer.attach(buffer);
        drain(other, read, dies !== undefined);
        for (const [producer, types] of committed.entries()) {
          compare(producer, types, read, producer - 1 === dies);
        }
        checkEmpty(memory, other);
        runLaps(other);
      },
    };
  };
}

/** Each producer's records must have been read once and in order. */
function compare(
  producer: number,
  committed: readonly number[],
  read: readonly number[],
  died: boolean,
): void {
  const got = read.filter((type) => type >> 8 === producer);
  // The last commit of a thread that died may have been its last step, before it could say so.
  const more = died && got.length === committed.length + 1 ? got.slice(-1) : [];
  if (got.join() !== [...committed, ...more].join()) {
    throw new Error(`producer ${producer} committed ${committed.join()}, read ${got.join()}`);
  }
}

/** All that an instance remembers between two operations. */
function privateState(ring: StepwiseRing): string {
  return Object.values(ring)
    .filter((value) => typeof value === "number" || typeof value === "boolean")
    .join();
}

function* produce(
  explorer: Explorer,
  ring: StepwiseRing,
  records: readonly Produced[],
  which: number,
  committed: number[],
): Steps {
  for (const [sequence, { length, end }] of records.entries()) {
    const type = typeOf(which, sequence);
    const index = yield* ring.tryClaim(type, length);
    explorer.forget();
    if (index === INSUFFICIENT_CAPACITY) continue;
    yield;
    fill(ring.words, index, length, type);
    if (end === "abort") {
      yield* ring.abort(index);
      explorer.forget();
      continue;
    }
    if (end === "commit") yield* ring.commit(index);
    else yield* ring.commitLength(index, end);
    explorer.forget();
    committed.push(type);
  }
}

function* consume(explorer: Explorer, ring: StepwiseRing, actions: string, handler: MessageHandler): Steps {
  for (const action of actions) {
    if (action === "r") yield* ring.read(handler);
    else if (action === "2") yield* ring.read(handler, 2);
    else yield* ring.unblock();
    explorer.forget();
  }
}

/** Reads what is left. After a death claims may be in the way, which only somebody who writes behind them makes findable. */
function drain(ring: ManyToOneRingBuffer, read: number[], unblocking: boolean): void {
  const handler: MessageHandler = (type, index, length) => {
    verify(ring, index, length, type);
    if (type !== LATE) read.push(type);
  };
  ring.read(handler);
  if (!unblocking) return;
  for (let round = 0; ring.size() > 0; round++) {
    if (round > 20) throw new Error(`still blocked with ${ring.size()} bytes`);
    if (!ring.unblock() && !ring.unblock()) ring.write(LATE, new Uint8Array(0));
    ring.read(handler);
  }
}

const LATE = 0xffff;

function typeOf(producer: number, sequence: number): number {
  return (producer << 8) | (sequence + 1);
}

function fill(words: Int32Array, index: number, length: number, type: number): void {
  for (let i = 0; i < length; i += 4) words[(index + i) >> 2] = Math.imul(type + i, 0x0101_0101);
}

/** A payload that was shortened to bytes that end inside a word is followed by zeros. */
function verify(ring: ManyToOneRingBuffer, index: number, length: number, type: number): void {
  for (let at = index; at < index + ((length + 7) & ~7); at++) {
    const i = at - index;
    const expected = i < length ? (Math.imul(type + (i & ~3), 0x0101_0101) >>> ((i & 3) << 3)) & 0xff : 0;
    if (ring.bytes[at] !== expected) {
      throw new Error(
        `record ${type.toString(16)} of ${length} bytes: byte ${i} is ${ring.bytes[at]}, not ${expected}`,
      );
    }
  }
}

/** What a drained ring must look like for the next lap. */
function checkEmpty(control: Int32Array, ring: ManyToOneRingBuffer): void {
  const tail = control[MANY_TAIL_WORD];
  const head = control[MANY_HEAD_WORD] as number;
  if (head !== tail) throw new Error(`drained with head=${head} tail=${tail}`);
  const behind = (head - (control[MANY_HEAD_CACHE_WORD] as number)) | 0;
  if (behind < 0 || behind > CAPACITY / 8) throw new Error(`head cache is ${behind} units behind`);
  if (ring.words.some((word) => word !== 0)) throw new Error(`drained ring holds ${ring.words.join()}`);
}

/** Whatever happened, the ring goes on as a new one would. */
function runLaps(ring: ManyToOneRingBuffer): void {
  for (let i = 0; i < 24; i++) {
    const index = ring.write(1, new Uint8Array(8).fill(i));
    let read = 0;
    ring.read((_type, at) => {
      read = at;
    });
    if (index < 0 || read !== index)
      throw new Error(`record ${i} of the next laps: written at ${index}, read at ${read}`);
  }
}
