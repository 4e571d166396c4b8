/** Where a subscription is in one partition. Offsets are the next ones, not the last ones. */
export class PartitionCursor {
  readonly partition: number;
  logEpoch: number;
  /** To be asked for after a reconnect: everything below has arrived here. */
  received: number;
  /** Everything below was handed to the application, or skipped as a gap. */
  delivered: number;
  /** Everything below is done with: the application has asked for what follows. */
  consumed: number;
  /** The first offset that is not wanted any more. */
  end: number = Number.POSITIVE_INFINITY;

  constructor(partition: number, offset: number, logEpoch: number) {
    this.partition = partition;
    this.logEpoch = logEpoch;
    this.received = offset;
    this.delivered = offset;
    this.consumed = offset;
  }

  get isDone(): boolean {
    return this.delivered >= this.end;
  }
}
