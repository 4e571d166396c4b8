import type { RestorePoint } from "@millrace/protocol";

/** Which log the offsets of a partition are of. */
export interface LogIdentity {
  readonly logEpoch: number;
  readonly restores: readonly RestorePoint[];
}

/** Where a subscription is in one partition. Offsets are the next ones, not the last ones. */
export class PartitionCursor {
  readonly partition: number;
  /** Of `received`. */
  log: LogIdentity;
  /** Of `delivered` and `consumed`: what arrived before the log changed comes first. */
  consumedLog: LogIdentity;
  /** To be asked for after a reconnect: everything below has arrived here. */
  received: number;
  /** Everything below was handed to the application, or skipped as a gap. */
  delivered: number;
  /** Everything below is done with: the application has asked for what follows. */
  consumed: number;
  /** The first offset that is not wanted any more. */
  end: number = Number.POSITIVE_INFINITY;

  constructor(partition: number, offset: number, log: LogIdentity) {
    this.partition = partition;
    this.log = log;
    this.consumedLog = log;
    this.received = offset;
    this.delivered = offset;
    this.consumed = offset;
  }

  get isDone(): boolean {
    return this.delivered >= this.end;
  }
}
