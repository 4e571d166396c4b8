// MessagePack numbers are big-endian and unaligned. DataView calls cost as much as these and need a second object per
// buffer. `>>> 0` keeps every 32 bit value unsigned: a signed length would pass each "beyond the end" comparison.

const TWO_32 = 0x1_0000_0000;

/** Largest upper word of an integer that a JavaScript number holds exactly. */
export const SAFE_HIGH_WORD_MAX = 0x1f_ffff;

/** Unsigned 16 bits at `at`; the caller has checked the bounds. */
export function readU16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}

/** Unsigned 32 bits at `at`; the caller has checked the bounds. */
export function readU32(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] as number) << 24) |
      ((bytes[at + 1] as number) << 16) |
      ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number)) >>>
    0
  );
}

/** Unsigned 64 bits at `at` as a number, or -1 when it is above 2^53-1; the caller has checked the bounds. */
export function readU64(bytes: Uint8Array, at: number): number {
  const high = readU32(bytes, at);
  return high > SAFE_HIGH_WORD_MAX ? -1 : high * TWO_32 + readU32(bytes, at + 4);
}

export function writeU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

export function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

/** `value` is an integer of 0..2^53-1. */
export function writeU64(bytes: Uint8Array, at: number, value: number): void {
  writeU32(bytes, at, Math.floor(value / TWO_32));
  writeU32(bytes, at + 4, value >>> 0);
}
