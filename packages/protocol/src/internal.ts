export { BatchBuilder } from "./batch-builder.ts";
export { BatchHead } from "./batch-head.ts";
export {
  BATCH_HEAD_BYTES,
  BATCH_VERSION,
  batchHeadBytes,
  CHECKSUM_TRAILER_BYTES,
  CODEC_NONE,
  SCHEMA_NONE,
  writeBatchHead,
} from "./batch-layout.ts";
export { BatchReader } from "./batch-reader.ts";
export { readU16, readU32, readU64, writeU16, writeU32, writeU64 } from "./big-endian.ts";
export { crc32, crc32Words } from "./crc32.ts";
export {
  DELIVER_ENTRY_HEAD_BYTES,
  DELIVER_HEAD_BYTES,
  deliverEntryCount,
  extendDeliverHead,
  writeDeliverEntryHead,
  writeDeliverHead,
} from "./deliver-layout.ts";
export { DURABILITY, type Durability, durabilityName, isDurability } from "./durability.ts";
export { ERROR_CODES, type ErrorCode, type ErrorName, errorNameOf } from "./error-code.ts";
export { type ExtensionValue, FrameReader } from "./frame-reader.ts";
export {
  FRAME_TYPE,
  type FrameType,
  type FrameTypeName,
  frameTypeName,
  readFrameType,
} from "./frame-type.ts";
export { FrameWriter } from "./frame-writer.ts";
export {
  type AckFrame,
  type AckRange,
  decodeAck,
  encodeAck,
  writeAckHead,
  writeAckRange,
} from "./frames/ack.ts";
export {
  type AlterSubscriptionFrame,
  decodeAlterSubscription,
  encodeAlterSubscription,
} from "./frames/alter-subscription.ts";
export { type AlterTopicFrame, decodeAlterTopic, encodeAlterTopic } from "./frames/alter-topic.ts";
export {
  type AssignedFrame,
  type AssignedPartition,
  decodeAssigned,
  encodeAssigned,
} from "./frames/assigned.ts";
export { type CommitFrame, type CommitPosition, decodeCommit, encodeCommit } from "./frames/commit.ts";
export {
  type CommitOutcome,
  type CommittedFrame,
  decodeCommitted,
  encodeCommitted,
} from "./frames/committed.ts";
export { type ConsumeFrame, decodeConsume, encodeConsume } from "./frames/consume.ts";
export {
  type ConsumerCreditFrame,
  decodeConsumerCredit,
  encodeConsumerCredit,
} from "./frames/consumer-credit.ts";
export { type ConsumingFrame, decodeConsuming, encodeConsuming } from "./frames/consuming.ts";
export {
  type ConsumingStoppedFrame,
  decodeConsumingStopped,
  encodeConsumingStopped,
} from "./frames/consuming-stopped.ts";
export {
  type CreateSubscriptionFrame,
  decodeCreateSubscription,
  encodeCreateSubscription,
} from "./frames/create-subscription.ts";
export { type CreateTopicFrame, decodeCreateTopic, encodeCreateTopic } from "./frames/create-topic.ts";
export { type CreditFrame, decodeCredit, encodeCredit } from "./frames/credit.ts";
export {
  type CreditRequestFrame,
  decodeCreditRequest,
  encodeCreditRequest,
} from "./frames/credit-request.ts";
export {
  type CreditReturnedFrame,
  decodeCreditReturned,
  encodeCreditReturned,
} from "./frames/credit-returned.ts";
export { type CreditRevokeFrame, decodeCreditRevoke, encodeCreditRevoke } from "./frames/credit-revoke.ts";
export {
  type DeleteSubscriptionFrame,
  decodeDeleteSubscription,
  encodeDeleteSubscription,
} from "./frames/delete-subscription.ts";
export { type DeleteTopicFrame, decodeDeleteTopic, encodeDeleteTopic } from "./frames/delete-topic.ts";
export {
  type DeliverEntry,
  type DeliverFrame,
  DeliverReader,
  decodeDeliver,
  encodeDeliver,
} from "./frames/deliver.ts";
export {
  type DescribeSubscriptionFrame,
  decodeDescribeSubscription,
  encodeDescribeSubscription,
} from "./frames/describe-subscription.ts";
export {
  type DescribeTopicFrame,
  decodeDescribeTopic,
  encodeDescribeTopic,
} from "./frames/describe-topic.ts";
export { decodeError, type ErrorFrame, encodeError, errorFrameOf } from "./frames/error.ts";
export { decodeFlow, encodeFlow, type FlowFrame } from "./frames/flow.ts";
export { decodeFrame, encodeFrame, type Frame, type FrameValues } from "./frames/frame.ts";
export { decodeGoaway, encodeGoaway, type GoawayFrame } from "./frames/goaway.ts";
export type { HeldPartition } from "./frames/held-partition.ts";
export { decodeHello, encodeHello, type HelloFrame } from "./frames/hello.ts";
export {
  decodeLeased,
  encodeLeased,
  type LeasedFrame,
  LeasedReader,
  type LeasedRow,
} from "./frames/leased.ts";
export {
  decodeListSubscriptions,
  encodeListSubscriptions,
  type ListSubscriptionsFrame,
} from "./frames/list-subscriptions.ts";
export { decodeListTopics, encodeListTopics, type ListTopicsFrame } from "./frames/list-topics.ts";
export { decodePeek, encodePeek, type PeekFrame } from "./frames/peek.ts";
export {
  decodePeeked,
  encodePeeked,
  PEEK_STATE,
  type PeekedFrame,
  type PeekedRecord,
} from "./frames/peeked.ts";
export { decodePing, encodePing, type PingFrame } from "./frames/ping.ts";
export { decodePong, encodePong, type PongFrame } from "./frames/pong.ts";
export {
  decodeProgress,
  encodeProgress,
  type ProgressFrame,
  type ProgressReason,
} from "./frames/progress.ts";
export { decodePublish, encodePublish, type PublishFrame } from "./frames/publish.ts";
export { decodeRedrive, encodeRedrive, type RedriveFrame, type RedriveRow } from "./frames/redrive.ts";
export { decodeRedriven, encodeRedriven, type RedrivenFrame } from "./frames/redriven.ts";
export { decodeRelease, encodeRelease, type ReleaseFrame } from "./frames/release.ts";
export { RESTORES_MAX, type RestorePoint } from "./frames/restores.ts";
export { decodeRevoked, encodeRevoked, type RevokedFrame } from "./frames/revoked.ts";
export {
  decodeSeekSubscription,
  encodeSeekSubscription,
  type SeekSubscriptionFrame,
} from "./frames/seek-subscription.ts";
export { decodeSettle, encodeSettle, type SettleFrame, type SettleRow } from "./frames/settle.ts";
export {
  decodeSettled,
  encodeSettled,
  type SettledFrame,
  type SettledRow,
  writeSettledHead,
  writeSettledRow,
} from "./frames/settled.ts";
export {
  decodeSnapshotSubscription,
  encodeSnapshotSubscription,
  type SnapshotSubscriptionFrame,
} from "./frames/snapshot-subscription.ts";
export {
  decodeStopConsuming,
  encodeStopConsuming,
  type StopConsumingFrame,
} from "./frames/stop-consuming.ts";
export { decodeStream, encodeStream, type StreamFrame } from "./frames/stream.ts";
export {
  decodeSubscribe,
  encodeSubscribe,
  type ResumePosition,
  type SubscribeFrame,
  type SubscribeFrom,
  type SubscribeMode,
} from "./frames/subscribe.ts";
export {
  decodeSubscribed,
  encodeSubscribed,
  type SubscribedFrame,
  type SubscribedStream,
} from "./frames/subscribed.ts";
export { decodeSubscription, encodeSubscription, type SubscriptionFrame } from "./frames/subscription.ts";
export {
  decodeSubscriptionDeleted,
  encodeSubscriptionDeleted,
  type SubscriptionDeletedFrame,
} from "./frames/subscription-deleted.ts";
export {
  readSubscriptionInfo,
  SUBSCRIPTION_BYTES_MAX,
  type SubscriptionInfo,
  writeSubscriptionInfo,
} from "./frames/subscription-info.ts";
export type { SubscriptionPartition, SubscriptionState } from "./frames/subscription-state.ts";
export { decodeSubscriptions, encodeSubscriptions, type SubscriptionsFrame } from "./frames/subscriptions.ts";
export {
  decodeTopic,
  encodeTopic,
  type PartitionInfo,
  readTopicInfo,
  TOPIC_BYTES_MAX,
  type TopicFrame,
  type TopicInfo,
  writeTopicInfo,
} from "./frames/topic.ts";
export { decodeTopicDeleted, encodeTopicDeleted, type TopicDeletedFrame } from "./frames/topic-deleted.ts";
export { decodeTopics, encodeTopics, type TopicsFrame } from "./frames/topics.ts";
export {
  decodeTopicsChanged,
  encodeTopicsChanged,
  type TopicsChangedFrame,
} from "./frames/topics-changed.ts";
export {
  decodeTruncateTopic,
  encodeTruncateTopic,
  type TruncateBefore,
  type TruncateTopicFrame,
} from "./frames/truncate-topic.ts";
export {
  decodeTruncated,
  encodeTruncated,
  type TruncatedFrame,
  type TruncatedPartition,
} from "./frames/truncated.ts";
export { decodeUnsubscribe, encodeUnsubscribe, type UnsubscribeFrame } from "./frames/unsubscribe.ts";
export { decodeUnsubscribed, encodeUnsubscribed, type UnsubscribedFrame } from "./frames/unsubscribed.ts";
export {
  decodeUnwatchTopics,
  encodeUnwatchTopics,
  type UnwatchTopicsFrame,
} from "./frames/unwatch-topics.ts";
export { decodeWatchTopics, encodeWatchTopics, type WatchTopicsFrame } from "./frames/watch-topics.ts";
export { decodeWelcome, encodeWelcome, type WelcomeFrame } from "./frames/welcome.ts";
export {
  LEASED_HEAD_BYTES,
  LEASED_NO_CHECKSUM_BYTES,
  LEASED_ROW_HEAD_BYTES,
  writeLeasedHead,
  writeLeasedNoChecksum,
  writeLeasedRowHead,
} from "./leased-layout.ts";
export { LIMITS } from "./limits.ts";
export { MillraceError, type MillraceErrorOptions } from "./millrace-error.ts";
export { murmur2, partitionForKey } from "./murmur2.ts";
export { MALFORMED, PARSED, UNSUPPORTED } from "./parse-outcome.ts";
export { PUBLISH_HEAD_ROOM_BYTES, writePublishHead } from "./publish-frame.ts";
export { PublishHead } from "./publish-head.ts";
export {
  type HeaderValue,
  type IncomingRecord,
  type OutgoingRecord,
  RECORD_ATTRIBUTE,
  RESERVED_HEADER_PREFIX,
} from "./record.ts";
export { RECORD_FLAG, RECORD_FLAGS_KNOWN, RECORD_FLAGS_UNSUPPORTED } from "./record-flags.ts";
export { readRecordHeaders, readRecordKey, recordWithHeaders } from "./record-parts.ts";
export { walkRecords } from "./record-walk.ts";
export { NO_KEY, RecordWalker } from "./record-walker.ts";
export { SETTLE_ACTION, type SettleAction } from "./settle-action.ts";
export { skipValue } from "./skip-value.ts";
export {
  isSubscriptionMode,
  parseSubscriptionChanges,
  parseSubscriptionConfig,
  SUBSCRIPTION_DEFAULTS,
  type SubscriptionChanges,
  type SubscriptionConfig,
  type SubscriptionMode,
} from "./subscription-config.ts";
export { parseSubscriptionFrom, type SubscriptionFrom, subscriptionFromData } from "./subscription-from.ts";
export { isValidSubscriptionName, subscriptionNameProblem } from "./subscription-name.ts";
export {
  parseTopicChanges,
  parseTopicConfig,
  type TopicChanges,
  type TopicConfig,
  type TopicOverflow,
  type TopicRetention,
} from "./topic-config.ts";
export { isValidTopicName, topicNameProblem } from "./topic-name.ts";
export { TopicPattern } from "./topic-pattern.ts";
export { readUints } from "./uint-format.ts";
