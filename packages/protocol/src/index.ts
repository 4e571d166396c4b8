export { BatchBuilder } from "./batch-builder.ts";
export { BatchHead } from "./batch-head.ts";
export { BatchReader } from "./batch-reader.ts";
export { crc32 } from "./crc32.ts";
export {
  DELIVER_ENTRY_HEAD_BYTES,
  DELIVER_HEAD_BYTES,
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
export { type AlterTopicFrame, decodeAlterTopic, encodeAlterTopic } from "./frames/alter-topic.ts";
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
export { type DeleteTopicFrame, decodeDeleteTopic, encodeDeleteTopic } from "./frames/delete-topic.ts";
export {
  type DeliverEntry,
  type DeliverFrame,
  DeliverReader,
  decodeDeliver,
  encodeDeliver,
} from "./frames/deliver.ts";
export {
  type DescribeTopicFrame,
  decodeDescribeTopic,
  encodeDescribeTopic,
} from "./frames/describe-topic.ts";
export { decodeError, type ErrorFrame, encodeError, errorFrameOf } from "./frames/error.ts";
export { decodeFlow, encodeFlow, type FlowFrame } from "./frames/flow.ts";
export { decodeFrame, encodeFrame, type Frame, type FrameValues } from "./frames/frame.ts";
export { decodeGoaway, encodeGoaway, type GoawayFrame } from "./frames/goaway.ts";
export { decodeHello, encodeHello, type HelloFrame } from "./frames/hello.ts";
export { decodeListTopics, encodeListTopics, type ListTopicsFrame } from "./frames/list-topics.ts";
export { decodePing, encodePing, type PingFrame } from "./frames/ping.ts";
export { decodePong, encodePong, type PongFrame } from "./frames/pong.ts";
export {
  decodeProgress,
  encodeProgress,
  type ProgressFrame,
  type ProgressReason,
} from "./frames/progress.ts";
export { decodePublish, encodePublish, type PublishFrame } from "./frames/publish.ts";
export { RESTORES_MAX, type RestorePoint } from "./frames/restores.ts";
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
export { decodeWelcome, encodeWelcome, type WelcomeFrame } from "./frames/welcome.ts";
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
export { walkRecords } from "./record-walk.ts";
export { parseTopicChanges, parseTopicConfig, type TopicChanges, type TopicConfig } from "./topic-config.ts";
export { isValidTopicName, topicNameProblem } from "./topic-name.ts";
