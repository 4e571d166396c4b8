import type { GatewayPort, PartitionBounds, Topic } from "@millrace/broker/internal";
import { SHARD_DOWN } from "@millrace/broker/internal";
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
import { Fifo } from "./fifo.ts";
import { partitionKey } from "./in-flight.ts";
import { GATEWAY_LIMITS } from "./limits.ts";
import type { OutputMeter } from "./output-meter.ts";
import type { Session } from "./session.ts";
import { ENDED, FOLLOWING, JOINED, READING, StreamReader, SUSPENDED, WAITING } from "./stream-reader.ts";
import type { Subscription } from "./subscription.ts";
import { TailGroup } from "./tail-group.ts";

const THROTTLED = ERROR_CODES.THROTTLED.code;
const STREAM_ID_MAX = 0xffff_ffff;

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
  readonly #port: GatewayPort;
  readonly #clock: Clock;
  readonly #writer: FrameWriter;
  readonly #output: OutputMeter;
  readonly #report: Report;
  readonly #fanOut: FanOut;
  readonly #streams: Map<number, StreamReader> = new Map();
  readonly #groups: Map<number, TailGroup> = new Map();
  readonly #groupsBySharedId: Map<number, TailGroup> = new Map();
  /** Streams, and groups to be told to stop, that wait for room in a shard's ring; index = shard. */
  readonly #blockedStreams: (Set<StreamReader> | undefined)[] = [];
  readonly #blockedUntails: (Set<TailGroup> | undefined)[] = [];
  /** Raised when a shard is lost; index = shard. */
  readonly #generations: number[] = [];
  readonly #pumps: Fifo<Subscription> = new Fifo();
  #pumpPlanned = false;
  #lastStreamId = 0;

  constructor(port: GatewayPort, clock: Clock, writer: FrameWriter, output: OutputMeter, report: Report) {
    this.#port = port;
    this.#clock = clock;
    this.#writer = writer;
    this.#output = output;
    this.#report = report;
    this.#fanOut = new FanOut(clock, this);
  }

  /** Streams of all sessions. */
  get streamCount(): number {
    return this.#streams.size;
  }

  /** How often the shard was lost so far: what was learned of its log before may not hold after. */
  generation(shardId: number): number {
    return this.#generations[shardId] ?? 0;
  }

  // ---- subscriptions ----

  /** Gives the subscription its streams, at `startOffsets`; nothing is read before start(). */
  open(
    subscription: Subscription,
    topic: Topic,
    bounds: readonly PartitionBounds[],
    startOffsets: readonly number[],
  ): void {
    subscription.topic = topic;
    subscription.streams = bounds.map(({ partition, logEpoch }, i) => {
      const group = this.#group(topic, partition);
      const stream = new StreamReader(
        subscription,
        group,
        this.#newStreamId(),
        startOffsets[i] as number,
        logEpoch,
      );
      group.streams.add(stream);
      this.#streams.set(stream.streamId, stream);
      return stream;
    });
  }

  start(subscription: Subscription): void {
    for (const stream of subscription.streams) {
      subscription.enqueue(stream);
    }
    this.#pump(subscription);
  }

  /** FLOW: the client allows more. */
  grant(subscription: Subscription, creditLimit: number): void {
    subscription.grant(creditLimit);
    if (subscription.hasStarved) this.#feedStarved(subscription);
    this.#pump(subscription);
  }

  /** The session's socket has room again. */
  onWritable(session: Session): void {
    if (session.subscriptions === undefined) return;
    for (const subscription of session.subscriptions.values()) {
      if (subscription.waiting.length > 0) this.#planPump(subscription);
    }
  }

  /** Nothing more is sent for the subscription. */
  end(subscription: Subscription): void {
    if (subscription.ended) return;
    subscription.ended = true;
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
    if (stream.state === JOINED) group.leave(stream);
    else if (stream.state === FOLLOWING) group.unfollow(stream);
    group.streams.delete(stream);
    this.#blockedStreams[group.shardId]?.delete(stream);
    // A read under way is answered; until then the answer, which may be a join, has to find its stream.
    if (stream.state !== READING) this.#streams.delete(stream.streamId);
    stream.state = stream.state === READING ? READING : ENDED;
    this.#untailIfIdle(group);
  }

  // ---- reading ----

  /** Starts as many of the subscription's reads as credit, socket and rings allow. */
  #pump(subscription: Subscription): void {
    const { session, waiting } = subscription;
    while (!subscription.ended) {
      const stream = waiting.first;
      if (stream === undefined) return;
      if (stream.state !== WAITING || stream.starved) {
        subscription.dequeue();
        continue;
      }
      // Every way out of here has its way back in: a drain, a grant, or the answer to a read under way.
      if (!session.canSend()) return;
      const free = subscription.freeCredit;
      if (free <= 0 || stream.neededBytes > free) {
        if (!this.#canEverHave(subscription, stream)) continue;
        return;
      }
      const maxBytes = Math.max(stream.neededBytes, Math.min(GATEWAY_LIMITS.readBytesMax, free));
      const owed = session.unsentBytes + session.readingBytes;
      if (session.readingBytes > 0 && owed + maxBytes > this.#output.highWaterBytes) return;
      subscription.dequeue();
      this.#read(stream, maxBytes);
    }
  }

  /** False when the next batch is larger than all the credit the client ever gives; it has been told then. */
  #canEverHave(subscription: Subscription, stream: StreamReader): boolean {
    if (stream.neededBytes <= subscription.windowBytes) return true;
    stream.starved = true;
    subscription.hasStarved = true;
    subscription.session.sendError(
      new MillraceError("CREDIT_TOO_SMALL", "the next batch is larger than the subscription's credit", {
        details: {
          subscriptionId: subscription.id,
          partition: stream.group.partition,
          neededBytes: stream.neededBytes,
        },
      }),
    );
    return false;
  }

  #feedStarved(subscription: Subscription): void {
    subscription.hasStarved = false;
    for (const stream of subscription.streams) {
      if (!stream.starved) continue;
      if (stream.neededBytes > subscription.windowBytes) {
        subscription.hasStarved = true;
        continue;
      }
      stream.starved = false;
      if (stream.state === WAITING) subscription.enqueue(stream);
    }
  }

  #read(stream: StreamReader, maxBytes: number): void {
    const { group, subscription } = stream;
    const outcome = this.#port.read(
      group.shardId,
      stream.streamId,
      group.sharedStreamId,
      group.topic.topicId,
      group.partition,
      stream.nextOffset,
      maxBytes,
    );
    if (outcome === 0) {
      stream.state = READING;
      stream.lentBytes = maxBytes;
      subscription.lentBytes += maxBytes;
      subscription.session.readingBytes += maxBytes;
      group.readings += 1;
    } else if (outcome === SHARD_DOWN) {
      stream.state = SUSPENDED;
    } else {
      this.#blocked(group.shardId).add(stream);
    }
  }

  /**
   * Takes the stream of an answer and gives back what its read was lent; undefined when nobody waits for it any more.
   */
  #answered(streamId: number): StreamReader | undefined {
    const stream = this.#streams.get(streamId);
    if (stream === undefined || stream.state !== READING) return undefined;
    const { group, subscription } = stream;
    this.#settleRead(stream);
    if (!subscription.ended) return stream;
    stream.state = ENDED;
    this.#streams.delete(streamId);
    this.#untailIfIdle(group);
    return undefined;
  }

  #settleRead(stream: StreamReader): void {
    const { group, subscription } = stream;
    group.readings -= 1;
    subscription.lentBytes -= stream.lentBytes;
    subscription.session.readingBytes -= stream.lentBytes;
    stream.lentBytes = 0;
    stream.state = WAITING;
  }

  /** The stream reads on, after the others of its subscription; answers to one read make room for the next. */
  #readOn(stream: StreamReader): void {
    const { subscription } = stream;
    subscription.enqueue(stream);
    this.#pump(subscription);
    this.#pumpOthers(subscription);
  }

  /** What a session's reads may take together was given back: its other subscriptions may go on. */
  #pumpOthers(subscription: Subscription): void {
    const { subscriptions } = subscription.session;
    if (subscriptions === undefined || subscriptions.size < 2) return;
    for (const other of subscriptions.values()) {
      if (other !== subscription && other.waiting.length > 0) this.#planPump(other);
    }
  }

  #planPump(subscription: Subscription): void {
    if (subscription.pumpPlanned) return;
    subscription.pumpPlanned = true;
    this.#pumps.push(subscription);
    if (this.#pumpPlanned) return;
    this.#pumpPlanned = true;
    this.#clock.soon(() => this.#runPumps());
  }

  #runPumps(): void {
    this.#pumpPlanned = false;
    for (let left = GATEWAY_LIMITS.sendsPerTurn; left > 0; left -= 1) {
      const subscription = this.#pumps.shift();
      if (subscription === undefined) return;
      subscription.pumpPlanned = false;
      this.#pump(subscription);
    }
    if (this.#pumps.length === 0) return;
    this.#pumpPlanned = true;
    this.#clock.soon(() => this.#runPumps());
  }

  // ---- answers ----

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
    if (nextOffset > stream.nextOffset) {
      if (firstOffset > stream.nextOffset) {
        this.#report("unexplained-gap", { streamId, expected: stream.nextOffset, firstOffset });
        this.#progress(stream, firstOffset, "gap");
      }
      const frame = new Uint8Array(bytes.buffer, bytes.byteOffset + frameStart, frameLength);
      this.#deliver(stream, streamId, frame, nextOffset);
    }
    this.#readOn(stream);
  }

  onJoined(streamId: number, sharedStreamId: number, offset: number): void {
    const group = this.#groupsBySharedId.get(sharedStreamId);
    if (group !== undefined) group.tailing = true;
    const stream = this.#answered(streamId);
    if (stream === undefined || group === undefined) {
      if (group !== undefined) this.#untailIfIdle(group);
      return;
    }
    const { subscription } = stream;
    stream.neededBytes = 0;
    if (offset > stream.nextOffset) this.#progress(stream, offset, "gap");
    if (isMemberElsewhere(stream)) {
      stream.state = FOLLOWING;
      group.followers.push(stream);
    } else {
      group.join(stream);
    }
    this.#pump(subscription);
    this.#pumpOthers(subscription);
  }

  onProgress(streamId: number, nextOffset: number, reason: ProgressReason): void {
    const stream = this.#answered(streamId);
    if (stream !== undefined) {
      if (nextOffset > stream.nextOffset) this.#progress(stream, nextOffset, reason);
      this.#readOn(stream);
      return;
    }
    // Of a tail group: rare, so its members each find out for themselves.
    const group = this.#groupsBySharedId.get(streamId);
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
    this.#pump(stream.subscription);
    this.#pumpOthers(stream.subscription);
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
        if (stream.state === WAITING && !stream.subscription.ended) this.#readOn(stream);
      });
      this.#pump(stream.subscription);
      return;
    }
    const name = errorNameOf(errorNumber) ?? "READ_FAILED";
    const { partition } = stream.group;
    this.#fail(
      stream.subscription,
      new MillraceError(name, `reading partition ${partition} from offset ${stream.nextOffset} failed`, {
        details: subscriptionDetails(stream.subscription, [
          { partition, logStartOffset, highWatermark, logEpoch },
        ]),
      }),
    );
  }

  #onShared(
    sharedStreamId: number,
    firstOffset: number,
    nextOffset: number,
    bytes: Buffer,
    frameStart: number,
    frameLength: number,
  ): void {
    const group = this.#groupsBySharedId.get(sharedStreamId);
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
      this.#planPump(follower.subscription);
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
    this.#planPump(subscription);
    this.#untailIfIdle(group);
  }

  /** Tells the shard to stop tail deliveries that nobody wants. A read under way may still end as a join. */
  #untailIfIdle(group: TailGroup): void {
    if (!group.tailing || !group.isIdle) return;
    this.#fanOut.drop(group);
    const { shardId, topic, partition } = group;
    const outcome = this.#port.untail(shardId, topic.topicId, partition);
    if (outcome === 0 || outcome === SHARD_DOWN) {
      group.tailing = false;
      return;
    }
    const blocked = this.#blockedUntails[shardId] ?? new Set();
    this.#blockedUntails[shardId] = blocked;
    blocked.add(group);
  }

  #group(topic: Topic, partition: number): TailGroup {
    const key = partitionKey(topic.topicId, partition);
    let group = this.#groups.get(key);
    if (group === undefined) {
      group = new TailGroup(topic, partition, this.#newStreamId());
      this.#groups.set(key, group);
      this.#groupsBySharedId.set(group.sharedStreamId, group);
    }
    return group;
  }

  // ---- sending ----

  #deliver(stream: StreamReader, streamId: number, frame: Uint8Array, nextOffset: number): void {
    const { subscription } = stream;
    this.#moveTo(stream, streamId);
    subscription.creditUsed += frame.length;
    stream.nextOffset = nextOffset;
    subscription.session.send(frame);
  }

  /** What follows comes under `streamId`: the client is told when that is not what it expects. */
  #moveTo(stream: StreamReader, streamId: number): void {
    const from = stream.clientStreamId;
    if (from === streamId) return;
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
    const untails = this.#blockedUntails[shardId];
    if (untails !== undefined && untails.size > 0) {
      this.#blockedUntails[shardId] = undefined;
      for (const group of untails) this.#untailIfIdle(group);
    }
    const blocked = this.#blockedStreams[shardId];
    if (blocked === undefined || blocked.size === 0) return;
    this.#blockedStreams[shardId] = undefined;
    for (const stream of blocked) {
      if (stream.state !== WAITING) continue;
      stream.subscription.enqueue(stream);
      this.#planPump(stream.subscription);
    }
  }

  /** Reads under way are lost, and what is known of the shard's log may be wrong. */
  onShardDown(shardId: number): void {
    this.#generations[shardId] = this.generation(shardId) + 1;
    this.#blockedStreams[shardId] = undefined;
    this.#blockedUntails[shardId] = undefined;
    // Also those that have ended, which no group lists any more.
    for (const stream of [...this.#streams.values()]) {
      if (stream.group.shardId !== shardId || stream.state !== READING) continue;
      this.#settleRead(stream);
      // The reader thread may still answer: such an answer must not be taken for that of a later read.
      this.#streams.delete(stream.streamId);
      if (stream.subscription.ended) {
        stream.state = ENDED;
        continue;
      }
      stream.streamId = this.#newStreamId();
      this.#streams.set(stream.streamId, stream);
      this.#planPump(stream.subscription);
    }
    for (const group of this.#groups.values()) {
      if (group.shardId !== shardId) continue;
      this.#fanOut.drop(group);
      for (const member of [...group.members]) group.leave(member);
      group.followers = [];
      group.tailing = false;
      for (const stream of group.streams) stream.state = SUSPENDED;
    }
  }

  /** The shard stays down: its subscriptions end. */
  onShardFailed(shardId: number, reason: string): void {
    this.onShardDown(shardId);
    const error = new MillraceError("JOURNAL_FAILED", `the shard's journal failed: ${reason}`);
    for (const group of this.#groups.values()) {
      if (group.shardId === shardId) this.#failStreams(group, error);
    }
  }

  /** Reads on from where each stream stands, if the shard's log is still the one that was read from. */
  onShardUp(shardId: number): void {
    const byTopic = new Map<Topic, TailGroup[]>();
    for (const group of this.#groups.values()) {
      if (group.shardId !== shardId || group.streams.size === 0) continue;
      const groups = byTopic.get(group.topic);
      if (groups === undefined) byTopic.set(group.topic, [group]);
      else groups.push(group);
    }
    for (const [topic, groups] of byTopic) void this.#resume(topic, shardId, groups);
  }

  async #resume(topic: Topic, shardId: number, groups: readonly TailGroup[]): Promise<void> {
    const generation = this.generation(shardId);
    let bounds: PartitionBounds[];
    try {
      bounds = await this.#port.bounds(
        topic,
        groups.map(({ partition }) => partition),
      );
    } catch (error) {
      if (this.generation(shardId) !== generation) return;
      // The shard is up but does not answer: clients may try again, and get what is wrong as an answer.
      for (const group of groups) this.#failStreams(group, asReadFailure(error));
      return;
    }
    // Lost again meanwhile: the next onShardUp starts over.
    if (this.generation(shardId) !== generation) return;
    const byPartition = new Map(bounds.map((entry) => [entry.partition, entry]));
    for (const group of groups) {
      const entry = byPartition.get(group.partition);
      if (entry === undefined) continue;
      for (const stream of [...group.streams]) this.#resumeStream(stream, entry);
    }
  }

  #resumeStream(stream: StreamReader, bounds: PartitionBounds): void {
    const { subscription } = stream;
    if (stream.state !== SUSPENDED || subscription.ended) return;
    if (bounds.logEpoch === stream.logEpoch) {
      subscription.enqueue(stream);
      this.#planPump(subscription);
      return;
    }
    this.#fail(
      subscription,
      new MillraceError("LOG_EPOCH_CHANGED", "the partition lost records that may have been seen", {
        details: subscriptionDetails(subscription, [bounds]),
      }),
    );
  }

  #failStreams(group: TailGroup, error: MillraceError): void {
    for (const { subscription, state } of [...group.streams]) {
      if (state !== SUSPENDED || subscription.ended) continue;
      this.#fail(
        subscription,
        new MillraceError(error.code, error.message, {
          details: { ...error.details, ...subscriptionDetails(subscription, []) },
        }),
      );
    }
  }

  onTopicDeleted(topic: Topic): void {
    for (let partition = 0; partition < topic.partitions; partition += 1) {
      const key = partitionKey(topic.topicId, partition);
      const group = this.#groups.get(key);
      if (group === undefined) continue;
      for (const { subscription } of [...group.streams]) {
        if (subscription.ended) continue;
        this.#fail(
          subscription,
          new MillraceError("TOPIC_DELETED", `topic ${topic.name} was deleted`, {
            details: subscriptionDetails(subscription, []),
          }),
        );
      }
      this.#fanOut.drop(group);
      this.#blockedUntails[group.shardId]?.delete(group);
      this.#groups.delete(key);
      this.#groupsBySharedId.delete(group.sharedStreamId);
    }
  }

  #blocked(shardId: number): Set<StreamReader> {
    const blocked = this.#blockedStreams[shardId] ?? new Set();
    this.#blockedStreams[shardId] = blocked;
    return blocked;
  }

  #newStreamId(): number {
    do {
      this.#lastStreamId = this.#lastStreamId === STREAM_ID_MAX ? 1 : this.#lastStreamId + 1;
    } while (this.#streams.has(this.#lastStreamId) || this.#groupsBySharedId.has(this.#lastStreamId));
    return this.#lastStreamId;
  }
}

/** Two subscriptions of one session cannot both be members: one frame would be counted and handed out once. */
function isMemberElsewhere(stream: StreamReader): boolean {
  const { session } = stream.subscription;
  if (session.subscriptions === undefined || session.subscriptions.size < 2) return false;
  for (const other of session.subscriptions.values()) {
    if (other === stream.subscription || other.topic !== stream.subscription.topic) continue;
    if (other.streams.some(({ group, state }) => group === stream.group && state === JOINED)) return true;
  }
  return false;
}

/** Details of an error that concerns a subscription, with the bounds of partitions as far as they are known. */
export function subscriptionDetails(
  subscription: Subscription,
  bounds: readonly PartitionBounds[],
): Record<string, unknown> {
  const details: Record<string, unknown> = { subscriptionId: subscription.id };
  if (subscription.topic !== undefined) details.topicId = subscription.topic.topicId;
  if (bounds.length > 0) {
    details.partitions = bounds.map((entry) => [
      entry.partition,
      entry.logStartOffset,
      entry.highWatermark,
      entry.logEpoch,
    ]);
  }
  return details;
}

function asReadFailure(error: unknown): MillraceError {
  return error instanceof MillraceError
    ? error
    : new MillraceError("READ_FAILED", "the shard did not answer");
}
