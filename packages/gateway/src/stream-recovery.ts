import type { GatewayPort, PartitionBounds, Topic } from "@millrace/broker/internal";
import { MillraceError } from "@millrace/protocol";
import type { ReadScheduler } from "./read-scheduler.ts";
import { type StreamReader, SUSPENDED, WAITING } from "./stream-reader.ts";
import { type Subscription, subscriptionDetails } from "./subscription.ts";
import type { TailGroup } from "./tail-group.ts";
import type { TailGroups } from "./tail-groups.ts";

/** Ends a subscription with an error that its client gets. */
export type FailSubscription = (subscription: Subscription, error: MillraceError) => void;

/**
 * Brings the streams of a lost shard back: each reads on from where it stands, if the shard's log is still the one that
 * was read from. A shard that lost records that somebody may have seen has raised its log's epoch.
 */
export class StreamRecovery {
  readonly #port: GatewayPort;
  readonly #groups: TailGroups;
  readonly #scheduler: ReadScheduler;
  readonly #fail: FailSubscription;
  /** Raised when a shard is lost; index = shard. */
  readonly #generations: number[] = [];

  constructor(port: GatewayPort, groups: TailGroups, scheduler: ReadScheduler, fail: FailSubscription) {
    this.#port = port;
    this.#groups = groups;
    this.#scheduler = scheduler;
    this.#fail = fail;
  }

  /** How often the shard was lost so far: what was learned of its log before may not hold after. */
  generation(shardId: number): number {
    return this.#generations[shardId] ?? 0;
  }

  onShardDown(shardId: number): void {
    this.#generations[shardId] = this.generation(shardId) + 1;
    for (const group of this.#groups.ofShard(shardId)) {
      group.scatter();
      for (const stream of group.streams) stream.state = SUSPENDED;
    }
  }

  onShardFailed(shardId: number, reason: string): void {
    const error = new MillraceError("JOURNAL_FAILED", `the shard's journal failed: ${reason}`);
    for (const group of this.#groups.ofShard(shardId)) this.#failStreams(group, error);
  }

  onShardUp(shardId: number): void {
    const byTopic = new Map<Topic, TailGroup[]>();
    for (const group of this.#groups.ofShard(shardId)) {
      if (![...group.streams].some(isSubscribers)) continue;
      const groups = byTopic.get(group.topic);
      if (groups === undefined) byTopic.set(group.topic, [group]);
      else groups.push(group);
    }
    for (const [topic, groups] of byTopic) void this.#resume(topic, shardId, groups);
  }

  /**
   * A read may fail because its records were given up while it was under way. Then `onPassed` is told where the log
   * starts now, and the stream reads on from there; otherwise its subscription ends with `failure`.
   */
  async onReadFailed(
    stream: StreamReader,
    failure: MillraceError,
    onPassed: (logStartOffset: number) => void,
  ): Promise<void> {
    const { group, subscription } = stream;
    const generation = this.generation(group.shardId);
    let logStartOffset = 0;
    try {
      const [bounds] = await this.#port.bounds(group.topic, [group.partition]);
      logStartOffset = bounds?.logStartOffset ?? 0;
    } catch {
      // What the client is to hear is that the read failed.
    }
    // A shard that was lost meanwhile brings its streams back by itself.
    const isLost = this.generation(group.shardId) !== generation;
    if (isLost || stream.ended || stream.state !== WAITING) return;
    if (logStartOffset <= stream.nextOffset) {
      if (subscription.consumer === undefined) this.#fail(subscription, failure);
      else subscription.consumer.onReadFailed(stream, failure);
      return;
    }
    onPassed(logStartOffset);
    this.#scheduler.readOn(stream);
  }

  async #resume(topic: Topic, shardId: number, groups: readonly TailGroup[]): Promise<void> {
    const generation = this.generation(shardId);
    let bounds: PartitionBounds[];
    try {
      bounds = await this.#port.bounds(
        topic,
        groups.map(({ partition }) => partition),
      );
    } catch (error) {
      // The shard is up and does not say what it holds: clients may subscribe again, and learn why not.
      if (this.generation(shardId) === generation) {
        for (const group of groups) this.#failStreams(group, asReadFailure(error));
      }
      return;
    }
    // Lost again meanwhile: the next onShardUp starts over.
    if (this.generation(shardId) !== generation) return;
    const byPartition = new Map(bounds.map((entry) => [entry.partition, entry]));
    for (const group of groups) {
      const entry = byPartition.get(group.partition);
      for (const stream of entry === undefined ? [] : [...group.streams].filter(isSubscribers)) {
        this.#resumeStream(stream, entry as PartitionBounds);
      }
    }
  }

  #resumeStream(stream: StreamReader, bounds: PartitionBounds): void {
    const { subscription } = stream;
    if (stream.state !== SUSPENDED || subscription.ended) return;
    if (bounds.logEpoch === stream.logEpoch) {
      subscription.enqueue(stream);
      this.#scheduler.plan(subscription);
      return;
    }
    this.#fail(
      subscription,
      new MillraceError("LOG_EPOCH_CHANGED", "the partition lost records that may have been seen", {
        details: subscriptionDetails(subscription, [
          // Nobody restores a backup under a shard: offsets that were sent are those of the same records.
          { ...bounds, resumeOffset: Math.min(stream.nextOffset, bounds.highWatermark) },
        ]),
      }),
    );
  }

  #failStreams(group: TailGroup, error: MillraceError): void {
    for (const { subscription, state } of [...group.streams].filter(isSubscribers)) {
      if (state !== SUSPENDED || subscription.ended) continue;
      this.#fail(
        subscription,
        new MillraceError(error.code, error.message, {
          details: { ...error.details, ...subscriptionDetails(subscription, []) },
        }),
      );
    }
  }
}

/** A consumer's streams go on when it has acquired their partitions anew. */
function isSubscribers({ subscription }: StreamReader): boolean {
  return subscription.consumer === undefined;
}

function asReadFailure(error: unknown): MillraceError {
  if (error instanceof MillraceError) return error;
  return new MillraceError("READ_FAILED", "the shard did not answer", { cause: error });
}
