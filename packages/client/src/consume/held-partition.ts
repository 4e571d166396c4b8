import type { AssignedPartition, CommitPosition, MillraceError } from "@millrace/protocol";
import type { Arrivals } from "../subscribe/arrivals.ts";
import { PartitionCursor } from "../subscribe/partition-cursor.ts";
import type { TimerHandle } from "../system-clock.ts";
import { StreamMessage } from "./stream-message.ts";

/** A partition that a member of a `stream` subscription holds, and how far it is in it. One message at a time. */
export class HeldPartition {
  readonly partition: number;
  readonly assignmentEpoch: number;
  readonly cursor: PartitionCursor;
  readonly arrivals: Arrivals;
  /** What was handed out last, until it is done with. */
  inHand: StreamMessage | undefined;
  /** The handler threw; the message is handed out again when this fires. */
  retryTimer: TimerHandle;
  isRetryDue = false;
  /** Failures of the message in hand in a row. */
  failures = 0;
  /** It is to be given back. */
  isRevoked = false;
  /** Everything below is done with. */
  #done: number;
  /** Everything below is in the broker's cursor. */
  #committed: number;

  constructor(assigned: AssignedPartition, arrivals: Arrivals) {
    const { partition, assignmentEpoch, startOffset, logEpoch, restores = [] } = assigned;
    this.partition = partition;
    this.assignmentEpoch = assignmentEpoch;
    this.cursor = new PartitionCursor(partition, startOffset, { logEpoch, restores });
    this.arrivals = arrivals;
    this.#done = startOffset;
    this.#committed = startOffset;
  }

  /** The next message, if the one before is done with. */
  take(): StreamMessage | undefined {
    if (this.isRevoked) return undefined;
    const again = this.inHand;
    if (again !== undefined) {
      if (!this.isRetryDue) return undefined;
      this.isRetryDue = false;
      again.countDelivery();
      return again;
    }
    const record = this.arrivals.takeRecord();
    // Also past gaps, and past records that were removed.
    this.#done = Math.max(this.#done, this.cursor.consumed);
    if (record === undefined) return undefined;
    this.inHand = new StreamMessage(record, "stream");
    return this.inHand;
  }

  /** The message in hand is done with. */
  finish(): void {
    if (this.inHand === undefined) return;
    this.#done = this.inHand.offset + 1;
    this.inHand = undefined;
    this.failures = 0;
  }

  /** Where the cursor should be; undefined if it is there. `withInHand`: as if what is in hand were done with. */
  uncommitted(withInHand: boolean): CommitPosition | undefined {
    const { partition, assignmentEpoch, inHand } = this;
    const isDone = inHand !== undefined && (withInHand || inHand.isAcked);
    const offset = isDone ? inHand.offset + 1 : this.#done;
    if (offset <= this.#committed) return undefined;
    return { partition, assignmentEpoch, offset, logEpoch: this.cursor.consumedLog.logEpoch };
  }

  onCommitted(offset: number): void {
    this.#committed = Math.max(this.#committed, offset);
  }

  lose(error: MillraceError): void {
    this.isRevoked = true;
    this.inHand?.lose(error);
  }
}
