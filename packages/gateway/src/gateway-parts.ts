import type { GatewayPort, Logger, TopicConfig } from "@millrace/broker/internal";
import { AckSender } from "./ack-sender.ts";
import type { Clock } from "./clock.ts";
import { ConsumeRequests } from "./consume-requests.ts";
import { ConsumerTable } from "./consumer-table.ts";
import { DeliveryPath } from "./delivery-path.ts";
import { type DispatchHost, FrameDispatch } from "./frame-dispatch.ts";
import { PublishCreditPool } from "./publish-credit.ts";
import { PublishPath } from "./publish-path.ts";
import { QueueConsumers } from "./queue-consumers.ts";
import { RecordKeys } from "./record-keys.ts";
import type { SessionHost } from "./session.ts";
import { StreamConsumers } from "./stream-consumers.ts";
import { SubscribeRequests } from "./subscribe-requests.ts";
import { SubscriptionLookup } from "./subscription-lookup.ts";
import { SubscriptionRequests } from "./subscription-requests.ts";
import { TopicRequests } from "./topic-requests.ts";
import { TopicWatches } from "./topic-watches.ts";

export interface GatewayOptions {
  readonly port: GatewayPort;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Topics that are subscribed to or described are made, with this configuration, when they do not exist. */
  readonly autoCreate?: TopicConfig | undefined;
  /** For tests: bytes instead of LIMITS.publishCreditPoolBytes. */
  readonly creditPoolBytes?: number | undefined;
}

/** What a gateway is made of: each part is about one thing that clients do, and all are about all sessions. */
export class GatewayParts {
  readonly credit: PublishCreditPool;
  readonly acks: AckSender;
  readonly publishPath: PublishPath;
  readonly delivery: DeliveryPath;
  readonly consumers: ConsumerTable;
  readonly streamConsumers: StreamConsumers;
  readonly queueConsumers: QueueConsumers;
  readonly subscriptionLookup: SubscriptionLookup;
  readonly watches: TopicWatches;
  readonly dispatch: FrameDispatch;
  readonly topics: TopicRequests;

  constructor(options: GatewayOptions, host: SessionHost & DispatchHost) {
    const { port, clock, logger } = options;
    const { writer, output } = host;
    const report = (event: string, fields: Record<string, unknown>): void =>
      logger.log("warn", event, fields);
    this.consumers = new ConsumerTable(port);
    this.credit = new PublishCreditPool(clock, options.creditPoolBytes);
    this.acks = new AckSender(writer, this.credit, clock);
    this.publishPath = new PublishPath(port, this.credit, this.acks, clock);
    this.delivery = new DeliveryPath(port, clock, writer, output, report);
    this.watches = new TopicWatches(port, writer, clock);
    const topics = new TopicRequests(port, writer, options.autoCreate);
    this.topics = topics;
    const { consumers, delivery } = this;
    this.streamConsumers = new StreamConsumers({ port, clock, writer, delivery, consumers, report });
    this.queueConsumers = new QueueConsumers({
      port,
      clock,
      writer,
      output,
      consumers,
      wakeStreams: (session) => delivery.onWritable(session),
    });
    const keys = new RecordKeys(port, clock, delivery, host);
    const subscriptions = new SubscriptionLookup(port);
    this.subscriptionLookup = subscriptions;
    this.dispatch = new FrameDispatch(host, {
      writer,
      credit: this.credit,
      publishPath: this.publishPath,
      topicRequests: topics,
      topicWatches: this.watches,
      subscribeRequests: new SubscribeRequests(port, writer, delivery, topics),
      consumeRequests: new ConsumeRequests({
        port,
        writer,
        topics,
        subscriptions,
        consumers,
        streamConsumers: this.streamConsumers,
        queueConsumers: this.queueConsumers,
      }),
      subscriptionRequests: new SubscriptionRequests({
        port,
        writer,
        topics,
        subscriptions,
        consumers,
        holdersOf: (subscriptionId) => this.streamConsumers.holdersOf(subscriptionId),
        keyOf: (topic, partition, offset) => keys.keyOf(topic, partition, offset),
      }),
      streamConsumers: this.streamConsumers,
      queueConsumers: this.queueConsumers,
    });
  }
}
