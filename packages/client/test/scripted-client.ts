import { type FrameTypeName, type FrameValues, LIMITS, type TopicInfo } from "@millrace/protocol";
import type { Client, ConnectOptions } from "../src/api/client.ts";
import type { Producer, ProducerOptions } from "../src/api/producer.ts";
import { connectOn } from "../src/connect.ts";
import { topicInfo, valuesOf } from "./fake-broker.ts";
import { ManualClock, microtasks } from "./manual-clock.ts";
import { MemoryNetwork, type MemorySession } from "./memory-transport.ts";

export type Publish = FrameValues["PUBLISH"] & {
  readonly values: string[];
  readonly count: number;
  readonly frameBytes: number;
};

/** A client over a network in memory, on a clock that stands still: everything that happens is in the test. */
export class ScriptedClient {
  readonly clock: ManualClock = new ManualClock();
  readonly network: MemoryNetwork = new MemoryNetwork();
  readonly topics: Map<string, TopicInfo> = new Map([["t", topicInfo("t", 2)]]);
  readonly connecting: Promise<Client>;
  /** Stated in WELCOME. */
  publishCredit: number = 64 * 1024 * 1024;
  #client: Client | undefined;

  constructor(options: ConnectOptions = {}) {
    let ids = 100;
    const entropy = { fraction: () => 0.5, producerId: () => ++ids };
    const { connect } = this.network;
    this.connecting = connectOn(
      { connectTransport: connect, clock: this.clock, entropy },
      "ws://memory",
      // Time stands still or leaps here: pings are tested where they are wanted.
      { pingIntervalMs: 1e9, deadAfterMs: 1e9, ...options },
    );
    this.connecting.catch(() => {});
  }

  /** Connected, with nothing else done. */
  static async connected(options: ConnectOptions = {}, credit?: number): Promise<ScriptedClient> {
    const script = new ScriptedClient(options);
    if (credit !== undefined) script.publishCredit = credit;
    await script.welcome();
    script.#client = await script.connecting;
    return script;
  }

  get client(): Client {
    if (this.#client === undefined) throw new Error("not connected");
    return this.#client;
  }

  /** A producer that knows its topic already. */
  async readyProducer(topic: string, options: ProducerOptions = {}): Promise<Producer> {
    const producer = this.client.producer(topic, { lingerMs: 0, ...options });
    const ready = producer.ready();
    await this.isQuiet();
    await ready;
    return producer;
  }

  /** The newest session. */
  get session(): MemorySession {
    return this.network.last;
  }

  /** Answers the HELLO of the newest session. */
  async welcome(): Promise<FrameValues["HELLO"]> {
    await microtasks();
    const hello = await this.expect("HELLO");
    await this.reply("WELCOME", {
      version: 1,
      features: [],
      limits: { ...LIMITS },
      sessionId: this.network.sessions.length,
      serverTimeMs: 1,
      serverName: "script",
      publishCredit: this.publishCredit,
      extensions: {},
    });
    return hello;
  }

  /** Cuts the connection and lets the client make the next one. */
  async reconnect(): Promise<void> {
    this.session.cut();
    await microtasks();
    this.clock.advance(10_000);
    await this.welcome();
  }

  /** Sends one frame to the client and lets it act. */
  async reply<N extends FrameTypeName>(name: N, value: FrameValues[N]): Promise<void> {
    this.session.write(name, value);
    this.session.deliver();
    await microtasks();
  }

  /** The next frame from the client, DESCRIBE_TOPIC aside, which is answered; undefined when there is none. */
  async next(): Promise<
    { readonly name: FrameTypeName; readonly value: unknown; readonly frameBytes: number } | undefined
  > {
    for (;;) {
      await microtasks();
      const read = this.session.read();
      if (read === undefined) return undefined;
      const { frame, bytes } = read;
      if (frame.name !== "DESCRIBE_TOPIC") return { ...frame, frameBytes: bytes };
      const { requestId, topic: name } = frame.value;
      const topic = this.topics.get(name);
      if (topic !== undefined) await this.reply("TOPIC", { requestId, topic });
      else {
        const error = {
          code: 20,
          name: "UNKNOWN_TOPIC",
          retriable: false,
          message: "no such topic",
          details: {},
        };
        await this.reply("ERROR", { requestId, ...error });
      }
    }
  }

  /** The next frame, which must be of that type. */
  async expect<N extends FrameTypeName>(name: N): Promise<FrameValues[N] & { readonly frameBytes: number }> {
    const frame = await this.next();
    if (frame?.name !== name) throw new Error(`expected ${name}, got ${JSON.stringify(frame)}`);
    return { ...(frame.value as FrameValues[N]), frameBytes: frame.frameBytes };
  }

  /** The next PUBLISH with its records' values as text. */
  async publish(): Promise<Publish> {
    const frame = await this.expect("PUBLISH");
    const values = valuesOf(frame.batch);
    return { ...frame, values, count: values.length };
  }

  /** Nothing more has come from the client. */
  async isQuiet(): Promise<boolean> {
    const frame = await this.next();
    return frame === undefined;
  }

  /** Acknowledges publishes of one run. */
  async ack(
    publish: Publish,
    baseOffset: number,
    count: number = publish.count,
    credit: number = this.publishCredit,
  ): Promise<void> {
    const { topicId, partition, producerId, baseSequence: firstSequence } = publish;
    const range = {
      topicId,
      partition,
      producerId,
      firstSequence,
      count,
      baseOffset,
      logEpoch: 4,
      durability: 3,
    };
    await this.reply("ACK", { publishCreditLimit: credit, ranges: [range] });
  }

  /** Refuses one publish. */
  async refuse(
    publish: Publish,
    code: number,
    name: string,
    retriable: boolean,
    more: Readonly<Record<string, unknown>> = {},
  ): Promise<void> {
    const { topicId, partition, producerId, baseSequence: firstSequence, count } = publish;
    const details = { topicId, partition, producerId, firstSequence, count, ...more };
    await this.reply("ERROR", { code, name, retriable, message: "as the test wants it", details });
  }
}
