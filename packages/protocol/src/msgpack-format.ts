/** First bytes of the MessagePack encodings (https://github.com/msgpack/msgpack/blob/master/spec.md). */
export const MSGPACK = {
  FIX_MAP: 0x80,
  FIX_ARRAY: 0x90,
  FIX_STR: 0xa0,
  NIL: 0xc0,
  FALSE: 0xc2,
  TRUE: 0xc3,
  BIN_8: 0xc4,
  BIN_16: 0xc5,
  BIN_32: 0xc6,
  EXT_8: 0xc7,
  EXT_16: 0xc8,
  EXT_32: 0xc9,
  FLOAT_32: 0xca,
  FLOAT_64: 0xcb,
  UINT_8: 0xcc,
  UINT_16: 0xcd,
  UINT_32: 0xce,
  UINT_64: 0xcf,
  INT_8: 0xd0,
  INT_16: 0xd1,
  INT_32: 0xd2,
  INT_64: 0xd3,
  FIX_EXT_1: 0xd4,
  FIX_EXT_16: 0xd8,
  STR_8: 0xd9,
  STR_16: 0xda,
  STR_32: 0xdb,
  ARRAY_16: 0xdc,
  ARRAY_32: 0xdd,
  MAP_16: 0xde,
  MAP_32: 0xdf,
  NEGATIVE_FIXINT: 0xe0,
} as const;

/** Bytes that an unsigned integer takes in its shortest encoding. `value` is an integer of 0..2^53-1. */
export function uintSize(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x100) return 2;
  if (value < 0x1_0000) return 3;
  return value < 0x1_0000_0000 ? 5 : 9;
}

/** What the first byte of a value says it is. */
export function isArray(first: number): boolean {
  return (
    (first >= MSGPACK.FIX_ARRAY && first < MSGPACK.FIX_STR) ||
    first === MSGPACK.ARRAY_16 ||
    first === MSGPACK.ARRAY_32
  );
}

export function isMap(first: number): boolean {
  return (
    (first >= MSGPACK.FIX_MAP && first < MSGPACK.FIX_ARRAY) ||
    first === MSGPACK.MAP_16 ||
    first === MSGPACK.MAP_32
  );
}

export function isStr(first: number): boolean {
  return (
    (first >= MSGPACK.FIX_STR && first < MSGPACK.NIL) || (first >= MSGPACK.STR_8 && first <= MSGPACK.STR_32)
  );
}

export function isExt(first: number): boolean {
  return (
    (first >= MSGPACK.EXT_8 && first <= MSGPACK.EXT_32) ||
    (first >= MSGPACK.FIX_EXT_1 && first <= MSGPACK.FIX_EXT_16)
  );
}
