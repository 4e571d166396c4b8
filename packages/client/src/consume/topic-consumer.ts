import { MillraceError } from "@millrace/protocol";
import { subscriptionConfigOf } from "../admin/broker-subscriptions.ts";
import type {
  CloseConsumerOptions,
  ConsumeMode,
  ConsumeOptions,
  ConsumerEvents,
  HandlerOptions,
  MessageHandler,
  PullConsumer,
} from "../api/consumer.ts";
import type { Message } from "../api/message.ts";
import type { Gap, SubscribeOptions } from "../api/subscription.ts";
import type { SubscriptionMode, Subscriptions } from "../api/subscriptions.ts";
import { Backoff } from "../backoff.ts";
import { Deferred } from "../deferred.ts";
import { EventEmitter } from "../event-emitter.ts";
import { abortedError, type ConsumeSettings, closeTimeoutMsOf, consumeSettings } from "../settings.ts";
import { isPattern } from "../subscribe/pattern-subscription.ts";
import type { RecordReader } from "../subscribe/record-reader.ts";
import { TopicWatch, type WatchContext } from "../subscribe/topic-watch.ts";
import type { TimerHandle } from "../system-clock.ts";
import type { ConsumerPart, PartHandlers } from "./consumer-part.ts";
import type { ConsumeContext, ConsumeTarget } from "./consumer-session.ts";
import { HandlerRunner } from "./handler-runner.ts";
import { LivePart } from "./live-part.ts";
import { PullQueue } from "./pull-queue.ts";
import { QueuePart } from "./queue-part.ts";
import { StreamPart } from "./stream-part.ts";

/** What a consumer needs of its client. */
export interface TopicConsumerContext extends ConsumeContext, WatchContext {
  readonly subscriptions: Subscriptions;
  /** A reader of mode `live`. */
  read(topic: string, options: SubscribeOptions, onWake: () => void): RecordReader;
  onGap(gap: Gap): void;
  onClosed(consumer: TopicConsumer): void;
}

const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 5_000;
/** What the part in a topic that is gone ends with. */
const GONE: ReadonlySet<string> = new Set(["UNKNOWN_TOPIC", "TOPIC_DELETED", "SUBSCRIPTION_DELETED"]);

/** A consumer as the application has it: one part, or one for each topic that a pattern matches. */
export class TopicConsumer implements PullConsumer {
  readonly topic: string;
  readonly subscription: string | undefined;
  readonly #options: ConsumeOptions;
  readonly #settings: ConsumeSettings;
  readonly #context: TopicConsumerContext;
  readonly #outlet: HandlerRunner | PullQueue;
  readonly #isPattern: boolean;
  readonly #parts: Map<string, ConsumerPart> = new Map();
  readonly #events: EventEmitter<ConsumerEvents> = new EventEmitter();
  readonly #ready: Deferred<void> = new Deferred();
  readonly #closed: Deferred<void> = new Deferred();
  readonly #backoff: Backoff;
  #watch: TopicWatch | undefined;
  #retryTimer: TimerHandle;
  #closing: Promise<void> | undefined;
  #isEnded = false;

  /** @throws MillraceError INVALID_FROM, INVALID_PATTERN; RangeError for an option out of its range */
  constructor(
    topic: string,
    options: ConsumeOptions,
    handler: MessageHandler | undefined,
    more: HandlerOptions,
    context: TopicConsumerContext,
  ) {
    this.topic = topic;
    this.subscription = options.mode === "live" ? undefined : options.subscription;
    this.#options = options;
    this.#isPattern = isPattern(topic);
    // A window each: for the many topics that a pattern may match the smallest one is enough.
    const windowBytes = options.windowBytes ?? (this.#isPattern ? 1 : undefined);
    this.#settings = consumeSettings({ ...options, windowBytes }, more);
    this.#context = context;
    this.#outlet =
      handler === undefined ? new PullQueue() : new HandlerRunner(handler, this.#settings.concurrency);
    this.#backoff = new Backoff(RETRY_MIN_MS, RETRY_MAX_MS, () => context.entropy.fraction());
    checkOptions(topic, options, this.#isPattern);
    this.#start();
  }

  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  ready(): Promise<void> {
    return this.#ready.promise;
  }

  on<E extends keyof ConsumerEvents>(event: E, listener: (value: ConsumerEvents[E]) => void): () => void {
    return this.#events.on(event, listener);
  }

  async commit(): Promise<void> {
    await Promise.all(Array.from(this.#parts.values(), (part) => part.commit()));
  }

  close(options: CloseConsumerOptions = {}): Promise<void> {
    const timeoutMs = closeTimeoutMsOf(options);
    this.#closing ??= this.#close(timeoutMs);
    return this.#closing;
  }

  /** Only in the pull form. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Message> {
    if (!(this.#outlet instanceof PullQueue)) {
      throw new TypeError("the messages of this consumer go to its handler");
    }
    // Whoever leaves the loop may still have messages to settle: that is not waited for here.
    return this.#outlet.iterate(async () => {
      void this.close();
    });
  }

  /** Over at once, without a word to the broker: the client is. */
  end(error: MillraceError): void {
    for (const part of [...this.#parts.values()]) part.end(error);
    this.#finish(error);
  }

  #start(): void {
    const { signal, mode } = this.#options;
    if (signal?.aborted === true) {
      this.#finish(abortedError(signal));
      return;
    }
    signal?.addEventListener("abort", this.#onAbort, { once: true });
    if (mode === "live") this.#addLive();
    else if (this.#isPattern) this.#watchTopics();
    else if (mode === undefined) void this.#findMode();
    else this.#addPart(this.topic, mode, false);
  }

  readonly #onAbort = (): void => void this.close();

  async #close(timeoutMs: number): Promise<void> {
    this.#watch?.end();
    this.#context.clock.clearTimer(this.#retryTimer);
    await Promise.all(Array.from(this.#parts.values(), (part) => part.close(timeoutMs)));
    this.#finish(undefined);
  }

  #addLive(): void {
    const { topic } = this;
    const { read, clock } = this.#context;
    const { mode: _, signal: __, from, ...rest } = this.#options;
    const options: SubscribeOptions = {
      windowBytes: rest.windowBytes,
      verifyChecksums: rest.verifyChecksums,
      replay: rest.replay,
      lastValuePerKey: rest.lastValuePerKey,
      onReconnect: rest.onReconnect,
      onGap: rest.onGap,
      from: from as SubscribeOptions["from"],
      mode: "live",
    };
    const open = (onWake: () => void): RecordReader => read(topic, options, onWake);
    const hasHandler = this.#outlet instanceof HandlerRunner;
    this.#begin(topic, (handlers) => new LivePart(open, hasHandler, clock, handlers));
  }

  #addPart(topic: string, mode: SubscriptionMode, isNew: boolean): void {
    const options = this.#options;
    const settings = this.#settings;
    const hasHandler = this.#outlet instanceof HandlerRunner;
    // Everything in a topic made after the watch began was published after it.
    const from = isNew ? "earliest" : options.from;
    const mayCreate = settings.create && options.mode !== undefined;
    const target: ConsumeTarget = {
      topic,
      subscription: options.subscription as string,
      mode,
      create: mayCreate ? subscriptionConfigOf({ ...options, mode, from }) : undefined,
    };
    const Part = mode === "stream" ? StreamPart : QueuePart;
    this.#begin(topic, (handlers) => new Part(target, settings, hasHandler, this.#context, handlers));
  }

  #begin(topic: string, make: (handlers: PartHandlers) => ConsumerPart): void {
    const part: ConsumerPart = make({
      onAccepted: () => this.#ready.resolve(),
      onMessages: () => this.#outlet.wake(part),
      onFailed: (error) => this.#onPartFailed(topic, part, error),
      onError: (error, message) => this.#events.emit("error", { error, message }),
      onAssigned: (partition, offset) => this.#events.emit("assigned", { topic, partition, offset }),
      onRevoked: (partition) => this.#events.emit("revoked", { topic, partition }),
      onGap: (gap) => {
        this.#options.onGap?.(gap);
        this.#context.onGap(gap);
      },
    });
    this.#parts.set(topic, part);
    part.start();
  }

  /** The subscription is to be taken as it is: its mode says what the consumer has to be. */
  async #findMode(): Promise<void> {
    const { subscriptions, clock } = this.#context;
    try {
      const { mode } = await subscriptions.describe(this.topic, this.subscription as string);
      if (this.#closing === undefined && !this.#isEnded) this.#addPart(this.topic, mode, false);
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      if (!error.retriable) this.#finish(error);
      else if (this.#closing === undefined && !this.#isEnded) {
        this.#retryTimer = clock.setTimer(() => void this.#findMode(), this.#backoff.next());
      }
    }
  }

  #watchTopics(): void {
    this.#watch = new TopicWatch(this.topic, this.#context, {
      onTopic: ({ name }, isNew) => this.#addPart(name, "stream", isNew),
      onRemoved: (name) => {
        const part = this.#parts.get(name);
        if (part !== undefined) this.#removePart(name, part);
        part?.end(new MillraceError("TOPIC_DELETED", `topic ${name} was deleted`));
      },
      onListed: () => this.#ready.resolve(),
      onFailed: (error) => this.end(error),
    });
    this.#watch.start();
  }

  #onPartFailed(topic: string, part: ConsumerPart, error: MillraceError): void {
    this.#removePart(topic, part);
    if (this.#isPattern && GONE.has(error.code)) return;
    this.end(error);
  }

  #removePart(topic: string, part: ConsumerPart): void {
    if (this.#parts.get(topic) === part) this.#parts.delete(topic);
    this.#outlet.remove(part);
  }

  #finish(error: MillraceError | undefined): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#context.clock.clearTimer(this.#retryTimer);
    this.#watch?.end();
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    // After a close nobody can be waiting for an error.
    const failure = this.#closing === undefined ? error : undefined;
    this.#ready.reject(error ?? new MillraceError("CLOSED", "the consumer is closed"));
    if (failure === undefined) this.#closed.resolve();
    else {
      this.#closed.reject(failure);
      this.#events.emit("error", { error: failure });
    }
    if (this.#outlet instanceof PullQueue) this.#outlet.end(failure);
    this.#context.onClosed(this);
  }
}

/** @throws MillraceError INVALID_PATTERN, INVALID_FROM; RangeError */
function checkOptions(topic: string, options: ConsumeOptions, isPattern: boolean): void {
  const mode: ConsumeMode | undefined = options.mode;
  if (mode !== undefined && !MODES.has(mode)) {
    throw new RangeError(`mode must be stream, queue, keyed or live: mode=${String(mode)}`);
  }
  if (mode === "live" && (options.subscription !== undefined || options.from !== undefined)) {
    throw new RangeError(
      "mode live has no subscription, and no from: replay and lastValuePerKey lead into the past",
    );
  }
  if (mode !== "live" && options.subscription === undefined) {
    throw new RangeError(`a consumer of mode ${mode ?? "stream, queue or keyed"} needs a subscription`);
  }
  if (isPattern && mode !== "live" && mode !== "stream") {
    const message = `only consumers of mode live and stream may name several topics: ${topic}`;
    throw new MillraceError("INVALID_PATTERN", message, { details: { pattern: topic } });
  }
  if (mode !== undefined && mode !== "live") subscriptionConfigOf({ ...options, mode });
  const isLiveOnly = options.replay !== undefined || options.lastValuePerKey !== undefined;
  if (mode !== "live" && isLiveOnly) throw new RangeError('replay and lastValuePerKey are for mode "live"');
}

const MODES: ReadonlySet<string> = new Set(["stream", "queue", "keyed", "live"]);
