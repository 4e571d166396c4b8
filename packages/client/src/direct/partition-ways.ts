import type { TopicDescription, Topics } from "../api/topics.ts";
import type { Publisher } from "../publish/publisher.ts";
import type { Clock, TimerHandle } from "../system-clock.ts";
import type { DirectLinks } from "./direct-links.ts";

export interface PartitionWaysContext {
  readonly topic: string;
  readonly topics: Topics;
  /** The client's own connection, which takes everything. */
  readonly main: Publisher;
  /** undefined: everything goes by that. */
  readonly links: DirectLinks | undefined;
  readonly clock: Clock;
  /** publisherOf() may give other answers now. */
  onChange(): void;
}

/** Shards move seldom, and a node that no longer owns one forwards: who owns what is asked for again after so long … */
const REFRESH_MS = 30_000;
/** … or so soon after a connection to an owner was lost: by then its shards have been taken over. */
const LOST_REFRESH_MS = 1_000;

/** By which connection each partition of a topic is published: straight to the node that owns it, where that can be reached. */
export class PartitionWays {
  readonly #context: PartitionWaysContext;
  /** By partition. */
  #urls: readonly (string | undefined)[] = [];
  #describedAt = 0;
  #isAsking = false;
  #timer: TimerHandle;
  #isClosed = false;

  constructor(context: PartitionWaysContext) {
    this.#context = context;
    context.links?.listen(this.#onLinks);
  }

  described({ partitionInfo, owners = [] }: TopicDescription): void {
    const { links, clock } = this.#context;
    this.#describedAt = clock.now();
    if (links === undefined || owners.length === 0) {
      this.#urls = [];
      return;
    }
    const urls = new Map(owners.map(({ shard, url }) => [shard, url]));
    this.#urls = partitionInfo.map(({ shard }) => urls.get(shard));
  }

  publisherOf(partition: number): Publisher {
    const { links, main } = this.#context;
    const url = this.#urls[partition];
    return (url === undefined ? undefined : links?.publisher(url)) ?? main;
  }

  /** To be called now and then while the producer is in use. */
  refresh(): void {
    const { links, clock } = this.#context;
    if (links === undefined || this.#urls.length === 0) return;
    if (clock.now() - this.#describedAt >= REFRESH_MS) this.#ask();
  }

  close(): void {
    this.#isClosed = true;
    this.#context.clock.clearTimer(this.#timer);
    this.#context.links?.unlisten(this.#onLinks);
  }

  readonly #onLinks = (): void => {
    const { clock } = this.#context;
    if (this.#urls.length === 0) return;
    clock.clearTimer(this.#timer);
    this.#timer = clock.setTimer(() => this.#ask(), LOST_REFRESH_MS);
    this.#context.onChange();
  };

  #ask(): void {
    if (this.#isAsking || this.#isClosed) return;
    this.#isAsking = true;
    const { topic, topics } = this.#context;
    topics.describe(topic).then(
      (description) => {
        this.#isAsking = false;
        if (this.#isClosed) return;
        this.described(description);
        this.#context.onChange();
      },
      () => {
        // Whoever publishes hears of it; the ways stay as they are.
        this.#isAsking = false;
      },
    );
  }
}
