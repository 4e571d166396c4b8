import type { Doorbell } from "@millrace/core";
import type { AheadSlots } from "@millrace/journal/internal";
import { BROKER_LIMITS } from "../limits.ts";

// States of a slot: the reader thread makes a free one pending, the read-ahead thread fills it and makes it free.
const FREE = 0;
const PENDING = 1;

// Words of a slot.
const STATE = 0;
const ORDER = 1;
const FD = 2;
const LENGTH = 3;
const FILLED = 4;
/** Low word, high word. */
const POSITION = 5;
/** A cache line. */
const SLOT_WORDS = 16;
const WORD = 2 ** 32;

const { aheadSlots: SLOTS, aheadSlotBytes: SLOT_BYTES } = BROKER_LIMITS;

/** The memory that a reader thread and its read-ahead thread share. Plain data: travels in workerData. */
export interface AheadBuffers {
  readonly words: SharedArrayBuffer;
  readonly memory: SharedArrayBuffer;
}

/** Memory that is not touched takes no room. */
export function allocateAhead(): AheadBuffers {
  return {
    words: new SharedArrayBuffer(SLOTS * SLOT_WORDS * 4),
    memory: new SharedArrayBuffer(SLOTS * SLOT_BYTES),
  };
}

/** The reader thread's side: has stretches of files read, and takes them. */
export class SharedAheadSlots implements AheadSlots {
  readonly count: number = SLOTS;
  readonly slotBytes: number = SLOT_BYTES;
  readonly #words: Int32Array;
  readonly #bytes: readonly Buffer[];
  readonly #contents: readonly Int32Array[];
  readonly #doorbell: Doorbell;
  #orders = 0;

  /** @param doorbell of the read-ahead thread */
  constructor({ words, memory }: AheadBuffers, doorbell: Doorbell) {
    this.#words = new Int32Array(words);
    this.#bytes = slotsOf(memory);
    this.#contents = this.#bytes.map(
      ({ buffer, byteOffset, length }) => new Int32Array(buffer, byteOffset, length >> 2),
    );
    this.#doorbell = doorbell;
  }

  begin(slot: number, fd: number, position: number, length: number): boolean {
    const words = this.#words;
    const at = slot * SLOT_WORDS;
    this.#orders = (this.#orders + 1) | 0;
    words[at + ORDER] = this.#orders;
    words[at + FD] = fd;
    words[at + LENGTH] = length;
    words[at + POSITION] = position;
    words[at + POSITION + 1] = Math.floor(position / WORD);
    Atomics.store(words, at + STATE, PENDING);
    this.#doorbell.ring();
    return true;
  }

  isPending(slot: number): boolean {
    return Atomics.load(this.#words, slot * SLOT_WORDS + STATE) === PENDING;
  }

  finish(slot: number): number {
    const at = slot * SLOT_WORDS;
    if (this.isPending(slot)) Atomics.wait(this.#words, at + STATE, PENDING, BROKER_LIMITS.aheadWaitMs);
    return this.isPending(slot) ? 0 : (this.#words[at + FILLED] as number);
  }

  bytes(slot: number): Buffer {
    return this.#bytes[slot] as Buffer;
  }

  words(slot: number): Int32Array {
    return this.#contents[slot] as Int32Array;
  }
}

/** The read-ahead thread's side: fills what is pending, in the order in which it was asked for. */
export class AheadFiller {
  readonly #words: Int32Array;
  readonly #bytes: readonly Buffer[];
  readonly #read: (fd: number, target: Buffer, length: number, position: number) => number;

  /** @param read fills `target` as far as the file reaches; may throw. */
  constructor(
    { words, memory }: AheadBuffers,
    read: (fd: number, target: Buffer, length: number, position: number) => number,
  ) {
    this.#words = new Int32Array(words);
    this.#bytes = slotsOf(memory);
    this.#read = read;
  }

  /** @returns whether a slot was pending */
  fillNext(): boolean {
    const words = this.#words;
    let next = -1;
    for (let at = 0; at < words.length; at += SLOT_WORDS) {
      if (Atomics.load(words, at + STATE) !== PENDING) continue;
      if (next < 0 || (words[at + ORDER] as number) - (words[next + ORDER] as number) < 0) next = at;
    }
    if (next < 0) return false;
    const position =
      ((words[next + POSITION + 1] as number) >>> 0) * WORD + ((words[next + POSITION] as number) >>> 0);
    let filled = 0;
    try {
      filled = this.#read(
        words[next + FD] as number,
        this.#bytes[next / SLOT_WORDS] as Buffer,
        words[next + LENGTH] as number,
        position,
      );
    } catch {
      // The reader meets the error when it gets there, or has closed the file.
    }
    words[next + FILLED] = filled;
    Atomics.store(words, next + STATE, FREE);
    Atomics.notify(words, next + STATE);
    return true;
  }
}

function slotsOf(memory: SharedArrayBuffer): Buffer[] {
  return Array.from({ length: SLOTS }, (_, slot) => Buffer.from(memory, slot * SLOT_BYTES, SLOT_BYTES));
}
