import type { MillraceError } from "@millrace/protocol";
import type { ReceivedBatch, ReceivedRecord } from "../api/record.ts";
import type { Subscription } from "../api/subscription.ts";

/** A subscription as the inside of the client reads it: without waiting. */
export interface RecordReader extends Subscription {
  /** The next record, or undefined when there is none now. */
  takeRecord(): ReceivedRecord | undefined;
  /** The next batch, or undefined when there is none now. */
  takeBatch(): ReceivedBatch | undefined;
  readonly isEnded: boolean;
  /** Why it ended, if not in peace. */
  readonly failure: MillraceError | undefined;
  end(error: MillraceError | undefined): void;
}
