import {
  type GatewayPort,
  type Subscription as NamedSubscription,
  PEEK_STATE,
  type PeekedRecord,
  type SubscriptionConsumers,
  type SubscriptionPartitionState,
  type Topic,
} from "@millrace/broker/internal";
import {
  type AlterSubscriptionFrame,
  type CreateSubscriptionFrame,
  type DeleteSubscriptionFrame,
  type DescribeSubscriptionFrame,
  encodePeeked,
  encodeRedriven,
  encodeSubscription,
  encodeSubscriptionDeleted,
  encodeSubscriptions,
  type FrameWriter,
  isValidTopicName,
  LIMITS,
  type ListSubscriptionsFrame,
  MillraceError,
  type PeekFrame,
  parseSubscriptionChanges,
  type RedriveFrame,
  type SeekSubscriptionFrame,
  type SnapshotSubscriptionFrame,
  SUBSCRIPTION_BYTES_MAX,
  type SubscriptionState,
  subscriptionNameProblem,
} from "@millrace/protocol";
import type { ConsumerTable } from "./consumer-table.ts";
import type { Session } from "./session.ts";
import type { SubscriptionLookup } from "./subscription-lookup.ts";
import { firstSubscriptionsAfter } from "./subscription-page.ts";
import { subscriptionStarts } from "./subscription-starts.ts";
import type { TopicRequests } from "./topic-requests.ts";

/** More than what a SUBSCRIPTIONS frame holds beside its subscriptions. */
const SUBSCRIPTIONS_HEAD_BYTES = 64;

if (
  SUBSCRIPTIONS_HEAD_BYTES + LIMITS.subscriptionsPerPageMax * SUBSCRIPTION_BYTES_MAX >=
  LIMITS.frameBytesMax
) {
  throw new RangeError("a frame must hold the largest page of subscriptions");
}

export interface SubscriptionRequestParts {
  readonly port: GatewayPort;
  readonly writer: FrameWriter;
  readonly topics: TopicRequests;
  readonly subscriptions: SubscriptionLookup;
  readonly consumers: ConsumerTable;
  /** Names of the clients that have partitions of a stream subscription, by partition. */
  readonly holdersOf: (subscriptionId: number) => ReadonlyMap<number, string>;
  /** The key of a record; null: it has none, or it is gone. */
  readonly keyOf: (topic: Topic, partition: number, offset: number) => Promise<string | Uint8Array | null>;
}

/** Clients' requests about subscriptions other than taking part in them. */
export class SubscriptionRequests {
  readonly #parts: SubscriptionRequestParts;

  constructor(parts: SubscriptionRequestParts) {
    this.#parts = parts;
  }

  async create(session: Session, frame: CreateSubscriptionFrame): Promise<void> {
    const { topics, subscriptions } = this.#parts;
    const topic = await topics.topic(frame.topic);
    const subscription = await subscriptions.create(topic, frame.name, frame.config);
    this.#answer(session, frame.requestId, topic, subscription);
  }

  async describe(session: Session, frame: DescribeSubscriptionFrame): Promise<void> {
    const { topic, subscription } = await this.#existing(frame);
    const { port } = this.#parts;
    const [rows, elsewhere] = await Promise.all([
      port.subscriptionState(subscription),
      port.consumersElsewhere(subscription.subscriptionId),
    ]);
    const state = await this.#state(topic, subscription, rows, elsewhere);
    this.#answer(session, frame.requestId, topic, subscription, state);
  }

  /** One page: the first ones, by the names of topic and subscription, after the one that the client has already. */
  async list(session: Session, frame: ListSubscriptionsFrame): Promise<void> {
    const { port, topics, subscriptions, writer } = this.#parts;
    const { requestId, after } = frame;
    const topic = frame.topic === undefined ? undefined : await topics.existing(frame.topic);
    const page = firstSubscriptionsAfter(
      port.subscriptions(topic?.topicId),
      (id) => visible(port.topicById(id)),
      after,
      LIMITS.subscriptionsPerPageMax,
    );
    writer.reset();
    encodeSubscriptions(writer, {
      requestId,
      subscriptions: page.map(({ topic, subscription }) => subscriptions.info(topic, subscription)),
    });
    session.sendWritten();
  }

  async alter(session: Session, frame: AlterSubscriptionFrame): Promise<void> {
    const { topic, subscription } = await this.#existing(frame);
    const changes = parseSubscriptionChanges(frame.changes);
    const { backoffMinMs, backoffMaxMs } = { ...subscription, ...changes };
    if (backoffMinMs > backoffMaxMs) {
      throw new MillraceError(
        "INVALID_SUBSCRIPTION_CONFIG",
        `subscription setting backoffMinMs: ${backoffMinMs} is more than backoffMaxMs, ${backoffMaxMs}`,
        { details: { setting: "backoffMinMs" } },
      );
    }
    const altered = await this.#parts.port.alterSubscription(subscription, changes);
    this.#answer(session, frame.requestId, topic, altered);
  }

  async seek(session: Session, frame: SeekSubscriptionFrame): Promise<void> {
    const { port } = this.#parts;
    const { topic, subscription } = await this.#existing(frame);
    const { from } = frame;
    if (from.kind === "snapshot") await port.seekToSnapshot(subscription, from.name);
    else await port.seekSubscription(subscription, await subscriptionStarts(port, topic, from));
    this.#answer(session, frame.requestId, topic, this.#now(subscription));
  }

  async snapshot(session: Session, frame: SnapshotSubscriptionFrame): Promise<void> {
    const { topic, subscription } = await this.#existing(frame);
    const { snapshot, action } = frame;
    if (action !== "create" && action !== "delete") {
      throw new MillraceError("MALFORMED_FRAME", `a snapshot cannot be told to ${JSON.stringify(action)}`);
    }
    const problem = subscriptionNameProblem(snapshot);
    if (problem !== undefined && action === "create") {
      throw new MillraceError("INVALID_SUBSCRIPTION_NAME", `of a snapshot: ${problem}`, {
        details: { snapshot },
      });
    }
    const changed = await this.#parts.port.snapshotSubscription(subscription, snapshot, action);
    this.#answer(session, frame.requestId, topic, changed);
  }

  async delete(session: Session, frame: DeleteSubscriptionFrame): Promise<void> {
    const { port, writer } = this.#parts;
    const { topic, subscription } = await this.#existing(frame);
    await port.deleteSubscription(subscription);
    writer.reset();
    encodeSubscriptionDeleted(writer, {
      requestId: frame.requestId,
      topic: topic.name,
      name: subscription.name,
    });
    session.sendWritten();
  }

  async peek(session: Session, frame: PeekFrame): Promise<void> {
    const { writer } = this.#parts;
    const limit = Math.min(frame.limit, LIMITS.peekRecordsMax);
    const rows = await (frame.name === "" ? this.#deadLetters(frame, limit) : this.#unfinished(frame, limit));
    writer.reset();
    encodePeeked(writer, {
      requestId: frame.requestId,
      records: rows.map(([topicId, partition, offset, state, deliveryCount, dueInMs]) => ({
        topicId,
        partition,
        offset,
        state,
        deliveryCount,
        dueInMs,
      })),
    });
    session.sendWritten();
  }

  async #unfinished(frame: PeekFrame, limit: number): Promise<readonly PeekedRecord[]> {
    const { port } = this.#parts;
    const { topic, subscription } = await this.#existing(frame);
    if (subscription.mode === "stream") {
      throw new MillraceError(
        "SUBSCRIPTION_MODE",
        `subscription ${subscription.name} is of mode stream: all behind its cursors is unfinished`,
        { details: { subscription: subscription.name, mode: subscription.mode } },
      );
    }
    checkPartition(topic, frame.partition);
    return limit === 0 ? [] : port.peek(subscription, frame.partition, frame.fromOffset, limit);
  }

  /** What of a dead-letter topic was not redriven. It belongs to no subscription of that topic, so no name is given. */
  async #deadLetters(frame: PeekFrame, limit: number): Promise<readonly PeekedRecord[]> {
    const { port, topics } = this.#parts;
    const { partition, fromOffset } = frame;
    const topic = await topics.existing(frame.topic);
    if (topic.deadLetterOf === undefined) {
      throw new MillraceError(
        "UNKNOWN_SUBSCRIPTION",
        `topic ${topic.name} does not hold the dead letters of another one: name a subscription`,
        { details: { topic: topic.name, subscription: "" } },
      );
    }
    checkPartition(topic, partition);
    const offsets = limit === 0 ? [] : await port.deadLetters(topic, partition, fromOffset, limit);
    return offsets.map((offset) => [topic.topicId, partition, offset, PEEK_STATE.AVAILABLE, 0, 0]);
  }

  async redrive(session: Session, frame: RedriveFrame): Promise<void> {
    const { port, topics, writer } = this.#parts;
    const topic = await topics.existing(frame.topic);
    const origin = topic.deadLetterOf === undefined ? undefined : port.topicById(topic.deadLetterOf);
    if (origin === undefined) {
      throw new MillraceError(
        "UNKNOWN_TOPIC",
        topic.deadLetterOf === undefined
          ? `topic ${topic.name} does not hold the dead letters of another one`
          : `the topic whose dead letters ${topic.name} holds was deleted`,
        { details: { topic: topic.name } },
      );
    }
    const named = new Map<string, NamedSubscription>();
    for (const { subscription } of frame.rows) {
      if (named.has(subscription)) continue;
      named.set(subscription, await this.#parts.subscriptions.existing(origin, subscription));
    }
    const rows = frame.rows.map(({ partition, offset, subscription: name }) => {
      checkPartition(topic, partition);
      const { mode, subscriptionId } = named.get(name) as NamedSubscription;
      if (mode === "stream") {
        throw new MillraceError("SUBSCRIPTION_MODE", `subscription ${name} is of mode stream`, {
          details: { subscription: name, mode },
        });
      }
      return [partition, offset, subscriptionId] as const;
    });
    const count = rows.length === 0 ? 0 : await port.redrive(topic, rows);
    writer.reset();
    encodeRedriven(writer, { requestId: frame.requestId, count });
    session.sendWritten();
  }

  /** @throws MillraceError UNKNOWN_TOPIC, UNKNOWN_SUBSCRIPTION */
  async #existing(named: { readonly topic: string; readonly name: string }): Promise<{
    topic: Topic;
    subscription: NamedSubscription;
  }> {
    const { topics, subscriptions } = this.#parts;
    const topic = await topics.existing(named.topic);
    return { topic, subscription: await subscriptions.existing(topic, named.name) };
  }

  /** As the catalog has it by now. */
  #now(subscription: NamedSubscription): NamedSubscription {
    return this.#parts.port.subscriptionById(subscription.subscriptionId) ?? subscription;
  }

  #answer(
    session: Session,
    requestId: number,
    topic: Topic,
    subscription: NamedSubscription,
    state?: SubscriptionState,
  ): void {
    const { subscriptions, writer } = this.#parts;
    const info = subscriptions.info(topic, subscription);
    writer.reset();
    encodeSubscription(writer, {
      requestId,
      subscription: state === undefined ? info : { ...info, state },
    });
    session.sendWritten();
  }

  async #state(
    topic: Topic,
    { subscriptionId }: NamedSubscription,
    rows: readonly SubscriptionPartitionState[],
    elsewhere: SubscriptionConsumers | undefined,
  ): Promise<SubscriptionState> {
    const { consumers, holdersOf, keyOf } = this.#parts;
    const holders = new Map([...(elsewhere?.holders ?? []), ...holdersOf(subscriptionId)]);
    const blocked = rows.find(({ blockedOffset }) => blockedOffset !== null);
    const ages = rows.map(({ oldestAgeMs }) => oldestAgeMs).filter((age) => age !== null);
    const available = sumOf(rows, (row) => row.available);
    const leased = sumOf(rows, (row) => row.leased);
    const waiting = sumOf(rows, (row) => row.waiting);
    return {
      consumers: consumers.countOf(subscriptionId) + (elsewhere?.count ?? 0),
      available,
      leased,
      waiting,
      redelivered: sumOf(rows, (row) => row.redelivered),
      dead: sumOf(rows, (row) => row.dead),
      lag: available + leased + waiting,
      oldestAgeMs: ages.length === 0 ? null : Math.max(...ages),
      blockedByKey:
        blocked === undefined ? null : await keyOf(topic, blocked.partition, blocked.blockedOffset as number),
      partitions: rows.map((row) => ({
        partition: row.partition,
        offset: row.position,
        logStartOffset: row.logStartOffset,
        highWatermark: row.highWatermark,
        available: row.available,
        leased: row.leased,
        waiting: row.waiting,
        consumerName: holders.get(row.partition) ?? null,
      })),
    };
  }
}

function sumOf(
  rows: readonly SubscriptionPartitionState[],
  numberOf: (row: SubscriptionPartitionState) => number,
): number {
  return rows.reduce((sum, row) => sum + numberOf(row), 0);
}

/** Internal topics have names that no client can use. */
function visible(topic: Topic | undefined): Topic | undefined {
  return topic !== undefined && isValidTopicName(topic.name) ? topic : undefined;
}

function checkPartition(topic: Topic, partition: number): void {
  if (partition < topic.partitions) return;
  throw new MillraceError("UNKNOWN_PARTITION", `topic ${topic.name} has no partition ${partition}`, {
    details: { topicId: topic.topicId, partitions: topic.partitions },
  });
}
