import type { SharedAccess } from "./stepwise-source.ts";

/** The steps of one simulated thread: each yield stands before one access to shared memory. */
export type Steps = Generator<void, void, void>;

/** A fresh start of a scenario: its memory and its threads, of which none has made a step. */
export interface Run {
  /** All shared words that the threads write. */
  readonly memory: readonly Int32Array[];
  readonly threads: readonly Steps[];
  /** What the threads have got so far, as text: whatever may make a difference for the outcome. */
  results(): string;
  /** Checks the end, when no thread has a step left. @throws Error that names the difference. */
  finish(): void;
}

/** A thread that stops for ever after so many steps, as one that was terminated. */
export interface Death {
  readonly thread: number;
  readonly steps: number;
  /** All its steps come before those of the others. */
  readonly first?: boolean;
}

export interface Explored {
  readonly states: number;
  readonly ends: number;
}

/**
 * Every order in which the accesses of some threads to shared memory can happen, one at a time (sequential consistency).
 *
 * A state is the memory, and for each thread how far it is and all that it has read: code without other input goes on in the
 * same way from the same state, so each is explored once. Generators cannot be copied; a state is reached by starting over.
 */
export class Explorer implements SharedAccess {
  #current = 0;
  /** By thread: what it has read since `forget`, how many steps it has made, and whether it has ended. */
  #observed: number[][] = [];
  #steps: number[] = [];
  #over: boolean[] = [];

  load(words: Int32Array, index: number): number {
    return this.#note(Atomics.load(words, index));
  }

  store(words: Int32Array, index: number, value: number): number {
    return Atomics.store(words, index, value);
  }

  compareExchange(words: Int32Array, index: number, expected: number, value: number): number {
    return this.#note(Atomics.compareExchange(words, index, expected, value));
  }

  plain(words: Int32Array, index: number): number {
    return this.#note(words[index] as number);
  }

  /**
   * The thread whose step this is has ended an operation: what it has read since the last one no longer matters, as far as it is
   * not in `results`. Fewer states are told apart then.
   */
  forget(): void {
    this.#observed[this.#current] = [];
  }

  /**
   * Explores a scenario.
   *
   * @param death ends this thread early. @throws Error of a step or of `finish`, with the order of steps that led there.
   */
  explore(start: () => Run, death?: Death): Explored {
    const seen = new Set<string>();
    let ends = 0;
    const pending: number[][] = [
      death?.first === true ? new Array<number>(death.steps).fill(death.thread) : [],
    ];
    for (let order = pending.pop(); order !== undefined; order = pending.pop()) {
      try {
        const run = start();
        this.#replay(run, order);
        // On from here with the first thread that can; the others' turns are for later.
        for (;;) {
          const state = this.#stateOf(run);
          if (seen.has(state)) break;
          seen.add(state);
          const alive = this.#alive(run, death);
          if (alive.length === 0) {
            ends++;
            run.finish();
            break;
          }
          for (const thread of alive.slice(1)) pending.push([...order, thread]);
          const next = alive[0] as number;
          order.push(next);
          this.#step(run, next);
        }
      } catch (error) {
        throw new Error(`steps=${order.join("")} ${(error as Error).message}`, { cause: error });
      }
    }
    return { states: seen.size, ends };
  }

  #replay(run: Run, order: readonly number[]): void {
    this.#observed = run.threads.map(() => []);
    this.#steps = run.threads.map(() => -1);
    this.#over = run.threads.map(() => false);
    // The first step of a generator only takes it to its first access.
    for (let thread = 0; thread < run.threads.length; thread++) this.#step(run, thread);
    for (const thread of order) if (!this.#over[thread]) this.#step(run, thread);
  }

  #step(run: Run, thread: number): void {
    this.#current = thread;
    this.#steps[thread] = (this.#steps[thread] as number) + 1;
    this.#over[thread] = (run.threads[thread] as Steps).next().done === true;
  }

  /** Threads that have steps left. */
  #alive(run: Run, death: Death | undefined): number[] {
    return run.threads
      .map((_, thread) => thread)
      .filter((thread) => !this.#over[thread])
      .filter((thread) => thread !== death?.thread || (this.#steps[thread] as number) < death.steps);
  }

  #stateOf(run: Run): string {
    return `${run.memory.join("/")}|${this.#steps.join()}|${this.#observed.join("/")}|${run.results()}`;
  }

  #note(value: number): number {
    this.#observed[this.#current]?.push(value);
    return value;
  }
}
