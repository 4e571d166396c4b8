import { GatewayIds, type GatewayPort, type PartitionBounds, type Topic } from "@millrace/broker/internal";
import {
  ERROR_CODES,
  encodeProgress,
  encodeStream,
  errorNameOf,
  type FrameWriter,
  MillraceError,
  type ProgressReason,
} from "@millrace/protocol";
import type { Clock } from "./clock.ts";
import { FanOut, type MemberSender } from "./fan-out.ts";
import { GATEWAY_LIMITS } from "./limits.ts";
import type { OutputMeter } from "./output-meter.ts";
import { ReadScheduler } from "./read-scheduler.ts";
import type { Session } from "./session.ts";
import { ENDED, FOLLOWING, JOINED, READING, StreamReader, WAITING } from "./stream-reader.ts";
import { StreamRecovery } from "./stream-recovery.ts";
import { StreamTable, sameSessionStreams } from "./stream-table.ts";
import { type Subscription, subscriptionDetails } from "./subscription.ts";
import type { TailGroup } from "./tail-group.ts";
import { TailGroups } from "./tail-groups.ts";

const THROTTLED = ERROR_CODES.THROTTLED.code;
const READ_FAILED = ERROR_CODES.READ_FAILED.code;

/** Reports what must not happen but does not hurt. */
export type Report = (event: string, fields: Record<string, unknown>) => void;

/**
 * The way of records from the rings to the sockets. Each stream is at one of these:
 *
 *   WAITING ──credit, socket and ring have room: port.read──▶ READING ──records──▶ WAITING
 *                                                             READING ──end of log──▶ JOINED (or FOLLOWING)
 *   JOINED  ──a shared frame it cannot take──▶ WAITING        FOLLOWING ──a shared frame──▶ WAITING
 *   any     ──its shard is lost──▶ SUSPENDED ──the shard is back with the same log──▶ WAITING
 *
 * Whatever happens, a stream goes on from its own nextOffset, so that nothing is sent twice or left out.
 */
export class DeliveryPath implements MemberSender {
  readonly #clock: Clock;
  readonly #writer: FrameWriter;
  readonly #report: Report;
  readonly #fanOut: FanOut;
  readonly #groups: TailGroups;
  readonly #scheduler: ReadScheduler;
  readonly #recovery: StreamRecovery;
  readonly #streams: StreamTable;

  constructor(port: GatewayPort, clock: Clock, writer: FrameWriter, output: OutputMeter, report: Report) {
    this.#clock = clock;
    this.#writer = writer;
    this.#report = report;
    this.#fanOut = new FanOut(clock, this);
    this.#groups = new TailGroups(port);
    this.#streams = new StreamTable(
      new GatewayIds(port.gateway, { start: port.idStart }),
      (streamId) => this.#groups.bySharedId(streamId) !== undefined,
    );
    this.#scheduler = new ReadScheduler(port, clock, output);
    this.#recovery = new StreamRecovery(port, this.#groups, this.#scheduler, (subscription, error) =>
      this.#fail(subscription, error),
    );
  }

  /** Streams of all sessions. */
  get streamCount(): number {
    return this.#streams.size;
  }

  /** How often the shard was lost so far: what was learned of its log before may not hold after. */
  generation(shardId: number): number {
    return this.#recovery.generation(shardId);
  }

  // ---- subscriptions ----

  /** Gives the subscription its streams, at `startOffsets`; nothing is read before start(). */
  open(
    subscription: Subscription,
    topic: Topic,
    bounds: readonly PartitionBounds[],
    startOffsets: readonly number[],
  ): void {
    this.enter(subscription, topic);
    subscription.streams = bounds.map(({ partition, logEpoch }, i) =>
      this.#newStream(subscription, topic, partition, startOffsets[i] as number, logEpoch),
    );
  }

  start(subscription: Subscription): void {
    this.resume(subscription, subscription.streams);
  }

  /** The subscription takes its place among the session's readers. Streams may be added to it. */
  enter(subscription: Subscription, topic: Topic): void {
    subscription.topic = topic;
    const { session } = subscription;
    session.readers ??= new Set();
    session.readers.add(subscription);
  }

  /** One more partition for a subscription that has entered; read from resume() on. */
  add(subscription: Subscription, partition: number, startOffset: number, logEpoch: number): StreamReader {
    const topic = subscription.topic as Topic;
    const stream = this.#newStream(subscription, topic, partition, startOffset, logEpoch);
    subscription.streams = [...subscription.streams, stream];
    return stream;
  }

  /** Nothing more is sent for these, and the others of their subscription go on. */
  remove(subscription: Subscription, streams: ReadonlySet<StreamReader>): void {
    subscription.streams = subscription.streams.filter((stream) => !streams.has(stream));
    for (const stream of streams) this.#endStream(stream);
    if (!subscription.ended) this.#scheduler.plan(subscription);
  }

  /** These are to be read, from where each stands. */
  resume(subscription: Subscription, streams: readonly StreamReader[]): void {
    for (const stream of streams) subscription.enqueue(stream);
    this.#scheduler.pump(subscription);
  }

  /** Nothing is read or delivered until it is no longer paused. */
  setPaused(subscription: Subscription, paused: boolean): void {
    if (subscription.paused === paused || subscription.ended) return;
    subscription.paused = paused;
    for (const stream of paused ? subscription.streams : []) {
      if (stream.state === JOINED) this.leaveGroup(stream);
      else if (stream.state === FOLLOWING) {
        stream.group.unfollow(stream);
        subscription.enqueue(stream);
        this.#groups.untailIfIdle(stream.group, this.#fanOut);
      }
    }
    if (!paused) this.#scheduler.plan(subscription);
  }

  #newStream(
    subscription: Subscription,
    topic: Topic,
    partition: number,
    startOffset: number,
    logEpoch: number,
  ): StreamReader {
    const group = this.#groups.of(topic, partition, () => this.#streams.newId());
    const stream = new StreamReader(subscription, group, this.#streams.newId(), startOffset, logEpoch);
    group.streams.add(stream);
    this.#streams.add(stream);
    return stream;
  }

  /** FLOW: the client allows more. */
  grant(subscription: Subscription, creditLimit: number): void {
    this.#scheduler.grant(subscription, creditLimit);
  }

  /** The session's socket has room again. */
  onWritable(session: Session): void {
    if (session.readers === undefined) return;
    for (const subscription of session.readers) {
      if (subscription.waiting.length > 0) this.#scheduler.plan(subscription);
    }
  }

  /** Nothing more is sent for the subscription. */
  end(subscription: Subscription): void {
    if (subscription.ended) return;
    subscription.ended = true;
    subscription.session.readers?.delete(subscription);
    for (const stream of subscription.streams) this.#endStream(stream);
  }

  /** Ends the subscription with an error that its client gets. */
  #fail(subscription: Subscription, error: MillraceError): void {
    const { session } = subscription;
    this.end(subscription);
    session.subscriptions?.delete(subscription.id);
    session.sendError(error);
  }

  #endStream(stream: StreamReader): void {
    const { group } = stream;
    stream.ended = true;
    if (stream.state === JOINED) group.leave(stream);
    else if (stream.state === FOLLOWING) group.unfollow(stream);
    group.streams.delete(stream);
    this.#scheduler.forget(stream);
    // A read under way is answered; until then the answer, which may be a join, has to find its stream.
    if (stream.state !== READING) this.#streams.delete(stream);
    stream.state = stream.state === READING ? READING : ENDED;
    this.#groups.untailIfIdle(group, this.#fanOut);
  }

  // ---- answers ----

  /**
   * Takes the stream of an answer and gives back what its read was lent; undefined when nobody waits for it any more.
   */
  #answered(streamId: number): StreamReader | undefined {
    const stream = this.#streams.get(streamId);
    if (stream === undefined || stream.state !== READING) return undefined;
    const { group } = stream;
    this.#scheduler.settle(stream);
    if (!stream.ended) return stream;
    stream.state = ENDED;
    this.#streams.delete(stream);
    this.#groups.untailIfIdle(group, this.#fanOut);
    // What the read was lent is the others' now.
    if (!stream.subscription.ended) this.#scheduler.plan(stream.subscription);
    return undefined;
  }

  onDeliver(
    streamId: number,
    shared: boolean,
    firstOffset: number,
    nextOffset: number,
    bytes: Buffer,
    frameStart: number,
    frameLength: number,
  ): void {
    if (shared) {
      this.#onShared(streamId, firstOffset, nextOffset, bytes, frameStart, frameLength);
      return;
    }
    const stream = this.#answered(streamId);
    if (stream === undefined) return;
    stream.neededBytes = 0;
    if (nextOffset > stream.nextOffset && !stream.subscription.paused) {
      if (firstOffset > stream.nextOffset) {
        this.#report("unexplained-gap", { streamId, expected: stream.nextOffset, firstOffset });
        this.#progress(stream, firstOffset, "gap");
      }
      const frame = new Uint8Array(bytes.buffer, bytes.byteOffset + frameStart, frameLength);
      this.#deliverAndReadOn(stream, frame, nextOffset);
      return;
    }
    this.#scheduler.readOn(stream);
  }

  onJoined(streamId: number, sharedStreamId: number, offset: number): void {
    const group = this.#groups.bySharedId(sharedStreamId);
    if (group !== undefined) group.tailing = true;
    const stream = this.#answered(streamId);
    if (stream === undefined || group === undefined) {
      if (group !== undefined) this.#groups.untailIfIdle(group, this.#fanOut);
      return;
    }
    const { subscription } = stream;
    stream.neededBytes = 0;
    if (offset > stream.nextOffset) this.#progress(stream, offset, "gap");
    if (subscription.paused) {
      subscription.enqueue(stream);
      this.#groups.untailIfIdle(group, this.#fanOut);
      return;
    }
    // Two subscriptions of one session cannot both be members: one frame would be counted and handed out once.
    if (sameSessionStreams(stream).some((other) => other.state === JOINED)) {
      stream.state = FOLLOWING;
      group.followers.push(stream);
    } else {
      group.join(stream);
    }
    this.#scheduler.pump(subscription);
    this.#scheduler.planOthers(subscription);
  }

  onProgress(streamId: number, nextOffset: number, reason: ProgressReason): void {
    const stream = this.#answered(streamId);
    if (stream !== undefined) {
      if (nextOffset > stream.nextOffset) this.#progress(stream, nextOffset, reason);
      this.#scheduler.readOn(stream);
      return;
    }
    // Of a tail group: rare, so its members each find out for themselves.
    const group = this.#groups.bySharedId(streamId);
    if (group === undefined) return;
    for (const member of [...group.members]) this.leaveGroup(member);
    this.#wakeFollowers(group, nextOffset);
  }

  onNeedsCredit(streamId: number, neededBytes: number): void {
    const stream = this.#answered(streamId);
    if (stream === undefined) return;
    stream.neededBytes = neededBytes;
    // First in line, so that the others of its subscription cannot use up what it waits for.
    stream.subscription.enqueueFirst(stream);
    this.#scheduler.pump(stream.subscription);
    this.#scheduler.planOthers(stream.subscription);
  }

  onReadError(
    streamId: number,
    errorNumber: number,
    logStartOffset: number,
    highWatermark: number,
    logEpoch: number,
  ): void {
    const stream = this.#answered(streamId);
    if (stream === undefined) return;
    if (errorNumber === THROTTLED) {
      this.#clock.after(GATEWAY_LIMITS.throttleRetryAfterMs, () => {
        if (stream.state === WAITING && !stream.ended) this.#scheduler.readOn(stream);
      });
      this.#scheduler.pump(stream.subscription);
      return;
    }
    const name = errorNameOf(errorNumber) ?? "READ_FAILED";
    const { partition } = stream.group;
    const failure = new MillraceError(
      name,
      `reading partition ${partition} from offset ${stream.nextOffset} failed`,
      {
        details: subscriptionDetails(stream.subscription, [
          { partition, logStartOffset, highWatermark, logEpoch },
        ]),
      },
    );
    if (errorNumber === READ_FAILED) {
      this.#scheduler.pump(stream.subscription);
      void this.#recovery.onReadFailed(stream, failure, (start) => {
        this.#progress(stream, start, "retention");
      });
      return;
    }
    const { consumer } = stream.subscription;
    if (consumer === undefined) this.#fail(stream.subscription, failure);
    else consumer.onReadFailed(stream, failure);
  }

  #onShared(
    sharedStreamId: number,
    firstOffset: number,
    nextOffset: number,
    bytes: Buffer,
    frameStart: number,
    frameLength: number,
  ): void {
    const group = this.#groups.bySharedId(sharedStreamId);
    if (group === undefined) return;
    if (group.members.length > 0) {
      this.#fanOut.deliver(group, bytes, frameStart, frameLength, firstOffset, nextOffset);
    }
    this.#wakeFollowers(group, nextOffset);
  }

  #wakeFollowers(group: TailGroup, nextOffset: number): void {
    if (group.followers.length === 0) return;
    const awake = group.followers.filter((follower) => nextOffset > follower.nextOffset);
    if (awake.length === 0) return;
    group.followers = group.followers.filter((follower) => nextOffset <= follower.nextOffset);
    for (const follower of awake) {
      follower.subscription.enqueue(follower);
      this.#scheduler.plan(follower.subscription);
    }
  }

  // ---- tail groups ----

  sendToMember(stream: StreamReader, frame: Uint8Array, firstOffset: number, nextOffset: number): void {
    if (nextOffset <= stream.nextOffset) return;
    const { subscription, group } = stream;
    const free = subscription.freeCredit - subscription.heldCredit;
    if (firstOffset > stream.nextOffset || frame.length > free || !subscription.session.canSend()) {
      this.leaveGroup(stream);
      return;
    }
    this.#deliver(stream, group.sharedStreamId, frame, nextOffset);
  }

  leaveGroup(stream: StreamReader): void {
    const { group, subscription } = stream;
    group.leave(stream);
    subscription.enqueue(stream);
    this.#scheduler.plan(subscription);
    this.#groups.untailIfIdle(group, this.#fanOut);
  }

  // ---- sending ----

  #deliver(stream: StreamReader, streamId: number, frame: Uint8Array, nextOffset: number): void {
    const { subscription } = stream;
    this.#moveTo(stream, streamId);
    subscription.creditUsed += frame.length;
    stream.nextOffset = nextOffset;
    subscription.session.send(frame);
  }

  /** The next read is on its way while the frame is copied to the socket: a lone stream is a quarter faster for it. */
  #deliverAndReadOn(stream: StreamReader, frame: Uint8Array, nextOffset: number): void {
    const { subscription } = stream;
    const { session } = subscription;
    this.#moveTo(stream, stream.streamId);
    subscription.creditUsed += frame.length;
    stream.nextOffset = nextOffset;
    // The socket owes the frame already.
    session.readingBytes += frame.length;
    this.#scheduler.readOn(stream);
    session.readingBytes -= frame.length;
    session.send(frame);
    this.#scheduler.pump(subscription);
  }

  /** What follows comes under `streamId`: the client is told when that is not what it expects. */
  #moveTo(stream: StreamReader, streamId: number): void {
    const from = stream.clientStreamId;
    if (from === streamId) return;
    // Another subscription of the session may have left the group and still be known by the shared id.
    if (streamId === stream.group.sharedStreamId) {
      for (const other of sameSessionStreams(stream)) {
        if (other.clientStreamId === streamId) this.#moveTo(other, other.streamId);
      }
    }
    stream.clientStreamId = streamId;
    const { subscription } = stream;
    const writer = this.#writer;
    writer.reset();
    encodeStream(writer, {
      fromStreamId: from,
      toStreamId: streamId,
      subscriptionId: subscription.id,
      partition: stream.group.partition,
    });
    subscription.session.sendWritten();
  }

  #progress(stream: StreamReader, nextOffset: number, reason: ProgressReason): void {
    this.#moveTo(stream, stream.streamId);
    stream.nextOffset = nextOffset;
    const writer = this.#writer;
    writer.reset();
    encodeProgress(writer, { streamId: stream.streamId, nextOffset, reason });
    stream.subscription.session.sendWritten();
  }

  // ---- shards and topics ----

  onSpace(shardId: number): void {
    this.#groups.onSpace(shardId, this.#fanOut);
    this.#scheduler.onSpace(shardId);
  }

  /** Reads under way are lost, and what is known of the shard's log may be wrong. */
  onShardDown(shardId: number): void {
    this.#scheduler.onShardDown(shardId);
    this.#groups.onShardDown(shardId);
    // Also those that have ended, which no group lists any more.
    for (const stream of this.#streams.all()) {
      if (stream.group.shardId !== shardId || stream.state !== READING) continue;
      this.#scheduler.settle(stream);
      // The reader thread may still answer: such an answer must not be taken for that of a later read.
      this.#streams.delete(stream);
      if (stream.ended) {
        stream.state = ENDED;
        continue;
      }
      stream.streamId = this.#streams.newId();
      this.#streams.add(stream);
      this.#scheduler.plan(stream.subscription);
    }
    for (const group of this.#groups.ofShard(shardId)) this.#fanOut.drop(group);
    this.#recovery.onShardDown(shardId);
  }

  onShardUp(shardId: number): void {
    this.#recovery.onShardUp(shardId);
  }

  /** The shard stays down: its subscriptions end. */
  onShardFailed(shardId: number, reason: string): void {
    this.onShardDown(shardId);
    this.#recovery.onShardFailed(shardId, reason);
  }

  onTopicDeleted(topic: Topic): void {
    for (const group of this.#groups.ofTopic(topic)) {
      for (const { subscription } of [...group.streams]) {
        // Consumers are told by those who know them.
        if (subscription.ended || subscription.consumer !== undefined) continue;
        this.#fail(
          subscription,
          new MillraceError("TOPIC_DELETED", `topic ${topic.name} was deleted`, {
            details: subscriptionDetails(subscription, []),
          }),
        );
      }
      this.#fanOut.drop(group);
      this.#groups.remove(group);
    }
  }
}
