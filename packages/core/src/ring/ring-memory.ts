import {
  CAPACITY_BYTES_MAX,
  CAPACITY_BYTES_MIN,
  CAPACITY_WORD,
  HEAD_WORD,
  MAGIC_WORD,
  OVERHEAD_BYTES,
  RECORD_ALIGNMENT,
  RING_MAGIC,
  RING_VERSION,
  TAIL_WORD,
  VERSION_WORD,
} from "./ring-layout.ts";

/** What a ring's shared words say at the moment of attaching. */
export interface AttachedRing {
  readonly capacity: number;
  /** The whole buffer as words; see ring-layout.ts for the indexes. */
  readonly control: Int32Array;
  /** Low 32 bits, of one moment in which they fit together. */
  readonly head: number;
  readonly tail: number;
}

/** Memory for a ring; see OneToOneRingBuffer.allocate. @throws RangeError */
export function allocateRing(capacityBytes: number, startPosition: number): SharedArrayBuffer {
  if (!isCapacity(capacityBytes)) {
    throw new RangeError(
      `capacity must be a power of two from ${CAPACITY_BYTES_MIN} to ${CAPACITY_BYTES_MAX}: capacity=${capacityBytes}`,
    );
  }
  if (!Number.isSafeInteger(startPosition) || startPosition < 0 || startPosition % RECORD_ALIGNMENT !== 0) {
    throw new RangeError(
      `startPosition must be a multiple of ${RECORD_ALIGNMENT}: startPosition=${startPosition}`,
    );
  }
  const buffer = new SharedArrayBuffer(capacityBytes + OVERHEAD_BYTES);
  const control = new Int32Array(buffer);
  control[MAGIC_WORD] = RING_MAGIC;
  control[VERSION_WORD] = RING_VERSION;
  control[CAPACITY_WORD] = capacityBytes;
  control[TAIL_WORD] = startPosition | 0;
  control[HEAD_WORD] = startPosition | 0;
  return buffer;
}

/** Checks that `buffer` holds a ring of this version. @throws TypeError, RangeError with the values that do not fit. */
export function attachRing(buffer: SharedArrayBuffer): AttachedRing {
  if (!(buffer instanceof SharedArrayBuffer)) {
    throw new TypeError(`ring needs a SharedArrayBuffer: got ${Object.prototype.toString.call(buffer)}`);
  }
  if (buffer.byteLength < CAPACITY_BYTES_MIN + OVERHEAD_BYTES) {
    throw new RangeError(
      `buffer is too small for a ring: byteLength=${buffer.byteLength} minimum=${CAPACITY_BYTES_MIN + OVERHEAD_BYTES}`,
    );
  }
  const control = new Int32Array(buffer, 0, buffer.byteLength >> 2);
  const magic = control[MAGIC_WORD] as number;
  if (magic !== RING_MAGIC) {
    throw new TypeError(`not a ring: magic=${hex(magic)} expected=${hex(RING_MAGIC)}`);
  }
  const version = control[VERSION_WORD] as number;
  if (version !== RING_VERSION) {
    throw new TypeError(`ring has another layout: version=${version} expected=${RING_VERSION}`);
  }
  const capacity = control[CAPACITY_WORD] as number;
  if (!isCapacity(capacity)) throw new RangeError(`damaged ring: capacity=${capacity}`);
  if (buffer.byteLength !== capacity + OVERHEAD_BYTES) {
    throw new RangeError(
      `truncated or foreign ring: byteLength=${buffer.byteLength} expected=${capacity + OVERHEAD_BYTES} capacity=${capacity}`,
    );
  }
  const { head, tail } = positions(control);
  const used = (tail - head) | 0;
  if (used < 0 || used > capacity || (head | tail) & (RECORD_ALIGNMENT - 1)) {
    throw new RangeError(`damaged ring: head=${head} tail=${tail} capacity=${capacity}`);
  }
  return { capacity, control, head, tail };
}

/** The other side may be running: a tail counts only if the head did not move while it was read. */
function positions(control: Int32Array): { head: number; tail: number } {
  for (;;) {
    const head = Atomics.load(control, HEAD_WORD);
    const tail = Atomics.load(control, TAIL_WORD);
    if (Atomics.load(control, HEAD_WORD) === head) return { head, tail };
  }
}

function isCapacity(bytes: number): boolean {
  return (
    Number.isInteger(bytes) &&
    bytes >= CAPACITY_BYTES_MIN &&
    bytes <= CAPACITY_BYTES_MAX &&
    (bytes & (bytes - 1)) === 0
  );
}

function hex(word: number): string {
  return `0x${(word >>> 0).toString(16)}`;
}
