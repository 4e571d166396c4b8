import {
  BackoffIdleStrategy,
  BusySpinIdleStrategy,
  Doorbell,
  DoorbellIdleStrategy,
  type IdleStrategy,
  OneToOneRingBuffer,
  YieldingIdleStrategy,
} from "@millrace/core";
import type { WaitingBy } from "./ping-pong-spec.ts";

const TYPE = 1;
const SEQUENCE_BYTES = 8;
const NO_TIMER = { nextTimerMs: (): number => Number.POSITIVE_INFINITY };

/** One thread's end of a pair of rings, which waits by one of the package's idle strategies. */
export class RingEnd {
  readonly #out: OneToOneRingBuffer;
  readonly #in: OneToOneRingBuffer;
  readonly #idle: IdleStrategy;
  readonly #peerBell: Doorbell | undefined;
  readonly #handler: (type: number, index: number) => void;
  #received = 0;

  constructor(
    by: Exclude<WaitingBy, "message-port">,
    out: SharedArrayBuffer,
    incoming: SharedArrayBuffer,
    ownBell: SharedArrayBuffer,
    peerBell: SharedArrayBuffer,
  ) {
    this.#out = OneToOneRingBuffer.attach(out);
    this.#in = OneToOneRingBuffer.attach(incoming);
    this.#idle = strategyOf(by, ownBell);
    this.#peerBell = by === "doorbell" ? Doorbell.attach(peerBell) : undefined;
    const { words } = this.#in;
    this.#handler = (_type, index) => {
      this.#received = words[index >> 2] as number;
    };
  }

  send(sequence: number): void {
    const ring = this.#out;
    const index = ring.tryClaim(TYPE, SEQUENCE_BYTES);
    if (index < 0) throw new Error("a ring with one record in it is full");
    ring.words[index >> 2] = sequence;
    ring.commit(index);
    if (ring.publish()) this.#peerBell?.ring();
  }

  /** Waits for the next record, as an agent would between its rounds. */
  receive(): number {
    for (;;) {
      const records = this.#in.read(this.#handler, 1);
      this.#idle.idle(records, NO_TIMER);
      if (records > 0) return this.#received;
    }
  }
}

function strategyOf(by: Exclude<WaitingBy, "message-port">, ownBell: SharedArrayBuffer): IdleStrategy {
  switch (by) {
    case "spin":
      return new BusySpinIdleStrategy();
    case "yielding":
      return new YieldingIdleStrategy();
    case "back-off":
      return new BackoffIdleStrategy();
    case "doorbell":
      return new DoorbellIdleStrategy(Doorbell.attach(ownBell));
  }
}
