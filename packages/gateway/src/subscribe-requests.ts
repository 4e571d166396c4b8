import type { GatewayPort, PartitionBounds, Topic } from "@millrace/broker/internal";
import {
  encodeSubscribed,
  encodeUnsubscribed,
  type FlowFrame,
  type FrameWriter,
  LIMITS,
  MillraceError,
  type ResumePosition,
  type SubscribeFrame,
  type UnsubscribeFrame,
} from "@millrace/protocol";
import type { DeliveryPath } from "./delivery-path.ts";
import { namedPartitions } from "./named-partitions.ts";
import { asRequestError, withDetails } from "./request-errors.ts";
import { resumeOffset } from "./resume-offset.ts";
import type { Session } from "./session.ts";
import { checkStreamCount } from "./stream-count.ts";
import { type StatedBounds, Subscription, subscriptionDetails } from "./subscription.ts";
import { offsetsForTime } from "./time-lookups.ts";
import type { TopicRequests } from "./topic-requests.ts";

const MODES: ReadonlySet<string> = new Set(["stream", "live"]);

/** SUBSCRIBE, FLOW and UNSUBSCRIBE: where a subscription starts, and how it ends. */
export class SubscribeRequests {
  readonly #port: GatewayPort;
  readonly #writer: FrameWriter;
  readonly #delivery: DeliveryPath;
  readonly #topics: TopicRequests;

  constructor(port: GatewayPort, writer: FrameWriter, delivery: DeliveryPath, topics: TopicRequests) {
    this.#port = port;
    this.#writer = writer;
    this.#delivery = delivery;
    this.#topics = topics;
  }

  async subscribe(session: Session, frame: SubscribeFrame): Promise<void> {
    const { subscriptionId: id } = frame;
    checkSubscribe(session, frame);
    const subscription = new Subscription(session, id, frame.creditLimit);
    session.subscriptions ??= new Map();
    session.subscriptions.set(id, subscription);
    try {
      await this.#resolve(subscription, frame);
    } catch (error) {
      // Ended meanwhile: the id may be another subscription's by now.
      if (session.subscriptions?.get(id) === subscription) session.subscriptions.delete(id);
      this.#delivery.end(subscription);
      throw withDetails(asRequestError(error), { subscriptionId: id });
    }
  }

  flow(session: Session, frame: FlowFrame): void {
    // Unknown: it crossed with the end of the subscription.
    const subscription = session.subscriptions?.get(frame.subscriptionId);
    if (subscription !== undefined) this.#delivery.grant(subscription, frame.creditLimit);
  }

  unsubscribe(session: Session, frame: UnsubscribeFrame): void {
    const { requestId, subscriptionId } = frame;
    const subscription = session.subscriptions?.get(subscriptionId);
    if (subscription === undefined) {
      throw new MillraceError("UNKNOWN_SUBSCRIPTION", `there is no subscription ${subscriptionId}`, {
        details: { subscriptionId },
      });
    }
    session.subscriptions?.delete(subscriptionId);
    this.#delivery.end(subscription);
    this.#writer.reset();
    encodeUnsubscribed(this.#writer, { requestId, subscriptionId });
    session.sendWritten();
  }

  async #resolve(subscription: Subscription, frame: SubscribeFrame): Promise<void> {
    const { session } = subscription;
    const topic = await this.#topics.topic(frame.topic);
    const partitions = namedPartitions(topic, frame.partitions);
    checkStreamCount(session, partitions.length, this.#delivery);
    for (;;) {
      const generations = partitions.map((partition) => this.#generation(topic, partition));
      const bounds = inOrder(partitions, await this.#port.bounds(topic, partitions));
      const starts = await this.#startOffsets(subscription, topic, bounds, frame);
      if (session.isClosed) return;
      if (subscription.ended) {
        throw new MillraceError("UNKNOWN_SUBSCRIPTION", "the subscription was ended before it had begun");
      }
      if (this.#port.topicById(topic.topicId) === undefined) {
        throw new MillraceError("TOPIC_DELETED", `topic ${topic.name} was deleted`);
      }
      // A shard that was lost meanwhile may have come back with another log.
      if (partitions.some((partition, i) => this.#generation(topic, partition) !== generations[i])) continue;
      checkStreamCount(session, partitions.length, this.#delivery);
      this.#delivery.open(subscription, topic, bounds, starts);
      this.#confirm(subscription, topic, bounds, frame.requestId);
      this.#delivery.start(subscription);
      return;
    }
  }

  #confirm(
    subscription: Subscription,
    topic: Topic,
    bounds: readonly PartitionBounds[],
    requestId: number,
  ): void {
    this.#writer.reset();
    encodeSubscribed(this.#writer, {
      requestId,
      subscriptionId: subscription.id,
      topicId: topic.topicId,
      streams: bounds.map(({ partition, logStartOffset, highWatermark, logEpoch, restores }, i) => {
        const stream = subscription.streams[i];
        return {
          partition,
          streamId: stream?.streamId ?? 0,
          startOffset: stream?.nextOffset ?? 0,
          logStartOffset,
          highWatermark,
          logEpoch,
          restores,
        };
      }),
    });
    subscription.session.sendWritten();
  }

  /** The offset that each partition starts at, in the order of `bounds`. */
  async #startOffsets(
    subscription: Subscription,
    topic: Topic,
    bounds: readonly PartitionBounds[],
    frame: SubscribeFrame,
  ): Promise<readonly number[]> {
    const { from } = frame;
    switch (from.kind) {
      case "earliest":
        return bounds.map(({ logStartOffset }) => logStartOffset);
      case "latest":
        return bounds.map(({ highWatermark }) => highWatermark);
      case "offset":
        for (const entry of bounds) {
          if (from.offset < entry.logStartOffset || from.offset > entry.highWatermark) {
            throw outOfRange(subscription, topic, entry, from.offset);
          }
        }
        return bounds.map(() => from.offset);
      case "time":
        return offsetsForTime(
          this.#port,
          topic,
          bounds.map(({ partition }) => partition),
          from.timeMs,
        );
      case "resume":
        return resumeOffsets(subscription, topic, bounds, from);
    }
  }

  #generation(topic: Topic, partition: number): number {
    return this.#delivery.generation(topic.shards[partition] as number);
  }
}

function checkSubscribe(session: Session, frame: SubscribeFrame): void {
  const { subscriptionId } = frame;
  const details = { subscriptionId };
  if (session.subscriptions?.has(subscriptionId)) {
    throw new MillraceError("SUBSCRIPTION_EXISTS", `there is a subscription ${subscriptionId} already`, {
      details,
    });
  }
  if ((session.subscriptions?.size ?? 0) >= LIMITS.subscriptionsPerSessionMax) {
    throw new MillraceError("TOO_MANY_SUBSCRIPTIONS", "the session has too many subscriptions", { details });
  }
  if (!MODES.has(frame.mode)) {
    throw new MillraceError(
      "UNSUPPORTED_FEATURE",
      `there is no subscription mode ${JSON.stringify(frame.mode)}`,
      {
        details: { ...details, mode: frame.mode },
      },
    );
  }
  const [extension] = Object.keys(frame.extensions);
  if (extension !== undefined) {
    throw new MillraceError("UNSUPPORTED_FEATURE", `there is no extension ${JSON.stringify(extension)}`, {
      details: { ...details, extension },
    });
  }
}

function resumeOffsets(
  subscription: Subscription,
  topic: Topic,
  bounds: readonly PartitionBounds[],
  from: Extract<SubscribeFrame["from"], { kind: "resume" }>,
): readonly number[] {
  if (from.topicId !== topic.topicId)
    throw epochChanged(subscription, topic, bounds, "the topic was made anew");
  const positions = new Map(from.positions.map((position) => [position.partition, position]));
  const wanted = bounds.map((entry) => {
    const position = positions.get(entry.partition);
    if (position === undefined) {
      throw new MillraceError(
        "INVALID_FROM",
        `the resume position of partition ${entry.partition} is missing`,
      );
    }
    return { position, entry: { ...entry, resumeOffset: offsetNow(position, entry) } };
  });
  for (const { position, entry } of wanted) {
    if (position.logEpoch !== entry.logEpoch) {
      const entries = wanted.map((each) => each.entry);
      throw epochChanged(subscription, topic, entries, `partition ${entry.partition} lost records`);
    }
    // Below the start of the log is what retention took meanwhile: the reader is told by PROGRESS and goes on.
    if (position.offset > entry.highWatermark) throw outOfRange(subscription, topic, entry, position.offset);
  }
  return wanted.map(({ position }) => position.offset);
}

/** Where the position stands in the log of today. */
function offsetNow(position: ResumePosition, entry: PartitionBounds): number {
  if (position.logEpoch === entry.logEpoch) return Math.min(position.offset, entry.highWatermark);
  return resumeOffset(position, entry);
}

function epochChanged(
  subscription: Subscription,
  topic: Topic,
  bounds: readonly StatedBounds[],
  why: string,
): MillraceError {
  return new MillraceError("LOG_EPOCH_CHANGED", why, {
    details: { ...subscriptionDetails(subscription, bounds), topicId: topic.topicId },
  });
}

function outOfRange(
  subscription: Subscription,
  topic: Topic,
  bounds: StatedBounds,
  offset: number,
): MillraceError {
  const { partition, logStartOffset, highWatermark } = bounds;
  return new MillraceError(
    "OFFSET_OUT_OF_RANGE",
    `partition ${partition} has offsets ${logStartOffset} to ${highWatermark}, not ${offset}`,
    {
      details: { ...subscriptionDetails(subscription, [bounds]), topicId: topic.topicId, partition, offset },
    },
  );
}

function inOrder(
  partitions: readonly number[],
  bounds: readonly PartitionBounds[],
): readonly PartitionBounds[] {
  const byPartition = new Map(bounds.map((entry) => [entry.partition, entry]));
  return partitions.map((partition) => {
    const entry = byPartition.get(partition);
    if (entry === undefined)
      throw new MillraceError("UNKNOWN_PARTITION", `no bounds of partition ${partition}`);
    return entry;
  });
}
