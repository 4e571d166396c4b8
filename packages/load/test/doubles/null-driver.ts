import type { ConsumerEvents, Driver, DriverSettings, Publisher, PublisherEvents } from "../../src/index.ts";

/** What `settings.options` may ask of the null driver. */
export interface NullOptions {
  /** Records that a publisher takes without an acknowledgement; more have no room. */
  readonly roomRecords?: number;
  /** The connection fails after so many records. */
  readonly failAfter?: number;
  /** The generator's process or thread ends after so many records. */
  readonly dieAfter?: number;
  /** Replies and acknowledgements come after so many ms; 0: at the end of the turn. */
  readonly answerMs?: number;
  /** Once, after so many records, nothing is answered for `stopsForMs`. */
  readonly stopsAfter?: number;
  readonly stopsForMs?: number;
  /** Of these records one in so many gets lost. */
  readonly loseEvery?: number;
}

/** Consumers of a target in this process or thread. */
const consumers: Map<string, Set<ConsumerEvents>> = new Map();

/**
 * A broker that is not there: a publisher's records are acknowledged at the end of the turn, and handed to the consumers of
 * the same process or thread. For tests, and to see what the generator itself costs.
 */
export const driver: Driver = {
  client: "null (Node)",

  async prepare({ options }: DriverSettings) {
    if (options.refuse !== undefined) throw new Error(`refused: ${options.refuse}`);
  },

  async connectPublisher(settings: DriverSettings, events: PublisherEvents) {
    return new NullPublisher(settings, events);
  },

  async connectConsumer({ target, mode }: DriverSettings, events: ConsumerEvents) {
    const isLeased = mode === "queue" || mode === "keyed";
    const own: ConsumerEvents = {
      ...events,
      received(count, valueAt) {
        events.received(count, valueAt);
        if (isLeased) events.settled(count);
      },
    };
    const all = consumers.get(target) ?? new Set<ConsumerEvents>();
    consumers.set(target, all.add(own));
    return {
      async close() {
        all.delete(own);
      },
    };
  },

  async connectRequester({ options }: DriverSettings) {
    const { answerMs = 0 } = options as NullOptions;
    return {
      request: () => new Promise<void>((resolve) => void setTimeout(resolve, answerMs)),
      async close() {
        // There is nothing to close.
      },
    };
  },

  async connectResponder() {
    return {
      async close() {
        // There is nothing to close.
      },
    };
  },
};

class NullPublisher implements Publisher {
  readonly #target: string;
  readonly #events: PublisherEvents;
  readonly #options: NullOptions;
  readonly #roomRecords: number;
  #taken = 0;
  #pending = 0;
  #lastValue: Uint8Array = new Uint8Array(0);
  #waiting: (() => void)[] = [];
  #isAnswering = false;
  #stopsAfter: number;

  constructor(settings: DriverSettings, events: PublisherEvents) {
    this.#target = settings.target;
    this.#events = events;
    this.#options = settings.options as NullOptions;
    this.#roomRecords = this.#options.roomRecords ?? Number.POSITIVE_INFINITY;
    this.#stopsAfter = this.#options.stopsAfter ?? Number.POSITIVE_INFINITY;
  }

  publish(value: Uint8Array): boolean {
    if (this.#pending >= this.#roomRecords) return false;
    this.#lastValue = value;
    this.#pending += 1;
    this.#taken += 1;
    return true;
  }

  room(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  push(): void {
    const { failAfter, dieAfter, answerMs = 0 } = this.#options;
    if (dieAfter !== undefined && this.#taken >= dieAfter) process.exit(3);
    if (failAfter !== undefined && this.#taken >= failAfter) this.#events.failed(new Error("refused"));
    if (this.#isAnswering || this.#pending === 0) return;
    this.#isAnswering = true;
    if (this.#taken >= this.#stopsAfter) {
      this.#stopsAfter = Number.POSITIVE_INFINITY;
      setTimeout(this.#answer, this.#options.stopsForMs);
    } else if (answerMs > 0) setTimeout(this.#answer, answerMs);
    else setImmediate(this.#answer);
  }

  async flush(): Promise<void> {
    this.push();
    while (this.#pending > 0) await new Promise((resolve) => setImmediate(resolve));
  }

  async close(): Promise<void> {
    // There is nothing to close.
  }

  readonly #answer = (): void => {
    this.#isAnswering = false;
    const count = this.#pending;
    this.#pending = 0;
    // All of them have the stamp of the last one.
    const lost = this.#options.loseEvery === undefined ? 0 : Math.ceil(count / this.#options.loseEvery);
    for (const { received } of consumers.get(this.#target) ?? []) {
      received(count - lost, () => this.#lastValue);
    }
    this.#events.acknowledged(count);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  };
}
