import type { FrameReader } from "../frame-reader.ts";
import type { FrameWriter } from "../frame-writer.ts";
import { type RestorePoint, readRestores, writeRestores } from "./restores.ts";

/** Where a stream starts in its partition, and the log that it reads there; the end of a row of SUBSCRIBED and ASSIGNED. */
export interface StreamPosition {
  /** Chosen by the server; DELIVER and PROGRESS name it. */
  readonly streamId: number;
  /** Offset that the reader starts at; records below it are to be discarded. */
  readonly startOffset: number;
  readonly logStartOffset: number;
  readonly highWatermark: number;
  readonly logEpoch: number;
  /** What the log has been through, for resuming; absent = none. */
  readonly restores?: readonly RestorePoint[] | undefined;
}

const NUMBERS = 5;

/** Elements of a position as it is written: `streamId, startOffset, logStartOffset, highWatermark, logEpoch, restores?`. */
export function positionElements({ restores = [] }: StreamPosition): number {
  return NUMBERS + (restores.length > 0 ? 1 : 0);
}

export function writeStreamPosition(writer: FrameWriter, position: StreamPosition): void {
  const { restores = [] } = position;
  writer.uint(position.streamId);
  writer.uint(position.startOffset);
  writer.uint(position.logStartOffset);
  writer.uint(position.highWatermark);
  writer.uint(position.logEpoch);
  if (restores.length > 0) writeRestores(writer, restores);
}

/** `elements`: those of the row that are left. */
export function readStreamPosition(reader: FrameReader, elements: number): StreamPosition {
  const position = {
    streamId: reader.uint(),
    startOffset: reader.uint(),
    logStartOffset: reader.uint(),
    highWatermark: reader.uint(),
    logEpoch: reader.uint(),
  };
  return elements > NUMBERS ? { ...position, ...readRestores(reader) } : position;
}
