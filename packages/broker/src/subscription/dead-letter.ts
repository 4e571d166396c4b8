/** The client's SETTLE that waits for some records to be dead-lettered. */
export interface AwaitedSettle {
  readonly consumerId: number;
  readonly settleId: number;
  readonly messages: number;
  /** Records that are not there yet. */
  left: number;
}

/** A record on its way to the dead-letter topic. */
export interface DeadLetter {
  readonly offset: number;
  readonly deliveries: number;
  readonly reason: string;
  readonly settle: AwaitedSettle | undefined;
}
