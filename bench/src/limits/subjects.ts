import { type CommandedChild, delay, type MeasuredProcess, plainProcess } from "@millrace/load/internal";
import type { Counters, Subject } from "../harness/sampling.ts";
import type { ClientLoadCommands } from "./generators/client-load.ts";
import type { ConsumeFrom, ConsumerCommands } from "./generators/consumer.ts";
import type { PublisherCommands, PublishTo } from "./generators/publisher.ts";

const DRAIN_POLL_MS = 10;
/** A consumer that gets nothing for so long while records are missing will not get them any more. */
const DRAIN_STALL_MS = 20_000;

/** A server loaded by the publisher; what counts is what the server has answered. */
export class PublishSubject implements Subject {
  readonly name: string;
  readonly processes: readonly MeasuredProcess[];
  throttledRecords = 0;
  readonly #publisher: CommandedChild<PublisherCommands>;
  readonly #to: PublishTo;

  constructor(to: PublishTo, server: MeasuredProcess, publisher: CommandedChild<PublisherCommands>) {
    this.name = to;
    this.processes = [server, plainProcess("generator", publisher)];
    this.#publisher = publisher;
    this.#to = to;
  }

  async start(): Promise<void> {
    await this.#publisher.call("start", { to: this.#to });
  }

  mark(): Promise<Counters> {
    return this.#publisher.call("mark", { to: this.#to });
  }

  async stop(): Promise<void> {
    ({ throttledRecords: this.throttledRecords } = await this.#publisher.call("stop", { to: this.#to }));
  }
}

/** A server between the publisher and a consumer; what counts is what reaches the consumer. */
export class TailSubject implements Subject {
  readonly name: ConsumeFrom;
  readonly processes: readonly MeasuredProcess[];
  /** How far the consumer was seen to be behind. */
  lagRecordsMax = 0;
  readonly #publish: PublishSubject;
  readonly #consumer: CommandedChild<ConsumerCommands>;

  constructor(
    name: ConsumeFrom,
    server: MeasuredProcess,
    publisher: CommandedChild<PublisherCommands>,
    consumer: CommandedChild<ConsumerCommands>,
  ) {
    this.name = name;
    this.#publish = new PublishSubject(name, server, publisher);
    this.#consumer = consumer;
    this.processes = [...this.#publish.processes, plainProcess("generator", consumer)];
  }

  get throttledRecords(): number {
    return this.#publish.throttledRecords;
  }

  start(): Promise<void> {
    return this.#publish.start();
  }

  async mark(): Promise<Counters> {
    const published = await this.#publish.mark();
    const consumed = await this.#consumer.call("mark", { from: this.name });
    this.lagRecordsMax = Math.max(this.lagRecordsMax, published.records - consumed.records);
    return consumed;
  }

  /** Everything that was published must arrive before the next sample begins, however far behind the consumer is. */
  async stop(): Promise<void> {
    await this.#publish.stop();
    const { records } = await this.#publish.mark();
    let before = await this.mark();
    while (before.records < records) {
      await delay(DRAIN_POLL_MS);
      const now = await this.mark();
      if (now.records > before.records) before = now;
      else if (now.timeMs - before.timeMs > DRAIN_STALL_MS) {
        throw new Error(`records do not arrive: published=${records} delivered=${now.records}`);
      }
    }
  }
}

/** An application on the client library, with the broker that it talks to. */
export class ClientSubject implements Subject {
  readonly name = "client";
  readonly processes: readonly MeasuredProcess[];
  readonly #client: CommandedChild<ClientLoadCommands>;

  constructor(client: CommandedChild<ClientLoadCommands>, broker: MeasuredProcess) {
    this.processes = [plainProcess("client", client), broker];
    this.#client = client;
  }

  async start(): Promise<void> {
    await this.#client.call("start", null);
  }

  mark(): Promise<Counters> {
    return this.#client.call("mark", null);
  }

  async stop(): Promise<void> {
    await this.#client.call("stop", null);
  }
}
