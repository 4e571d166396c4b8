import { type ByteView, byteView } from "../byte-view.ts";
import { copyBytes } from "../copy-bytes.ts";
import { BroadcastReceiver } from "./broadcast-receiver.ts";

/**
 * Gets a record's type and its payload at the beginning of `bytes`, which is private memory, but used again for the next record:
 * valid during the call.
 */
export type BroadcastHandler = (type: number, bytes: Uint8Array, length: number) => void;

/**
 * A receiver of a broadcast that copies each record out before it hands it over, so that nobody ever sees a torn one. After
 * Agrona's CopyBroadcastReceiver. All methods belong to one thread.
 */
export class CopyBroadcastReceiver {
  private readonly receiver: BroadcastReceiver;
  private readonly onLapped: (missed: number) => void;
  private readonly copy: ByteView;
  private missedTold = 0;

  /**
   * A receiver that joins now, with the latest record if there is one yet.
   *
   * @param onLapped is told how many records were missed, before the first one after them is handed over. That one is lost if it
   * throws.
   * @throws as `BroadcastReceiver.attach`.
   */
  static attach(
    buffer: SharedArrayBuffer,
    onLapped: (missed: number) => void = () => {},
  ): CopyBroadcastReceiver {
    return new CopyBroadcastReceiver(BroadcastReceiver.attach(buffer), onLapped);
  }

  private constructor(receiver: BroadcastReceiver, onLapped: (missed: number) => void) {
    this.receiver = receiver;
    this.onLapped = onLapped;
    const { maxMessageLength } = receiver;
    this.copy = byteView(new ArrayBuffer(maxMessageLength), 0, maxMessageLength);
  }

  /** Sequence of the record last handed over, from 0 on; see BroadcastReceiver. */
  get sequence(): number {
    return this.receiver.sequence;
  }

  /** How many records were overwritten before they could be copied, as known at the last record handed over. */
  get missedCount(): number {
    return this.receiver.missedCount;
  }

  /** How often the transmitter has overtaken this receiver. */
  get lappedCount(): number {
    return this.receiver.lappedCount;
  }

  /**
   * Hands over up to `limit` records. One whose handler throws counts as received, and the error reaches the caller.
   *
   * @returns how many records were tried, those that were overwritten during the copy included: 0 only when there is nothing to
   * receive, so that one who sleeps on 0 sleeps rightly.
   * @throws as `BroadcastReceiver.receiveNext`, and what the handlers throw.
   */
  receive(handler: BroadcastHandler, limit = 1): number {
    const { receiver, copy } = this;
    let tried = 0;
    while (tried < limit && receiver.receiveNext()) {
      tried++;
      const { type, length } = receiver;
      copyBytes(copy, 0, receiver.bytes, receiver.index, length);
      if (!receiver.validate()) continue;
      const missed = receiver.missedCount - this.missedTold;
      if (missed > 0) {
        this.missedTold += missed;
        this.onLapped(missed);
      }
      handler(type, copy, length);
    }
    return tried;
  }
}
