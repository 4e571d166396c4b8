import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";
import { readRow, skipRest } from "./element.ts";

/** What became of one row of a SETTLE. */
export interface SettledRow {
  readonly settleId: number;
  /** 0, or the number of an error: LEASE_EXPIRED when the lease was over. */
  readonly outcome: number;
}

/** Server to client: `[73, consumerId, [[settleId, outcome]]]`, once it is durable; for EXTEND at once. */
export interface SettledFrame {
  readonly consumerId: number;
  readonly rows: readonly SettledRow[];
}

const ROW_ELEMENTS = 2;

export function encodeSettled(writer: FrameWriter, frame: SettledFrame): void {
  writeSettledHead(writer, frame.consumerId, frame.rows.length);
  for (const { settleId, outcome } of frame.rows) writeSettledRow(writer, settleId, outcome);
}

/** The frame up to its rows, for a server that has them one by one; `rowCount` calls of writeSettledRow follow. */
export function writeSettledHead(writer: FrameWriter, consumerId: number, rowCount: number): void {
  writer.arrayHeader(3);
  writer.uint(FRAME_TYPE.SETTLED);
  writer.uint(consumerId);
  writer.arrayHeader(rowCount);
}

export function writeSettledRow(writer: FrameWriter, settleId: number, outcome: number): void {
  writer.arrayHeader(ROW_ELEMENTS);
  writer.uint(settleId);
  writer.uint(outcome);
}

export function decodeSettled(reader: FrameReader): SettledFrame {
  const consumerId = reader.required("consumerId").uint();
  const rows: SettledRow[] = [];
  for (let left = reader.required("rows").arrayHeader(); left > 0; left -= 1) {
    const elements = readRow(reader, ROW_ELEMENTS);
    rows.push({ settleId: reader.uint(), outcome: reader.uint() });
    skipRest(reader, elements, ROW_ELEMENTS);
  }
  reader.close();
  return { consumerId, rows };
}
