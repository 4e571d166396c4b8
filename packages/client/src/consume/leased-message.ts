import { LIMITS, MillraceError, SETTLE_ACTION, type SettleAction } from "@millrace/protocol";
import type { NackOptions } from "../api/message.ts";
import type { ReceivedRecord } from "../api/record.ts";
import { refusal } from "../deferred.ts";
import { ConsumedMessage } from "./consumed-message.ts";
import type { Lease } from "./lease.ts";

/** Whoever can settle a leased message. */
export interface Settler {
  settle(message: LeasedMessage, action: SettleAction, argument?: number | string): Promise<void>;
  /** By `ms` from now, or by the subscription's `leaseMs`. */
  extend(message: LeasedMessage, ms: number | undefined): Promise<void>;
}

const { ACK, NACK, RELEASE, DEAD_LETTER } = SETTLE_ACTION;

/** A message of mode `queue` or `keyed`. */
export class LeasedMessage extends ConsumedMessage {
  readonly lease: Lease;
  /** Set by its lease. */
  isHeld = true;
  readonly #settler: Settler;
  #action: SettleAction | undefined;
  #settled: Promise<void> | undefined;

  constructor(record: ReceivedRecord, deliveryCount: number, lease: Lease, settler: Settler) {
    super(record, deliveryCount);
    this.lease = lease;
    this.#settler = settler;
    lease.hold(this);
  }

  /** Whether the broker was told what is to become of it. */
  get isSettled(): boolean {
    return this.#settled !== undefined;
  }

  ack(): Promise<void> {
    return this.#settle(ACK);
  }

  nack(options: NackOptions = {}): Promise<void> {
    const { delayMs } = options;
    if (delayMs === undefined) return this.#settle(NACK);
    checkMs("delayMs", delayMs, 0, LIMITS.nackDelayMsMax);
    return this.#settle(NACK, Math.round(delayMs));
  }

  release(): Promise<void> {
    return this.#settle(RELEASE);
  }

  deadLetter(reason: string): Promise<void> {
    return this.#settle(DEAD_LETTER, withinBytes(String(reason ?? ""), LIMITS.deadLetterReasonBytesMax));
  }

  extend(ms?: number): Promise<void> {
    if (ms !== undefined) checkMs("ms", ms, 1, LIMITS.leaseMsMax);
    if (this.#settled !== undefined) return refusal(settledError(this));
    return this.#settler.extend(this, ms === undefined ? undefined : Math.round(ms));
  }

  #settle(action: SettleAction, argument?: number | string): Promise<void> {
    if (this.#settled !== undefined) {
      return this.#action === action ? this.#settled : refusal(settledError(this));
    }
    this.#action = action;
    this.#settled = this.#settler.settle(this, action, argument);
    return this.#settled;
  }
}

function settledError({ topic, partition, offset }: ConsumedMessage): MillraceError {
  return new MillraceError("LEASE_EXPIRED", `${topic}/${partition}@${offset} was settled already`);
}

function checkMs(name: string, value: number, min: number, max: number): void {
  if (!(value >= min && value <= max)) {
    throw new RangeError(`${name} must be a number of ${min}..${max}: ${name}=${value}`);
  }
}

/** As much of `text` as fits, whole characters only: a long reason is better cut than refused. */
function withinBytes(text: string, bytesMax: number): string {
  const encoder = new TextEncoder();
  if (encoder.encode(text).length <= bytesMax) return text;
  const { read } = encoder.encodeInto(text, new Uint8Array(bytesMax));
  return text.slice(0, read);
}
