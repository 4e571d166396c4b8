import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";
import { readRow, skipRest } from "./element.ts";

/** One run of published records of one producer and partition that are stored. */
export interface AckRange {
  readonly topicId: number;
  readonly partition: number;
  readonly producerId: number;
  /** Sequence of the run's first record. */
  readonly firstSequence: number;
  /** Records in the run; their offsets follow each other from `baseOffset`. */
  readonly count: number;
  readonly baseOffset: number;
  readonly logEpoch: number;
  /** What was reached, as a number of DURABILITY. */
  readonly durability: number;
}

/**
 * Server to client: `[17, publishCreditLimit, [[topicId, partition, producerId, firstSequence, count, baseOffset,
 * logEpoch, durability]]]`
 */
export interface AckFrame {
  /** Cumulative bytes of PUBLISH frames that the session may have sent in all. */
  readonly publishCreditLimit: number;
  readonly ranges: readonly AckRange[];
}

const RANGE_ELEMENTS = 8;

export function encodeAck(writer: FrameWriter, frame: AckFrame): void {
  writeAckHead(writer, frame.publishCreditLimit, frame.ranges.length);
  for (const range of frame.ranges) {
    writeAckRange(
      writer,
      range.topicId,
      range.partition,
      range.producerId,
      range.firstSequence,
      range.count,
      range.baseOffset,
      range.logEpoch,
      range.durability,
    );
  }
}

/** The frame up to its ranges, for a server that has them one by one; `rangeCount` calls of writeAckRange follow. */
export function writeAckHead(writer: FrameWriter, publishCreditLimit: number, rangeCount: number): void {
  writer.arrayHeader(3);
  writer.uint(FRAME_TYPE.ACK);
  writer.uint(publishCreditLimit);
  writer.arrayHeader(rangeCount);
}

export function writeAckRange(
  writer: FrameWriter,
  topicId: number,
  partition: number,
  producerId: number,
  firstSequence: number,
  count: number,
  baseOffset: number,
  logEpoch: number,
  durability: number,
): void {
  writer.arrayHeader(RANGE_ELEMENTS);
  writer.uint(topicId);
  writer.uint(partition);
  writer.uint(producerId);
  writer.uint(firstSequence);
  writer.uint(count);
  writer.uint(baseOffset);
  writer.uint(logEpoch);
  writer.uint(durability);
}

export function decodeAck(reader: FrameReader): AckFrame {
  const publishCreditLimit = reader.required("publishCreditLimit").uint();
  const ranges: AckRange[] = [];
  for (let left = reader.more() ? reader.arrayHeader() : 0; left > 0; left -= 1) {
    const elements = readRow(reader, RANGE_ELEMENTS);
    ranges.push({
      topicId: reader.uint(),
      partition: reader.uint(),
      producerId: reader.uint(),
      firstSequence: reader.uint(),
      count: reader.uint(),
      baseOffset: reader.uint(),
      logEpoch: reader.uint(),
      durability: reader.uint(),
    });
    skipRest(reader, elements, RANGE_ELEMENTS);
  }
  reader.close();
  return { publishCreditLimit, ranges };
}
