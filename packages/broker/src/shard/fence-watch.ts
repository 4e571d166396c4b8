import type { Journal } from "@millrace/journal";
import { BROKER_LIMITS } from "../limits.ts";

/**
 * How often a shard looks whether it still has its journal, where no commit does so. A process may be stopped at any moment,
 * and continued when another one has long had the shard: what it says then must be true, or its last words.
 */
export class FenceWatch {
  readonly #journal: Pick<Journal, "isOwner">;
  #lookedAtMs: number;

  /** @param nowMs when the journal was opened. */
  constructor(journal: Pick<Journal, "isOwner">, nowMs: number) {
    this.#journal = journal;
    this.#lookedAtMs = nowMs;
  }

  /** Begins a duty cycle. Acks of `memory`, and all else that promises nothing that a new owner would break, may follow. */
  begin(nowMs: number): void {
    if (nowMs - this.#lookedAtMs >= BROKER_LIMITS.fenceLookMs) this.look(nowMs);
  }

  /** Behind a write, and before its acks. @returns false when the journal has ended, and nothing more may be said */
  look(nowMs: number): boolean {
    this.#lookedAtMs = nowMs;
    return this.#journal.isOwner();
  }
}
