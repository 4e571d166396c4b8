import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";

/**
 * Client to server:
 * `[16, topicId, partition, producerId, producerEpoch, baseSequence, batch, checksum?]`
 *
 * This form is for tools and tests: a client builds the frame around its batch with a BatchBuilder, and the server reads
 * its head with a PublishHead.
 */
export interface PublishFrame {
  readonly topicId: number;
  readonly partition: number;
  /** 0: not idempotent. */
  readonly producerId: number;
  readonly producerEpoch: number;
  /** Sequence of the batch's first record, counted per producer and partition. */
  readonly baseSequence: number;
  /** The encoded batch, without trailer. */
  readonly batch: Uint8Array;
  /** crc32 of `batch`; undefined: none. */
  readonly checksum?: number | undefined;
}

export function encodePublish(writer: FrameWriter, frame: PublishFrame): void {
  writer.arrayHeader(8);
  writer.uint(FRAME_TYPE.PUBLISH);
  writer.uint(frame.topicId);
  writer.uint(frame.partition);
  writer.uint(frame.producerId);
  writer.uint(frame.producerEpoch);
  writer.uint(frame.baseSequence);
  writer.raw(frame.batch);
  if (frame.checksum === undefined) writer.nil();
  else writer.u32(frame.checksum);
}

export function decodePublish(reader: FrameReader): PublishFrame {
  const topicId = reader.required("topicId").uint();
  const partition = reader.required("partition").uint();
  const producerId = reader.required("producerId").uint();
  const producerEpoch = reader.required("producerEpoch").uint();
  const baseSequence = reader.required("baseSequence").uint();
  const batch = reader.required("batch").encoded();
  const checksum = !reader.more() || reader.nil() ? undefined : reader.uint();
  reader.close();
  return { topicId, partition, producerId, producerEpoch, baseSequence, batch, checksum };
}
