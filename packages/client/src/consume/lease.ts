import type { MillraceError } from "@millrace/protocol";

/** What names a lease to the broker. */
export interface LeaseToken {
  readonly partition: number;
  readonly leaseEpoch: number;
  readonly leaseCounter: number;
}

/** A message of a lease; `isHeld` until somebody settles it. */
export interface HeldMessage {
  readonly offset: number;
  isHeld: boolean;
  lose(error: MillraceError): void;
}

/** Messages that were leased together: consecutive records of one batch. */
export class Lease implements LeaseToken {
  readonly partition: number;
  readonly leaseEpoch: number;
  readonly leaseCounter: number;
  /** No renewal reaches beyond this. */
  readonly endMs: number;
  /** When the next renewal is due. */
  renewAtMs: number;
  /** Its session is over: the broker knows nothing of it any more. */
  isOver = false;
  readonly #messages: HeldMessage[] = [];
  #heldCount = 0;

  constructor(token: LeaseToken, renewAtMs: number, endMs: number) {
    this.partition = token.partition;
    this.leaseEpoch = token.leaseEpoch;
    this.leaseCounter = token.leaseCounter;
    this.renewAtMs = renewAtMs;
    this.endMs = endMs;
  }

  /** Messages that nobody has settled. */
  get heldCount(): number {
    return this.#heldCount;
  }

  /** The offset of one of them. */
  get heldOffset(): number {
    return this.#messages.find(isHeld)?.offset ?? -1;
  }

  hold(message: HeldMessage): void {
    this.#messages.push(message);
    this.#heldCount += 1;
  }

  drop(message: HeldMessage): void {
    message.isHeld = false;
    this.#heldCount -= 1;
  }

  lose(error: MillraceError): void {
    for (const message of this.#messages) if (message.isHeld) message.lose(error);
  }
}

function isHeld(message: HeldMessage): boolean {
  return message.isHeld;
}
