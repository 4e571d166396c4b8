import { BatchHead } from "./batch-head.ts";
import { CHECKSUM_TRAILER_BYTES } from "./batch-layout.ts";
import { FRAME_TYPE } from "./frame-type.ts";
import { MSGPACK } from "./msgpack-format.ts";
import { MALFORMED, PARSED } from "./parse-outcome.ts";
import { skipValue } from "./skip-value.ts";
import { arrayHeaderEnd, arrayLength, readUint, uintWidth } from "./uint-format.ts";

/** type, topicId, partition, producerId, producerEpoch, baseSequence, batch; the checksum may be missing. */
const REQUIRED_ELEMENTS = 7;
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
  readonly #batch: BatchHead = new BatchHead();

  /** Parses the frame bytes[start, end), which must end exactly at `end`: PARSED, MALFORMED or UNSUPPORTED. */
  parse(bytes: Uint8Array, start: number, end: number): number {
    let at = arrayHeaderEnd(bytes, start, end);
    if (at < 0) return MALFORMED;
    const elements = arrayLength(bytes, start);
    if (elements < REQUIRED_ELEMENTS || readUint(bytes, at, end) !== FRAME_TYPE.PUBLISH) return MALFORMED;
    at += uintWidth(bytes, at);

    const topicId = readUint(bytes, at, end);
    if (topicId < 0 || topicId > UINT_32_MAX) return MALFORMED;
    at += uintWidth(bytes, at);
    const partition = readUint(bytes, at, end);
    if (partition < 0 || partition > UINT_32_MAX) return MALFORMED;
    at += uintWidth(bytes, at);
    const producerId = readUint(bytes, at, end);
    if (producerId < 0) return MALFORMED;
    at += uintWidth(bytes, at);
    const producerEpoch = readUint(bytes, at, end);
    if (producerEpoch < 0 || producerEpoch > UINT_32_MAX) return MALFORMED;
    at += uintWidth(bytes, at);
    const baseSequence = readUint(bytes, at, end);
    if (baseSequence < 0) return MALFORMED;
    at += uintWidth(bytes, at);

    const batch = this.#batch;
    const outcome = batch.parse(bytes, at, end);
    if (outcome === MALFORMED) return MALFORMED;
    this.topicId = topicId;
    this.partition = partition;
    this.producerId = producerId;
    this.producerEpoch = producerEpoch;
    this.baseSequence = baseSequence;
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
      const checksum = readUint(bytes, at, end);
      if (checksum < 0 || checksum > UINT_32_MAX) return MALFORMED;
      this.hasChecksum = true;
      this.checksum = checksum;
      this.tailIsStoredPayload = bytes[at] === MSGPACK.UINT_32 && end - at === CHECKSUM_TRAILER_BYTES;
      at += uintWidth(bytes, at);
    }
    for (let extra = elements - CHECKSUM_ELEMENT; extra > 0; extra -= 1) {
      at = skipValue(bytes, at, end);
      if (at < 0) return MALFORMED;
    }
    return at === end ? PARSED : MALFORMED;
  }
}
