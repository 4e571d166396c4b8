/**
 * Bytes of PUBLISH frames that the session may still send. Both sides count from the start of the session: the broker
 * states a limit for the sum of all frames and closes the session that goes past it.
 */
export class PublishCredit {
  #limit = 0;
  #sent = 0;

  /** A new session, with the limit of its WELCOME. */
  reset(limit: number): void {
    this.#limit = limit;
    this.#sent = 0;
  }

  /** Bytes that may be sent now. */
  get available(): number {
    return this.#limit - this.#sent;
  }

  /** Accounts for a frame if it may be sent, and says whether it may. */
  take(frameBytes: number): boolean {
    if (frameBytes > this.#limit - this.#sent) return false;
    this.#sent += frameBytes;
    return true;
  }

  /** A limit from an ACK or CREDIT. One lower than the present is old news. Returns whether there is more now. */
  raise(limit: number): boolean {
    if (limit <= this.#limit) return false;
    this.#limit = limit;
    return true;
  }

  /** The broker asks for a lower limit; returns the one that is kept from now on, never below what was sent. */
  revoke(limit: number): number {
    this.#limit = Math.min(this.#limit, Math.max(limit, this.#sent));
    return this.#limit;
  }
}
