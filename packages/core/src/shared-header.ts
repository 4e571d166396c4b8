/**
 * What every structure in shared memory begins with, so that memory of one kind is never taken for another.
 *
 *     byte  0 | magic int32 | version int32 | kind int32 | capacity int32 |
 *     byte 16 | free for the structure itself, as long as it is written once only
 *
 * Written once, before the memory is handed to another thread, and only read from then on. All integers have the byte order of
 * the machine: shared memory does not leave its process.
 */

/** "MRSM" read as a little-endian int32. */
export const SHARED_MAGIC = 0x4d53_524d;
/** Raised whenever the bytes of any structure get another meaning. */
export const SHARED_VERSION = 1;

/** Indexes into an Int32Array over the whole buffer. */
export const MAGIC_WORD = 0;
export const VERSION_WORD = 1;
export const KIND_WORD = 2;
export const CAPACITY_WORD = 3;

export const SHARED_HEADER_BYTES = 16;

/**
 * Bytes kept apart for a word that another thread writes: the adjacent-line prefetcher of x86 moves lines of 64 bytes in pairs,
 * and the lines of Apple's chips have 128.
 */
export const LINE_BYTES = 128;

/** The kind word. Append only. */
export const SharedKind = {
  ONE_TO_ONE_RING: 1,
  MANY_TO_ONE_RING: 2,
  BROADCAST: 3,
  DOORBELL: 4,
  CHANNEL: 5,
} as const;
export type SharedKind = (typeof SharedKind)[keyof typeof SharedKind];

const KIND_NAMES: Readonly<Record<number, string>> = {
  [SharedKind.ONE_TO_ONE_RING]: "one-to-one ring",
  [SharedKind.MANY_TO_ONE_RING]: "many-to-one ring",
  [SharedKind.BROADCAST]: "broadcast buffer",
  [SharedKind.DOORBELL]: "doorbell",
  [SharedKind.CHANNEL]: "channel",
};

/**
 * Zeroed shared memory. Any thread.
 *
 * @throws Error where the platform withholds it: browsers do from pages that are not cross-origin isolated.
 */
export function allocateShared(byteLength: number): SharedArrayBuffer {
  if (typeof SharedArrayBuffer === "undefined") {
    throw new Error(
      "SharedArrayBuffer is not defined: a browser offers it only to pages that are cross-origin isolated, that is served with the " +
        "headers Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp",
    );
  }
  return new SharedArrayBuffer(byteLength);
}

/**
 * Writes the header. Whoever allocates, before any other thread has the memory.
 *
 * @param capacity of the structure, in its own unit; 0 where it has none.
 */
export function writeHeader(buffer: SharedArrayBuffer, kind: SharedKind, capacity: number): void {
  const words = new Int32Array(buffer, 0, SHARED_HEADER_BYTES >> 2);
  words[MAGIC_WORD] = SHARED_MAGIC;
  words[VERSION_WORD] = SHARED_VERSION;
  words[KIND_WORD] = kind;
  words[CAPACITY_WORD] = capacity;
}

/**
 * Checks that `buffer` holds a whole structure of this kind. Any thread.
 *
 * @param bytesFor the length of a buffer of some capacity, or undefined where no buffer has that capacity.
 * @returns the capacity from the header.
 * @throws TypeError when this is something else: no shared memory, other magic, version or kind; RangeError when it was cut or
 * damaged: capacity and length do not fit. Both carry the values.
 */
export function checkHeader(
  buffer: SharedArrayBuffer,
  kind: SharedKind,
  bytesFor: (capacity: number) => number | undefined,
): number {
  const name = KIND_NAMES[kind];
  if (typeof SharedArrayBuffer === "undefined" || !(buffer instanceof SharedArrayBuffer)) {
    throw new TypeError(`${name} needs a SharedArrayBuffer: got ${Object.prototype.toString.call(buffer)}`);
  }
  if (buffer.byteLength < SHARED_HEADER_BYTES) {
    throw new RangeError(
      `buffer is too small for a ${name}: byteLength=${buffer.byteLength} minimum=${SHARED_HEADER_BYTES}`,
    );
  }
  const words = new Int32Array(buffer, 0, SHARED_HEADER_BYTES >> 2);
  const magic = words[MAGIC_WORD] as number;
  if (magic !== SHARED_MAGIC) {
    throw new TypeError(`not a ${name}: magic=${hex(magic)} expected=${hex(SHARED_MAGIC)}`);
  }
  const version = words[VERSION_WORD] as number;
  if (version !== SHARED_VERSION) {
    throw new TypeError(`${name} has another layout: version=${version} expected=${SHARED_VERSION}`);
  }
  const found = words[KIND_WORD] as number;
  if (found !== kind) {
    throw new TypeError(
      `not a ${name} but a ${KIND_NAMES[found] ?? "stranger"}: kind=${found} expected=${kind}`,
    );
  }
  const capacity = words[CAPACITY_WORD] as number;
  const expected = bytesFor(capacity);
  if (expected === undefined) throw new RangeError(`damaged ${name}: capacity=${capacity}`);
  if (buffer.byteLength !== expected) {
    throw new RangeError(
      `truncated or foreign ${name}: byteLength=${buffer.byteLength} expected=${expected} capacity=${capacity}`,
    );
  }
  return capacity;
}

function hex(word: number): string {
  return `0x${(word >>> 0).toString(16)}`;
}
