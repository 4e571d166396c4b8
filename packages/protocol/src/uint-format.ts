import { readU16, readU32, readU64, SAFE_HIGH_WORD_MAX } from "./big-endian.ts";
import { MSGPACK } from "./msgpack-format.ts";
import { MALFORMED } from "./parse-outcome.ts";

// Unsigned integers for the parsers of heads, which neither throw nor allocate: value and width are two questions, so
// that the answer to each is one number.

/** Bytes of a number by its first byte, 0 for what is no number. */
const WIDTHS: Uint8Array = makeWidths();

const floatBytes: Uint8Array = new Uint8Array(8);
const floatValue: Float64Array = new Float64Array(floatBytes.buffer);
const TWO_32 = 0x1_0000_0000;
const LITTLE_ENDIAN: boolean = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** Bytes that the number at `at` takes. Only after readUint has accepted it. */
export function uintWidth(bytes: Uint8Array, at: number): number {
  return WIDTHS[bytes[at] as number] as number;
}

/**
 * The integer at `at` in any MessagePack encoding, or MALFORMED when it is not one of 0..2^53-1 or does not end before
 * `end`. A float64 without a fraction is accepted: some libraries write large integers so.
 */
export function readUint(bytes: Uint8Array, at: number, end: number): number {
  if (at >= end) return MALFORMED;
  const first = bytes[at] as number;
  if (first < MSGPACK.FIX_MAP) return first;
  const width = WIDTHS[first] as number;
  if (width === 0 || width > end - at) return MALFORMED;
  switch (first) {
    case MSGPACK.UINT_8:
      return bytes[at + 1] as number;
    case MSGPACK.UINT_16:
      return readU16(bytes, at + 1);
    case MSGPACK.UINT_32:
      return readU32(bytes, at + 1);
    case MSGPACK.UINT_64:
      return readU64(bytes, at + 1);
    default:
      return readUnusual(bytes, at, first);
  }
}

/**
 * Reads `count` integers that follow each other into `target`, and returns the position after them, or MALFORMED. One
 * loop over one copy of the reader, into a typed array: a call per number would box each one above 2^31.
 */
export function readUints(
  bytes: Uint8Array,
  position: number,
  end: number,
  target: Float64Array,
  count: number,
): number {
  let at = position;
  for (let i = 0; i < count; i += 1) {
    if (at >= end) return MALFORMED;
    const first = bytes[at] as number;
    if (first < MSGPACK.FIX_MAP) {
      target[i] = first;
      at += 1;
      continue;
    }
    if (first === MSGPACK.UINT_32) {
      if (end - at < 5) return MALFORMED;
      target[i] = readU32(bytes, at + 1);
      at += 5;
      continue;
    }
    if (first === MSGPACK.UINT_64) {
      if (end - at < 9) return MALFORMED;
      const high = readU32(bytes, at + 1);
      if (high > SAFE_HIGH_WORD_MAX) return MALFORMED;
      target[i] = high * TWO_32 + readU32(bytes, at + 5);
      at += 9;
      continue;
    }
    const value = readUint(bytes, at, end);
    if (value < 0) return MALFORMED;
    target[i] = value;
    at += uintWidth(bytes, at);
  }
  return at;
}

/** Position after the array header at `at` that announces at least one element, or MALFORMED. */
export function arrayHeaderEnd(bytes: Uint8Array, at: number, end: number): number {
  if (at >= end) return MALFORMED;
  const first = bytes[at] as number;
  if (first >= MSGPACK.FIX_ARRAY && first < MSGPACK.FIX_STR) return at + 1;
  if (first === MSGPACK.ARRAY_16) return end - at < 3 ? MALFORMED : at + 3;
  if (first === MSGPACK.ARRAY_32) return end - at < 5 ? MALFORMED : at + 5;
  return MALFORMED;
}

/** Number of elements of the array whose header arrayHeaderEnd has accepted. */
export function arrayLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at] as number;
  if (first === MSGPACK.ARRAY_16) return readU16(bytes, at + 1);
  if (first === MSGPACK.ARRAY_32) return readU32(bytes, at + 1);
  return first & 0x0f;
}

/** Signed encodings and float64 of a value that is not negative; their bounds are checked. */
function readUnusual(bytes: Uint8Array, at: number, first: number): number {
  switch (first) {
    case MSGPACK.INT_8:
      return (bytes[at + 1] as number) < 0x80 ? (bytes[at + 1] as number) : MALFORMED;
    case MSGPACK.INT_16:
      return (bytes[at + 1] as number) < 0x80 ? readU16(bytes, at + 1) : MALFORMED;
    case MSGPACK.INT_32:
      return (bytes[at + 1] as number) < 0x80 ? readU32(bytes, at + 1) : MALFORMED;
    case MSGPACK.INT_64:
      return readU64(bytes, at + 1);
    case MSGPACK.FLOAT_64: {
      for (let i = 0; i < 8; i += 1) floatBytes[LITTLE_ENDIAN ? 7 - i : i] = bytes[at + 1 + i] as number;
      const value = floatValue[0] as number;
      return Number.isSafeInteger(value) && value >= 0 ? value : MALFORMED;
    }
    default:
      return MALFORMED;
  }
}

function makeWidths(): Uint8Array {
  const widths = new Uint8Array(256);
  widths.fill(1, 0, MSGPACK.FIX_MAP);
  widths[MSGPACK.UINT_8] = 2;
  widths[MSGPACK.UINT_16] = 3;
  widths[MSGPACK.UINT_32] = 5;
  widths[MSGPACK.UINT_64] = 9;
  widths[MSGPACK.INT_8] = 2;
  widths[MSGPACK.INT_16] = 3;
  widths[MSGPACK.INT_32] = 5;
  widths[MSGPACK.INT_64] = 9;
  widths[MSGPACK.FLOAT_64] = 9;
  return widths;
}
