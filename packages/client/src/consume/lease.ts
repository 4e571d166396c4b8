import type { MillraceError } from "@millrace/protocol";
import type { ConsumedMessage } from "./consumed-message.ts";

/** What names a lease to the broker. */
export interface LeaseToken {
  readonly partition: number;
  readonly leaseEpoch: number;
  readonly leaseCounter: number;
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
  readonly #messages: Set<ConsumedMessage> = new Set();

  constructor(token: LeaseToken, renewAtMs: number, endMs: number) {
    this.partition = token.partition;
    this.leaseEpoch = token.leaseEpoch;
    this.leaseCounter = token.leaseCounter;
    this.renewAtMs = renewAtMs;
    this.endMs = endMs;
  }

  /** Messages that nobody has settled. */
  get heldCount(): number {
    return this.#messages.size;
  }

  /** The offset of one of them. */
  get heldOffset(): number {
    for (const { offset } of this.#messages) return offset;
    return -1;
  }

  hold(message: ConsumedMessage): void {
    this.#messages.add(message);
  }

  drop(message: ConsumedMessage): void {
    this.#messages.delete(message);
  }

  lose(error: MillraceError): void {
    for (const message of this.#messages) message.lose(error);
  }
}
