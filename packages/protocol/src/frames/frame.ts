import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE, type FrameTypeName } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";
import { MillraceError } from "../millrace-error.ts";
import { type AckFrame, decodeAck, encodeAck } from "./ack.ts";
import {
  type AlterSubscriptionFrame,
  decodeAlterSubscription,
  encodeAlterSubscription,
} from "./alter-subscription.ts";
import { type AlterTopicFrame, decodeAlterTopic, encodeAlterTopic } from "./alter-topic.ts";
import { type AssignedFrame, decodeAssigned, encodeAssigned } from "./assigned.ts";
import { type CommitFrame, decodeCommit, encodeCommit } from "./commit.ts";
import { type CommittedFrame, decodeCommitted, encodeCommitted } from "./committed.ts";
import { type ConsumeFrame, decodeConsume, encodeConsume } from "./consume.ts";
import { type ConsumerCreditFrame, decodeConsumerCredit, encodeConsumerCredit } from "./consumer-credit.ts";
import { type ConsumingFrame, decodeConsuming, encodeConsuming } from "./consuming.ts";
import {
  type ConsumingStoppedFrame,
  decodeConsumingStopped,
  encodeConsumingStopped,
} from "./consuming-stopped.ts";
import {
  type CreateSubscriptionFrame,
  decodeCreateSubscription,
  encodeCreateSubscription,
} from "./create-subscription.ts";
import { type CreateTopicFrame, decodeCreateTopic, encodeCreateTopic } from "./create-topic.ts";
import { type CreditFrame, decodeCredit, encodeCredit } from "./credit.ts";
import { type CreditRequestFrame, decodeCreditRequest, encodeCreditRequest } from "./credit-request.ts";
import { type CreditReturnedFrame, decodeCreditReturned, encodeCreditReturned } from "./credit-returned.ts";
import { type CreditRevokeFrame, decodeCreditRevoke, encodeCreditRevoke } from "./credit-revoke.ts";
import {
  type DeleteSubscriptionFrame,
  decodeDeleteSubscription,
  encodeDeleteSubscription,
} from "./delete-subscription.ts";
import { type DeleteTopicFrame, decodeDeleteTopic, encodeDeleteTopic } from "./delete-topic.ts";
import { type DeliverFrame, decodeDeliver, encodeDeliver } from "./deliver.ts";
import {
  type DescribeSubscriptionFrame,
  decodeDescribeSubscription,
  encodeDescribeSubscription,
} from "./describe-subscription.ts";
import { type DescribeTopicFrame, decodeDescribeTopic, encodeDescribeTopic } from "./describe-topic.ts";
import { decodeError, type ErrorFrame, encodeError } from "./error.ts";
import { decodeFlow, encodeFlow, type FlowFrame } from "./flow.ts";
import { decodeGoaway, encodeGoaway, type GoawayFrame } from "./goaway.ts";
import { decodeHello, encodeHello, type HelloFrame } from "./hello.ts";
import { decodeLeased, encodeLeased, type LeasedFrame } from "./leased.ts";
import {
  decodeListSubscriptions,
  encodeListSubscriptions,
  type ListSubscriptionsFrame,
} from "./list-subscriptions.ts";
import { decodeListTopics, encodeListTopics, type ListTopicsFrame } from "./list-topics.ts";
import { decodePeek, encodePeek, type PeekFrame } from "./peek.ts";
import { decodePeeked, encodePeeked, type PeekedFrame } from "./peeked.ts";
import { decodePing, encodePing, type PingFrame } from "./ping.ts";
import { decodePong, encodePong, type PongFrame } from "./pong.ts";
import { decodeProgress, encodeProgress, type ProgressFrame } from "./progress.ts";
import { decodePublish, encodePublish, type PublishFrame } from "./publish.ts";
import { decodeRedrive, encodeRedrive, type RedriveFrame } from "./redrive.ts";
import { decodeRedriven, encodeRedriven, type RedrivenFrame } from "./redriven.ts";
import { decodeRelease, encodeRelease, type ReleaseFrame } from "./release.ts";
import { decodeRevoked, encodeRevoked, type RevokedFrame } from "./revoked.ts";
import {
  decodeSeekSubscription,
  encodeSeekSubscription,
  type SeekSubscriptionFrame,
} from "./seek-subscription.ts";
import { decodeSettle, encodeSettle, type SettleFrame } from "./settle.ts";
import { decodeSettled, encodeSettled, type SettledFrame } from "./settled.ts";
import {
  decodeSnapshotSubscription,
  encodeSnapshotSubscription,
  type SnapshotSubscriptionFrame,
} from "./snapshot-subscription.ts";
import { decodeStopConsuming, encodeStopConsuming, type StopConsumingFrame } from "./stop-consuming.ts";
import { decodeStream, encodeStream, type StreamFrame } from "./stream.ts";
import { decodeSubscribe, encodeSubscribe, type SubscribeFrame } from "./subscribe.ts";
import { decodeSubscribed, encodeSubscribed, type SubscribedFrame } from "./subscribed.ts";
import { decodeSubscription, encodeSubscription, type SubscriptionFrame } from "./subscription.ts";
import {
  decodeSubscriptionDeleted,
  encodeSubscriptionDeleted,
  type SubscriptionDeletedFrame,
} from "./subscription-deleted.ts";
import { decodeSubscriptions, encodeSubscriptions, type SubscriptionsFrame } from "./subscriptions.ts";
import { decodeTopic, encodeTopic, type TopicFrame } from "./topic.ts";
import { decodeTopicDeleted, encodeTopicDeleted, type TopicDeletedFrame } from "./topic-deleted.ts";
import { decodeTopics, encodeTopics, type TopicsFrame } from "./topics.ts";
import { decodeTopicsChanged, encodeTopicsChanged, type TopicsChangedFrame } from "./topics-changed.ts";
import { decodeTruncateTopic, encodeTruncateTopic, type TruncateTopicFrame } from "./truncate-topic.ts";
import { decodeTruncated, encodeTruncated, type TruncatedFrame } from "./truncated.ts";
import { decodeUnsubscribe, encodeUnsubscribe, type UnsubscribeFrame } from "./unsubscribe.ts";
import { decodeUnsubscribed, encodeUnsubscribed, type UnsubscribedFrame } from "./unsubscribed.ts";
import { decodeUnwatchTopics, encodeUnwatchTopics, type UnwatchTopicsFrame } from "./unwatch-topics.ts";
import { decodeWatchTopics, encodeWatchTopics, type WatchTopicsFrame } from "./watch-topics.ts";
import { decodeWelcome, encodeWelcome, type WelcomeFrame } from "./welcome.ts";

/** The value of each frame by the name of its type. */
export interface FrameValues {
  readonly HELLO: HelloFrame;
  readonly WELCOME: WelcomeFrame;
  readonly ERROR: ErrorFrame;
  readonly PING: PingFrame;
  readonly PONG: PongFrame;
  readonly GOAWAY: GoawayFrame;
  readonly PUBLISH: PublishFrame;
  readonly ACK: AckFrame;
  readonly CREDIT: CreditFrame;
  readonly CREDIT_REQUEST: CreditRequestFrame;
  readonly CREDIT_REVOKE: CreditRevokeFrame;
  readonly CREDIT_RETURNED: CreditReturnedFrame;
  readonly SUBSCRIBE: SubscribeFrame;
  readonly SUBSCRIBED: SubscribedFrame;
  readonly DELIVER: DeliverFrame;
  readonly STREAM: StreamFrame;
  readonly PROGRESS: ProgressFrame;
  readonly FLOW: FlowFrame;
  readonly UNSUBSCRIBE: UnsubscribeFrame;
  readonly UNSUBSCRIBED: UnsubscribedFrame;
  readonly CREATE_TOPIC: CreateTopicFrame;
  readonly TOPIC: TopicFrame;
  readonly DESCRIBE_TOPIC: DescribeTopicFrame;
  readonly DELETE_TOPIC: DeleteTopicFrame;
  readonly TOPIC_DELETED: TopicDeletedFrame;
  readonly LIST_TOPICS: ListTopicsFrame;
  readonly TOPICS: TopicsFrame;
  readonly ALTER_TOPIC: AlterTopicFrame;
  readonly TRUNCATE_TOPIC: TruncateTopicFrame;
  readonly TRUNCATED: TruncatedFrame;
  readonly CONSUME: ConsumeFrame;
  readonly CONSUMING: ConsumingFrame;
  readonly ASSIGNED: AssignedFrame;
  readonly REVOKED: RevokedFrame;
  readonly RELEASE: ReleaseFrame;
  readonly COMMIT: CommitFrame;
  readonly COMMITTED: CommittedFrame;
  readonly LEASED: LeasedFrame;
  readonly SETTLE: SettleFrame;
  readonly SETTLED: SettledFrame;
  readonly CONSUMER_CREDIT: ConsumerCreditFrame;
  readonly STOP_CONSUMING: StopConsumingFrame;
  readonly CONSUMING_STOPPED: ConsumingStoppedFrame;
  readonly CREATE_SUBSCRIPTION: CreateSubscriptionFrame;
  readonly SUBSCRIPTION: SubscriptionFrame;
  readonly DESCRIBE_SUBSCRIPTION: DescribeSubscriptionFrame;
  readonly LIST_SUBSCRIPTIONS: ListSubscriptionsFrame;
  readonly SUBSCRIPTIONS: SubscriptionsFrame;
  readonly ALTER_SUBSCRIPTION: AlterSubscriptionFrame;
  readonly SEEK_SUBSCRIPTION: SeekSubscriptionFrame;
  readonly DELETE_SUBSCRIPTION: DeleteSubscriptionFrame;
  readonly SUBSCRIPTION_DELETED: SubscriptionDeletedFrame;
  readonly PEEK: PeekFrame;
  readonly PEEKED: PeekedFrame;
  readonly REDRIVE: RedriveFrame;
  readonly REDRIVEN: RedrivenFrame;
  readonly SNAPSHOT_SUBSCRIPTION: SnapshotSubscriptionFrame;
  readonly WATCH_TOPICS: WatchTopicsFrame;
  readonly TOPICS_CHANGED: TopicsChangedFrame;
  readonly UNWATCH_TOPICS: UnwatchTopicsFrame;
}

/** Any frame: `name` says which, `value` is what it says. */
export type Frame = {
  readonly [Name in FrameTypeName]: { readonly name: Name; readonly value: FrameValues[Name] };
}[FrameTypeName];

/** Writes the frame into `writer`, after what is there. */
export function encodeFrame(writer: FrameWriter, frame: Frame): void {
  switch (frame.name) {
    case "HELLO":
      encodeHello(writer, frame.value);
      break;
    case "WELCOME":
      encodeWelcome(writer, frame.value);
      break;
    case "ERROR":
      encodeError(writer, frame.value);
      break;
    case "PING":
      encodePing(writer, frame.value);
      break;
    case "PONG":
      encodePong(writer, frame.value);
      break;
    case "GOAWAY":
      encodeGoaway(writer, frame.value);
      break;
    case "PUBLISH":
      encodePublish(writer, frame.value);
      break;
    case "ACK":
      encodeAck(writer, frame.value);
      break;
    case "CREDIT":
      encodeCredit(writer, frame.value);
      break;
    case "CREDIT_REQUEST":
      encodeCreditRequest(writer, frame.value);
      break;
    case "CREDIT_REVOKE":
      encodeCreditRevoke(writer, frame.value);
      break;
    case "CREDIT_RETURNED":
      encodeCreditReturned(writer, frame.value);
      break;
    case "SUBSCRIBE":
      encodeSubscribe(writer, frame.value);
      break;
    case "SUBSCRIBED":
      encodeSubscribed(writer, frame.value);
      break;
    case "DELIVER":
      encodeDeliver(writer, frame.value);
      break;
    case "STREAM":
      encodeStream(writer, frame.value);
      break;
    case "PROGRESS":
      encodeProgress(writer, frame.value);
      break;
    case "FLOW":
      encodeFlow(writer, frame.value);
      break;
    case "UNSUBSCRIBE":
      encodeUnsubscribe(writer, frame.value);
      break;
    case "UNSUBSCRIBED":
      encodeUnsubscribed(writer, frame.value);
      break;
    case "CREATE_TOPIC":
      encodeCreateTopic(writer, frame.value);
      break;
    case "TOPIC":
      encodeTopic(writer, frame.value);
      break;
    case "DESCRIBE_TOPIC":
      encodeDescribeTopic(writer, frame.value);
      break;
    case "DELETE_TOPIC":
      encodeDeleteTopic(writer, frame.value);
      break;
    case "TOPIC_DELETED":
      encodeTopicDeleted(writer, frame.value);
      break;
    case "LIST_TOPICS":
      encodeListTopics(writer, frame.value);
      break;
    case "TOPICS":
      encodeTopics(writer, frame.value);
      break;
    case "ALTER_TOPIC":
      encodeAlterTopic(writer, frame.value);
      break;
    case "TRUNCATE_TOPIC":
      encodeTruncateTopic(writer, frame.value);
      break;
    case "TRUNCATED":
      encodeTruncated(writer, frame.value);
      break;
    case "CONSUME":
      encodeConsume(writer, frame.value);
      break;
    case "CONSUMING":
      encodeConsuming(writer, frame.value);
      break;
    case "ASSIGNED":
      encodeAssigned(writer, frame.value);
      break;
    case "REVOKED":
      encodeRevoked(writer, frame.value);
      break;
    case "RELEASE":
      encodeRelease(writer, frame.value);
      break;
    case "COMMIT":
      encodeCommit(writer, frame.value);
      break;
    case "COMMITTED":
      encodeCommitted(writer, frame.value);
      break;
    case "LEASED":
      encodeLeased(writer, frame.value);
      break;
    case "SETTLE":
      encodeSettle(writer, frame.value);
      break;
    case "SETTLED":
      encodeSettled(writer, frame.value);
      break;
    case "CONSUMER_CREDIT":
      encodeConsumerCredit(writer, frame.value);
      break;
    case "STOP_CONSUMING":
      encodeStopConsuming(writer, frame.value);
      break;
    case "CONSUMING_STOPPED":
      encodeConsumingStopped(writer, frame.value);
      break;
    case "CREATE_SUBSCRIPTION":
      encodeCreateSubscription(writer, frame.value);
      break;
    case "SUBSCRIPTION":
      encodeSubscription(writer, frame.value);
      break;
    case "DESCRIBE_SUBSCRIPTION":
      encodeDescribeSubscription(writer, frame.value);
      break;
    case "LIST_SUBSCRIPTIONS":
      encodeListSubscriptions(writer, frame.value);
      break;
    case "SUBSCRIPTIONS":
      encodeSubscriptions(writer, frame.value);
      break;
    case "ALTER_SUBSCRIPTION":
      encodeAlterSubscription(writer, frame.value);
      break;
    case "SEEK_SUBSCRIPTION":
      encodeSeekSubscription(writer, frame.value);
      break;
    case "DELETE_SUBSCRIPTION":
      encodeDeleteSubscription(writer, frame.value);
      break;
    case "SUBSCRIPTION_DELETED":
      encodeSubscriptionDeleted(writer, frame.value);
      break;
    case "PEEK":
      encodePeek(writer, frame.value);
      break;
    case "PEEKED":
      encodePeeked(writer, frame.value);
      break;
    case "REDRIVE":
      encodeRedrive(writer, frame.value);
      break;
    case "REDRIVEN":
      encodeRedriven(writer, frame.value);
      break;
    case "SNAPSHOT_SUBSCRIPTION":
      encodeSnapshotSubscription(writer, frame.value);
      break;
    case "WATCH_TOPICS":
      encodeWatchTopics(writer, frame.value);
      break;
    case "TOPICS_CHANGED":
      encodeTopicsChanged(writer, frame.value);
      break;
    case "UNWATCH_TOPICS":
      encodeUnwatchTopics(writer, frame.value);
      break;
  }
}

/**
 * The frame in bytes[start, end), whatever its type. Whoever knows which types to expect opens the reader and calls the
 * decoder of that type.
 * @throws MillraceError MALFORMED_FRAME or UNKNOWN_FRAME_TYPE
 */
export function decodeFrame(reader: FrameReader, bytes: Uint8Array, start: number, end: number): Frame {
  const type = reader.open(bytes, start, end);
  switch (type) {
    case FRAME_TYPE.HELLO:
      return { name: "HELLO", value: decodeHello(reader) };
    case FRAME_TYPE.WELCOME:
      return { name: "WELCOME", value: decodeWelcome(reader) };
    case FRAME_TYPE.ERROR:
      return { name: "ERROR", value: decodeError(reader) };
    case FRAME_TYPE.PING:
      return { name: "PING", value: decodePing(reader) };
    case FRAME_TYPE.PONG:
      return { name: "PONG", value: decodePong(reader) };
    case FRAME_TYPE.GOAWAY:
      return { name: "GOAWAY", value: decodeGoaway(reader) };
    case FRAME_TYPE.PUBLISH:
      return { name: "PUBLISH", value: decodePublish(reader) };
    case FRAME_TYPE.ACK:
      return { name: "ACK", value: decodeAck(reader) };
    case FRAME_TYPE.CREDIT:
      return { name: "CREDIT", value: decodeCredit(reader) };
    case FRAME_TYPE.CREDIT_REQUEST:
      return { name: "CREDIT_REQUEST", value: decodeCreditRequest(reader) };
    case FRAME_TYPE.CREDIT_REVOKE:
      return { name: "CREDIT_REVOKE", value: decodeCreditRevoke(reader) };
    case FRAME_TYPE.CREDIT_RETURNED:
      return { name: "CREDIT_RETURNED", value: decodeCreditReturned(reader) };
    case FRAME_TYPE.SUBSCRIBE:
      return { name: "SUBSCRIBE", value: decodeSubscribe(reader) };
    case FRAME_TYPE.SUBSCRIBED:
      return { name: "SUBSCRIBED", value: decodeSubscribed(reader) };
    case FRAME_TYPE.DELIVER:
      return { name: "DELIVER", value: decodeDeliver(reader) };
    case FRAME_TYPE.STREAM:
      return { name: "STREAM", value: decodeStream(reader) };
    case FRAME_TYPE.PROGRESS:
      return { name: "PROGRESS", value: decodeProgress(reader) };
    case FRAME_TYPE.FLOW:
      return { name: "FLOW", value: decodeFlow(reader) };
    case FRAME_TYPE.UNSUBSCRIBE:
      return { name: "UNSUBSCRIBE", value: decodeUnsubscribe(reader) };
    case FRAME_TYPE.UNSUBSCRIBED:
      return { name: "UNSUBSCRIBED", value: decodeUnsubscribed(reader) };
    case FRAME_TYPE.CREATE_TOPIC:
      return { name: "CREATE_TOPIC", value: decodeCreateTopic(reader) };
    case FRAME_TYPE.TOPIC:
      return { name: "TOPIC", value: decodeTopic(reader) };
    case FRAME_TYPE.DESCRIBE_TOPIC:
      return { name: "DESCRIBE_TOPIC", value: decodeDescribeTopic(reader) };
    case FRAME_TYPE.DELETE_TOPIC:
      return { name: "DELETE_TOPIC", value: decodeDeleteTopic(reader) };
    case FRAME_TYPE.TOPIC_DELETED:
      return { name: "TOPIC_DELETED", value: decodeTopicDeleted(reader) };
    case FRAME_TYPE.LIST_TOPICS:
      return { name: "LIST_TOPICS", value: decodeListTopics(reader) };
    case FRAME_TYPE.TOPICS:
      return { name: "TOPICS", value: decodeTopics(reader) };
    case FRAME_TYPE.ALTER_TOPIC:
      return { name: "ALTER_TOPIC", value: decodeAlterTopic(reader) };
    case FRAME_TYPE.TRUNCATE_TOPIC:
      return { name: "TRUNCATE_TOPIC", value: decodeTruncateTopic(reader) };
    case FRAME_TYPE.TRUNCATED:
      return { name: "TRUNCATED", value: decodeTruncated(reader) };
    case FRAME_TYPE.CONSUME:
      return { name: "CONSUME", value: decodeConsume(reader) };
    case FRAME_TYPE.CONSUMING:
      return { name: "CONSUMING", value: decodeConsuming(reader) };
    case FRAME_TYPE.ASSIGNED:
      return { name: "ASSIGNED", value: decodeAssigned(reader) };
    case FRAME_TYPE.REVOKED:
      return { name: "REVOKED", value: decodeRevoked(reader) };
    case FRAME_TYPE.RELEASE:
      return { name: "RELEASE", value: decodeRelease(reader) };
    case FRAME_TYPE.COMMIT:
      return { name: "COMMIT", value: decodeCommit(reader) };
    case FRAME_TYPE.COMMITTED:
      return { name: "COMMITTED", value: decodeCommitted(reader) };
    case FRAME_TYPE.LEASED:
      return { name: "LEASED", value: decodeLeased(reader) };
    case FRAME_TYPE.SETTLE:
      return { name: "SETTLE", value: decodeSettle(reader) };
    case FRAME_TYPE.SETTLED:
      return { name: "SETTLED", value: decodeSettled(reader) };
    case FRAME_TYPE.CONSUMER_CREDIT:
      return { name: "CONSUMER_CREDIT", value: decodeConsumerCredit(reader) };
    case FRAME_TYPE.STOP_CONSUMING:
      return { name: "STOP_CONSUMING", value: decodeStopConsuming(reader) };
    case FRAME_TYPE.CONSUMING_STOPPED:
      return { name: "CONSUMING_STOPPED", value: decodeConsumingStopped(reader) };
    case FRAME_TYPE.CREATE_SUBSCRIPTION:
      return { name: "CREATE_SUBSCRIPTION", value: decodeCreateSubscription(reader) };
    case FRAME_TYPE.SUBSCRIPTION:
      return { name: "SUBSCRIPTION", value: decodeSubscription(reader) };
    case FRAME_TYPE.DESCRIBE_SUBSCRIPTION:
      return { name: "DESCRIBE_SUBSCRIPTION", value: decodeDescribeSubscription(reader) };
    case FRAME_TYPE.LIST_SUBSCRIPTIONS:
      return { name: "LIST_SUBSCRIPTIONS", value: decodeListSubscriptions(reader) };
    case FRAME_TYPE.SUBSCRIPTIONS:
      return { name: "SUBSCRIPTIONS", value: decodeSubscriptions(reader) };
    case FRAME_TYPE.ALTER_SUBSCRIPTION:
      return { name: "ALTER_SUBSCRIPTION", value: decodeAlterSubscription(reader) };
    case FRAME_TYPE.SEEK_SUBSCRIPTION:
      return { name: "SEEK_SUBSCRIPTION", value: decodeSeekSubscription(reader) };
    case FRAME_TYPE.DELETE_SUBSCRIPTION:
      return { name: "DELETE_SUBSCRIPTION", value: decodeDeleteSubscription(reader) };
    case FRAME_TYPE.SUBSCRIPTION_DELETED:
      return { name: "SUBSCRIPTION_DELETED", value: decodeSubscriptionDeleted(reader) };
    case FRAME_TYPE.PEEK:
      return { name: "PEEK", value: decodePeek(reader) };
    case FRAME_TYPE.PEEKED:
      return { name: "PEEKED", value: decodePeeked(reader) };
    case FRAME_TYPE.REDRIVE:
      return { name: "REDRIVE", value: decodeRedrive(reader) };
    case FRAME_TYPE.REDRIVEN:
      return { name: "REDRIVEN", value: decodeRedriven(reader) };
    case FRAME_TYPE.SNAPSHOT_SUBSCRIPTION:
      return { name: "SNAPSHOT_SUBSCRIPTION", value: decodeSnapshotSubscription(reader) };
    case FRAME_TYPE.WATCH_TOPICS:
      return { name: "WATCH_TOPICS", value: decodeWatchTopics(reader) };
    case FRAME_TYPE.TOPICS_CHANGED:
      return { name: "TOPICS_CHANGED", value: decodeTopicsChanged(reader) };
    case FRAME_TYPE.UNWATCH_TOPICS:
      return { name: "UNWATCH_TOPICS", value: decodeUnwatchTopics(reader) };
    default:
      throw new MillraceError("UNKNOWN_FRAME_TYPE", `there is no frame type ${type}`, { details: { type } });
  }
}
