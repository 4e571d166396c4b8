import { readU16, readU32 } from "./big-endian.ts";
import { MSGPACK } from "./msgpack-format.ts";
import { MALFORMED } from "./parse-outcome.ts";

/**
 * Counts the bin-wrapped records in [recordsStart, recordsEnd) by their bounds alone, or MALFORMED when those do not
 * add up exactly. No allocation: this is what the shard does for each batch before it is appended.
 */
export function walkRecords(bytes: Uint8Array, recordsStart: number, recordsEnd: number): number {
  if (recordsEnd > bytes.length || recordsStart < 0) return MALFORMED;
  let at = recordsStart;
  let count = 0;
  while (at < recordsEnd) {
    const first = bytes[at] as number;
    if (first === MSGPACK.BIN_8) {
      if (recordsEnd - at < 2) return MALFORMED;
      at += 2 + (bytes[at + 1] as number);
    } else if (first === MSGPACK.BIN_16) {
      if (recordsEnd - at < 3) return MALFORMED;
      at += 3 + readU16(bytes, at + 1);
    } else if (first === MSGPACK.BIN_32) {
      if (recordsEnd - at < 5) return MALFORMED;
      at += 5 + readU32(bytes, at + 1);
    } else {
      return MALFORMED;
    }
    count += 1;
  }
  return at === recordsEnd ? count : MALFORMED;
}
