import { BatchHead } from "./batch-head.ts";
import { CHECKSUM_TRAILER_BYTES } from "./batch-layout.ts";
import { FRAME_TYPE } from "./frame-type.ts";
import { MSGPACK } from "./msgpack-format.ts";
import { MALFORMED, PARSED } from "./parse-outcome.ts";
import { skipValue } from "./skip-value.ts";
import { arrayHeaderEnd, arrayLength, readUints } from "./uint-format.ts";

/** type, topicId, partition, producerId, producerEpoch, baseSequence, batch; the checksum may be missing. */
const REQUIRED_ELEMENTS = 7;
/** type, topicId, partition, producerId, producerEpoch, baseSequence */
const NUMBERS = 6;
const CHECKSUM_ELEMENT = 8;
const UINT_32_MAX = 0xffff_ffff;

/**
 * The head of a PUBLISH frame, that is all of it but the records. The gateway reads no more than this, so one object is
 * reused for every frame and parsing allocates nothing.
 */
export class PublishHead {
  topicId = 0;
  partition = 0;
  producerId = 0;
  producerEpoch = 0;
  baseSequence = 0;
  /** The batch is bytes[batchStart, batchEnd). */
  batchStart = 0;
  batchEnd = 0;
  /** Of the batch's head, not verified against the records. */
  count = 0;
  flags = 0;
  codec = 0;
  recordsStart = 0;
  recordsEnd = 0;
  hasChecksum = false;
  /** crc32 of the batch as the client states it, 0 when it states none. */
  checksum = 0;
  /** bytes[batchStart, frameEnd) is a stored payload as it stands: the batch, ce and the checksum, nothing else. */
  tailIsStoredPayload = false;
  frameEnd = 0;
  readonly #numbers: Float64Array = new Float64Array(NUMBERS);
  readonly #batch: BatchHead = new BatchHead();

  /** Parses the frame bytes[start, end), which must end exactly at `end`: PARSED, MALFORMED or UNSUPPORTED. */
  parse(bytes: Uint8Array, start: number, end: number): number {
    if (start < 0 || end > bytes.length) return MALFORMED;
    let at = arrayHeaderEnd(bytes, start, end);
    if (at < 0) return MALFORMED;
    const elements = arrayLength(bytes, start);
    if (elements < REQUIRED_ELEMENTS) return MALFORMED;
    const numbers = this.#numbers;
    at = readUints(bytes, at, end, numbers, NUMBERS);
    if (at < 0 || numbers[0] !== FRAME_TYPE.PUBLISH) return MALFORMED;
    const topicId = numbers[1] as number;
    const partition = numbers[2] as number;
    const producerEpoch = numbers[4] as number;
    if (topicId > UINT_32_MAX || partition > UINT_32_MAX || producerEpoch > UINT_32_MAX) return MALFORMED;

    const batch = this.#batch;
    const outcome = batch.parse(bytes, at, end);
    if (outcome === MALFORMED) return MALFORMED;
    this.topicId = topicId;
    this.partition = partition;
    this.producerId = numbers[3] as number;
    this.producerEpoch = producerEpoch;
    this.baseSequence = numbers[5] as number;
    this.batchStart = at;
    this.batchEnd = batch.end;
    this.count = batch.count;
    this.flags = batch.flags;
    this.codec = batch.codec;
    this.recordsStart = batch.recordsStart;
    this.recordsEnd = batch.recordsEnd;
    this.frameEnd = end;
    return this.#parseTail(bytes, end, elements) === PARSED ? outcome : MALFORMED;
  }

  #parseTail(bytes: Uint8Array, end: number, elements: number): number {
    let at = this.batchEnd;
    this.hasChecksum = false;
    this.checksum = 0;
    this.tailIsStoredPayload = false;
    if (elements === REQUIRED_ELEMENTS) return at === end ? PARSED : MALFORMED;
    if (at < end && bytes[at] === MSGPACK.NIL) {
      at += 1;
    } else {
      const numbers = this.#numbers;
      const next = readUints(bytes, at, end, numbers, 1);
      if (next < 0 || (numbers[0] as number) > UINT_32_MAX) return MALFORMED;
      this.hasChecksum = true;
      this.checksum = numbers[0] as number;
      this.tailIsStoredPayload = bytes[at] === MSGPACK.UINT_32 && end - at === CHECKSUM_TRAILER_BYTES;
      at = next;
    }
    for (let extra = elements - CHECKSUM_ELEMENT; extra > 0; extra -= 1) {
      at = skipValue(bytes, at, end);
      if (at < 0) return MALFORMED;
    }
    return at === end ? PARSED : MALFORMED;
  }
}
