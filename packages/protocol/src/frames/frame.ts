import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE, type FrameTypeName } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";
import { MillraceError } from "../millrace-error.ts";
import { type AckFrame, decodeAck, encodeAck } from "./ack.ts";
import { type AlterTopicFrame, decodeAlterTopic, encodeAlterTopic } from "./alter-topic.ts";
import { type CreateTopicFrame, decodeCreateTopic, encodeCreateTopic } from "./create-topic.ts";
import { type CreditFrame, decodeCredit, encodeCredit } from "./credit.ts";
import { type CreditRequestFrame, decodeCreditRequest, encodeCreditRequest } from "./credit-request.ts";
import { type CreditReturnedFrame, decodeCreditReturned, encodeCreditReturned } from "./credit-returned.ts";
import { type CreditRevokeFrame, decodeCreditRevoke, encodeCreditRevoke } from "./credit-revoke.ts";
import { type DeleteTopicFrame, decodeDeleteTopic, encodeDeleteTopic } from "./delete-topic.ts";
import { type DeliverFrame, decodeDeliver, encodeDeliver } from "./deliver.ts";
import { type DescribeTopicFrame, decodeDescribeTopic, encodeDescribeTopic } from "./describe-topic.ts";
import { decodeError, type ErrorFrame, encodeError } from "./error.ts";
import { decodeFlow, encodeFlow, type FlowFrame } from "./flow.ts";
import { decodeGoaway, encodeGoaway, type GoawayFrame } from "./goaway.ts";
import { decodeHello, encodeHello, type HelloFrame } from "./hello.ts";
import { decodeListTopics, encodeListTopics, type ListTopicsFrame } from "./list-topics.ts";
import { decodePing, encodePing, type PingFrame } from "./ping.ts";
import { decodePong, encodePong, type PongFrame } from "./pong.ts";
import { decodeProgress, encodeProgress, type ProgressFrame } from "./progress.ts";
import { decodePublish, encodePublish, type PublishFrame } from "./publish.ts";
import { decodeStream, encodeStream, type StreamFrame } from "./stream.ts";
import { decodeSubscribe, encodeSubscribe, type SubscribeFrame } from "./subscribe.ts";
import { decodeSubscribed, encodeSubscribed, type SubscribedFrame } from "./subscribed.ts";
import { decodeTopic, encodeTopic, type TopicFrame } from "./topic.ts";
import { decodeTopicDeleted, encodeTopicDeleted, type TopicDeletedFrame } from "./topic-deleted.ts";
import { decodeTopics, encodeTopics, type TopicsFrame } from "./topics.ts";
import { decodeTruncateTopic, encodeTruncateTopic, type TruncateTopicFrame } from "./truncate-topic.ts";
import { decodeTruncated, encodeTruncated, type TruncatedFrame } from "./truncated.ts";
import { decodeUnsubscribe, encodeUnsubscribe, type UnsubscribeFrame } from "./unsubscribe.ts";
import { decodeUnsubscribed, encodeUnsubscribed, type UnsubscribedFrame } from "./unsubscribed.ts";
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
    default:
      throw new MillraceError("UNKNOWN_FRAME_TYPE", `there is no frame type ${type}`, { details: { type } });
  }
}
