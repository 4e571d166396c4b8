import type { Doorbell, OneToOneRingBuffer } from "@millrace/core";
import { LINK_STATE } from "../link/link-buffers.ts";
import type { ColdReadMessage } from "./cold-read-message.ts";
import { type ColdEntries, ColdReadServer } from "./cold-read-server.ts";

/** Answered, and told to whoever waits for it. */
export const ANSWERED = 0;
/** The search has had its turn: serve the message again after others. */
export const INTERRUPTED = -1;
/** The ring is full: the message is kept, and must be taken back by takeBlocked() before another is served. */
export const BLOCKED = -2;

/** One ring that the reader thread answers into, with whoever reads it. Reader thread only. */
export class AnswerLane {
  readonly #server: ColdReadServer;
  readonly #ring: OneToOneRingBuffer;
  readonly #state: Int32Array;
  readonly #doorbell: Doorbell;
  #blocked: ColdReadMessage | undefined;

  /**
   * @param state LINK_STATE words that this lane shares with the ring's consumer.
   * @param doorbell of the ring's consumer.
   */
  constructor(
    entries: ColdEntries,
    ring: OneToOneRingBuffer,
    state: Int32Array,
    doorbell: Doorbell,
    log: (event: string, fields: Record<string, unknown>) => void,
  ) {
    this.#server = new ColdReadServer(entries, ring, log);
    this.#ring = ring;
    this.#state = state;
    this.#doorbell = doorbell;
  }

  get isBlocked(): boolean {
    return this.#blocked !== undefined;
  }

  /** The message that found no room. */
  takeBlocked(): ColdReadMessage | undefined {
    const message = this.#blocked;
    this.#blocked = undefined;
    return message;
  }

  /** @returns ANSWERED, INTERRUPTED or BLOCKED */
  serve(message: ColdReadMessage): number {
    const server = this.#server;
    let answered = server.serve(message);
    if (!answered && !server.isUnfinished) {
      Atomics.store(this.#state, LINK_STATE.SHARD_WAITS, 1);
      // The consumer may have made room between the claim and the flag.
      answered = server.serve(message);
    }
    // The consumer works on an answer while the next one is made.
    if (this.#ring.publish()) this.#doorbell.ring();
    if (answered) return ANSWERED;
    if (server.isUnfinished) return INTERRUPTED;
    this.#blocked = message;
    return BLOCKED;
  }

  /** See ColdReadServer. */
  readAhead(): boolean {
    return this.#blocked === undefined && this.#server.readAhead();
  }
}
