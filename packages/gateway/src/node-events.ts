import type {
  AssignmentNotice,
  GatewayHandler,
  GatewayLoad,
  GatewayPort,
  Logger,
  Subscription as NamedSubscription,
  SubscriptionConsumers,
  Topic,
} from "@millrace/broker/internal";
import { MillraceError, type ProgressReason } from "@millrace/protocol";
import type { GatewayParts } from "./gateway-parts.ts";
import type { SessionTable } from "./session-table.ts";

/** What the node tells its gateway, handed to those whom it concerns. */
export class NodeEvents implements GatewayHandler {
  /** Those whose journal failed. */
  readonly failedShards: Set<number> = new Set();
  readonly #port: GatewayPort;
  readonly #parts: GatewayParts;
  readonly #sessions: SessionTable;
  readonly #logger: Logger;

  constructor(port: GatewayPort, parts: GatewayParts, sessions: SessionTable, logger: Logger) {
    this.#port = port;
    this.#parts = parts;
    this.#sessions = sessions;
    this.#logger = logger;
  }

  onAck(
    sessionId: number,
    topicId: number,
    partition: number,
    producerId: number,
    firstSequence: number,
    count: number,
    baseOffset: number,
    logEpoch: number,
    durability: number,
  ): void {
    const session = this.#sessions.get(sessionId);
    if (session === undefined) return;
    this.#parts.acks.ack(
      session,
      topicId,
      partition,
      producerId,
      firstSequence,
      count,
      baseOffset,
      logEpoch,
      durability,
    );
  }

  onPublishError(
    sessionId: number,
    topicId: number,
    partition: number,
    producerId: number,
    firstSequence: number,
    count: number,
    errorNumber: number,
    retryAfterMs: number,
  ): void {
    const session = this.#sessions.get(sessionId);
    if (session === undefined) return;
    this.#parts.acks.error(
      session,
      topicId,
      partition,
      producerId,
      firstSequence,
      count,
      errorNumber,
      retryAfterMs,
    );
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
    this.#parts.delivery.onDeliver(streamId, shared, firstOffset, nextOffset, bytes, frameStart, frameLength);
  }

  onJoined(streamId: number, sharedStreamId: number, offset: number): void {
    this.#parts.delivery.onJoined(streamId, sharedStreamId, offset);
  }

  onProgress(streamId: number, nextOffset: number, reason: ProgressReason): void {
    this.#parts.delivery.onProgress(streamId, nextOffset, reason);
  }

  onNeedsCredit(streamId: number, bytes: number): void {
    this.#parts.delivery.onNeedsCredit(streamId, bytes);
  }

  onReadError(
    streamId: number,
    errorNumber: number,
    logStartOffset: number,
    highWatermark: number,
    logEpoch: number,
  ): void {
    this.#parts.delivery.onReadError(streamId, errorNumber, logStartOffset, highWatermark, logEpoch);
  }

  onAvailable(shardId: number, subscriptionId: number): void {
    this.#parts.queueConsumers.onAvailable(shardId, subscriptionId);
  }

  onEmpty(shardId: number, consumerId: number, messages: number, bytes: number): void {
    this.#parts.queueConsumers.onEmpty(shardId, consumerId, messages, bytes);
  }

  onLeased(
    shardId: number,
    consumerId: number,
    messages: number,
    bytes: Buffer,
    frameStart: number,
    frameLength: number,
  ): void {
    this.#parts.queueConsumers.onLeased(shardId, consumerId, messages, bytes, frameStart, frameLength);
  }

  onSettled(shardId: number, consumerId: number, settleId: number, outcome: number, messages: number): void {
    this.#parts.queueConsumers.onSettled(shardId, consumerId, settleId, outcome, messages);
  }

  onNotice(_shardId: number, notice: readonly unknown[]): void {
    if (notice[0] === "dead-letter-topic") this.#makeDeadLetterTopic(notice[1] as number);
    else if (notice[0] === "assignment") this.#parts.streamConsumers.onAssignment(notice as AssignmentNotice);
  }

  onSpace(shardId: number): void {
    this.#parts.publishPath.onSpace(shardId);
    this.#parts.delivery.onSpace(shardId);
    this.#parts.queueConsumers.onSpace(shardId);
  }

  onDrainEnd(): void {
    this.#parts.acks.flush();
    this.#parts.queueConsumers.onDrainEnd();
  }

  onShardDown(shardId: number): void {
    this.#logger.log("warn", "shard-down", { shard: shardId });
    this.#parts.publishPath.onShardDown(shardId, this.#sessions.values());
    this.#parts.delivery.onShardDown(shardId);
    this.#parts.queueConsumers.onShardDown(shardId);
    this.#parts.streamConsumers.onShardDown(shardId);
  }

  onShardUp(shardId: number): void {
    this.#logger.log("info", "shard-up", { shard: shardId });
    this.failedShards.delete(shardId);
    this.#parts.publishPath.onShardUp(shardId);
    this.#parts.delivery.onShardUp(shardId);
    this.#parts.queueConsumers.onShardUp(shardId);
    this.#parts.streamConsumers.onShardUp(shardId);
  }

  onShardFailed(shardId: number, reason: string): void {
    this.#logger.log("error", "shard-failed", { shard: shardId, reason });
    this.failedShards.add(shardId);
    this.#parts.publishPath.onShardFailed(shardId, this.#sessions.values());
    this.#parts.delivery.onShardFailed(shardId, reason);
    this.#parts.queueConsumers.onShardFailed(shardId);
    this.#parts.streamConsumers.onShardDown(shardId);
  }

  onTopicCreated(topic: Topic): void {
    this.#logger.log("info", "topic-created", { topic: topic.name, topicId: topic.topicId });
    this.#parts.subscriptionLookup.onTopicCreated(topic);
    this.#parts.watches.onTopicChanged(topic);
    this.#parts.publishPath.onTopicCreated(topic);
  }

  onTopicAltered(topic: Topic): void {
    this.#parts.watches.onTopicChanged(topic);
  }

  onTopicDeleted(topic: Topic): void {
    this.#logger.log("info", "topic-deleted", { topic: topic.name, topicId: topic.topicId });
    this.#parts.publishPath.onTopicDeleted(topic);
    this.#parts.consumers.failAll(
      (consumer) => consumer.topicId === topic.topicId,
      new MillraceError("TOPIC_DELETED", `topic ${topic.name} was deleted`),
    );
    this.#parts.delivery.onTopicDeleted(topic);
    this.#parts.subscriptionLookup.onTopicDeleted(topic);
    this.#parts.watches.onTopicDeleted(topic);
  }

  onSubscriptionDeleted({ name, topicId, subscriptionId }: NamedSubscription): void {
    this.#logger.log("info", "subscription-deleted", { subscription: name, topicId, subscriptionId });
    this.#parts.consumers.failAll(
      (consumer) => consumer.subscriptionId === subscriptionId,
      new MillraceError("SUBSCRIPTION_DELETED", `subscription ${name} was deleted`),
    );
  }

  onSubscriptionChanged(subscription: NamedSubscription, sought: boolean): void {
    this.#parts.streamConsumers.onSubscriptionChanged(subscription, sought);
  }

  consumersOf(subscriptionId: number): SubscriptionConsumers {
    const { consumers, streamConsumers } = this.#parts;
    return {
      count: consumers.countOf(subscriptionId),
      holders: [...streamConsumers.holdersOf(subscriptionId)],
    };
  }

  load(): GatewayLoad {
    return { sessions: this.#sessions.size };
  }

  /** The shard that lacks it asks again if this comes to nothing. */
  #makeDeadLetterTopic(topicId: number): void {
    this.#port.createDeadLetterTopic(topicId).catch((error: unknown) => {
      this.#logger.log("warn", "dead-letter-topic-not-created", { topicId, error: String(error) });
    });
  }
}
