import {
  encodeUnwatchTopics,
  encodeWatchTopics,
  type MillraceError,
  type TopicInfo,
  type TopicsChangedFrame,
} from "@millrace/protocol";
import { Backoff } from "../backoff.ts";
import type { Connection } from "../connection/connection.ts";
import type { RequestTable } from "../connection/request-table.ts";
import type { Entropy } from "../entropy.ts";
import type { Clock, TimerHandle } from "../system-clock.ts";

/** What a watch tells its owner. */
export interface WatchHandlers {
  /** A topic matches the pattern. `isNew`: it was made after the watch began. */
  onTopic(topic: TopicInfo, isNew: boolean): void;
  /** It was deleted. */
  onRemoved(name: string): void;
  /** The owner has been told of all topics that there are. */
  onListed(): void;
  /** The watch is over. */
  onFailed(error: MillraceError): void;
}

/** What a watch needs of its client. */
export interface WatchContext {
  readonly watches: TopicWatches;
  readonly requests: RequestTable;
  readonly clock: Clock;
  readonly entropy: Entropy;
}

const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 5_000;

/** Follows which topics match a pattern, over as many sessions as it takes. */
export class TopicWatch {
  readonly #pattern: string;
  readonly #context: WatchContext;
  readonly #handlers: WatchHandlers;
  readonly #backoff: Backoff;
  /** Names and ids of the topics that the owner was told of. */
  readonly #known: Map<string, number> = new Map();
  /** Named by the present session's first answer, while that is not complete. */
  #listed: Set<string> | undefined;
  #wasListed = false;
  #connection: Connection | undefined;
  #watchId = 0;
  #retryTimer: TimerHandle;
  #isEnded = false;

  constructor(pattern: string, context: WatchContext, handlers: WatchHandlers) {
    this.#pattern = pattern;
    this.#context = context;
    this.#handlers = handlers;
    this.#backoff = new Backoff(RETRY_MIN_MS, RETRY_MAX_MS, () => context.entropy.fraction());
  }

  start(): void {
    this.#context.watches.add(this);
    this.#open();
  }

  end(): void {
    if (this.#isEnded) return;
    const { clock, watches } = this.#context;
    this.#isEnded = true;
    clock.clearTimer(this.#retryTimer);
    watches.remove(this, this.#watchId);
    this.#connection?.sendFrame(encodeUnwatchTopics, { watchId: this.#watchId });
    this.#connection = undefined;
  }

  // From the router.

  onConnected(): void {
    this.#open();
  }

  onDisconnected(): void {
    this.#context.clock.clearTimer(this.#retryTimer);
    this.#connection = undefined;
  }

  onChanged({ requestId, topics, removed }: TopicsChangedFrame): void {
    this.#backoff.reset();
    for (const name of removed) this.#remove(name);
    for (const topic of topics) {
      this.#listed?.add(topic.name);
      const { name, topicId } = topic;
      const known = this.#known.get(name);
      if (known === topicId) continue;
      if (known !== undefined) this.#remove(name);
      this.#known.set(name, topicId);
      this.#handlers.onTopic(topic, this.#wasListed);
    }
    if (requestId !== undefined) this.#completeList();
  }

  onRefused(error: MillraceError): void {
    const { clock } = this.#context;
    this.#connection = undefined;
    if (this.#isEnded) return;
    if (error.retriable) {
      this.#retryTimer = clock.setTimer(() => this.#open(), this.#backoff.next());
    } else {
      this.end();
      this.#handlers.onFailed(error);
    }
  }

  #open(): void {
    const { watches, requests } = this.#context;
    const { connection } = watches;
    if (this.#isEnded || connection === undefined || this.#connection !== undefined) return;
    const id = requests.nextId();
    this.#connection = connection;
    this.#watchId = id;
    this.#listed = new Set();
    watches.bind(id, this);
    connection.sendFrame(encodeWatchTopics, { requestId: id, watchId: id, pattern: this.#pattern });
  }

  /** What was known and is not there any more was deleted while there was no connection. */
  #completeList(): void {
    const listed = this.#listed;
    if (listed === undefined) return;
    this.#listed = undefined;
    this.#wasListed = true;
    for (const name of [...this.#known.keys()]) if (!listed.has(name)) this.#remove(name);
    this.#handlers.onListed();
  }

  #remove(name: string): void {
    if (this.#known.delete(name)) this.#handlers.onRemoved(name);
  }
}

/** Brings what the broker says of topics to the watches of a client. */
export class TopicWatches {
  readonly #all: Set<TopicWatch> = new Set();
  /** By their ids in this session, which are also those of their requests. */
  readonly #byId: Map<number, TopicWatch> = new Map();
  #connection: Connection | undefined;

  get connection(): Connection | undefined {
    return this.#connection;
  }

  add(watch: TopicWatch): void {
    this.#all.add(watch);
  }

  remove(watch: TopicWatch, watchId: number): void {
    this.#all.delete(watch);
    this.#byId.delete(watchId);
  }

  has(watchId: number): boolean {
    return this.#byId.has(watchId);
  }

  bind(watchId: number, watch: TopicWatch): void {
    this.#byId.set(watchId, watch);
  }

  onConnected(connection: Connection): void {
    this.#connection = connection;
    for (const watch of [...this.#all]) watch.onConnected();
  }

  onDraining(): void {
    this.#connection = undefined;
  }

  onDisconnected(): void {
    this.#connection = undefined;
    this.#byId.clear();
    for (const watch of [...this.#all]) watch.onDisconnected();
  }

  onChanged(frame: TopicsChangedFrame): void {
    this.#byId.get(frame.watchId)?.onChanged(frame);
  }

  /** An ERROR about a request; false when none of a watch has that id. */
  onRefused(requestId: number, error: MillraceError): boolean {
    const watch = this.#byId.get(requestId);
    this.#byId.delete(requestId);
    watch?.onRefused(error);
    return watch !== undefined;
  }
}
