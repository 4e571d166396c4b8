import {
  DeliverReader,
  type MillraceError,
  type ProgressFrame,
  type StreamFrame,
  type SubscribedFrame,
  type WelcomeFrame,
} from "@millrace/protocol";
import type { Connection } from "../connection/connection.ts";
import type { PartitionCursor } from "./partition-cursor.ts";
import type { TopicSubscription } from "./topic-subscription.ts";

interface Binding {
  readonly subscription: TopicSubscription;
  readonly cursor: PartitionCursor;
}

/** Brings what the broker sends to the subscriptions of a client. Streams and ids are those of one session. */
export class Subscriber {
  readonly #all: Set<TopicSubscription> = new Set();
  readonly #byId: Map<number, TopicSubscription> = new Map();
  readonly #streams: Map<number, Binding[]> = new Map();
  readonly #head: DeliverReader = new DeliverReader();
  #connection: Connection | undefined;
  #welcome: WelcomeFrame | undefined;

  /** The connection while new subscriptions may be made, with its WELCOME. */
  get connection(): Connection | undefined {
    return this.#connection;
  }

  get welcome(): WelcomeFrame | undefined {
    return this.#welcome;
  }

  add(subscription: TopicSubscription): void {
    this.#all.add(subscription);
  }

  remove(subscription: TopicSubscription): void {
    this.#all.delete(subscription);
  }

  has(subscriptionId: number): boolean {
    return this.#byId.has(subscriptionId);
  }

  /** From now on frames of that subscription id are the subscription's. */
  register(subscriptionId: number, subscription: TopicSubscription): void {
    this.#byId.set(subscriptionId, subscription);
  }

  /** Whatever still comes for that id and its streams is ignored. */
  unregister(subscriptionId: number): void {
    const subscription = this.#byId.get(subscriptionId);
    this.#byId.delete(subscriptionId);
    for (const [streamId, bindings] of this.#streams) {
      const kept = bindings.filter((binding) => binding.subscription !== subscription);
      if (kept.length === 0) this.#streams.delete(streamId);
      else this.#streams.set(streamId, kept);
    }
  }

  bind(streamId: number, subscription: TopicSubscription, cursor: PartitionCursor): void {
    const bindings = this.#streams.get(streamId);
    if (bindings === undefined) this.#streams.set(streamId, [{ subscription, cursor }]);
    else bindings.push({ subscription, cursor });
  }

  onConnected(connection: Connection, welcome: WelcomeFrame): void {
    this.#connection = connection;
    this.#welcome = welcome;
    for (const subscription of [...this.#all]) subscription.onConnected();
  }

  onDraining(): void {
    this.#connection = undefined;
  }

  onDisconnected(): void {
    this.#connection = undefined;
    this.#byId.clear();
    this.#streams.clear();
    for (const subscription of this.#all) subscription.onDisconnected();
  }

  onSubscribed(frame: SubscribedFrame): void {
    this.#byId.get(frame.subscriptionId)?.onSubscribed(frame);
  }

  /** `bytes` is the whole frame. */
  onDeliver(bytes: Uint8Array): void {
    const head = this.#head;
    head.reset(bytes, 0, bytes.length);
    const bindings = this.#streams.get(head.streamId);
    if (bindings === undefined) return;
    const { nextOffset } = head;
    for (const { subscription, cursor } of bindings) subscription.onDeliver(cursor, bytes, nextOffset);
  }

  onProgress(frame: ProgressFrame): void {
    for (const { subscription, cursor } of this.#streams.get(frame.streamId) ?? []) {
      subscription.onProgress(cursor, frame.nextOffset, frame.reason);
    }
  }

  onStream(frame: StreamFrame): void {
    const subscription = this.#byId.get(frame.subscriptionId);
    const bindings = this.#streams.get(frame.fromStreamId);
    const index =
      bindings?.findIndex(
        (one) => one.subscription === subscription && one.cursor.partition === frame.partition,
      ) ?? -1;
    if (subscription === undefined || bindings === undefined || index < 0) return;
    const [{ cursor }] = bindings.splice(index, 1) as [Binding];
    if (bindings.length === 0) this.#streams.delete(frame.fromStreamId);
    this.bind(frame.toStreamId, subscription, cursor);
  }

  /** An ERROR about a subscription; false when there is none of that id. */
  onError(subscriptionId: number, error: MillraceError): boolean {
    const subscription = this.#byId.get(subscriptionId);
    if (subscription === undefined) return false;
    this.unregister(subscriptionId);
    subscription.onError(error);
    return true;
  }

  /** Ends all subscriptions, with `error` or in peace. */
  abort(error: MillraceError | undefined): void {
    for (const subscription of [...this.#all]) subscription.end(error);
  }
}
