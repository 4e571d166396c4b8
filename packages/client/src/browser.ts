import type { Client, ConnectOptions } from "./api/client.ts";
import { connectOn } from "./connect.ts";
import { connectBrowserTransport } from "./connection/browser-transport.ts";
import type { Platform } from "./connection/link.ts";
import { systemEntropy } from "./entropy.ts";
import { systemClock } from "./system-clock.ts";

export { type ErrorName, MillraceError } from "@millrace/protocol";
export type { Client, ClientEvents, ClientState, ConnectOptions } from "./api/client.ts";
export type {
  CloseConsumerOptions,
  ConsumeMode,
  ConsumeOptions,
  Consumer,
  ConsumerError,
  ConsumerEvents,
  HandlerOptions,
  MessageHandler,
  PullConsumer,
} from "./api/consumer.ts";
export type {
  DeadLetter,
  DeadLetters,
  ListDeadLettersOptions,
  RedriveOptions,
} from "./api/dead-letters.ts";
export type { Message, NackOptions } from "./api/message.ts";
export type { FlushOptions, Producer, ProducerOptions } from "./api/producer.ts";
export type {
  BatchResult,
  Durability,
  HeaderValue,
  OutgoingRecord,
  PublishResult,
  ReceivedBatch,
  ReceivedRecord,
} from "./api/record.ts";
export type { AskOptions, Reply, RequestHandler, Responder, RespondOptions } from "./api/request-reply.ts";
export type {
  Gap,
  LiveOptions,
  PartitionPosition,
  SubscribeFrom,
  SubscribeOptions,
  Subscription,
} from "./api/subscription.ts";
export type {
  PeekedMessage,
  PeekedState,
  PeekOptions,
  SubscriptionChanges,
  SubscriptionDescription,
  SubscriptionInfo,
  SubscriptionMode,
  SubscriptionPartition,
  SubscriptionSettings,
  SubscriptionStart,
  Subscriptions,
} from "./api/subscriptions.ts";
export type {
  PartitionInfo,
  RequestOptions,
  ShardOwner,
  Topic,
  TopicChanges,
  TopicConfig,
  TopicDescription,
  TopicOverflow,
  TopicRetention,
  Topics,
  TruncateBefore,
  TruncatedPartition,
  Truncation,
} from "./api/topics.ts";

const platform: Platform = {
  connectTransport: connectBrowserTransport,
  clock: systemClock(),
  entropy: systemEntropy(),
};

/**
 * Connects to a broker, `ws://host:port` or `wss://…`. Resolves once the broker has said WELCOME.
 * Rejects with CONNECT_FAILED (see `retryFirstConnect`), ABORTED, or what the broker refused with, such as
 * UNSUPPORTED_VERSION, NOT_AUTHORIZED or TOO_MANY_SESSIONS; RangeError for an option out of its range.
 */
export function connect(url: string | URL, options: ConnectOptions = {}): Promise<Client> {
  return connectOn(platform, url, options);
}
