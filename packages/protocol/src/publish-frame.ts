import { writeU16, writeU32, writeU64 } from "./big-endian.ts";
import { FRAME_TYPE } from "./frame-type.ts";
import { MSGPACK, uintSize } from "./msgpack-format.ts";

/** Room that a BatchBuilder leaves in front of its batch: more than the largest head of a PUBLISH frame. */
export const PUBLISH_HEAD_ROOM_BYTES = 64;

/** Array header and type. */
const FIXED_BYTES = 2;
const PUBLISH_ELEMENTS = 8;

/**
 * Writes the head of a PUBLISH frame so that it ends at `batchStart`, in front of a batch that stands there already,
 * and returns the frame's start. So the frame is built without copying the batch; and a head can be replaced before the
 * frame is sent again.
 */
export function writePublishHead(
  bytes: Uint8Array,
  batchStart: number,
  topicId: number,
  partition: number,
  producerId: number,
  producerEpoch: number,
  baseSequence: number,
): number {
  const length =
    FIXED_BYTES +
    uintSize(topicId) +
    uintSize(partition) +
    uintSize(producerId) +
    uintSize(producerEpoch) +
    uintSize(baseSequence);
  const start = batchStart - length;
  if (start < 0) throw new RangeError(`no room for the head: batchStart=${batchStart} headBytes=${length}`);
  bytes[start] = MSGPACK.FIX_ARRAY | PUBLISH_ELEMENTS;
  bytes[start + 1] = FRAME_TYPE.PUBLISH;
  let at = writeUint(bytes, start + FIXED_BYTES, topicId);
  at = writeUint(bytes, at, partition);
  at = writeUint(bytes, at, producerId);
  at = writeUint(bytes, at, producerEpoch);
  writeUint(bytes, at, baseSequence);
  return start;
}

/** Writes the shortest encoding at `at` and returns the position after it. */
function writeUint(bytes: Uint8Array, at: number, value: number): number {
  const size = uintSize(value);
  if (size === 1) {
    bytes[at] = value;
  } else if (size === 2) {
    bytes[at] = MSGPACK.UINT_8;
    bytes[at + 1] = value;
  } else if (size === 3) {
    bytes[at] = MSGPACK.UINT_16;
    writeU16(bytes, at + 1, value);
  } else if (size === 5) {
    bytes[at] = MSGPACK.UINT_32;
    writeU32(bytes, at + 1, value);
  } else {
    bytes[at] = MSGPACK.UINT_64;
    writeU64(bytes, at + 1, value);
  }
  return at + size;
}
