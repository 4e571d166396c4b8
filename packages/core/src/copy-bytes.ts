/**
 * Up to this many bytes a plain loop is faster than `set` with a view, since building the view costs 50 ns. When all of the
 * source is copied it needs no view, and the loop pays for a single word only. Measured on Node 20.
 */
const PART_LOOP_BYTES_MAX = 32;
const WHOLE_LOOP_BYTES_MAX = 8;

/**
 * From this many bytes on `fill` wins. Misaligned `set` into shared memory moves bytes one by one (2 GB/s), while
 * `Buffer.prototype.fill` with a view of exactly the region's size is one native copy at any alignment (20 GB/s).
 */
const FILL_BYTES_MIN = 160;

/** Absent in browsers, which fall back to `set`. */
const nativeFill: typeof Buffer.prototype.fill | undefined =
  typeof Buffer === "undefined" ? undefined : Buffer.prototype.fill;

/**
 * Copies `length` bytes of `source` from `sourceStart` to `target` at `targetStart`, in the fastest way for the size.
 * Either side may be private or shared memory at any alignment; zero bytes are a no-op.
 *
 * Any thread; nobody may write either region meanwhile, and within one memory the regions must not overlap.
 *
 * @throws RangeError when a region leaves its array; nothing has been copied then.
 */
export function copyBytes(
  target: Uint8Array,
  targetStart: number,
  source: Uint8Array,
  sourceStart: number,
  length: number,
): void {
  if (
    !(length >= 0 && targetStart >= 0 && sourceStart >= 0) ||
    targetStart + length > target.length ||
    sourceStart + length > source.length
  ) {
    refuse(target, targetStart, source, sourceStart, length);
  }
  const whole = length === source.length;
  if (length <= (whole ? WHOLE_LOOP_BYTES_MAX : PART_LOOP_BYTES_MAX)) {
    for (let i = 0; i < length; i++) target[targetStart + i] = source[sourceStart + i] as number;
    return;
  }
  const view = whole ? source : new Uint8Array(source.buffer, source.byteOffset + sourceStart, length);
  if (length >= FILL_BYTES_MIN && nativeFill !== undefined) {
    nativeFill.call(target, view, targetStart, targetStart + length);
  } else {
    target.set(view, targetStart);
  }
}

function refuse(
  target: Uint8Array,
  targetStart: number,
  source: Uint8Array,
  sourceStart: number,
  length: number,
): never {
  throw new RangeError(
    `copy leaves its arrays: length=${length} targetStart=${targetStart} target.length=${target.length} ` +
      `sourceStart=${sourceStart} source.length=${source.length}`,
  );
}
