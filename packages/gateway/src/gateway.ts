import type {
  AssignmentNotice,
  GatewayHandler,
  GatewayPort,
  Logger,
  Subscription,
  Topic,
  TopicConfig,
} from "@millrace/broker/internal";
import { VERSION } from "@millrace/broker/internal";
import {
  ERROR_CODES,
  encodeGoaway,
  encodeWelcome,
  FrameWriter,
  type HelloFrame,
  LIMITS,
  MillraceError,
  type ProgressReason,
} from "@millrace/protocol";
import { AckSender } from "./ack-sender.ts";
import type { Clock } from "./clock.ts";
import { ConsumeRequests } from "./consume-requests.ts";
import { ConsumerTable } from "./consumer-table.ts";
import { DeliveryPath } from "./delivery-path.ts";
import { FrameDispatch } from "./frame-dispatch.ts";
import { answerHealth } from "./health-routes.ts";
import { checkHello, SERVER_FEATURES } from "./hello.ts";
import { notFound } from "./http-reply.ts";
import { GATEWAY_LIMITS } from "./limits.ts";
import type { HttpReply, HttpRequest, ListenerHandler, Socket, SocketHandler } from "./listener.ts";
import type { OriginPolicy } from "./origin-policy.ts";
import { OutputMeter } from "./output-meter.ts";
import { PublishCreditPool } from "./publish-credit.ts";
import { PublishPath } from "./publish-path.ts";
import { QueueConsumers } from "./queue-consumers.ts";
import { OPEN, Session, type SessionHost } from "./session.ts";
import { SessionLog } from "./session-log.ts";
import { SessionTable } from "./session-table.ts";
import { StreamConsumers } from "./stream-consumers.ts";
import { SubscribeRequests } from "./subscribe-requests.ts";
import { SubscriptionLookup } from "./subscription-lookup.ts";
import { TopicRequests } from "./topic-requests.ts";

export interface GatewayOptions {
  readonly port: GatewayPort;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Topics that are subscribed to or described are made, with this configuration, when they do not exist. */
  readonly autoCreate?: TopicConfig | undefined;
  /** For tests: bytes instead of LIMITS.publishCreditPoolBytes. */
  readonly creditPoolBytes?: number | undefined;
}

/**
 * The sessions of one node and all that concerns them together: listener events come in on one side, the node's on the
 * other, both on this thread.
 */
export class Gateway implements GatewayHandler, ListenerHandler, SessionHost {
  readonly writer: FrameWriter = new FrameWriter(4096);
  readonly output: OutputMeter = new OutputMeter();
  readonly log: SessionLog;
  readonly #port: GatewayPort;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #sessions: SessionTable;
  readonly #credit: PublishCreditPool;
  readonly #acks: AckSender;
  readonly #publishPath: PublishPath;
  readonly #delivery: DeliveryPath;
  readonly #consumers: ConsumerTable = new ConsumerTable();
  readonly #streamConsumers: StreamConsumers;
  readonly #queueConsumers: QueueConsumers;
  readonly #dispatch: FrameDispatch;
  readonly #failedShards: Set<number> = new Set();
  #origins: OriginPolicy | undefined;
  #phase: "starting" | "serving" | "draining" = "starting";

  constructor(options: GatewayOptions) {
    const { port, clock, logger } = options;
    this.#port = port;
    this.#clock = clock;
    this.#logger = logger;
    this.log = new SessionLog(logger);
    this.#sessions = new SessionTable(this, clock, () => {
      this.#credit.tick();
      this.#queueConsumers.tick();
    });
    this.#credit = new PublishCreditPool(clock, options.creditPoolBytes);
    this.#acks = new AckSender(this.writer, this.#credit, clock);
    this.#publishPath = new PublishPath(port, this.#credit, this.#acks, clock);
    this.#delivery = new DeliveryPath(port, clock, this.writer, this.output, (event, fields) =>
      logger.log("warn", event, fields),
    );
    const topicRequests = new TopicRequests(port, this.writer, options.autoCreate);
    this.#streamConsumers = new StreamConsumers({
      port,
      clock,
      writer: this.writer,
      delivery: this.#delivery,
      consumers: this.#consumers,
      report: (event, fields) => logger.log("warn", event, fields),
    });
    this.#queueConsumers = new QueueConsumers({
      port,
      clock,
      writer: this.writer,
      output: this.output,
      consumers: this.#consumers,
      wakeStreams: (session) => this.#delivery.onWritable(session),
    });
    this.#dispatch = new FrameDispatch(this, {
      writer: this.writer,
      credit: this.#credit,
      publishPath: this.#publishPath,
      topicRequests,
      subscribeRequests: new SubscribeRequests(port, this.writer, this.#delivery, topicRequests),
      consumeRequests: new ConsumeRequests({
        port,
        writer: this.writer,
        topics: topicRequests,
        subscriptions: new SubscriptionLookup(port),
        consumers: this.#consumers,
        streamConsumers: this.#streamConsumers,
        queueConsumers: this.#queueConsumers,
      }),
      streamConsumers: this.#streamConsumers,
      queueConsumers: this.#queueConsumers,
    });
  }

  get sessionCount(): number {
    return this.#sessions.size;
  }

  /** Bytes of publish credit that no session holds. */
  get availableCredit(): number {
    return this.#credit.available;
  }

  get isDraining(): boolean {
    return this.#phase === "draining";
  }

  /** From now on upgrades are accepted. */
  serve(origins: OriginPolicy): void {
    this.#origins = origins;
    this.#phase = "serving";
    this.#sessions.start();
  }

  /** No new sessions, requests or publishes; clients are told to go elsewhere. Acks and deliveries go on. */
  goAway(): void {
    if (this.#phase === "draining") return;
    this.#phase = "draining";
    for (const session of this.#sessions.values()) {
      if (session.state !== OPEN) continue;
      this.writer.reset();
      encodeGoaway(this.writer, {
        code: ERROR_CODES.SERVER_DRAINING.code,
        name: "SERVER_DRAINING",
        message: "the broker is shutting down",
      });
      session.sendWritten();
    }
    this.#publishPath.drain();
    this.#queueConsumers.drain();
    this.#acks.flush();
  }

  /** Ends all sessions, once their clients have read what was sent or closeGraceMs are over. */
  async endSessions(): Promise<void> {
    this.#acks.flush();
    await this.#sessions.end();
  }

  // ---- listener ----

  upgrade(request: HttpRequest): HttpReply | undefined {
    if (request.path !== "/") return notFound(request.path);
    if (this.#phase !== "serving" || this.#origins === undefined) {
      return unavailable("SERVER_DRAINING", this.notReadyReason() ?? "the broker is not ready");
    }
    if (!this.#origins.allows(request.origin)) {
      this.#logger.log("warn", "origin-refused", { origin: request.origin });
      return {
        status: 403,
        body: { error: "NOT_AUTHORIZED", message: `pages from ${request.origin} may not connect` },
      };
    }
    return undefined;
  }

  open(socket: Socket): SocketHandler {
    const session = new Session(this.#sessions.newId(), socket, this, this.#sessions.now);
    if (this.#sessions.size >= GATEWAY_LIMITS.sessionsMax) {
      session.fail(
        new MillraceError("TOO_MANY_SESSIONS", `there are ${GATEWAY_LIMITS.sessionsMax} sessions already`),
      );
      // The listener has not got the session yet, so that nobody else would tell it.
      session.onClose(1013);
      return session;
    }
    this.#sessions.add(session);
    return session;
  }

  http(request: HttpRequest): HttpReply {
    return answerHealth(
      request,
      () => this.notReadyReason(),
      () => this.#port.conditions,
    );
  }

  failed(hook: string, error: unknown): void {
    this.log.hookFailed(hook, error);
  }

  /** Why /readyz says 503. */
  notReadyReason(): string | undefined {
    if (this.#phase === "draining") return "the broker is shutting down";
    if (this.#failedShards.size > 0) {
      return `the journal of shard ${[...this.#failedShards].join(", ")} failed: an operator must repair it`;
    }
    if (this.#phase === "starting" || !this.#port.ready) return "the broker is recovering";
    return undefined;
  }

  // ---- sessions ----

  onFrame(session: Session, bytes: Uint8Array): void {
    session.seenTick = this.#sessions.now;
    this.#dispatch.onFrame(session, bytes);
  }

  welcome(session: Session, frame: HelloFrame): void {
    checkHello(frame);
    session.state = OPEN;
    session.clientName = frame.clientName;
    const publishCredit = this.#credit.open(session.credit);
    this.writer.reset();
    encodeWelcome(this.writer, {
      version: LIMITS.protocolVersion,
      features: SERVER_FEATURES,
      limits: LIMITS,
      sessionId: session.id,
      serverTimeMs: this.#clock.wallMs(),
      serverName: `millrace/${VERSION}`,
      publishCredit,
      extensions: {},
    });
    session.sendWritten();
    this.log.opened(session);
  }

  onWritable(session: Session): void {
    this.#acks.flushSession(session);
    this.#credit.drained(session.credit);
    this.#delivery.onWritable(session);
    this.#queueConsumers.onWritable(session);
  }

  onSessionClosed(session: Session, code: number): void {
    this.#sessions.delete(session);
    this.#credit.close(session.credit);
    const { subscriptions } = session;
    session.subscriptions = undefined;
    session.inFlight = undefined;
    session.lastInFlight = undefined;
    for (const subscription of subscriptions?.values() ?? []) this.#delivery.end(subscription);
    this.#consumers.onSessionClosed(session);
    this.log.closed(session, code);
  }

  /** Once a second: who is alive, who has to be asked, who holds credit for nothing. */
  tick(): void {
    this.#sessions.tick();
  }

  // ---- node ----

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
    this.#acks.ack(
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
    this.#acks.error(
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
    this.#delivery.onDeliver(streamId, shared, firstOffset, nextOffset, bytes, frameStart, frameLength);
  }

  onJoined(streamId: number, sharedStreamId: number, offset: number): void {
    this.#delivery.onJoined(streamId, sharedStreamId, offset);
  }

  onProgress(streamId: number, nextOffset: number, reason: ProgressReason): void {
    this.#delivery.onProgress(streamId, nextOffset, reason);
  }

  onNeedsCredit(streamId: number, bytes: number): void {
    this.#delivery.onNeedsCredit(streamId, bytes);
  }

  onReadError(
    streamId: number,
    errorNumber: number,
    logStartOffset: number,
    highWatermark: number,
    logEpoch: number,
  ): void {
    this.#delivery.onReadError(streamId, errorNumber, logStartOffset, highWatermark, logEpoch);
  }

  onAvailable(shardId: number, subscriptionId: number): void {
    this.#queueConsumers.onAvailable(shardId, subscriptionId);
  }

  onEmpty(shardId: number, consumerId: number, messages: number, bytes: number): void {
    this.#queueConsumers.onEmpty(shardId, consumerId, messages, bytes);
  }

  onLeased(
    shardId: number,
    consumerId: number,
    messages: number,
    bytes: Buffer,
    frameStart: number,
    frameLength: number,
  ): void {
    this.#queueConsumers.onLeased(shardId, consumerId, messages, bytes, frameStart, frameLength);
  }

  onSettled(shardId: number, consumerId: number, settleId: number, outcome: number, messages: number): void {
    this.#queueConsumers.onSettled(shardId, consumerId, settleId, outcome, messages);
  }

  onNotice(_shardId: number, notice: readonly unknown[]): void {
    if (notice[0] === "assignment") this.#streamConsumers.onAssignment(notice as AssignmentNotice);
  }

  onSpace(shardId: number): void {
    this.#publishPath.onSpace(shardId);
    this.#delivery.onSpace(shardId);
    this.#queueConsumers.onSpace(shardId);
  }

  onDrainEnd(): void {
    this.#acks.flush();
    this.#queueConsumers.onDrainEnd();
  }

  onShardDown(shardId: number): void {
    this.#logger.log("warn", "shard-down", { shard: shardId });
    this.#publishPath.onShardDown(shardId, this.#sessions.values());
    this.#delivery.onShardDown(shardId);
    this.#queueConsumers.onShardDown(shardId);
    this.#streamConsumers.onShardDown(shardId);
  }

  onShardUp(shardId: number): void {
    this.#logger.log("info", "shard-up", { shard: shardId });
    this.#failedShards.delete(shardId);
    this.#publishPath.onShardUp(shardId);
    this.#delivery.onShardUp(shardId);
    this.#queueConsumers.onShardUp(shardId);
    this.#streamConsumers.onShardUp(shardId);
  }

  onShardFailed(shardId: number, reason: string): void {
    this.#logger.log("error", "shard-failed", { shard: shardId, reason });
    this.#failedShards.add(shardId);
    this.#publishPath.onShardFailed(shardId, this.#sessions.values());
    this.#delivery.onShardFailed(shardId, reason);
    this.#queueConsumers.onShardFailed(shardId, reason);
    this.#streamConsumers.onShardDown(shardId);
  }

  onTopicCreated(topic: Topic): void {
    this.#logger.log("info", "topic-created", { topic: topic.name, topicId: topic.topicId });
  }

  onTopicDeleted(topic: Topic): void {
    this.#logger.log("info", "topic-deleted", { topic: topic.name, topicId: topic.topicId });
    this.#publishPath.onTopicDeleted(topic);
    this.#consumers.failAll(
      (consumer) => consumer.topicId === topic.topicId,
      new MillraceError("TOPIC_DELETED", `topic ${topic.name} was deleted`),
    );
    this.#delivery.onTopicDeleted(topic);
  }

  onSubscriptionDeleted({ name, topicId, subscriptionId }: Subscription): void {
    this.#logger.log("info", "subscription-deleted", { subscription: name, topicId, subscriptionId });
    this.#consumers.failAll(
      (consumer) => consumer.subscriptionId === subscriptionId,
      new MillraceError("SUBSCRIPTION_DELETED", `subscription ${name} was deleted`),
    );
  }

  onSubscriptionChanged(subscription: Subscription): void {
    this.#streamConsumers.onSubscriptionChanged(subscription);
  }
}

function unavailable(error: "SERVER_DRAINING", message: string): HttpReply {
  return { status: 503, body: { error, message }, headers: { "retry-after": "1" } };
}
