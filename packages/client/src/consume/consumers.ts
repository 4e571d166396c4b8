import {
  DeliverReader,
  decodeAssigned,
  decodeCommitted,
  decodeConsuming,
  decodeConsumingStopped,
  decodeLeased,
  decodeRevoked,
  decodeSettled,
  FRAME_TYPE,
  type FrameReader,
  type MillraceError,
  type ProgressFrame,
  type StreamFrame,
  type WelcomeFrame,
} from "@millrace/protocol";
import type { Connection } from "../connection/connection.ts";
import type { ConsumerSession } from "./consumer-session.ts";

interface StreamOfPartition {
  readonly session: ConsumerSession;
  readonly partition: number;
}

/** Brings what the broker sends to the consumers of a client. Their ids, and those of streams, are those of one session. */
export class Consumers {
  readonly #all: Set<ConsumerSession> = new Set();
  readonly #byId: Map<number, ConsumerSession> = new Map();
  readonly #byRequest: Map<number, ConsumerSession> = new Map();
  readonly #streams: Map<number, StreamOfPartition[]> = new Map();
  readonly #head: DeliverReader = new DeliverReader();
  #connection: Connection | undefined;
  #welcome: WelcomeFrame | undefined;

  /** The connection while new consumers may be made, with its WELCOME. */
  get connection(): Connection | undefined {
    return this.#connection;
  }

  get welcome(): WelcomeFrame | undefined {
    return this.#welcome;
  }

  /** Whether no consumer has anything under way that a drain should wait for. */
  get isQuiet(): boolean {
    for (const session of this.#all) if (!session.handlers.isQuiet()) return false;
    return true;
  }

  add(session: ConsumerSession): void {
    this.#all.add(session);
  }

  remove(session: ConsumerSession): void {
    this.#all.delete(session);
    for (const [requestId, one] of this.#byRequest) {
      if (one === session) this.#byRequest.delete(requestId);
    }
  }

  /** The answer to that request is the session's. */
  expect(requestId: number, session: ConsumerSession): void {
    this.#byRequest.set(requestId, session);
  }

  bind(consumerId: number, session: ConsumerSession): void {
    this.#byId.set(consumerId, session);
  }

  /** Whatever still comes for that consumer and its streams is ignored. */
  unbind(consumerId: number): void {
    const session = this.#byId.get(consumerId);
    this.#byId.delete(consumerId);
    for (const [streamId, readers] of this.#streams) {
      const kept = readers.filter((reader) => reader.session !== session);
      if (kept.length === 0) this.#streams.delete(streamId);
      else this.#streams.set(streamId, kept);
    }
  }

  bindStream(streamId: number, session: ConsumerSession, partition: number): void {
    const readers = this.#streams.get(streamId);
    if (readers === undefined) this.#streams.set(streamId, [{ session, partition }]);
    else readers.push({ session, partition });
  }

  unbindStream(session: ConsumerSession, partition: number): void {
    for (const [streamId, readers] of this.#streams) {
      const index = readers.findIndex((one) => one.session === session && one.partition === partition);
      if (index < 0) continue;
      readers.splice(index, 1);
      if (readers.length === 0) this.#streams.delete(streamId);
      return;
    }
  }

  onConnected(connection: Connection, welcome: WelcomeFrame): void {
    this.#connection = connection;
    this.#welcome = welcome;
    for (const session of [...this.#all]) session.onConnected();
  }

  onDraining(): void {
    this.#connection = undefined;
    for (const session of [...this.#all]) session.handlers.onDraining();
  }

  onDisconnected(error: MillraceError): void {
    this.#connection = undefined;
    this.#byId.clear();
    this.#byRequest.clear();
    this.#streams.clear();
    for (const session of [...this.#all]) session.onDisconnected(error);
  }

  /** Whether the frame was for a consumer. */
  onFrame(type: number, reader: FrameReader): boolean {
    switch (type) {
      case FRAME_TYPE.LEASED: {
        const frame = decodeLeased(reader);
        this.#byId.get(frame.consumerId)?.handlers.onLeased(frame);
        return true;
      }
      case FRAME_TYPE.SETTLED: {
        const frame = decodeSettled(reader);
        this.#byId.get(frame.consumerId)?.handlers.onSettled(frame);
        return true;
      }
      case FRAME_TYPE.ASSIGNED: {
        const frame = decodeAssigned(reader);
        this.#byId.get(frame.consumerId)?.handlers.onAssigned(frame);
        return true;
      }
      case FRAME_TYPE.REVOKED: {
        const frame = decodeRevoked(reader);
        this.#byId.get(frame.consumerId)?.handlers.onRevoked(frame);
        return true;
      }
      case FRAME_TYPE.CONSUMING: {
        const frame = decodeConsuming(reader);
        this.#asker(frame.requestId)?.onConsuming(frame);
        return true;
      }
      case FRAME_TYPE.COMMITTED: {
        const frame = decodeCommitted(reader);
        this.#asker(frame.requestId)?.onAnswer(frame.requestId, frame.outcomes);
        return true;
      }
      case FRAME_TYPE.CONSUMING_STOPPED: {
        const { requestId } = decodeConsumingStopped(reader);
        this.#asker(requestId)?.onAnswer(requestId, undefined);
        return true;
      }
      default:
        return false;
    }
  }

  /** A DELIVER; `bytes` is the whole frame. One stream may be of a consumer and of a subscription at once. */
  onDeliver(bytes: Uint8Array): void {
    if (this.#streams.size === 0) return;
    const head = this.#head;
    head.reset(bytes, 0, bytes.length);
    const { nextOffset } = head;
    for (const { session, partition } of this.#streams.get(head.streamId) ?? []) {
      session.handlers.onDeliver(partition, bytes, nextOffset);
    }
  }

  onProgress({ streamId, nextOffset, reason }: ProgressFrame): void {
    for (const { session, partition } of this.#streams.get(streamId) ?? []) {
      session.handlers.onProgress(partition, nextOffset, reason);
    }
  }

  /** For a consumer a STREAM has its id where a subscription's has that one's. */
  onStream({ fromStreamId, toStreamId, subscriptionId, partition }: StreamFrame): void {
    const session = this.#byId.get(subscriptionId);
    const readers = this.#streams.get(fromStreamId);
    const reader = readers?.find((one) => one.session === session && one.partition === partition);
    if (session === undefined || reader === undefined) return;
    this.unbindStream(session, partition);
    this.bindStream(toStreamId, session, partition);
  }

  /** An ERROR about a request; false when none of a consumer has that id. */
  onRefused(requestId: number, error: MillraceError): boolean {
    const session = this.#asker(requestId);
    session?.onRefused(requestId, error);
    return session !== undefined;
  }

  /** An ERROR about a consumer; false when there is none of that id. */
  onError(consumerId: number, error: MillraceError): boolean {
    const session = this.#byId.get(consumerId);
    session?.onError(error);
    return session !== undefined;
  }

  #asker(requestId: number): ConsumerSession | undefined {
    const session = this.#byRequest.get(requestId);
    this.#byRequest.delete(requestId);
    return session;
  }
}
