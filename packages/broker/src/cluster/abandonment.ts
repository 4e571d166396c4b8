import type { Clock } from "../shard/clock.ts";

/** A node that nobody has come for in this time ends by itself. */
const ABANDONED_MS = 60_000;

export interface AbandonmentOptions {
  /** It serves, may come to serve, or somebody commands it. */
  readonly isNeeded: () => boolean;
  /** Called once. */
  readonly onAbandoned: () => void;
  readonly clock: Pick<Clock, "monotonicMs">;
}

/**
 * A node whose supervisor died before it had told it anything, and which the next one does not find, would run for ever and keep
 * its successor from its socket. One that serves is needed, also without a supervisor.
 */
export class Abandonment {
  readonly #options: AbandonmentOptions;
  #sinceMs: number | undefined;
  #isOver = false;

  constructor(options: AbandonmentOptions) {
    this.#options = options;
  }

  /** To be called every second or so. */
  look(): void {
    const { isNeeded, onAbandoned, clock } = this.#options;
    if (this.#isOver) return;
    if (isNeeded()) {
      this.#sinceMs = undefined;
      return;
    }
    const nowMs = clock.monotonicMs();
    this.#sinceMs ??= nowMs;
    if (nowMs - this.#sinceMs < ABANDONED_MS) return;
    this.#isOver = true;
    onAbandoned();
  }
}
