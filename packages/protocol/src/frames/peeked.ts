import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";
import { readRow, skipRest } from "./element.ts";

/** What a subscription has to do with a record, as PEEKED states it. */
export const PEEK_STATE = {
  /** It can be delivered. */
  AVAILABLE: 0,
  /** A consumer has it. */
  LEASED: 1,
  /** It waits for its next try, or until the record before it of its key is done. */
  WAITING: 2,
} as const;

/** An unfinished record. */
export interface PeekedRecord {
  /** Of the topic, or of its dead-letter topic for what was redriven. */
  readonly topicId: number;
  readonly partition: number;
  readonly offset: number;
  /** One of PEEK_STATE. */
  readonly state: number;
  /** How often it was delivered. */
  readonly deliveryCount: number;
  /** LEASED: until the lease ends; WAITING: until the next try, 0 for one that waits for its key. */
  readonly dueInMs: number;
}

/**
 * Server to client: `[90, requestId, [[topicId, partition, offset, state, deliveryCount, dueInMs]]]`, by ascending offset
 */
export interface PeekedFrame {
  readonly requestId: number;
  readonly records: readonly PeekedRecord[];
}

const RECORD_ELEMENTS = 6;

export function encodePeeked(writer: FrameWriter, frame: PeekedFrame): void {
  writer.arrayHeader(3);
  writer.uint(FRAME_TYPE.PEEKED);
  writer.uint(frame.requestId);
  writer.arrayHeader(frame.records.length);
  for (const record of frame.records) {
    writer.arrayHeader(RECORD_ELEMENTS);
    writer.uint(record.topicId);
    writer.uint(record.partition);
    writer.uint(record.offset);
    writer.uint(record.state);
    writer.uint(record.deliveryCount);
    writer.uint(record.dueInMs);
  }
}

export function decodePeeked(reader: FrameReader): PeekedFrame {
  const requestId = reader.required("requestId").uint();
  const records: PeekedRecord[] = [];
  for (let left = reader.required("records").arrayHeader(); left > 0; left -= 1) {
    const elements = readRow(reader, RECORD_ELEMENTS);
    records.push({
      topicId: reader.uint(),
      partition: reader.uint(),
      offset: reader.uint(),
      state: reader.uint(),
      deliveryCount: reader.uint(),
      dueInMs: reader.uint(),
    });
    skipRest(reader, elements, RECORD_ELEMENTS);
  }
  reader.close();
  return { requestId, records };
}
