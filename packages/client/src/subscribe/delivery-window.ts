import { MillraceError } from "@millrace/protocol";

/**
 * Credit of one subscription, in bytes of DELIVER frames. Bytes count as outstanding from their arrival until the
 * application has consumed them; only then is the broker allowed to send as many more. The broker counts anew with
 * each SUBSCRIBE, the application does not: what it has not consumed yet still takes up the window.
 */
export class DeliveryWindow {
  #windowBytes = 0;
  #frameBytesMax = 0;
  #unconsumed = 0;
  /** Since the last `open`. */
  #received = 0;
  #limit = 0;

  /** Bytes that arrived and were not consumed yet. */
  get unconsumedBytes(): number {
    return this.#unconsumed;
  }

  /** A new SUBSCRIBE; returns its first limit, which is never less than one frame. */
  open(windowBytes: number, frameBytesMax: number): number {
    this.#windowBytes = windowBytes;
    this.#frameBytesMax = frameBytesMax;
    this.#received = 0;
    this.#limit = Math.max(frameBytesMax, windowBytes - this.#unconsumed);
    return this.#limit;
  }

  /** @throws MillraceError CREDIT_EXCEEDED when the broker sent more than it was allowed to */
  onReceived(frameBytes: number): void {
    this.#received += frameBytes;
    this.#unconsumed += frameBytes;
    if (this.#received <= this.#limit) return;
    throw new MillraceError("CREDIT_EXCEEDED", "the broker sent more than the subscription had credit for", {
      details: { received: this.#received, limit: this.#limit },
    });
  }

  /**
   * The application has consumed a frame. Returns the new limit if the broker is to be told: once a quarter of the
   * window is free, or earlier when the broker could not send a whole frame any more.
   */
  onConsumed(frameBytes: number): number | undefined {
    this.#unconsumed -= frameBytes;
    const limit = this.#received + this.#windowBytes - this.#unconsumed;
    const gained = limit - this.#limit;
    const isShort = this.#limit - this.#received < this.#frameBytesMax;
    if (gained <= 0 || (gained < this.#windowBytes / 4 && !isShort)) return undefined;
    this.#limit = limit;
    return limit;
  }
}
