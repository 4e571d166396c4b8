import type { Subscription } from "./subscription.ts";
import type { TailGroup } from "./tail-group.ts";

// StreamReader.state
/** Wants to read; stands in its subscription's line until there is credit, a socket with room and a ring with room. */
export const WAITING = 0;
/** One read is under way; exactly one answer follows. */
export const READING = 1;
/** At the end of the log, a member of the partition's tail group. */
export const JOINED = 2;
/** At the end of the log, but its session is a member already: reads again when the group gets something. */
export const FOLLOWING = 3;
/** Its shard is down, or is up and its log is being compared. */
export const SUSPENDED = 4;
/** Unsubscribed. Kept only as long as a read is under way. */
export const ENDED = 5;

export type StreamState =
  | typeof WAITING
  | typeof READING
  | typeof JOINED
  | typeof FOLLOWING
  | typeof SUSPENDED
  | typeof ENDED;

/** How one subscription stands in one partition. */
export class StreamReader {
  readonly subscription: Subscription;
  readonly group: TailGroup;
  /** Named in the frames that answer its own reads. Given anew when a shard is lost with reads under way. */
  streamId: number;
  /** The id under which the client expects this partition's next frame: its own or the shared one. */
  clientStreamId: number;
  nextOffset: number;
  readonly logEpoch: number;
  state: StreamState = WAITING;
  /** Nothing more is sent for it. A read under way is still answered. */
  ended = false;
  /** Credit that the read under way may use up. */
  lentBytes = 0;
  /** What the next batch needs at least, once a read has been too small for it. */
  neededBytes = 0;
  /** Stands in its subscription's line. */
  queued = false;
  /** CREDIT_TOO_SMALL was sent: nothing is read until the client grants more. */
  starved = false;
  /** Index in group.members while JOINED. */
  memberIndex = -1;

  constructor(
    subscription: Subscription,
    group: TailGroup,
    streamId: number,
    nextOffset: number,
    logEpoch: number,
  ) {
    this.subscription = subscription;
    this.group = group;
    this.streamId = streamId;
    this.clientStreamId = streamId;
    this.nextOffset = nextOffset;
    this.logEpoch = logEpoch;
  }
}
