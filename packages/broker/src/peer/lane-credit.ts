import { BROKER_LIMITS } from "../limits.ts";
import { PeerProtocolError } from "./link-layout.ts";

/**
 * The sender's side of the credit of one ring of a lane. Both sides count bytes of records, with header and padding, from
 * the lane's beginning, and a grant says how many there may be in all: one that is repeated or comes late changes nothing.
 */
export class LaneCredit {
  readonly windowBytes: number;
  #sent = 0;
  #limit: number;

  constructor(windowBytes: number) {
    this.windowBytes = windowBytes;
    this.#limit = windowBytes;
  }

  get available(): number {
    return this.#limit - this.#sent;
  }

  /** @returns whether the record may go; if so it is counted */
  take(bytes: number): boolean {
    if (this.#sent + bytes > this.#limit) return false;
    this.#sent += bytes;
    return true;
  }

  /**
   * @returns whether there is more credit than before
   * @throws PeerProtocolError for a limit that no receiver with this window could have given
   */
  raise(limit: number): boolean {
    if (limit > this.#sent + this.windowBytes) {
      throw new PeerProtocolError(`credit for bytes never sent: limit=${limit} sent=${this.#sent}`);
    }
    if (limit <= this.#limit) return false;
    this.#limit = limit;
    return true;
  }
}

/** The receiver's side: what it has taken up it lets the sender send anew, in steps. */
export class LaneWindow {
  readonly windowBytes: number;
  #received = 0;
  #taken = 0;
  #granted: number;

  constructor(windowBytes: number) {
    this.windowBytes = windowBytes;
    this.#granted = windowBytes;
  }

  /** Granted, and not received yet. */
  get openBytes(): number {
    return this.#granted - this.#received;
  }

  /** A record came. @throws PeerProtocolError when the sender had no credit for it */
  receive(bytes: number): void {
    this.#received += bytes;
    if (this.#received > this.#granted) {
      throw new PeerProtocolError(
        `more than there was credit for: received=${this.#received} granted=${this.#granted}`,
      );
    }
  }

  /** A record that came is out of the way. */
  take(bytes: number): void {
    this.#taken += bytes;
  }

  /** The limit to tell the sender, once it is worth a record; otherwise -1. */
  grant(): number {
    const limit = this.#taken + this.windowBytes;
    if (limit - this.#granted < this.windowBytes * BROKER_LIMITS.peerCreditPart) return -1;
    this.#granted = limit;
    return limit;
  }
}
