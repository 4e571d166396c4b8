import { BATCH_HEAD_BYTES, batchHeadBytes, CHECKSUM_TRAILER_BYTES, writeBatchHead } from "./batch-layout.ts";
import { writeU16, writeU32 } from "./big-endian.ts";
import { crc32 } from "./crc32.ts";
import { FrameWriter } from "./frame-writer.ts";
import { LIMITS } from "./limits.ts";
import { MillraceError } from "./millrace-error.ts";
import { MSGPACK } from "./msgpack-format.ts";
import { PUBLISH_HEAD_ROOM_BYTES, writePublishHead } from "./publish-frame.ts";
import { type OutgoingRecord, RECORD_ATTRIBUTE, RECORD_ELEMENTS, RESERVED_HEADER_PREFIX } from "./record.ts";
import { RECORD_FLAG } from "./record-flags.ts";
import { SHORT_STRING_CHARS, utf8ByteLength, writeAscii, writeUtf8 } from "./utf8.ts";

/** The flag GROUP_KEY does not fit a fixint and takes a byte more in front, see #complete. */
const FLAGS_SPARE_BYTES = 1;
const BATCH_AT: number = PUBLISH_HEAD_ROOM_BYTES;
const RECORDS_AT: number = BATCH_AT + BATCH_HEAD_BYTES;
const INITIAL_BYTES = 2048;
const NOT_COMPLETED = -1;
/** Records with more than a value are put together here, one at a time. */
const scratch: FrameWriter = new FrameWriter();
/** Taken once: to look it up along the prototypes costs as much as a tenth of copying 100 bytes. */
const { set } = Uint8Array.prototype;
/** Array header, nil for attributes, key and headers. */
const BARE_ENVELOPE_BYTES = 4;
const BARE_ENVELOPE = MSGPACK.FIX_ARRAY | RECORD_ELEMENTS;

/**
 * Builds one batch after another in one buffer of its own: each append writes the record's envelope and value straight
 * to its place. `finish` and `finishPublish` give views of that buffer, valid until `reset` or the next append; to keep
 * a batch (for a retry), keep its builder and build the next batch with another one.
 */
export class BatchBuilder {
  readonly #maxBytes: number;
  #bytes: Uint8Array;
  /** End of the records written so far. */
  #position = RECORDS_AT;
  #count = 0;
  /** How many records there were when head and checksum were written. */
  #completed = NOT_COMPLETED;
  #flags = 0;

  /**
   * `maxBytes` bounds the stored payload: batch head, records and checksum trailer. The buffer begins with
   * `initialBytes` and grows as it must.
   */
  constructor(maxBytes: number, initialBytes: number = INITIAL_BYTES) {
    if (!(maxBytes > 0 && maxBytes <= LIMITS.batchBytesMax)) {
      throw new RangeError(`maxBytes must be 1..${LIMITS.batchBytesMax}: maxBytes=${maxBytes}`);
    }
    this.#maxBytes = maxBytes - FLAGS_SPARE_BYTES;
    this.#bytes = new Uint8Array(initialBytes);
  }

  /** Bytes that the buffer takes. */
  get capacity(): number {
    return this.#bytes.length;
  }

  /** What it takes at most, as long as no record is larger than a whole batch may be. */
  get capacityMax(): number {
    return Math.max(INITIAL_BYTES, BATCH_AT + this.#maxBytes);
  }

  /** Records in the batch. */
  get count(): number {
    return this.#count;
  }

  /** Bytes of the stored payload if the batch were finished now. */
  get byteLength(): number {
    return this.#position - RECORDS_AT + batchHeadBytes(this.#flags) + CHECKSUM_TRAILER_BYTES;
  }

  /** RECORD_FLAG bits of the records so far. */
  get flags(): number {
    return this.#flags;
  }

  /** Drops the records; the buffer is kept. */
  reset(): void {
    this.#position = RECORDS_AT;
    this.#count = 0;
    this.#completed = NOT_COMPLETED;
    this.#flags = 0;
  }

  /**
   * Appends a record without key and headers. False when it does not fit any more: finish the batch first. The first
   * record of a batch always fits, so that one above `maxBytes` travels alone.
   * @throws MillraceError RECORD_TOO_LARGE
   */
  appendValue(value: Uint8Array | string): boolean {
    return typeof value === "string" ? this.#appendString(value) : this.#appendBytes(value);
  }

  /**
   * Appends a record; see `appendValue`.
   * @throws MillraceError RECORD_TOO_LARGE for a record, key or header map above its limit
   * @throws TypeError for a header that is no string or bytes, or has a reserved name
   * @throws RangeError for a value that is nested too deeply, or a timestamp that is no integer of 0..2^53-1
   */
  append(record: OutgoingRecord): boolean {
    const { key, headers, value, timestamp, groupKey } = record;
    if (
      (key === undefined || key === null) &&
      (headers === undefined || headers === null) &&
      timestamp === undefined &&
      groupKey === undefined
    ) {
      if (typeof value === "string") return this.#appendString(value);
      if (value instanceof Uint8Array) return this.#appendBytes(value);
    }
    return this.#appendFull(record);
  }

  /**
   * Writes head and checksum around the records, as `finish` and `finishPublish` would: for a batch that is sent later,
   * whose bytes are near now.
   */
  complete(): void {
    this.#complete();
  }

  /** Completes the batch: its stored payload, that is the batch and its checksum trailer. May be called again. */
  finish(): Uint8Array {
    const start = this.#complete();
    return this.#bytes.subarray(start, this.#position + CHECKSUM_TRAILER_BYTES);
  }

  /** Completes the batch as a whole PUBLISH frame, in the same buffer. May be called again, with another head. */
  finishPublish(
    topicId: number,
    partition: number,
    producerId: number,
    producerEpoch: number,
    baseSequence: number,
  ): Uint8Array {
    const batchStart = this.#complete();
    const bytes = this.#bytes;
    const start = writePublishHead(
      bytes,
      batchStart,
      topicId,
      partition,
      producerId,
      producerEpoch,
      baseSequence,
    );
    return bytes.subarray(start, this.#position + CHECKSUM_TRAILER_BYTES);
  }

  #appendBytes(value: Uint8Array): boolean {
    const length = value.length;
    const content = BARE_ENVELOPE_BYTES + binHeaderBytes(length) + length;
    let at = this.#claim(content);
    if (at < 0) return false;
    const bytes = this.#bytes;
    at = writeBinHeader(bytes, writeBareEnvelope(bytes, writeBinHeader(bytes, at, content)), length);
    set.call(bytes, value, at);
    return this.#added(at + length);
  }

  #appendString(value: string): boolean {
    const chars = value.length;
    if (chars <= SHORT_STRING_CHARS) {
      const at = this.#claim(BARE_ENVELOPE_BYTES + 1 + chars);
      if (at < 0) return false;
      const textAt = this.#writeStringEnvelope(at, chars);
      if (writeAscii(this.#bytes, textAt, value)) return this.#added(textAt + chars);
    }
    const length = utf8ByteLength(value);
    const at = this.#claim(BARE_ENVELOPE_BYTES + strHeaderBytes(length) + length);
    if (at < 0) return false;
    const textAt = this.#writeStringEnvelope(at, length);
    writeUtf8(this.#bytes, textAt, value, length);
    return this.#added(textAt + length);
  }

  /** Everything in front of a string of `length` bytes; returns where the string goes. */
  #writeStringEnvelope(at: number, length: number): number {
    const bytes = this.#bytes;
    const content = BARE_ENVELOPE_BYTES + strHeaderBytes(length) + length;
    const envelope = writeBinHeader(bytes, at, content);
    return writeStrHeader(bytes, writeBareEnvelope(bytes, envelope), length);
  }

  #added(position: number): true {
    this.#position = position;
    this.#count += 1;
    return true;
  }

  #appendFull(record: OutgoingRecord): boolean {
    scratch.reset();
    let flags = writeAttributes(scratch, record);
    const key = record.key ?? undefined;
    const headers = record.headers ?? undefined;
    if (key === undefined) scratch.nil();
    else {
      flags |= RECORD_FLAG.KEY;
      checkKey(key);
      if (typeof key === "string") scratch.str(key);
      else scratch.bin(key);
    }
    if (headers === undefined) scratch.nil();
    else {
      flags |= RECORD_FLAG.HEADERS;
      const before = scratch.byteLength;
      writeHeaders(scratch, headers);
      const length = scratch.byteLength - before;
      if (length > LIMITS.headersBytesMax) refuse("headers", length, LIMITS.headersBytesMax);
    }
    scratch.any(record.value, LIMITS.valueNestingMax);

    const encoded = scratch.bytes();
    const content = 1 + encoded.length;
    let at = this.#claim(content);
    if (at < 0) return false;
    const bytes = this.#bytes;
    at = writeBinHeader(bytes, at, content);
    bytes[at] = BARE_ENVELOPE;
    bytes.set(encoded, at + 1);
    this.#flags |= flags;
    return this.#added(at + content);
  }

  /** Makes room for a record of `content` bytes in its bin and returns its place, or -1 when the batch is full. */
  #claim(content: number): number {
    const at = this.#position;
    if (content > LIMITS.recordBytesMax) refuse("record", content, LIMITS.recordBytesMax);
    const end = at + binHeaderBytes(content) + content + CHECKSUM_TRAILER_BYTES;
    if (end - BATCH_AT > this.#maxBytes && this.#count > 0) return -1;
    if (end > this.#bytes.length) this.#grow(end);
    return at;
  }

  #grow(needed: number): void {
    const doubled = Math.min(this.#bytes.length * 2, this.capacityMax);
    const larger = new Uint8Array(Math.max(needed, doubled));
    larger.set(this.#bytes.subarray(0, this.#position));
    this.#bytes = larger;
  }

  /** Writes head and trailer around the records and returns where the batch starts. */
  #complete(): number {
    const bytes = this.#bytes;
    const end = this.#position;
    // Flags above a fixint take a byte more: then the batch starts one byte earlier, in the head room.
    const start = RECORDS_AT - batchHeadBytes(this.#flags);
    if (this.#completed === this.#count) return start;
    this.#completed = this.#count;
    writeBatchHead(bytes, start, this.#flags, this.#count, end - RECORDS_AT);
    bytes[end] = MSGPACK.UINT_32;
    writeU32(bytes, end + 1, crc32(bytes, start, end));
    return start;
  }
}

/** Writes the attribute map, or nil, and returns the flags that it raises. */
function writeAttributes(writer: FrameWriter, record: OutgoingRecord): number {
  const { timestamp, groupKey } = record;
  const pairs = (timestamp === undefined ? 0 : 1) + (groupKey === undefined ? 0 : 1);
  if (pairs === 0) {
    writer.nil();
    return 0;
  }
  let flags = 0;
  writer.mapHeader(pairs);
  if (timestamp !== undefined) {
    writer.str(RECORD_ATTRIBUTE.timestamp);
    writer.uint(timestamp);
    flags |= RECORD_FLAG.TIMESTAMP;
  }
  if (groupKey !== undefined) {
    writer.str(RECORD_ATTRIBUTE.groupKey);
    writer.str(groupKey);
    flags |= RECORD_FLAG.GROUP_KEY;
  }
  return flags;
}

function writeHeaders(writer: FrameWriter, headers: NonNullable<OutgoingRecord["headers"]>): void {
  const names = Object.keys(headers);
  writer.mapHeader(names.length);
  for (const name of names) {
    const value = headers[name];
    if (name.startsWith(RESERVED_HEADER_PREFIX)) {
      throw new TypeError(
        `headers that start with ${RESERVED_HEADER_PREFIX} are the broker's own: header=${name}`,
      );
    }
    writer.str(name);
    if (typeof value === "string") writer.str(value);
    else if (value instanceof Uint8Array) writer.bin(value);
    else throw new TypeError(`a header's value is a string or bytes: header=${name}`);
  }
}

function checkKey(key: string | Uint8Array): void {
  const limit = LIMITS.keyBytesMax;
  // No UTF-16 unit takes more than three bytes of UTF-8, so that a usual key need not be measured.
  if (key.length <= limit / 3) return;
  const length = typeof key === "string" ? utf8ByteLength(key) : key.length;
  if (length > limit) refuse("key", length, limit);
}

function refuse(part: string, bytes: number, limit: number): never {
  throw new MillraceError("RECORD_TOO_LARGE", `the ${part} is too large: bytes=${bytes} limit=${limit}`, {
    details: { part, bytes, limit },
  });
}

/** A record's array header, no attributes, no key, no headers; returns the position after them. */
function writeBareEnvelope(bytes: Uint8Array, at: number): number {
  bytes[at] = BARE_ENVELOPE;
  bytes[at + 1] = MSGPACK.NIL;
  bytes[at + 2] = MSGPACK.NIL;
  bytes[at + 3] = MSGPACK.NIL;
  return at + BARE_ENVELOPE_BYTES;
}

function binHeaderBytes(length: number): number {
  if (length < 0x100) return 2;
  return length < 0x1_0000 ? 3 : 5;
}

function strHeaderBytes(length: number): number {
  return length < 32 ? 1 : binHeaderBytes(length);
}

/** Writes the header and returns the position after it. */
function writeBinHeader(bytes: Uint8Array, at: number, length: number): number {
  if (length < 0x100) {
    bytes[at] = MSGPACK.BIN_8;
    bytes[at + 1] = length;
    return at + 2;
  }
  if (length < 0x1_0000) {
    bytes[at] = MSGPACK.BIN_16;
    writeU16(bytes, at + 1, length);
    return at + 3;
  }
  bytes[at] = MSGPACK.BIN_32;
  writeU32(bytes, at + 1, length);
  return at + 5;
}

/** Writes the header and returns the position after it. */
function writeStrHeader(bytes: Uint8Array, at: number, length: number): number {
  if (length < 32) {
    bytes[at] = MSGPACK.FIX_STR | length;
    return at + 1;
  }
  if (length < 0x100) {
    bytes[at] = MSGPACK.STR_8;
    bytes[at + 1] = length;
    return at + 2;
  }
  if (length < 0x1_0000) {
    bytes[at] = MSGPACK.STR_16;
    writeU16(bytes, at + 1, length);
    return at + 3;
  }
  bytes[at] = MSGPACK.STR_32;
  writeU32(bytes, at + 1, length);
  return at + 5;
}
