import {
  encodeAlterSubscription,
  encodeCreateSubscription,
  encodeDeleteSubscription,
  encodeDescribeSubscription,
  encodeListSubscriptions,
  encodeSeekSubscription,
  encodeSnapshotSubscription,
  MillraceError,
  subscriptionFromData,
  type SubscriptionInfo as WireInfo,
} from "@millrace/protocol";
import type {
  PeekedMessage,
  PeekOptions,
  SubscriptionChanges,
  SubscriptionDescription,
  SubscriptionInfo,
  SubscriptionSettings,
  SubscriptionStart,
  Subscriptions,
} from "../api/subscriptions.ts";
import type { RequestOptions } from "../api/topics.ts";
import type { RequestSpec, RequestTable } from "../connection/request-table.ts";
import type { Peeking } from "./peeking.ts";
import { stated } from "./stated.ts";
import { subscriptionFromOf } from "./subscription-start.ts";

/** Administration of subscriptions over the requests of a client. */
export class BrokerSubscriptions implements Subscriptions {
  readonly #requests: RequestTable;
  readonly #peeking: Peeking;

  constructor(requests: RequestTable, peeking: Peeking) {
    this.#requests = requests;
    this.#peeking = peeking;
  }

  async create(
    topic: string,
    name: string,
    settings: SubscriptionSettings,
    options?: RequestOptions,
  ): Promise<SubscriptionInfo> {
    const config = subscriptionConfigOf(settings);
    const encode: Encode = (writer, requestId) =>
      encodeCreateSubscription(writer, { requestId, topic, name, config });
    return this.#ask("creation", topic, name, encode, toInfo, options, false);
  }

  async list(topic?: string, options?: RequestOptions): Promise<SubscriptionInfo[]> {
    const optionsOfPage = this.#requests.inTurn(options);
    const all: SubscriptionInfo[] = [];
    for (let after: readonly [string, string] | undefined; ; ) {
      const page = await this.#page(topic, after, optionsOfPage());
      for (const info of page) all.push(toInfo(info));
      const last = page.at(-1);
      if (last === undefined) return all;
      // Asked again after such a page, the broker could go on for ever.
      if (after !== undefined && !isAfter([last.topic, last.name], after)) {
        throw new MillraceError("MALFORMED_FRAME", "the broker's list of subscriptions does not go on");
      }
      after = [last.topic, last.name];
    }
  }

  describe(topic: string, name: string, options?: RequestOptions): Promise<SubscriptionDescription> {
    const encode: Encode = (writer, requestId) =>
      encodeDescribeSubscription(writer, { requestId, topic, name });
    return this.#ask("description", topic, name, encode, toDescription, options);
  }

  alter(
    topic: string,
    name: string,
    changes: SubscriptionChanges,
    options?: RequestOptions,
  ): Promise<SubscriptionInfo> {
    return this.#alter(topic, name, stated({ ...changes }), options);
  }

  async seek(
    topic: string,
    name: string,
    to: SubscriptionStart,
    options?: RequestOptions,
  ): Promise<SubscriptionInfo> {
    const from = subscriptionFromOf(to);
    const encode: Encode = (writer, requestId) =>
      encodeSeekSubscription(writer, { requestId, topic, name, from });
    // Repeated, "latest" would be a later one.
    return this.#ask("seek", topic, name, encode, toInfo, options, from.kind !== "latest");
  }

  pause(topic: string, name: string, options?: RequestOptions): Promise<SubscriptionInfo> {
    return this.#alter(topic, name, { paused: true }, options);
  }

  resume(topic: string, name: string, options?: RequestOptions): Promise<SubscriptionInfo> {
    return this.#alter(topic, name, { paused: false }, options);
  }

  delete(topic: string, name: string, options?: RequestOptions): Promise<void> {
    const encode: Encode = (writer, requestId) =>
      encodeDeleteSubscription(writer, { requestId, topic, name });
    return this.#ask("deletion", topic, name, encode, () => undefined, options, false);
  }

  snapshot(
    topic: string,
    name: string,
    snapshot: string,
    options?: RequestOptions,
  ): Promise<SubscriptionInfo> {
    return this.#snapshot(topic, name, snapshot, "create", options);
  }

  deleteSnapshot(
    topic: string,
    name: string,
    snapshot: string,
    options?: RequestOptions,
  ): Promise<SubscriptionInfo> {
    return this.#snapshot(topic, name, snapshot, "delete", options);
  }

  peek(topic: string, name: string, options: PeekOptions = {}): Promise<PeekedMessage[]> {
    return this.#peeking.peek(topic, name, options);
  }

  #alter(
    topic: string,
    name: string,
    changes: Readonly<Record<string, unknown>>,
    options?: RequestOptions,
  ): Promise<SubscriptionInfo> {
    const encode: Encode = (writer, requestId) =>
      encodeAlterSubscription(writer, { requestId, topic, name, changes });
    return this.#ask("change", topic, name, encode, toInfo, options);
  }

  #snapshot(
    topic: string,
    name: string,
    snapshot: string,
    action: "create" | "delete",
    options?: RequestOptions,
  ): Promise<SubscriptionInfo> {
    const encode: Encode = (writer, requestId) =>
      encodeSnapshotSubscription(writer, { requestId, topic, name, snapshot, action });
    return this.#ask("snapshot", topic, name, encode, toInfo, options, false);
  }

  #page(
    topic: string | undefined,
    after: readonly [string, string] | undefined,
    options: RequestOptions,
  ): Promise<readonly WireInfo[]> {
    const encode: Encode = (writer, requestId) =>
      encodeListSubscriptions(writer, { requestId, topic, after });
    const answer = (page: unknown): readonly WireInfo[] => page as readonly WireInfo[];
    return this.#requests.request(
      { what: "the list of subscriptions", isRepeatable: true, encode, answer },
      options,
    );
  }

  #ask<T>(
    what: string,
    topic: string,
    name: string,
    encode: Encode,
    answer: (value: unknown) => T,
    options: RequestOptions | undefined,
    isRepeatable = true,
  ): Promise<T> {
    const spec = { what: `the ${what} of subscription ${name} of ${topic}`, isRepeatable, encode, answer };
    return this.#requests.request(spec, options);
  }
}

type Encode = RequestSpec<unknown>["encode"];

/**
 * The map that CREATE_SUBSCRIPTION and CONSUME carry.
 * @throws MillraceError INVALID_FROM
 */
export function subscriptionConfigOf(settings: SubscriptionSettings): Record<string, unknown> {
  const { mode, from, leaseMs, maxDeliveries, backoffMinMs, backoffMaxMs } = settings;
  return stated({
    mode,
    from: from === undefined ? undefined : subscriptionFromData(subscriptionFromOf(from)),
    leaseMs,
    maxDeliveries,
    backoffMinMs,
    backoffMaxMs,
  });
}

function isAfter(a: readonly [string, string], b: readonly [string, string]): boolean {
  return a[0] > b[0] || (a[0] === b[0] && a[1] > b[1]);
}

function toInfo(value: unknown): SubscriptionInfo {
  const { state: _, ...info } = value as WireInfo;
  return info;
}

function toDescription(value: unknown): SubscriptionDescription {
  const { state, ...info } = value as WireInfo;
  if (state === undefined) {
    throw new MillraceError("MALFORMED_FRAME", "the broker describes a subscription without its state");
  }
  const partitions = state.partitions.map(({ consumerName, ...partition }) => ({
    ...partition,
    consumer: consumerName,
  }));
  return { ...info, ...state, partitions };
}
