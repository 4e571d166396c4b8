import {
  decodeFrame,
  type ErrorFrame,
  encodeFrame,
  FRAME_TYPE,
  type Frame,
  FrameReader,
  FrameWriter,
  LIMITS,
  type SubscribeFrom,
} from "@millrace/protocol/internal";
import { AckReader } from "./ack-reader.ts";
import { FrameScanner } from "./frame-scanner.ts";
import { maskedFrame, maskedPong } from "./masked-frame.ts";
import { RawConnection } from "./raw-connection.ts";

/** What the owner of a session learns. */
export interface SessionEvents {
  /** Credit has changed, and so many more records are acknowledged. */
  onAck(records: number): void;
  /** Each range of the acks that `onAck` sums up, before it is called. */
  onAckRange?(topicId: number, records: number): void;
  /** A publish was refused, to be sent again no sooner than after that delay. */
  onThrottled(records: number, retryAfterMs: number, topicId: number): void;
  onEntry(baseOffset: number, count: number): void;
  onDelivered(frameBytes: number): void;
  /** The LEASED or SETTLED frame bytes[start, end), valid only during the call. */
  onLeased?(bytes: Buffer, start: number, end: number): void;
  onSettled?(bytes: Buffer, start: number, end: number): void;
  /** Any other frame that answers no request. */
  onOther?(frame: Frame): void;
  onFailure(error: Error): void;
}

interface Waiter {
  resolve(frame: Frame): void;
  reject(error: Error): void;
}

/** The welcome answers no request; it is awaited under an id that no request has. */
const WELCOME_ID = 0;

/**
 * A Millrace session over a raw socket: hello, requests, credit and acks. ACK and DELIVER, of which there are
 * many, are read by minimal readers of their own; everything else goes through the protocol's codecs.
 */
export class BrokerSession {
  /** Cumulative bytes of PUBLISH frames that may have been sent in all. */
  publishCreditLimit = 0;
  /** What has been sent of them; kept by the owner, who writes the frames. */
  publishedBytes = 0;
  readonly #events: SessionEvents;
  readonly #ack: AckReader;
  readonly #reader: FrameReader = new FrameReader();
  readonly #writer: FrameWriter = new FrameWriter();
  readonly #waiting: Map<number, Waiter> = new Map();
  #connection: RawConnection | undefined;
  #nextRequestId: number = WELCOME_ID + 1;

  private constructor(events: SessionEvents) {
    this.#events = events;
    this.#ack = new AckReader(events.onAckRange?.bind(events));
  }

  /** Connects and says hello. */
  static async open(url: string, clientName: string, events: SessionEvents): Promise<BrokerSession> {
    const session = new BrokerSession(events);
    const scanner = new FrameScanner({
      onFrame: (chunk, start, end) => session.#onFrame(chunk, start, end),
      onPing: (chunk, start, end) => session.write(maskedPong(chunk.subarray(start, end))),
      onEntry: (baseOffset, count) => events.onEntry(baseOffset, count),
      onDelivered: (frameBytes) => events.onDelivered(frameBytes),
    });
    session.#connection = await RawConnection.open(url, scanner.push, (error) => session.#fail(error));
    const versions = { versionMin: LIMITS.protocolVersion, versionMax: LIMITS.protocolVersion };
    const hello = { ...versions, clientName, features: [], extensions: {} };
    await session.#request(WELCOME_ID, { name: "HELLO", value: hello });
    return session;
  }

  /** Sends the request that `make` builds and returns the answer; rejects with the ERROR that it is answered by. */
  ask(make: (requestId: number) => Frame): Promise<Frame> {
    const requestId = this.#nextRequestId++;
    return this.#request(requestId, make(requestId));
  }

  /** Creates a topic, with one partition unless more are wanted, and returns its id. */
  async createTopic(name: string, durability: string, partitions = 1): Promise<number> {
    const requestId = this.#nextRequestId++;
    const config = { partitions, durability };
    const reply = await this.#request(requestId, {
      name: "CREATE_TOPIC",
      value: { requestId, name, config },
    });
    if (reply.name !== "TOPIC") throw new Error(`unexpected answer to CREATE_TOPIC: type=${reply.name}`);
    return reply.value.topic.topicId;
  }

  /** The id of a topic that is there. */
  async topicId(topic: string): Promise<number> {
    const requestId = this.#nextRequestId++;
    const reply = await this.#request(requestId, { name: "DESCRIBE_TOPIC", value: { requestId, topic } });
    if (reply.name !== "TOPIC") throw new Error(`unexpected answer to DESCRIBE_TOPIC: type=${reply.name}`);
    return reply.value.topic.topicId;
  }

  /**
   * Subscribes to all partitions; `creditLimit` bytes of DELIVER frames may come before the first grant. Returns
   * how many records the topic holds from there on.
   */
  async subscribe(
    topic: string,
    subscriptionId: number,
    from: SubscribeFrom,
    creditLimit: number,
  ): Promise<number> {
    const requestId = this.#nextRequestId++;
    const value = { requestId, subscriptionId, topic, from, creditLimit, mode: "stream", extensions: {} };
    const reply = await this.#request(requestId, { name: "SUBSCRIBE", value });
    if (reply.name !== "SUBSCRIBED") throw new Error(`unexpected answer to SUBSCRIBE: type=${reply.name}`);
    return reply.value.streams.reduce((sum, stream) => sum + stream.highWatermark - stream.startOffset, 0);
  }

  grant(subscriptionId: number, creditLimit: number): void {
    this.send({ name: "FLOW", value: { subscriptionId, creditLimit } });
  }

  requestCredit(bytes: number): void {
    this.send({ name: "CREDIT_REQUEST", value: { bytes } });
  }

  /** Bytes of WebSocket frames, which must stay as they are until `onWritten` is called. */
  write(bytes: Uint8Array, onWritten?: () => void): void {
    this.#connection?.write(bytes, onWritten);
  }

  close(): void {
    this.#connection?.close();
  }

  send(frame: Frame): void {
    this.#writer.reset();
    encodeFrame(this.#writer, frame);
    this.write(maskedFrame(this.#writer.bytes()));
  }

  #request(requestId: number, frame: Frame): Promise<Frame> {
    return new Promise((resolve, reject) => {
      this.#waiting.set(requestId, { resolve, reject });
      this.send(frame);
    });
  }

  #onFrame(chunk: Buffer, start: number, end: number): void {
    // Every frame is an array of fewer than 16 elements, whose first is its type, below 128.
    if (chunk[start + 1] === FRAME_TYPE.ACK) {
      this.#ack.read(chunk, start);
      this.publishCreditLimit = this.#ack.creditLimit;
      this.#events.onAck(this.#ack.records);
      return;
    }
    if (chunk[start + 1] === FRAME_TYPE.LEASED) {
      this.#events.onLeased?.(chunk, start, end);
      return;
    }
    if (chunk[start + 1] === FRAME_TYPE.SETTLED) {
      this.#events.onSettled?.(chunk, start, end);
      return;
    }
    const frame = decodeFrame(this.#reader, chunk, start, end);
    switch (frame.name) {
      case "CREDIT":
        this.publishCreditLimit = frame.value.publishCreditLimit;
        this.#events.onAck(0);
        return;
      case "CREDIT_REVOKE":
        this.#returnCredit(frame.value.publishCreditLimit);
        return;
      case "PING":
        this.send({ name: "PONG", value: { nonce: frame.value.nonce } });
        return;
      case "WELCOME":
        this.publishCreditLimit = frame.value.publishCredit;
        this.#answered(WELCOME_ID, frame);
        return;
      case "ERROR":
        this.#onError(frame.value);
        return;
      case "GOAWAY":
        this.#fail(new Error(`server goes away: ${frame.value.name} ${frame.value.message}`));
        return;
      case "TOPIC":
      case "SUBSCRIBED":
      case "SUBSCRIPTION":
      case "CONSUMING":
      case "CONSUMING_STOPPED":
        this.#answered(frame.value.requestId, frame);
        return;
      case "DELIVER":
        // Only one without entries is short enough to come here: it moves nextOffset and nothing else.
        this.#events.onDelivered(end - start);
        return;
      default:
        this.#events.onOther?.(frame);
    }
  }

  /** Whatever has been sent has been sent; everything above it may be taken back. */
  #returnCredit(wantedLimit: number): void {
    this.publishCreditLimit = Math.max(this.publishedBytes, wantedLimit);
    this.send({ name: "CREDIT_RETURNED", value: { publishCreditLimit: this.publishCreditLimit } });
  }

  #answered(requestId: number, frame: Frame): void {
    this.#waiting.get(requestId)?.resolve(frame);
    this.#waiting.delete(requestId);
  }

  #onError(frame: ErrorFrame): void {
    const { requestId, name, message, details } = frame;
    const error = new Error(`${name}: ${message} ${JSON.stringify(details)}`);
    const waiter = requestId === undefined ? undefined : this.#waiting.get(requestId);
    const count = details.count;
    if (waiter !== undefined) waiter.reject(error);
    else if (name === "THROTTLED" && typeof count === "number") {
      this.#events.onThrottled(count, Number(details.retryAfterMs ?? 1), Number(details.topicId));
    } else this.#fail(error);
  }

  #fail(error: Error): void {
    for (const waiter of this.#waiting.values()) waiter.reject(error);
    this.#waiting.clear();
    this.#events.onFailure(error);
  }
}
