import {
  encodeFlow,
  encodeSubscribe,
  encodeUnsubscribe,
  LIMITS,
  MillraceError,
  type ResumePosition,
  type SubscribedFrame,
  type SubscribeFrom as WireFrom,
} from "@millrace/protocol";
import type { ReceivedBatch, ReceivedRecord } from "../api/record.ts";
import type { Gap, PartitionPosition, SubscribeOptions } from "../api/subscription.ts";
import type { TopicDescription, Topics } from "../api/topics.ts";
import { Backoff } from "../backoff.ts";
import type { RequestTable } from "../connection/request-table.ts";
import type { ServerClock } from "../connection/server-clock.ts";
import { Deferred } from "../deferred.ts";
import type { Entropy } from "../entropy.ts";
import { abortedError, closedError, SUBSCRIBE_DEFAULTS, windowBytesOf } from "../settings.ts";
import type { Clock, TimerHandle } from "../system-clock.ts";
import { Arrivals } from "./arrivals.ts";
import { LastValues } from "./last-values.ts";
import { type LiveStart, liveStartOf } from "./live-start.ts";
import { movedBoundsOf } from "./moved-bounds.ts";
import { type LogIdentity, PartitionCursor } from "./partition-cursor.ts";
import type { RecordReader } from "./record-reader.ts";
import { type StartPosition, startPositionOf } from "./start-position.ts";
import type { Subscriber } from "./subscriber.ts";
import { TakeIterator } from "./take-iterator.ts";

/** What a subscription needs of its client. */
export interface SubscriptionContext {
  readonly subscriber: Subscriber;
  readonly requests: RequestTable;
  readonly topics: Topics;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly serverClock: ServerClock;
  onGap(gap: Gap): void;
  /** There may be records, or it has ended. */
  onWake?(): void;
}

const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 5_000;
/** The broker's answers to a resume whose records, or whose log, are no longer there. */
const MOVED: ReadonlySet<string> = new Set(["LOG_EPOCH_CHANGED", "OFFSET_OUT_OF_RANGE"]);

/** One subscription, over as many sessions as it takes. */
export class TopicSubscription implements RecordReader {
  readonly topic: string;
  readonly #options: SubscribeOptions;
  readonly #context: SubscriptionContext;
  readonly #start: StartPosition;
  /** Of a live reader that begins in the past. */
  readonly #liveStart: LiveStart | undefined;
  readonly #lastValues: LastValues | undefined;
  readonly #cursors: Map<number, PartitionCursor> = new Map();
  readonly #arrivals: Arrivals;
  readonly #backoff: Backoff;
  #topicId: number | undefined;
  /** In this session; undefined while not subscribed. */
  #subscriptionId: number | undefined;
  /** Whether the broker has accepted the subscription at least once. */
  #isAccepted = false;
  #isPreparing = false;
  #retryTimer: TimerHandle;
  #waiters: (() => void)[] = [];
  #isEnded = false;
  #failure: MillraceError | undefined;
  readonly #ready: Deferred<void> = new Deferred();

  /** @throws MillraceError INVALID_FROM, RangeError */
  constructor(topic: string, options: SubscribeOptions, context: SubscriptionContext) {
    this.topic = topic;
    this.#options = options;
    this.#context = context;
    this.#start = startPositionOf(options.from ?? SUBSCRIBE_DEFAULTS.from, options.partitions);
    this.#liveStart = liveStartOf(options);
    this.#lastValues = this.#liveStart?.kind === "last-values" ? new LastValues() : undefined;
    this.#arrivals = new Arrivals(topic, options.verifyChecksums ?? SUBSCRIBE_DEFAULTS.verifyChecksums, {
      onGap: (gap) => {
        options.onGap?.(gap);
        context.onGap(gap);
      },
      onCredit: (creditLimit) => this.#grant(creditLimit),
    });
    windowBytesOf(options.windowBytes, 0);
    this.#backoff = new Backoff(RETRY_MIN_MS, RETRY_MAX_MS, () => context.entropy.fraction());
    const { signal } = options;
    if (signal?.aborted === true) {
      this.end(abortedError(signal));
      return;
    }
    signal?.addEventListener("abort", this.#onAbort, { once: true });
    context.subscriber.add(this);
    this.#open();
  }

  get topicId(): number | undefined {
    return this.#topicId;
  }

  ready(): Promise<void> {
    return this.#ready.promise;
  }

  positions(): PartitionPosition[] {
    if (!this.#isAccepted) return [];
    return Array.from(this.#cursors.values(), ({ partition, consumed, consumedLog }) =>
      positionOf(partition, consumed, consumedLog),
    );
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<ReceivedRecord> {
    return new TakeIterator(
      () => this.takeRecord(),
      () => this.#more(),
      () => this.close(),
    );
  }

  batches(): AsyncIterableIterator<ReceivedBatch> {
    if (this.#lastValues !== undefined) throw new RangeError("lastValuePerKey gives records, not batches");
    return new TakeIterator<ReceivedBatch>(
      () => this.takeBatch(),
      () => this.#more(),
      () => this.close(),
    );
  }

  takeRecord(): ReceivedRecord | undefined {
    const arrivals = this.#arrivals;
    const last = this.#lastValues;
    if (last === undefined) return this.#take(() => arrivals.takeRecord());
    return this.#take(() => last.take(() => arrivals.takeRecord()));
  }

  takeBatch(): ReceivedBatch | undefined {
    return this.#take(() => this.#arrivals.takeBatch());
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  get failure(): MillraceError | undefined {
    return this.#failure;
  }

  /** Whether everything that was to be read until the end has been. */
  get isComplete(): boolean {
    if (!this.#isAccepted || this.#options.untilEnd !== true) return false;
    for (const cursor of this.#cursors.values()) if (!cursor.isDone) return false;
    return true;
  }

  async close(): Promise<void> {
    this.#leave(undefined);
  }

  /**
   * Ends the iteration, with `error` or in peace; what has arrived and was not consumed is dropped. The broker is not
   * told: either it knows, or the connection ends as well.
   */
  end(error: MillraceError | undefined): void {
    if (this.#isEnded) return;
    const { subscriber, clock } = this.#context;
    this.#isEnded = true;
    this.#failure = error;
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    clock.clearTimer(this.#retryTimer);
    if (this.#subscriptionId !== undefined) subscriber.unregister(this.#subscriptionId);
    this.#subscriptionId = undefined;
    subscriber.remove(this);
    this.#arrivals.clear();
    this.#ready.reject(error ?? closedError("subscription"));
    this.#wake();
  }

  // From the subscriber.

  onConnected(): void {
    this.#open();
  }

  onDisconnected(): void {
    this.#context.clock.clearTimer(this.#retryTimer);
    this.#subscriptionId = undefined;
  }

  onSubscribed(frame: SubscribedFrame): void {
    const { subscriber } = this.#context;
    this.#topicId = frame.topicId;
    this.#backoff.reset();
    for (const {
      partition,
      streamId,
      startOffset,
      logStartOffset,
      highWatermark,
      logEpoch,
      restores = [],
    } of frame.streams) {
      const log: LogIdentity = { logEpoch, restores };
      let cursor = this.#cursors.get(partition);
      if (cursor === undefined) {
        if (this.#isAccepted) continue;
        const wanted = this.#start.wire?.kind === "offset" ? this.#start.wire.offset : startOffset;
        cursor = new PartitionCursor(partition, wanted, log);
        this.#cursors.set(partition, cursor);
      }
      // Only of a live subscription, which does not resume.
      if (cursor.log.logEpoch !== logEpoch) this.#arrivals.addChange(cursor, startOffset, log, cursor.end);
      cursor.log = log;
      if (cursor.consumedLog.logEpoch === logEpoch) cursor.consumedLog = log;
      if (startOffset > cursor.received) {
        const reason = logStartOffset > cursor.received ? "retention" : this.#isLive ? "reconnect" : "gap";
        this.#skip(cursor, startOffset, reason);
      }
      if (!this.#isAccepted && this.#options.untilEnd === true) cursor.end = highWatermark;
      subscriber.bind(streamId, this, cursor);
    }
    this.#isAccepted = true;
    this.#ready.resolve();
    this.#wake();
  }

  onDeliver(cursor: PartitionCursor, bytes: Uint8Array, nextOffset: number): void {
    this.#arrivals.addFrame(cursor, bytes, nextOffset);
    this.#wake();
  }

  onProgress(cursor: PartitionCursor, nextOffset: number, reason: string): void {
    this.#skip(cursor, nextOffset, reason);
  }

  /** The broker refused the subscription, or has ended it. */
  onError(error: MillraceError): void {
    this.#subscriptionId = undefined;
    if (MOVED.has(error.code) && this.#cursors.size > 0) {
      this.#follow(error);
      this.#retryLater(() => this.#open());
    } else if (error.retriable) {
      this.#retryLater(() => this.#open());
    } else {
      this.end(error);
    }
  }

  readonly #onAbort = (): void => this.#leave(abortedError(this.#options.signal as AbortSignal));

  /** Ends and tells the broker. Nobody has to wait for its answer: whatever still comes is ignored. */
  #leave(error: MillraceError | undefined): void {
    const subscriptionId = this.#subscriptionId;
    this.end(error);
    if (subscriptionId === undefined) return;
    const { requests, subscriber } = this.#context;
    subscriber.connection?.sendFrame(encodeUnsubscribe, { requestId: requests.nextId(), subscriptionId });
  }

  /** Whether it goes on with what is published then, after a lost connection. */
  get #isLive(): boolean {
    return this.#options.mode === "live" && this.#options.onReconnect !== "fill";
  }

  /** Whether the bounds of the partitions have to be known first. */
  get #needsBounds(): boolean {
    const kind = this.#liveStart?.kind;
    return this.#start.own !== undefined || kind === "records" || kind === "last-values";
  }

  /** Subscribes, or resumes, if there is a connection; otherwise the next one calls again. */
  #open(): void {
    const { subscriber, requests } = this.#context;
    const { connection, welcome } = subscriber;
    if (this.#isEnded || this.#subscriptionId !== undefined || this.#isPreparing) return;
    if (connection === undefined || welcome === undefined) return;
    if (this.#needsBounds && this.#cursors.size === 0) {
      void this.#prepare();
      return;
    }
    const id = requests.nextId();
    const frameBytesMax = welcome.limits.deliverFrameBytesMax ?? LIMITS.deliverFrameBytesMax;
    const windowBytes = windowBytesOf(this.#options.windowBytes, frameBytesMax);
    this.#subscriptionId = id;
    subscriber.register(id, this);
    connection.sendFrame(encodeSubscribe, {
      requestId: id,
      subscriptionId: id,
      topic: this.topic,
      partitions: this.#cursors.size > 0 ? [...this.#cursors.keys()] : this.#start.partitions,
      from: this.#wireFrom(),
      creditLimit: this.#arrivals.window.open(windowBytes, frameBytesMax),
      mode: this.#options.mode ?? SUBSCRIBE_DEFAULTS.mode,
      extensions: {},
    });
  }

  #wireFrom(): WireFrom {
    if (this.#cursors.size === 0) {
      if (this.#liveStart?.kind !== "time") return this.#start.wire as WireFrom;
      return { kind: "time", timeMs: Math.max(0, this.#context.serverClock.now() - this.#liveStart.ms) };
    }
    if (this.#isLive && this.#isAccepted) return { kind: "latest" };
    const positions = Array.from(this.#cursors.values(), ({ partition, received, log }) =>
      positionOf(partition, received, log),
    );
    return { kind: "resume", topicId: this.#topicId as number, positions };
  }

  /** Own positions are a resume, for which the topic's id and the partitions' log epochs have to be known. */
  #prepare(): Promise<void> {
    const { own } = this.#start;
    return this.#describing((topic) => {
      if (own === undefined) this.#beginBeforeEnd(topic);
      else this.#beginAt(own, topic);
    });
  }

  #beginAt(own: NonNullable<StartPosition["own"]>, { topicId, partitionInfo }: TopicDescription): void {
    const epochs = new Map(partitionInfo.map(({ partition, logEpoch }) => [partition, logEpoch]));
    const unknown = own.positions.find(({ partition }) => !epochs.has(partition));
    if (unknown !== undefined) {
      const message = `topic ${this.topic} has no partition ${unknown.partition}`;
      throw new MillraceError("UNKNOWN_PARTITION", message);
    }
    this.#topicId = own.topicId ?? topicId;
    for (const { partition, offset, logEpoch, restores = [] } of own.positions) {
      const log = { logEpoch: logEpoch ?? (epochs.get(partition) as number), restores };
      this.#cursors.set(partition, new PartitionCursor(partition, offset, log));
    }
  }

  /** A live reader begins so many records before the end of each partition. */
  #beginBeforeEnd({ topicId, partitionInfo }: TopicDescription): void {
    const { records } = this.#liveStart as Extract<LiveStart, { records: number }>;
    const { partitions } = this.#start;
    this.#topicId = topicId;
    for (const { partition, logStartOffset, highWatermark, logEpoch } of partitionInfo) {
      if (partitions !== undefined && !partitions.includes(partition)) continue;
      const offset = Math.max(logStartOffset, highWatermark - records);
      const cursor = new PartitionCursor(partition, offset, { logEpoch, restores: [] });
      this.#cursors.set(partition, cursor);
      this.#lastValues?.add(cursor, highWatermark);
    }
  }

  /**
   * After LOG_EPOCH_CHANGED and the like: goes on where the broker says, which is further back than this subscription is when
   * other records stand at offsets that it has passed, and reports that.
   */
  #follow(cause: MillraceError): void {
    const { topicId } = cause.details;
    if (topicId !== undefined && topicId !== this.#topicId) {
      const message = `topic ${this.topic} was deleted and created again`;
      this.end(new MillraceError("TOPIC_DELETED", message, { cause }));
      return;
    }
    for (const { partition, highWatermark, logEpoch, resumeOffset } of movedBoundsOf(cause)) {
      const cursor = this.#cursors.get(partition);
      if (cursor === undefined) continue;
      // What is above the end of the log was not seen in it, whoever says so.
      const offset = Math.min(cursor.received, resumeOffset ?? cursor.received, highWatermark);
      if (cursor.log.logEpoch === logEpoch && offset === cursor.received) continue;
      // The restores that it has been through are in SUBSCRIBED. What was to be read until the end may have become shorter.
      this.#arrivals.addChange(cursor, offset, { logEpoch, restores: [] }, Math.max(highWatermark, offset));
    }
    this.#wake();
  }

  /** Asks for the topic's present state, then subscribes. */
  async #describing(use: (topic: TopicDescription) => void): Promise<void> {
    this.#isPreparing = true;
    try {
      use(await this.#context.topics.describe(this.topic));
      this.#isPreparing = false;
      this.#open();
    } catch (error) {
      this.#isPreparing = false;
      if (!(error instanceof MillraceError)) throw error;
      if (error.retriable) this.#retryLater(() => this.#open());
      else this.end(error);
    }
  }

  #retryLater(retry: () => void): void {
    const { clock } = this.#context;
    if (this.#isEnded) return;
    clock.clearTimer(this.#retryTimer);
    this.#retryTimer = clock.setTimer(retry, this.#backoff.next());
  }

  /** Queues the report of a gap behind the records that arrived before it. */
  #skip(cursor: PartitionCursor, toOffset: number, reason: string): void {
    this.#arrivals.addSkip(cursor, toOffset, reason);
    this.#wake();
  }

  /** Takes what is there. What cannot be read ends the subscription. */
  #take<T>(take: () => T | undefined): T | undefined {
    try {
      return take();
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      this.#leave(error);
      return undefined;
    }
  }

  #grant(creditLimit: number): void {
    const { connection } = this.#context.subscriber;
    const subscriptionId = this.#subscriptionId;
    if (subscriptionId !== undefined) connection?.sendFrame(encodeFlow, { subscriptionId, creditLimit });
  }

  /**
   * After a take that found nothing: resolves with true once there may be something, with false at the end; rejects
   * when the subscription has failed.
   */
  async #more(): Promise<boolean> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#isEnded) return false;
    if (this.isComplete) {
      await this.close();
      return false;
    }
    if (this.#arrivals.isEmpty) await new Promise<void>((resolve) => this.#waiters.push(resolve));
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

function positionOf(partition: number, offset: number, { logEpoch, restores }: LogIdentity): ResumePosition {
  return restores.length > 0 ? { partition, offset, logEpoch, restores } : { partition, offset, logEpoch };
}
