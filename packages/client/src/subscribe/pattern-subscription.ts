import { MillraceError, TopicPattern } from "@millrace/protocol";
import type { ReceivedBatch, ReceivedRecord } from "../api/record.ts";
import type { PartitionPosition, SubscribeOptions } from "../api/subscription.ts";
import { Deferred } from "../deferred.ts";
import { ReadyTurns } from "../ready-turns.ts";
import { abortedError, closedError } from "../settings.ts";
import { liveStartOf, withoutLiveStart } from "./live-start.ts";
import type { RecordReader } from "./record-reader.ts";
import { TakeIterator } from "./take-iterator.ts";
import { type SubscriptionContext, TopicSubscription } from "./topic-subscription.ts";
import { TopicWatch, type WatchContext } from "./topic-watch.ts";

/** What the reading of a topic that is gone ends with. */
const GONE: ReadonlySet<string> = new Set(["UNKNOWN_TOPIC", "TOPIC_DELETED"]);

/**
 * Whether a topic is meant as a pattern. What is neither that nor a name is for the broker to refuse.
 * @throws MillraceError INVALID_PATTERN
 */
export function isPattern(topic: string): boolean {
  return /[*>]/.test(topic) && TopicPattern.parse(topic).hasWildcard;
}

/** Reads all topics whose names match a pattern, those that are made later too; one subscription each. */
export class PatternSubscription implements RecordReader {
  readonly topic: string;
  readonly topicId: undefined;
  readonly #options: SubscribeOptions;
  readonly #context: SubscriptionContext;
  readonly #watch: TopicWatch;
  readonly #readers: Map<string, TopicSubscription> = new Map();
  readonly #turns: ReadyTurns<TopicSubscription> = new ReadyTurns();
  readonly #ready: Deferred<void> = new Deferred();
  #waiters: (() => void)[] = [];
  #isListed = false;
  #isEnded = false;
  #failure: MillraceError | undefined;

  /** @throws MillraceError INVALID_FROM */
  constructor(pattern: string, options: SubscribeOptions, context: SubscriptionContext & WatchContext) {
    this.topic = pattern;
    this.topicId = undefined;
    const { from, partitions, signal } = options;
    if (partitions !== undefined || (typeof from === "object" && !("time" in from))) {
      throw new MillraceError("INVALID_FROM", "a pattern has no partitions, and no offsets to begin with");
    }
    liveStartOf(options);
    // A window each: for the many topics that a pattern may match the smallest one is enough.
    this.#options = { ...options, windowBytes: options.windowBytes ?? 1, signal: undefined };
    this.#context = context;
    this.#watch = new TopicWatch(pattern, context, {
      onTopic: ({ name }, isNew) => this.#add(name, isNew),
      onRemoved: (name) => this.#remove(name),
      onListed: () => this.#onListed(),
      onFailed: (error) => this.end(error),
    });
    if (signal?.aborted === true) {
      this.end(abortedError(signal));
      return;
    }
    signal?.addEventListener("abort", () => this.end(abortedError(signal)), { once: true });
    this.#watch.start();
  }

  ready(): Promise<void> {
    return this.#ready.promise;
  }

  positions(): PartitionPosition[] {
    return Array.from(this.#readers.values(), (reader) =>
      reader.positions().map((position) => ({ ...position, topic: reader.topic })),
    ).flat();
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<ReceivedRecord> {
    return new TakeIterator(
      () => this.takeRecord(),
      () => this.#more(),
      () => this.close(),
    );
  }

  batches(): AsyncIterableIterator<ReceivedBatch> {
    if (this.#options.lastValuePerKey !== undefined) {
      throw new RangeError("lastValuePerKey gives records, not batches");
    }
    return new TakeIterator<ReceivedBatch>(
      () => this.takeBatch(),
      () => this.#more(),
      () => this.close(),
    );
  }

  takeRecord(): ReceivedRecord | undefined {
    return this.#turns.take((reader) => reader.takeRecord());
  }

  takeBatch(): ReceivedBatch | undefined {
    return this.#turns.take((reader) => reader.takeBatch());
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  get failure(): MillraceError | undefined {
    return this.#failure;
  }

  async close(): Promise<void> {
    for (const reader of this.#readers.values()) await reader.close();
    this.end(undefined);
  }

  end(error: MillraceError | undefined): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#failure = error;
    this.#watch.end();
    const readers = [...this.#readers.values()];
    this.#readers.clear();
    this.#turns.clear();
    for (const reader of readers) void reader.close();
    this.#ready.reject(error ?? closedError("subscription"));
    this.#wake();
  }

  #add(name: string, isNew: boolean): void {
    if (this.#isEnded) return;
    const options: SubscribeOptions = isNew
      ? { ...withoutLiveStart(this.#options), from: "earliest" }
      : this.#options;
    let reader: TopicSubscription | undefined;
    const onWake = (): void => {
      if (reader !== undefined && this.#readers.get(name) === reader) this.#onWake(name, reader);
    };
    reader = new TopicSubscription(name, options, { ...this.#context, onWake });
    this.#readers.set(name, reader);
    if (reader.isEnded) this.#onWake(name, reader);
  }

  #remove(name: string): void {
    const reader = this.#readers.get(name);
    if (reader === undefined) return;
    this.#readers.delete(name);
    this.#turns.delete(reader);
    void reader.close();
    this.#wake();
  }

  /** A topic's reader has something, or has ended. */
  #onWake(name: string, reader: TopicSubscription): void {
    const { failure } = reader;
    if (failure !== undefined && !GONE.has(failure.code)) this.end(failure);
    else if (reader.isEnded) this.#remove(name);
    else this.#turns.add(reader);
    this.#wake();
  }

  #onListed(): void {
    this.#isListed = true;
    this.#ready.resolve();
    this.#wake();
  }

  async #more(): Promise<boolean> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#isEnded) return false;
    if (this.#isComplete) {
      await this.close();
      return false;
    }
    if (this.#turns.isEmpty) await new Promise<void>((resolve) => this.#waiters.push(resolve));
    return true;
  }

  get #isComplete(): boolean {
    if (!this.#isListed || this.#options.untilEnd !== true) return false;
    for (const reader of this.#readers.values()) if (!reader.isComplete) return false;
    return true;
  }

  #wake(): void {
    this.#context.onWake?.();
    const waiters = this.#waiters;
    if (waiters.length === 0) return;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }
}
