import { CORE_LIMITS } from "../limits.ts";
import { allocateShared, checkHeader, type SharedKind, writeHeader } from "../shared-header.ts";

/** Records start at multiples of this, and so do positions. */
const POSITION_STEP_BYTES = 8;

/** Where a kind of ring keeps its positions; the layout modules say so for each. */
export interface RingGeometry {
  readonly kind: SharedKind;
  /** Bytes that a ring needs beyond its capacity. */
  readonly overheadBytes: number;
  /** What the stored positions count. */
  readonly positionUnitBytes: number;
  /** Indexes into an Int32Array over the whole buffer. */
  readonly tailWord: number;
  readonly headWord: number;
}

/** What a ring's shared words say at the moment of attaching. */
export interface AttachedRing {
  /** Bytes of the data region. */
  readonly capacity: number;
  /** The whole buffer as words. */
  readonly control: Int32Array;
  /** Low 32 bits in the geometry's unit, of one moment in which they fit together. */
  readonly head: number;
  readonly tail: number;
}

/** Memory for a ring that starts empty at `startPosition` (bytes). @throws RangeError */
export function allocateRing(
  geometry: RingGeometry,
  capacityBytes: number,
  startPosition: number,
): SharedArrayBuffer {
  if (!isCapacity(capacityBytes)) {
    const { ringCapacityBytesMin: least, ringCapacityBytesMax: most } = CORE_LIMITS;
    throw new RangeError(
      `capacity must be a power of two from ${least} to ${most}: capacity=${capacityBytes}`,
    );
  }
  if (
    !Number.isSafeInteger(startPosition) ||
    startPosition < 0 ||
    startPosition % POSITION_STEP_BYTES !== 0
  ) {
    throw new RangeError(
      `startPosition must be a multiple of ${POSITION_STEP_BYTES}: startPosition=${startPosition}`,
    );
  }
  const buffer = allocateShared(capacityBytes + geometry.overheadBytes);
  writeHeader(buffer, geometry.kind, capacityBytes);
  const control = new Int32Array(buffer);
  const position = (startPosition / geometry.positionUnitBytes) | 0;
  control[geometry.tailWord] = position;
  control[geometry.headWord] = position;
  return buffer;
}

/** Checks that `buffer` holds a ring of this kind. @throws TypeError, RangeError with the values that do not fit. */
export function attachRing(geometry: RingGeometry, buffer: SharedArrayBuffer): AttachedRing {
  const capacity = checkHeader(buffer, geometry.kind, (bytes) =>
    isCapacity(bytes) ? bytes + geometry.overheadBytes : undefined,
  );
  const control = new Int32Array(buffer);
  const { head, tail } = positions(geometry, control);
  const unit = geometry.positionUnitBytes;
  const used = ((tail - head) | 0) * unit;
  if (used < 0 || used > capacity || (head * unit) % POSITION_STEP_BYTES || used % POSITION_STEP_BYTES) {
    throw new RangeError(`damaged ring: head=${head} tail=${tail} capacity=${capacity}`);
  }
  return { capacity, control, head, tail };
}

/** The other side may be running: a tail counts only if the head did not move while it was read. */
function positions(geometry: RingGeometry, control: Int32Array): { head: number; tail: number } {
  for (;;) {
    const head = Atomics.load(control, geometry.headWord);
    const tail = Atomics.load(control, geometry.tailWord);
    if (Atomics.load(control, geometry.headWord) === head) return { head, tail };
  }
}

function isCapacity(bytes: number): boolean {
  return (
    Number.isInteger(bytes) &&
    bytes >= CORE_LIMITS.ringCapacityBytesMin &&
    bytes <= CORE_LIMITS.ringCapacityBytesMax &&
    (bytes & (bytes - 1)) === 0
  );
}
