import { readU16, readU32 } from "./big-endian.ts";
import { MSGPACK } from "./msgpack-format.ts";
import { MALFORMED } from "./parse-outcome.ts";

/**
 * Position after the MessagePack value at `position`, or MALFORMED when it does not end before `end`. Without
 * recursion and allocation: values still to be passed are counted, so nesting costs nothing and cannot overflow the
 * stack, and each of them needs at least a byte, so a count that is a lie ends at `end`.
 */
export function skipValue(bytes: Uint8Array, position: number, end: number): number {
  let at = position;
  let pending = 1;
  while (pending > 0) {
    if (at >= end || pending > end - at) return MALFORMED;
    const first = bytes[at] as number;
    at += 1;
    pending -= 1;
    if (first < MSGPACK.FIX_MAP || first >= MSGPACK.NEGATIVE_FIXINT) continue;
    if (first < MSGPACK.FIX_ARRAY) {
      pending += (first & 0x0f) * 2;
    } else if (first < MSGPACK.FIX_STR) {
      pending += first & 0x0f;
    } else if (first < MSGPACK.NIL) {
      at += first & 0x1f;
    } else {
      switch (first) {
        case 0xc0:
        case 0xc2:
        case 0xc3:
          break;
        case 0xcc:
        case 0xd0:
          at += 1;
          break;
        case 0xcd:
        case 0xd1:
        case 0xd4:
          at += 2;
          break;
        case 0xd5:
          at += 3;
          break;
        case 0xca:
        case 0xce:
        case 0xd2:
          at += 4;
          break;
        case 0xd6:
          at += 5;
          break;
        case 0xcb:
        case 0xcf:
        case 0xd3:
          at += 8;
          break;
        case 0xd7:
          at += 9;
          break;
        case 0xd8:
          at += 17;
          break;
        case 0xc4:
        case 0xd9:
          if (at >= end) return MALFORMED;
          at += 1 + (bytes[at] as number);
          break;
        case 0xc7:
          if (at >= end) return MALFORMED;
          at += 2 + (bytes[at] as number);
          break;
        case 0xc5:
        case 0xda:
          if (end - at < 2) return MALFORMED;
          at += 2 + readU16(bytes, at);
          break;
        case 0xc8:
          if (end - at < 2) return MALFORMED;
          at += 3 + readU16(bytes, at);
          break;
        case 0xc6:
        case 0xdb:
          if (end - at < 4) return MALFORMED;
          at += 4 + readU32(bytes, at);
          break;
        case 0xc9:
          if (end - at < 4) return MALFORMED;
          at += 5 + readU32(bytes, at);
          break;
        case 0xdc:
          if (end - at < 2) return MALFORMED;
          pending += readU16(bytes, at);
          at += 2;
          break;
        case 0xdd:
          if (end - at < 4) return MALFORMED;
          pending += readU32(bytes, at);
          at += 4;
          break;
        case 0xde:
          if (end - at < 2) return MALFORMED;
          pending += readU16(bytes, at) * 2;
          at += 2;
          break;
        case 0xdf:
          if (end - at < 4) return MALFORMED;
          pending += readU32(bytes, at) * 2;
          at += 4;
          break;
        default:
          return MALFORMED;
      }
    }
  }
  return at <= end ? at : MALFORMED;
}

/** Header bytes of a string or binary by its first byte; 0 for other values. */
export function contentHeaderBytes(first: number): number {
  if (first >= MSGPACK.FIX_STR && first < MSGPACK.NIL) return 1;
  if (first === MSGPACK.BIN_8 || first === MSGPACK.STR_8) return 2;
  if (first === MSGPACK.BIN_16 || first === MSGPACK.STR_16) return 3;
  return first === MSGPACK.BIN_32 || first === MSGPACK.STR_32 ? 5 : 0;
}
