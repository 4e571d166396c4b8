import type { Topic } from "@millrace/broker/internal";
import type { PendingFrame } from "./pending-frame.ts";
import { JOINED, type StreamReader } from "./stream-reader.ts";

/**
 * The streams of one partition on this gateway. Those at the end of the log are members and share one read and one
 * frame. Lives as long as its topic, because the shard knows it by its shared stream id.
 */
export class TailGroup {
  readonly topic: Topic;
  readonly partition: number;
  readonly shardId: number;
  readonly sharedStreamId: number;
  /** All streams of the partition, members or not. */
  readonly streams: Set<StreamReader> = new Set();
  readonly members: StreamReader[] = [];
  followers: StreamReader[] = [];
  /** Reads under way; each may end as a join. */
  readings = 0;
  /** The shard sends tail deliveries: somebody has joined since it was told to stop. */
  tailing = false;

  // For FanOut: frames that are served later, and how far the pass over the members has come.
  pending: PendingFrame[] = [];
  pendingBytes = 0;
  /** The newest pending frame may take more: nobody has been sent it, and nobody has joined behind it. */
  isOpen = false;
  pass: readonly StreamReader[] | undefined;
  passIndex = 0;
  /** The first of the pending frames: those that the pass hands out. */
  passFrames: readonly Uint8Array[] = [];
  /** Stands in the line of groups that have frames to be served. */
  isServed = false;

  constructor(topic: Topic, partition: number, sharedStreamId: number) {
    this.topic = topic;
    this.partition = partition;
    this.shardId = topic.shards[partition] as number;
    this.sharedStreamId = sharedStreamId;
  }

  /** Nobody needs, or may come to need, tail deliveries. */
  get isIdle(): boolean {
    return this.members.length === 0 && this.followers.length === 0 && this.readings === 0;
  }

  join(stream: StreamReader): void {
    this.isOpen = false;
    stream.state = JOINED;
    stream.memberIndex = this.members.length;
    this.members.push(stream);
  }

  /** Takes a member out; the last one moves to its place. */
  leave(stream: StreamReader): void {
    const last = this.members.pop() as StreamReader;
    if (last !== stream) {
      this.members[stream.memberIndex] = last;
      last.memberIndex = stream.memberIndex;
    }
    stream.memberIndex = -1;
  }

  /** The shard is lost: nobody is at its tail any more. */
  scatter(): void {
    for (const member of [...this.members]) this.leave(member);
    this.followers = [];
    this.tailing = false;
  }

  unfollow(stream: StreamReader): void {
    this.followers = this.followers.filter((follower) => follower !== stream);
  }
}
