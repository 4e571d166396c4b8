import { once } from "node:events";
import type { AddressInfo } from "node:net";
import {
  BatchBuilder,
  BatchReader,
  crc32,
  decodeFrame,
  encodeFrame,
  errorFrameOf,
  type Frame,
  FrameReader,
  type FrameTypeName,
  type FrameValues,
  FrameWriter,
  LIMITS,
  type MillraceError,
  type OutgoingRecord,
  type TopicInfo,
} from "@millrace/protocol";
import { type WebSocket, WebSocketServer } from "ws";

/** What a fake broker does by itself; everything else is up to the test. */
export interface FakeBrokerOptions {
  /** Answers DESCRIBE_TOPIC. By default topic "t" with two partitions. */
  readonly topics?: readonly TopicInfo[];
  /** Bytes of PUBLISH frames granted with WELCOME. */
  readonly publishCredit?: number;
  /** Limits stated in WELCOME, over those of the protocol. */
  readonly limits?: Readonly<Record<string, number>>;
  /** Of the data, as WELCOME says it. */
  readonly clusterId?: string;
  /** Whether HELLO is answered by WELCOME. */
  readonly welcomes?: boolean;
}

/** A topic as the fake broker describes it. */
export function topicInfo(name: string, partitions: number, more: Partial<TopicInfo> = {}): TopicInfo {
  return {
    name,
    topicId: 7,
    partitions,
    retentionMs: null,
    retentionBytes: null,
    durability: "fsynced",
    createdMs: 1,
    catalogPosition: 1,
    partitionInfo: Array.from({ length: partitions }, (_, partition) => ({
      partition,
      shard: 0,
      logStartOffset: 0,
      highWatermark: 0,
      logEpoch: 1,
      retainedBytes: 0,
    })),
    ...more,
  };
}

/** A broker that speaks the protocol's frames and does what the test says. Listens on a free port. */
export class FakeBroker {
  readonly #server: WebSocketServer;
  readonly #options: FakeBrokerOptions;
  readonly #sessions: FakeSession[] = [];
  readonly #arrived: FakeSession[] = [];
  #waiting: ((session: FakeSession) => void)[] = [];
  readonly topics: Map<string, TopicInfo>;

  private constructor(server: WebSocketServer, options: FakeBrokerOptions) {
    this.#server = server;
    this.#options = options;
    this.topics = new Map((options.topics ?? [topicInfo("t", 2)]).map((topic) => [topic.name, topic]));
    server.on("connection", (socket) => {
      const session = new FakeSession(socket, this.topics, this.#options);
      this.#sessions.push(session);
      const waiting = this.#waiting.shift();
      if (waiting === undefined) this.#arrived.push(session);
      else waiting(session);
    });
  }

  static async start(options: FakeBrokerOptions = {}, port = 0): Promise<FakeBroker> {
    const server = new WebSocketServer({ host: "127.0.0.1", port });
    await once(server, "listening");
    return new FakeBroker(server, options);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}`;
  }

  /** Connections made so far. */
  get sessionCount(): number {
    return this.#sessions.length;
  }

  /** The next connection. */
  session(): Promise<FakeSession> {
    const session = this.#arrived.shift();
    if (session !== undefined) return Promise.resolve(session);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  async stop(): Promise<void> {
    for (const session of this.#sessions) session.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** One connection of a fake broker. */
export class FakeSession {
  readonly #socket: WebSocket;
  readonly #topics: Map<string, TopicInfo>;
  readonly #options: FakeBrokerOptions;
  readonly #reader: FrameReader = new FrameReader();
  readonly #writer: FrameWriter = new FrameWriter();
  readonly #frames: Frame[] = [];
  #waiting: ((frame: Frame) => void)[] = [];
  /** Bytes of PUBLISH frames so far. */
  publishedBytes = 0;
  /** The limit in force: the test fails when it is exceeded. */
  publishLimit: number;
  #creditExceeded = false;
  readonly closed: Promise<number>;

  constructor(socket: WebSocket, topics: Map<string, TopicInfo>, options: FakeBrokerOptions) {
    this.#socket = socket;
    this.#topics = topics;
    this.#options = options;
    this.publishLimit = options.publishCredit ?? 64 * 1024 * 1024;
    this.closed = new Promise((resolve) => socket.on("close", (code) => resolve(code)));
    socket.on("message", (data) => this.#onMessage(data as Buffer));
  }

  get creditExceeded(): boolean {
    return this.#creditExceeded;
  }

  /** Frames that arrived and were not taken. */
  get pending(): readonly Frame[] {
    return this.#frames;
  }

  send<N extends FrameTypeName>(name: N, value: FrameValues[N]): void {
    this.#writer.reset();
    encodeFrame(this.#writer, { name, value } as Frame);
    this.#socket.send(this.#writer.take());
  }

  sendRaw(bytes: Uint8Array): void {
    this.#socket.send(bytes);
  }

  sendText(text: string): void {
    this.#socket.send(text);
  }

  /** The next frame, which must be of that type. */
  async expect<N extends FrameTypeName>(name: N): Promise<FrameValues[N]> {
    const frame = await this.next();
    if (frame.name !== name)
      throw new Error(`expected ${name}, got ${frame.name}: ${JSON.stringify(frame.value)}`);
    return frame.value as FrameValues[N];
  }

  next(): Promise<Frame> {
    const frame = this.#frames.shift();
    if (frame !== undefined) return Promise.resolve(frame);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** The next PUBLISH with its records' values as text. */
  async publish(): Promise<FrameValues["PUBLISH"] & { readonly values: string[]; readonly count: number }> {
    const frame = await this.expect("PUBLISH");
    const values = valuesOf(frame.batch);
    return { ...frame, values, count: values.length };
  }

  /** Acknowledges publishes whose offsets begin at `baseOffset`. */
  ack(
    publish: { topicId: number; partition: number; producerId: number; baseSequence: number; count: number },
    baseOffset: number,
    credit: number = this.publishLimit,
  ): void {
    const { topicId, partition, producerId, baseSequence, count } = publish;
    this.publishLimit = Math.max(credit, this.publishLimit);
    const ranges = [
      {
        topicId,
        partition,
        producerId,
        firstSequence: baseSequence,
        count,
        baseOffset,
        logEpoch: 1,
        durability: 3,
      },
    ];
    this.send("ACK", { publishCreditLimit: credit, ranges });
  }

  /** Refuses a publish. */
  refuse(
    publish: { topicId: number; partition: number; producerId: number; baseSequence: number; count: number },
    error: MillraceError,
  ): void {
    const { topicId, partition, producerId, baseSequence, count } = publish;
    const details = { topicId, partition, producerId, firstSequence: baseSequence, count, ...error.details };
    this.send("ERROR", { ...errorFrameOf(error), details });
  }

  /** Ends the connection without a closing handshake. */
  cut(): void {
    this.#socket.terminate();
  }

  close(code: number): void {
    this.#socket.close(code);
  }

  #onMessage(data: Buffer): void {
    const frame = decodeFrame(this.#reader, data, 0, data.length);
    if (frame.name === "PUBLISH") {
      this.publishedBytes += data.length;
      if (this.publishedBytes > this.publishLimit) this.#creditExceeded = true;
    }
    if (this.#answer(frame)) return;
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#frames.push(frame);
    else waiting(frame);
  }

  #answer(frame: Frame): boolean {
    if (frame.name === "HELLO" && this.#options.welcomes !== false) {
      this.send("WELCOME", {
        version: 1,
        features: [],
        limits: { ...LIMITS, ...this.#options.limits },
        sessionId: 1,
        serverTimeMs: 1,
        serverName: "fake",
        publishCredit: this.publishLimit,
        extensions: { clusterId: this.#options.clusterId ?? "fake" },
      });
      return true;
    }
    if (frame.name === "DESCRIBE_TOPIC") {
      const { requestId, topic: name } = frame.value;
      const topic = this.#topics.get(name);
      if (topic !== undefined) this.send("TOPIC", { requestId, topic });
      else {
        const error = {
          code: 20,
          name: "UNKNOWN_TOPIC",
          retriable: false,
          message: "no such topic",
          details: {},
        };
        this.send("ERROR", { requestId, ...error });
      }
      return true;
    }
    return false;
  }
}

const decoder = new TextDecoder();

/** Values of an encoded batch, as text. */
export function valuesOf(batch: Uint8Array): string[] {
  const reader = new BatchReader();
  reader.reset(batch, 0, batch.length);
  return Array.from(reader.values(), (value) => decoder.decode(value));
}

/** One entry of a DELIVER frame. */
export function entryOf(
  baseOffset: number,
  records: readonly OutgoingRecord[],
  appendTimeMs = 1_000,
): FrameValues["DELIVER"]["entries"][number] {
  const builder = new BatchBuilder(LIMITS.batchBytesMax);
  for (const record of records) builder.append(record);
  const batch = builder.finish().slice(0, -5);
  return { baseOffset, count: records.length, appendTimeMs, batch, checksum: crc32(batch, 0, batch.length) };
}

/** Bytes that a frame takes. */
export function frameBytes<N extends FrameTypeName>(name: N, value: FrameValues[N]): number {
  const writer = new FrameWriter();
  encodeFrame(writer, { name, value } as Frame);
  return writer.byteLength;
}
