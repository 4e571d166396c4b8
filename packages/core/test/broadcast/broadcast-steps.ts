/**
 * Runs the real classes step by step. A transmitter reads nothing that receivers write, so what one transmit stores, and in which
 * order, can be recorded once and then be played back in pieces, before each load of the real receiver.
 */

/** One store of the transmitter into the shared buffer. */
export interface Step {
  readonly byte: number;
  readonly size: 1 | 4;
  readonly value: number;
  /** Of one of the three positions, and not of a record. */
  readonly atomic: boolean;
}

type Parts = { readonly bytes: Uint8Array; readonly words: Int32Array };

/** A view that calls `onAccess` around its elements; what the classes keep in private fields is replaced by it. */
function watched<View extends Uint8Array | Int32Array>(
  view: View,
  trap: { get?: (byte: number) => void; set?: (byte: number, value: number) => void },
): View {
  const at = (key: string): number => view.byteOffset + Number(key) * view.BYTES_PER_ELEMENT;
  return new Proxy(view, {
    get: (target, key) => {
      if (typeof key === "string" && /^\d+$/.test(key)) trap.get?.(at(key));
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
    set: (target, key, value: number) => {
      trap.set?.(at(key as string), value);
      return Reflect.set(target, key, value, target);
    },
  });
}

function replaceParts(
  owner: Parts,
  trap: Parameters<typeof watched>[1],
  names: readonly (keyof Parts)[],
): void {
  for (const name of names) Object.defineProperty(owner, name, { value: watched(owner[name], trap) });
}

function replaceAtomics<Result>(replacement: Partial<Atomics>, action: () => Result): Result {
  const originals = Object.fromEntries(
    Object.keys(replacement).map((name) => [name, Reflect.get(Atomics, name) as unknown]),
  );
  Object.assign(Atomics, replacement);
  try {
    return action();
  } finally {
    Object.assign(Atomics, originals);
  }
}

/** Records what `action` stores through `transmitter`; the stores take place. */
export function recordSteps(transmitter: Parts, action: () => void): Step[] {
  const steps: Step[] = [];
  const { store } = Atomics;
  replaceParts(transmitter, { set: (byte, value) => steps.push({ byte, size: 4, value, atomic: false }) }, [
    "words",
  ]);
  replaceParts(transmitter, { set: (byte, value) => steps.push({ byte, size: 1, value, atomic: false }) }, [
    "bytes",
  ]);
  const recording = (words: Int32Array, index: number, value: number): number => {
    steps.push({ byte: words.byteOffset + index * 4, size: 4, value, atomic: true });
    return store(words, index, value);
  };
  replaceAtomics({ store: recording as typeof Atomics.store }, action);
  return steps;
}

/** Tries every way in which `steps` can come between the loads of a receiver. */
export class Interleavings {
  private readonly buffer: SharedArrayBuffer;
  private readonly before: Uint8Array;
  private readonly bytes: Uint8Array;
  private readonly words: Int32Array;
  private readonly steps: readonly Step[];
  /** For each byte of the buffer, after which steps it has another value. */
  private readonly changes = new Map<number, number[]>();
  private done = 0;
  /** The way at hand: for each load with a choice, which was taken and of how many. */
  private readonly taken: number[] = [];
  private readonly open: number[] = [];
  private depth = 0;

  /** @param buffer as it is before the first step. */
  constructor(buffer: SharedArrayBuffer, steps: readonly Step[]) {
    this.buffer = buffer;
    this.bytes = new Uint8Array(buffer);
    this.words = new Int32Array(buffer);
    this.before = Uint8Array.prototype.slice.call(this.bytes);
    this.steps = steps;
    for (const [i, step] of steps.entries()) {
      for (let byte = step.byte; byte < step.byte + step.size; byte++) {
        const list = this.changes.get(byte) ?? [];
        list.push(i + 1);
        this.changes.set(byte, list);
      }
    }
  }

  /**
   * Calls `run` once for each interleaving, from the same memory.
   *
   * A load's result depends only on how many stores to its own bytes came before it. So only those moments are tried, each
   * at the earliest: whatever could come between later loads after a later moment can come after the earliest too.
   *
   * @returns how many there were
   */
  each(run: () => void): number {
    let count = 0;
    do {
      this.bytes.set(this.before);
      this.done = 0;
      this.depth = 0;
      run();
      count++;
    } while (this.nextWay());
    return count;
  }

  /** Watches the loads of what `action` does; the transmitter's steps come in between. */
  between<Result>(action: () => Result): Result {
    const { load } = Atomics;
    const stepping = (words: Int32Array, index: number): number => {
      if (words.buffer === this.buffer) this.beforeLoad(words.byteOffset + index * 4, 4);
      return load(words, index);
    };
    return replaceAtomics({ load: stepping as typeof Atomics.load }, action);
  }

  /** Plain loads of the payload are watched too. */
  watch(receiver: Parts): void {
    replaceParts(receiver, { get: (byte) => this.beforeLoad(byte, 1) }, ["bytes"]);
  }

  /** The transmitter comes to its end. */
  finish(): void {
    while (this.done < this.steps.length) this.apply();
  }

  private beforeLoad(byte: number, size: number): void {
    const moments = new Set<number>();
    for (let at = byte; at < byte + size; at++) {
      for (const moment of this.changes.get(at) ?? []) if (moment > this.done) moments.add(moment);
    }
    if (moments.size === 0) return;
    const depth = this.depth++;
    if (depth === this.taken.length) {
      this.taken.push(0);
      this.open.push(moments.size);
    }
    const choice = this.taken[depth] as number;
    if (choice === 0) return;
    const until = [...moments].sort((a, b) => a - b)[choice - 1] as number;
    while (this.done < until) this.apply();
  }

  private apply(): void {
    const { byte, size, value } = this.steps[this.done++] as Step;
    if (size === 4) this.words[byte >> 2] = value;
    else this.bytes[byte] = value;
  }

  private nextWay(): boolean {
    while (this.taken.length > 0) {
      const last = this.taken.length - 1;
      if ((this.taken[last] as number) < (this.open[last] as number)) {
        this.taken[last] = (this.taken[last] as number) + 1;
        return true;
      }
      this.taken.pop();
      this.open.pop();
    }
    return false;
  }
}
