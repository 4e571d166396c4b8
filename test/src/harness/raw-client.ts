import {
  BatchBuilder,
  decodeFrame,
  type ErrorFrame,
  encodeFrame,
  type Frame,
  FrameReader,
  type FrameTypeName,
  type FrameValues,
  FrameWriter,
  LIMITS,
  type OutgoingRecord,
  type SubscribeFrom,
  type TopicInfo,
  type WelcomeFrame,
} from "@millrace/protocol";
import type { Test } from "tap";
import WebSocket from "ws";
import { inTime } from "./waiting.ts";

/** How a connection ended. */
export interface Closed {
  /** 1006: without a close frame. */
  readonly code: number;
  readonly reason: string;
}

/** One frame as it came. */
export interface ReceivedFrame {
  readonly frame: Frame;
  /** The whole frame's, as credit counts them. */
  readonly byteLength: number;
}

export interface PublishFields {
  readonly topicId: number;
  readonly partition?: number;
  readonly producerId?: number;
  readonly producerEpoch?: number;
  readonly sequence?: number;
  readonly records: readonly OutgoingRecord[];
}

/** A client that says exactly what it is told to say, right or wrong, in frames over `ws`. */
export class RawClient {
  readonly #socket: WebSocket;
  readonly #received: ReceivedFrame[] = [];
  readonly #onReceived: ((received: ReceivedFrame, client: RawClient) => void) | undefined;
  #waiters: (() => void)[] = [];
  #closed: Closed | undefined;
  #lastRequestId = 0;
  #publishCreditLimit = 0;
  #publishedBytes = 0;
  /** Every frame in the order of arrival, those taken by `next` included. */
  readonly history: ReceivedFrame[] = [];
  readonly closed: Promise<Closed>;

  private constructor(socket: WebSocket, onReceived?: (received: ReceivedFrame, client: RawClient) => void) {
    this.#socket = socket;
    this.#onReceived = onReceived;
    socket.on("message", (data, isBinary) => this.#onMessage(data as Buffer, isBinary));
    // `close` follows, with 1006.
    socket.on("error", () => {});
    this.closed = new Promise((resolve) => {
      socket.on("close", (code, reason) => {
        this.#closed = { code, reason: reason.toString() };
        this.#wake();
        resolve(this.#closed);
      });
    });
  }

  /** A WebSocket without a HELLO. `onReceived` is told of each frame as it comes. */
  static async open(
    t: Test,
    url: string,
    headers: Record<string, string> = {},
    onReceived?: (received: ReceivedFrame, client: RawClient) => void,
  ): Promise<RawClient> {
    const socket = new WebSocket(url, {
      perMessageDeflate: false,
      skipUTF8Validation: true,
      maxPayload: 64 * 1024 * 1024,
      headers,
    });
    const client = new RawClient(socket, onReceived);
    t.teardown(() => socket.terminate());
    await inTime(
      new Promise<void>((resolve, reject) => {
        socket.once("open", resolve);
        socket.once("error", reject);
      }),
      `a WebSocket to ${url}`,
    );
    return client;
  }

  /** A session: HELLO has been answered. */
  static async connect(
    t: Test,
    url: string,
    onReceived?: (received: ReceivedFrame, client: RawClient) => void,
  ): Promise<RawClient> {
    const client = await RawClient.open(t, url, {}, onReceived);
    await client.hello();
    return client;
  }

  /** Says HELLO, as a client of this version does. */
  async hello(changes: Partial<FrameValues["HELLO"]> = {}): Promise<WelcomeFrame> {
    this.send("HELLO", helloFields(changes));
    const welcome = await this.next("WELCOME");
    this.#publishCreditLimit = Math.max(this.#publishCreditLimit, welcome.publishCredit);
    return welcome;
  }

  send<Name extends FrameTypeName>(name: Name, value: FrameValues[Name]): void {
    this.sendBytes(frameBytes(name, value));
  }

  sendBytes(bytes: Uint8Array): void {
    this.#socket.send(bytes, { binary: true }, () => {});
  }

  /** Text, whatever the bytes are. */
  sendText(text: string | Uint8Array): void {
    this.#socket.send(text, { binary: false }, () => {});
  }

  /** The oldest frame of that type that was not taken yet; rejects when the connection ends without one. */
  async next<Name extends FrameTypeName>(name: Name): Promise<FrameValues[Name]> {
    return (await this.nextWithSize(name)).value;
  }

  async nextWithSize<Name extends FrameTypeName>(
    name: Name,
  ): Promise<{ value: FrameValues[Name]; byteLength: number }> {
    const { frame, byteLength } = await this.#seen(`a ${name} frame`, () => {
      const index = this.#received.findIndex((one) => one.frame.name === name);
      return index < 0 ? undefined : this.#received.splice(index, 1)[0];
    });
    return { value: frame.value as FrameValues[Name], byteLength };
  }

  /** Frames that have come and were not taken. */
  get waiting(): readonly Frame[] {
    return this.#received.map(({ frame }) => frame);
  }

  /** The ERROR with which the session was refused, and the close that followed. */
  async refusal(): Promise<{ error: ErrorFrame; closed: Closed }> {
    const error = await this.next("ERROR");
    return { error, closed: await inTime(this.closed, "the connection to be closed") };
  }

  nextRequestId(): number {
    this.#lastRequestId += 1;
    return this.#lastRequestId;
  }

  /** A PING that is answered shows that the session works, and that all before it has been handled. */
  async ping(): Promise<void> {
    const nonce = this.nextRequestId();
    this.send("PING", { nonce });
    let pong = await this.next("PONG");
    while (pong.nonce !== nonce) pong = await this.next("PONG");
  }

  async createTopic(name: string, config: Record<string, unknown> = {}): Promise<TopicInfo> {
    this.send("CREATE_TOPIC", { requestId: this.nextRequestId(), name, config });
    return (await this.next("TOPIC")).topic;
  }

  subscribe(
    topic: string,
    from: SubscribeFrom,
    creditLimit: number,
    partitions?: readonly number[],
  ): Promise<FrameValues["SUBSCRIBED"]> {
    const requestId = this.nextRequestId();
    this.send("SUBSCRIBE", {
      requestId,
      subscriptionId: requestId,
      topic,
      partitions,
      from,
      creditLimit,
      mode: "stream",
      extensions: {},
    });
    return this.next("SUBSCRIBED");
  }

  /** Waits until the publish credit allows the frame, asking for it if need be, and sends it. */
  async publish(frame: Uint8Array): Promise<void> {
    // Again after each wait: what was granted may have been asked back before this goes on.
    while (frame.length > this.publishCredit) {
      this.send("CREDIT_REQUEST", { bytes: frame.length });
      await this.#seen("publish credit", () => (frame.length <= this.publishCredit ? true : undefined));
    }
    this.publishBeyondCredit(frame);
  }

  /** Sends the frame whatever the credit says. */
  publishBeyondCredit(frame: Uint8Array): void {
    this.#publishedBytes += frame.length;
    this.sendBytes(frame);
  }

  /** Bytes of PUBLISH frames that may be sent now. */
  get publishCredit(): number {
    return this.#publishCreditLimit - this.#publishedBytes;
  }

  /** Ends the TCP connection without a close frame. */
  terminate(): void {
    this.#socket.terminate();
  }

  /** Stops reading from the socket, as a client that hangs does. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Looks after each frame that comes, until there is an answer; rejects when the connection ends without one. */
  async #seen<T>(what: string, look: () => T | undefined): Promise<T> {
    const seen = new Promise<T>((resolve, reject) => {
      const attempt = (): void => {
        const found = look();
        if (found !== undefined) resolve(found);
        else if (this.#closed !== undefined) reject(this.#closedBefore(what, this.#closed));
        else this.#waiters.push(attempt);
      };
      attempt();
    });
    return inTime(seen, what);
  }

  #closedBefore(what: string, { code, reason }: Closed): Error {
    const error = this.#received.find((one) => one.frame.name === "ERROR")?.frame.value;
    return new Error(`closed with ${code} "${reason}" before ${what}; error: ${JSON.stringify(error)}`);
  }

  #onMessage(bytes: Buffer, isBinary: boolean): void {
    if (!isBinary) throw new Error("the broker sent text");
    const reader = new FrameReader();
    const received = { frame: decodeFrame(reader, bytes, 0, bytes.length), byteLength: bytes.length };
    const { frame } = received;
    if (frame.name === "ACK" || frame.name === "CREDIT") {
      this.#publishCreditLimit = Math.max(this.#publishCreditLimit, frame.value.publishCreditLimit);
    }
    // What a broker asks every client is answered here; who tests that looks into the history.
    if (frame.name === "PING") this.send("PONG", frame.value);
    else if (frame.name === "CREDIT_REVOKE") this.#returnCredit(frame.value.publishCreditLimit);
    else this.#received.push(received);
    this.history.push(received);
    this.#onReceived?.(received, this);
    this.#wake();
  }

  #returnCredit(limit: number): void {
    this.#publishCreditLimit = Math.min(this.#publishCreditLimit, Math.max(limit, this.#publishedBytes));
    this.send("CREDIT_RETURNED", { publishCreditLimit: this.#publishCreditLimit });
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }
}

/** The fields of a HELLO that is accepted, with changes. */
export function helloFields(changes: Partial<FrameValues["HELLO"]> = {}): FrameValues["HELLO"] {
  return {
    versionMin: LIMITS.protocolVersionMin,
    versionMax: LIMITS.protocolVersion,
    clientName: "raw-client",
    features: [],
    auth: null,
    extensions: {},
    ...changes,
  };
}

export function frameBytes<Name extends FrameTypeName>(name: Name, value: FrameValues[Name]): Uint8Array {
  const writer = new FrameWriter();
  encodeFrame(writer, { name, value } as Frame);
  return writer.take();
}

/** A whole PUBLISH frame, as the SDK builds it; a copy. */
export function publishFrame(fields: PublishFields): Uint8Array {
  const { topicId, partition = 0, producerId = 0, producerEpoch = 0, sequence = 0, records } = fields;
  const builder = new BatchBuilder(LIMITS.batchBytesMax);
  for (const record of records) builder.append(record);
  return builder.finishPublish(topicId, partition, producerId, producerEpoch, sequence).slice();
}
