/**
 * Bytes with all that Node's Buffer can do, where the reader of these types has Node's (@types/node); a Uint8Array for those who
 * write for browsers.
 */
export type ByteView = typeof globalThis extends {
  Buffer: { isBuffer(value: unknown): value is infer NodeBuffer extends Uint8Array };
}
  ? NodeBuffer
  : Uint8Array;

/** A view of `length` bytes of `memory`: a Buffer where the platform has one. Any thread. */
export function byteView(memory: ArrayBufferLike, start: number, length: number): ByteView {
  if (typeof Buffer === "undefined") return new Uint8Array(memory, start, length) as ByteView;
  return Buffer.from(memory as ArrayBuffer, start, length);
}
