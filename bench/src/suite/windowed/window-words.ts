/** What the two threads of a windowed load share: a few 32-bit words. Counts wrap around and are compared by difference. */
const WORD = {
  /** Records that are done: they have come to everybody that they go to. */
  done: 0,
  /** Records that the publisher's client has taken, and those that are acknowledged. */
  sent: 1,
  acknowledged: 2,
  /** 1: publish. */
  running: 3,
} as const;

export class WindowWords {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(64)) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
  }

  get done(): number {
    return Atomics.load(this.#words, WORD.done);
  }
  set done(records: number) {
    Atomics.store(this.#words, WORD.done, records | 0);
  }

  get sent(): number {
    return Atomics.load(this.#words, WORD.sent);
  }
  set sent(records: number) {
    Atomics.store(this.#words, WORD.sent, records | 0);
  }

  get acknowledged(): number {
    return Atomics.load(this.#words, WORD.acknowledged);
  }
  set acknowledged(records: number) {
    Atomics.store(this.#words, WORD.acknowledged, records | 0);
  }

  get running(): boolean {
    return Atomics.load(this.#words, WORD.running) === 1;
  }
  set running(value: boolean) {
    Atomics.store(this.#words, WORD.running, value ? 1 : 0);
  }
}
