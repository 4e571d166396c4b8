/** From this many bytes on a native fill wins over that of typed arrays, which stores element by element in shared memory. */
const NATIVE_BYTES_MIN = 2048;

/** Filling with a view is one native copy; with a number it is not. */
const ZEROS: Uint8Array = new Uint8Array(8);

/** Absent in browsers. */
const nativeFill: typeof Buffer.prototype.fill | undefined =
  typeof Buffer === "undefined" ? undefined : Buffer.prototype.fill;

/**
 * Zeroes `bytes` from `start` to `end`, both multiples of 8, in the fastest way for the size: 25 ns and 10 GB/s for few, 50 GB/s
 * for many bytes of shared memory, measured on Node 20.
 *
 * Any thread; nobody may write the region meanwhile.
 *
 * @param words the same memory as 32-bit words.
 */
export function zeroBytes(bytes: Buffer, words: Int32Array, start: number, end: number): void {
  if (nativeFill !== undefined && end - start >= NATIVE_BYTES_MIN) nativeFill.call(bytes, ZEROS, start, end);
  else words.fill(0, start >> 2, end >> 2);
}
