import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";
import { LIMITS } from "../limits.ts";
import { readRow, skipRest } from "./element.ts";

/** What a consumer has done with records of one lease. */
export interface SettleRow {
  /** Chosen by the client; SETTLED states it. */
  readonly settleId: number;
  /** One of SETTLE_ACTION. */
  readonly action: number;
  readonly partition: number;
  /** The lease's token, as LEASED stated it. */
  readonly leaseEpoch: number;
  readonly leaseCounter: number;
  /** The records: of these offsets, all under that lease. */
  readonly firstOffset: number;
  readonly count: number;
  /**
   * NACK: delay in ms, undefined = as the subscription's back-off says. DEAD_LETTER: the reason, a string of at most
   * LIMITS.deadLetterReasonBytesMax. EXTEND: ms from now on.
   */
  readonly argument?: number | string | undefined;
}

/**
 * Client to server: `[72, consumerId, [[settleId, action, partition, leaseEpoch, leaseCounter, firstOffset, count,
 * argument?]]]`. Each row is answered by SETTLED.
 */
export interface SettleFrame {
  readonly consumerId: number;
  readonly rows: readonly SettleRow[];
}

const ROW_ELEMENTS_MIN = 7;
const ROW_ELEMENTS = 8;

export function encodeSettle(writer: FrameWriter, frame: SettleFrame): void {
  writer.arrayHeader(3);
  writer.uint(FRAME_TYPE.SETTLE);
  writer.uint(frame.consumerId);
  writer.arrayHeader(frame.rows.length);
  for (const row of frame.rows) {
    writer.arrayHeader(ROW_ELEMENTS);
    writer.uint(row.settleId);
    writer.uint(row.action);
    writer.uint(row.partition);
    writer.uint(row.leaseEpoch);
    writer.uint(row.leaseCounter);
    writer.uint(row.firstOffset);
    writer.uint(row.count);
    if (row.argument === undefined) writer.nil();
    else if (typeof row.argument === "string") writer.str(row.argument);
    else writer.uint(row.argument);
  }
}

export function decodeSettle(reader: FrameReader): SettleFrame {
  const consumerId = reader.required("consumerId").uint();
  const rows: SettleRow[] = [];
  for (let left = reader.required("rows").arrayHeader(LIMITS.settlesPerFrameMax); left > 0; left -= 1) {
    const elements = readRow(reader, ROW_ELEMENTS_MIN);
    rows.push({
      settleId: reader.uint(),
      action: reader.uint(),
      partition: reader.uint(),
      leaseEpoch: reader.uint(),
      leaseCounter: reader.uint(),
      firstOffset: reader.uint(),
      count: reader.uint(),
      argument: elements > ROW_ELEMENTS_MIN ? readArgument(reader) : undefined,
    });
    skipRest(reader, elements, ROW_ELEMENTS);
  }
  reader.close();
  return { consumerId, rows };
}

function readArgument(reader: FrameReader): number | string | undefined {
  if (reader.nil()) return undefined;
  return reader.isStr() ? reader.str(LIMITS.deadLetterReasonBytesMax) : reader.uint();
}
