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

/**
 * Without `fill`, from this many bytes on a detour through aligned private memory wins where only one side is shared and the two are
 * not aligned alike: 1.2 us instead of 5.8 for 16 KiB, in Chromium 156.
 */
const REALIGN_BYTES_MIN = 512;
/** Stays in the first-level cache; a multiple of the alignment. */
const REALIGN_CHUNK_BYTES = 16_384;
/** V8 copies shared memory in words of this size where it can. */
const WORD_BYTES = 8;

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
  } else if (length >= REALIGN_BYTES_MIN && isHelpedByDetour(target, targetStart, view)) {
    setThroughDetour(target, targetStart, view);
  } else {
    target.set(view, targetStart);
  }
}

let detour: Uint8Array | undefined;

function isShared(bytes: Uint8Array): boolean {
  return typeof SharedArrayBuffer !== "undefined" && bytes.buffer instanceof SharedArrayBuffer;
}

function isHelpedByDetour(target: Uint8Array, targetStart: number, source: Uint8Array): boolean {
  const apart = (target.byteOffset + targetStart - source.byteOffset) & (WORD_BYTES - 1);
  return apart !== 0 && isShared(target) !== isShared(source);
}

/** The detour is aligned as the shared side is, so that only the step between private memories, which is fast, is misaligned. */
function setThroughDetour(target: Uint8Array, targetStart: number, source: Uint8Array): void {
  detour ??= new Uint8Array(REALIGN_CHUNK_BYTES + WORD_BYTES);
  const aligned = isShared(target) ? target.byteOffset + targetStart : source.byteOffset;
  const lead = aligned & (WORD_BYTES - 1);
  for (let done = 0; done < source.length; done += REALIGN_CHUNK_BYTES) {
    const bytes = Math.min(REALIGN_CHUNK_BYTES, source.length - done);
    detour.set(source.subarray(done, done + bytes), lead);
    target.set(detour.subarray(lead, lead + bytes), targetStart + done);
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
