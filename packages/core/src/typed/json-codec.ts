import type { Codec } from "./codec.ts";

/** Bytes of the first scratch memory; it doubles as values need it. */
const SCRATCH_BYTES = 1024;
/** UTF-8 needs at most this for each unit of a JavaScript string. */
const BYTES_PER_UNIT_MAX = 3;

/** JSON in UTF-8: whatever JSON.stringify takes. @returns a codec, for one thread. */
export function jsonCodec<T>(): Codec<T> {
  const encoder = new TextEncoder();
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let scratch = new Uint8Array(SCRATCH_BYTES);
  return {
    encode(value) {
      const text = JSON.stringify(value) as string | undefined;
      if (text === undefined) throw new TypeError(`JSON has no ${typeof value}`);
      const bytesMax = text.length * BYTES_PER_UNIT_MAX;
      if (scratch.length < bytesMax) scratch = new Uint8Array(Math.max(bytesMax, 2 * scratch.length));
      return scratch.subarray(0, encoder.encodeInto(text, scratch).written);
    },
    decode(source, length) {
      return JSON.parse(decoder.decode(source.subarray(0, length))) as T;
    },
  };
}
