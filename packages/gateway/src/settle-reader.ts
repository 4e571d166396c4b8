import { type FrameReader, LIMITS, SETTLE_ACTION } from "@millrace/protocol";
import { readUints } from "@millrace/protocol/internal";

const ROW_NUMBERS = 7;
const UINT_32_MAX = 0xffff_ffff;

/** `argument` of a row that does not state one. */
export const NOT_STATED = -1;

/**
 * Reads SETTLE frames row by row, without an object per row: after each `next()` that answers true the fields describe one
 * row. What is not as the grammar says is MALFORMED_FRAME, and ends the session.
 */
export class SettleReader {
  consumerId = 0;
  rowCount = 0;
  settleId = 0;
  action = 0;
  partition = 0;
  leaseEpoch = 0;
  leaseCounter = 0;
  firstOffset = 0;
  count = 0;
  /** Milliseconds, or NOT_STATED. */
  argument: number = NOT_STATED;
  /** UTF-8, a view of the frame. */
  reason: Uint8Array | undefined;
  readonly #numbers: Float64Array = new Float64Array(ROW_NUMBERS);
  #reader: FrameReader | undefined;
  #left = 0;

  /** Takes a frame whose type was read. */
  open(reader: FrameReader): void {
    this.#reader = reader;
    this.consumerId = reader.required("consumerId").uint();
    this.rowCount = reader.required("rows").arrayHeader(LIMITS.settlesPerFrameMax);
    this.#left = this.rowCount;
  }

  /** Moves to the next row; false after the last one. */
  next(): boolean {
    const reader = this.#reader as FrameReader;
    if (this.#left === 0) {
      reader.close();
      return false;
    }
    this.#left -= 1;
    const elements = reader.arrayHeader();
    const numbers = this.#numbers;
    const at =
      elements < ROW_NUMBERS
        ? -1
        : readUints(reader.bytes, reader.position, reader.end, numbers, ROW_NUMBERS);
    if (at < 0) reader.malformed("a row of a settle begins with seven numbers");
    reader.seek(at);
    this.settleId = numbers[0] as number;
    this.action = numbers[1] as number;
    this.partition = numbers[2] as number;
    this.leaseEpoch = numbers[3] as number;
    this.leaseCounter = numbers[4] as number;
    this.firstOffset = numbers[5] as number;
    this.count = numbers[6] as number;
    this.argument = NOT_STATED;
    this.reason = undefined;
    if (elements > ROW_NUMBERS) this.#readArgument(reader);
    for (let i = ROW_NUMBERS + 1; i < elements; i += 1) reader.skip();
    this.#check(reader);
    return true;
  }

  #readArgument(reader: FrameReader): void {
    if (reader.nil()) return;
    if (!reader.isStr()) {
      this.argument = reader.uint();
      return;
    }
    const encoded = reader.encoded();
    this.reason = encoded.subarray(strHeaderBytes(encoded[0] as number));
  }

  #check(reader: FrameReader): void {
    if (this.settleId > UINT_32_MAX || this.leaseEpoch > UINT_32_MAX) {
      reader.malformed("settleId and leaseEpoch have 32 bits");
    }
    if (this.action > ACTION_MAX) reader.malformed(`there is no action ${this.action}`);
    if (this.count < 1 || this.count > LIMITS.leaseRecordsMax) {
      reader.malformed(`a row settles 1 to ${LIMITS.leaseRecordsMax} records, not ${this.count}`);
    }
    if (this.argument > LIMITS.leaseMsMax) {
      reader.malformed(`a delay or extension has at most ${LIMITS.leaseMsMax} ms, not ${this.argument}`);
    }
    if (this.action === SETTLE_ACTION.DEAD_LETTER && this.argument !== NOT_STATED) {
      reader.malformed("the reason of a dead letter is a string");
    }
    if (this.reason === undefined) return;
    if (this.action !== SETTLE_ACTION.DEAD_LETTER) reader.malformed("only a dead letter has a reason");
    if (this.reason.length > LIMITS.deadLetterReasonBytesMax) {
      reader.malformed(`a reason has at most ${LIMITS.deadLetterReasonBytesMax} bytes`);
    }
  }
}

const ACTION_MAX: number = SETTLE_ACTION.EXTEND;

/** Bytes before the text of a string that begins with this byte. */
function strHeaderBytes(first: number): number {
  if (first < 0xd9) return 1;
  return 2 ** (first - 0xd9) + 1;
}
