/** A link as `millrace status` shows it. */
export interface LinkStatus {
  /** out: this node dials and uses shards of the other one; in: the other way round. */
  readonly direction: "out" | "in";
  readonly nodeId: number;
  /** Of the other node; 0 while it is not known. */
  readonly run: number;
  readonly state: "connecting" | "up" | "down";
  /** Between the last two heartbeats; undefined where nobody measured it. */
  readonly rttMs: number | undefined;
  readonly receivedBytes: number;
  readonly sentBytes: number;
  /** Written, and not yet taken by the socket. */
  readonly queuedBytes: number;
  readonly lanes: readonly LaneStatus[];
  /** Why the last connection ended, or why there is none. */
  readonly lastError: string | undefined;
}

export interface LaneStatus {
  readonly shardId: number;
  readonly epoch: number;
  readonly state: "opening" | "up";
  /** out: bytes of batches that may be sent now. in: bytes that were granted and did not come yet. */
  readonly creditBytes: number;
  /** in: bytes that wait for room in the shard's rings. */
  readonly parkedBytes: number;
}
