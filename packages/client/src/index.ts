export type { Client, ClientEvents, ClientState, ConnectOptions } from "./api/client.ts";
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
export type {
  Gap,
  PartitionPosition,
  SubscribeFrom,
  SubscribeOptions,
  Subscription,
} from "./api/subscription.ts";
export type {
  PartitionInfo,
  RequestOptions,
  Topic,
  TopicConfig,
  TopicDescription,
  Topics,
} from "./api/topics.ts";

import type { Client, ConnectOptions } from "./api/client.ts";

export async function connect(url: string | URL, _options?: ConnectOptions): Promise<Client> {
  throw new Error(`not built yet: ${String(url)}`);
}
