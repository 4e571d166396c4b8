import {
  decodeAlterSubscription,
  decodeAlterTopic,
  decodeCommit,
  decodeConsume,
  decodeConsumerCredit,
  decodeCreateSubscription,
  decodeCreateTopic,
  decodeCreditRequest,
  decodeCreditReturned,
  decodeDeleteSubscription,
  decodeDeleteTopic,
  decodeDescribeSubscription,
  decodeDescribeTopic,
  decodeError,
  decodeFlow,
  decodeHello,
  decodeListSubscriptions,
  decodeListTopics,
  decodePeek,
  decodePing,
  decodePong,
  decodeRedrive,
  decodeRelease,
  decodeSeekSubscription,
  decodeSnapshotSubscription,
  decodeStopConsuming,
  decodeSubscribe,
  decodeTruncateTopic,
  decodeUnsubscribe,
  decodeUnwatchTopics,
  decodeWatchTopics,
  encodePong,
  FRAME_TYPE,
  FrameReader,
  type FrameWriter,
  type HelloFrame,
  LIMITS,
  MillraceError,
  readFrameType,
} from "@millrace/protocol";
import type { ConsumeRequests } from "./consume-requests.ts";
import { INVALID_LIMIT, type PublishCreditPool } from "./publish-credit.ts";
import type { PublishPath } from "./publish-path.ts";
import type { QueueConsumers } from "./queue-consumers.ts";
import { asRequestError } from "./request-errors.ts";
import { AWAITS_HELLO, type Session } from "./session.ts";
import type { SessionLog } from "./session-log.ts";
import type { StreamConsumers } from "./stream-consumers.ts";
import type { SubscribeRequests } from "./subscribe-requests.ts";
import type { SubscriptionRequests } from "./subscription-requests.ts";
import type { TopicRequests } from "./topic-requests.ts";
import type { TopicWatches } from "./topic-watches.ts";

/** What the dispatch leaves to the gateway. */
export interface DispatchHost {
  readonly isDraining: boolean;
  /** @throws MillraceError when the client cannot be served; a close follows. */
  welcome(session: Session, frame: HelloFrame): void;
  readonly log: SessionLog;
}

export interface DispatchTargets {
  readonly writer: FrameWriter;
  readonly credit: PublishCreditPool;
  readonly publishPath: PublishPath;
  readonly subscribeRequests: SubscribeRequests;
  readonly consumeRequests: ConsumeRequests;
  readonly streamConsumers: StreamConsumers;
  readonly queueConsumers: QueueConsumers;
  readonly subscriptionRequests: SubscriptionRequests;
  readonly topicRequests: TopicRequests;
  readonly topicWatches: TopicWatches;
}

/** Hands each frame to whoever handles its type. A frame that breaks the protocol ends its session, and only that. */
export class FrameDispatch {
  readonly #host: DispatchHost;
  readonly #targets: DispatchTargets;
  readonly #reader: FrameReader = new FrameReader();

  constructor(host: DispatchHost, targets: DispatchTargets) {
    this.#host = host;
    this.#targets = targets;
  }

  /** `bytes` is valid until the call returns. */
  onFrame(session: Session, bytes: Uint8Array): void {
    const length = bytes.length;
    if (length > LIMITS.frameBytesMax) {
      session.fail(
        new MillraceError("FRAME_TOO_LARGE", `a frame has at most ${LIMITS.frameBytesMax} bytes`, {
          details: { frameBytes: length, frameBytesMax: LIMITS.frameBytesMax },
        }),
      );
      return;
    }
    const type = readFrameType(bytes, 0, length);
    if (session.state === AWAITS_HELLO && type !== FRAME_TYPE.HELLO) {
      session.fail(new MillraceError("HELLO_EXPECTED", "the first frame must be HELLO"));
      return;
    }
    if (type === FRAME_TYPE.PUBLISH) {
      this.#targets.publishPath.onPublish(session, bytes);
      return;
    }
    try {
      this.#reader.open(bytes, 0, length);
      this.#dispatch(session, type);
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      const requestId = error.code === "INVALID_FROM" ? this.#requestId(bytes) : undefined;
      if (requestId === undefined) session.fail(error);
      else session.sendError(error, requestId);
    }
  }

  #dispatch(session: Session, type: number): void {
    const reader = this.#reader;
    const { consumeRequests, credit, streamConsumers, subscribeRequests, topicRequests } = this.#targets;
    switch (type) {
      case FRAME_TYPE.HELLO: {
        if (session.state !== AWAITS_HELLO) throw new MillraceError("MALFORMED_FRAME", "a second HELLO");
        this.#host.welcome(session, decodeHello(reader));
        return;
      }
      case FRAME_TYPE.ERROR: {
        const { name, message } = decodeError(reader);
        this.#host.log.clientError(session, name, message);
        return;
      }
      case FRAME_TYPE.PING: {
        const { nonce } = decodePing(reader);
        const { writer } = this.#targets;
        writer.reset();
        encodePong(writer, { nonce });
        session.sendWritten();
        return;
      }
      case FRAME_TYPE.PONG:
        decodePong(reader);
        return;
      case FRAME_TYPE.CREDIT_REQUEST:
        credit.request(session.credit, decodeCreditRequest(reader).bytes);
        return;
      case FRAME_TYPE.CREDIT_RETURNED: {
        const { publishCreditLimit } = decodeCreditReturned(reader);
        if (credit.returned(session.credit, publishCreditLimit) !== INVALID_LIMIT) return;
        throw new MillraceError(
          "CREDIT_EXCEEDED",
          "the returned limit was never granted, or lies below what was sent",
          {
            details: { publishCreditLimit },
          },
        );
      }
      case FRAME_TYPE.FLOW:
        subscribeRequests.flow(session, decodeFlow(reader));
        return;
      case FRAME_TYPE.SUBSCRIBE: {
        const frame = decodeSubscribe(reader);
        this.#request(session, frame.requestId, true, () => subscribeRequests.subscribe(session, frame));
        return;
      }
      case FRAME_TYPE.UNSUBSCRIBE: {
        const frame = decodeUnsubscribe(reader);
        this.#request(session, frame.requestId, false, () => subscribeRequests.unsubscribe(session, frame));
        return;
      }
      case FRAME_TYPE.CONSUME: {
        const frame = decodeConsume(reader);
        this.#request(session, frame.requestId, true, () => consumeRequests.consume(session, frame));
        return;
      }
      case FRAME_TYPE.SETTLE:
        this.#targets.queueConsumers.onSettle(session, reader);
        return;
      case FRAME_TYPE.CONSUMER_CREDIT:
        consumeRequests.credit(session, decodeConsumerCredit(reader));
        return;
      case FRAME_TYPE.STOP_CONSUMING: {
        const frame = decodeStopConsuming(reader);
        this.#request(session, frame.requestId, false, () => consumeRequests.stop(session, frame));
        return;
      }
      case FRAME_TYPE.RELEASE:
        streamConsumers.release(session, decodeRelease(reader));
        return;
      case FRAME_TYPE.COMMIT: {
        const frame = decodeCommit(reader);
        this.#request(session, frame.requestId, false, () => streamConsumers.commit(session, frame));
        return;
      }
      case FRAME_TYPE.CREATE_TOPIC: {
        const frame = decodeCreateTopic(reader);
        this.#request(session, frame.requestId, true, () => topicRequests.create(session, frame));
        return;
      }
      case FRAME_TYPE.ALTER_TOPIC: {
        const frame = decodeAlterTopic(reader);
        this.#request(session, frame.requestId, true, () => topicRequests.alter(session, frame));
        return;
      }
      case FRAME_TYPE.TRUNCATE_TOPIC: {
        const frame = decodeTruncateTopic(reader);
        this.#request(session, frame.requestId, true, () => topicRequests.truncate(session, frame));
        return;
      }
      case FRAME_TYPE.DESCRIBE_TOPIC: {
        const frame = decodeDescribeTopic(reader);
        this.#request(session, frame.requestId, false, () => topicRequests.describe(session, frame));
        return;
      }
      case FRAME_TYPE.DELETE_TOPIC: {
        const frame = decodeDeleteTopic(reader);
        this.#request(session, frame.requestId, true, () => topicRequests.delete(session, frame));
        return;
      }
      case FRAME_TYPE.LIST_TOPICS: {
        const frame = decodeListTopics(reader);
        this.#request(session, frame.requestId, false, () => topicRequests.list(session, frame));
        return;
      }
      default:
        this.#dispatchSubscription(session, type);
    }
  }

  /** Frames about subscriptions of the catalog, and about which topics there are. */
  #dispatchSubscription(session: Session, type: number): void {
    const reader = this.#reader;
    const { subscriptionRequests: subscriptions, topicWatches } = this.#targets;
    switch (type) {
      case FRAME_TYPE.CREATE_SUBSCRIPTION: {
        const frame = decodeCreateSubscription(reader);
        this.#request(session, frame.requestId, true, () => subscriptions.create(session, frame));
        return;
      }
      case FRAME_TYPE.DESCRIBE_SUBSCRIPTION: {
        const frame = decodeDescribeSubscription(reader);
        this.#request(session, frame.requestId, false, () => subscriptions.describe(session, frame));
        return;
      }
      case FRAME_TYPE.LIST_SUBSCRIPTIONS: {
        const frame = decodeListSubscriptions(reader);
        this.#request(session, frame.requestId, false, () => subscriptions.list(session, frame));
        return;
      }
      case FRAME_TYPE.ALTER_SUBSCRIPTION: {
        const frame = decodeAlterSubscription(reader);
        this.#request(session, frame.requestId, true, () => subscriptions.alter(session, frame));
        return;
      }
      case FRAME_TYPE.SEEK_SUBSCRIPTION: {
        const frame = decodeSeekSubscription(reader);
        this.#request(session, frame.requestId, true, () => subscriptions.seek(session, frame));
        return;
      }
      case FRAME_TYPE.DELETE_SUBSCRIPTION: {
        const frame = decodeDeleteSubscription(reader);
        this.#request(session, frame.requestId, true, () => subscriptions.delete(session, frame));
        return;
      }
      case FRAME_TYPE.SNAPSHOT_SUBSCRIPTION: {
        const frame = decodeSnapshotSubscription(reader);
        this.#request(session, frame.requestId, true, () => subscriptions.snapshot(session, frame));
        return;
      }
      case FRAME_TYPE.PEEK: {
        const frame = decodePeek(reader);
        this.#request(session, frame.requestId, false, () => subscriptions.peek(session, frame));
        return;
      }
      case FRAME_TYPE.REDRIVE: {
        const frame = decodeRedrive(reader);
        this.#request(session, frame.requestId, true, () => subscriptions.redrive(session, frame));
        return;
      }
      case FRAME_TYPE.WATCH_TOPICS: {
        const frame = decodeWatchTopics(reader);
        this.#request(session, frame.requestId, false, () => topicWatches.watch(session, frame));
        return;
      }
      case FRAME_TYPE.UNWATCH_TOPICS:
        topicWatches.unwatch(session, decodeUnwatchTopics(reader));
        return;
      default:
        throw new MillraceError("UNKNOWN_FRAME_TYPE", `a client cannot send frames of type ${type}`, {
          details: { type },
        });
    }
  }

  /** Runs a request and answers with its error if it fails. `isWork`: a draining broker does not begin it. */
  #request(session: Session, requestId: number, isWork: boolean, run: () => Promise<void> | void): void {
    if (isWork && this.#host.isDraining) {
      session.sendError(new MillraceError("SERVER_DRAINING", "the broker is shutting down"), requestId);
      return;
    }
    if (session.requestsInFlight >= LIMITS.requestsInFlightMax) {
      session.sendError(
        new MillraceError("TOO_MANY_REQUESTS", "too many requests are unanswered"),
        requestId,
      );
      return;
    }
    session.requestsInFlight += 1;
    void this.#run(session, requestId, run);
  }

  async #run(session: Session, requestId: number, run: () => Promise<void> | void): Promise<void> {
    try {
      const answered = run();
      if (answered !== undefined) await answered;
    } catch (error) {
      const answer = asRequestError(error);
      if (answer.code === "INTERNAL") this.#host.log.requestFailed(session, error);
      session.sendError(answer, requestId);
    } finally {
      session.requestsInFlight -= 1;
    }
  }

  /** The id of a request whose content was refused, if the frame has one. */
  #requestId(bytes: Uint8Array): number | undefined {
    try {
      this.#reader.open(bytes, 0, bytes.length);
      return this.#reader.required("requestId").uint();
    } catch {
      return undefined;
    }
  }
}
