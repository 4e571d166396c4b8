import { writeU16, writeU32, writeU64 } from "./big-endian.ts";
import { LIMITS } from "./limits.ts";
import { MSGPACK } from "./msgpack-format.ts";
import { SHORT_STRING_CHARS, utf8ByteLength, writeAscii, writeUtf8 } from "./utf8.ts";
import { packValue } from "./value-codec.ts";

const INITIAL_BYTES = 1024;

/**
 * Writes MessagePack, shortest encodings, into one growing buffer that is reused for every frame. Values are written
 * in the order of the calls; nothing checks that an array header is followed by so many values. One thread.
 */
export class FrameWriter {
  #bytes: Uint8Array;
  #position = 0;

  constructor(initialBytes: number = INITIAL_BYTES) {
    this.#bytes = new Uint8Array(initialBytes);
  }

  /** Bytes written since the last reset. */
  get byteLength(): number {
    return this.#position;
  }

  /** Starts anew; views from `bytes()` are overwritten from now on. */
  reset(): void {
    this.#position = 0;
  }

  /** What was written, as a view that is valid until the next reset. */
  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#position);
  }

  /** What was written, as a copy. */
  take(): Uint8Array {
    return this.#bytes.slice(0, this.#position);
  }

  arrayHeader(length: number): void {
    const at = this.#reserve(5);
    if (length < 16) {
      this.#bytes[at] = MSGPACK.FIX_ARRAY | length;
      this.#position = at + 1;
    } else if (length < 0x1_0000) {
      this.#bytes[at] = MSGPACK.ARRAY_16;
      writeU16(this.#bytes, at + 1, length);
      this.#position = at + 3;
    } else {
      this.#bytes[at] = MSGPACK.ARRAY_32;
      writeU32(this.#bytes, at + 1, length);
      this.#position = at + 5;
    }
  }

  mapHeader(length: number): void {
    const at = this.#reserve(5);
    if (length < 16) {
      this.#bytes[at] = MSGPACK.FIX_MAP | length;
      this.#position = at + 1;
    } else if (length < 0x1_0000) {
      this.#bytes[at] = MSGPACK.MAP_16;
      writeU16(this.#bytes, at + 1, length);
      this.#position = at + 3;
    } else {
      this.#bytes[at] = MSGPACK.MAP_32;
      writeU32(this.#bytes, at + 1, length);
      this.#position = at + 5;
    }
  }

  /** @throws RangeError for anything but an integer of 0..2^53-1 */
  uint(value: number): void {
    const at = this.#reserve(9);
    const bytes = this.#bytes;
    if (value >= 0 && value < 0x80 && Number.isInteger(value)) {
      bytes[at] = value;
      this.#position = at + 1;
      return;
    }
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new RangeError(`an unsigned integer up to 2^53-1 is needed: value=${value}`);
    }
    if (value < 0x100) {
      bytes[at] = MSGPACK.UINT_8;
      bytes[at + 1] = value;
      this.#position = at + 2;
    } else if (value < 0x1_0000) {
      bytes[at] = MSGPACK.UINT_16;
      writeU16(bytes, at + 1, value);
      this.#position = at + 3;
    } else if (value < 0x1_0000_0000) {
      bytes[at] = MSGPACK.UINT_32;
      writeU32(bytes, at + 1, value);
      this.#position = at + 5;
    } else {
      bytes[at] = MSGPACK.UINT_64;
      writeU64(bytes, at + 1, value);
      this.#position = at + 9;
    }
  }

  /** An unsigned 32 bit integer at its full width, as a checksum is written. */
  u32(value: number): void {
    const at = this.#reserve(5);
    this.#bytes[at] = MSGPACK.UINT_32;
    writeU32(this.#bytes, at + 1, value);
    this.#position = at + 5;
  }

  str(text: string): void {
    if (text.length <= SHORT_STRING_CHARS) {
      const at = this.#reserve(1 + text.length);
      if (writeAscii(this.#bytes, at + 1, text)) {
        this.#bytes[at] = MSGPACK.FIX_STR | text.length;
        this.#position = at + 1 + text.length;
        return;
      }
    }
    const length = utf8ByteLength(text);
    let at = this.#reserve(5 + length);
    const bytes = this.#bytes;
    if (length < 32) {
      bytes[at] = MSGPACK.FIX_STR | length;
      at += 1;
    } else if (length < 0x100) {
      bytes[at] = MSGPACK.STR_8;
      bytes[at + 1] = length;
      at += 2;
    } else if (length < 0x1_0000) {
      bytes[at] = MSGPACK.STR_16;
      writeU16(bytes, at + 1, length);
      at += 3;
    } else {
      bytes[at] = MSGPACK.STR_32;
      writeU32(bytes, at + 1, length);
      at += 5;
    }
    writeUtf8(bytes, at, text, length);
    this.#position = at + length;
  }

  bin(content: Uint8Array): void {
    const length = content.length;
    let at = this.#reserve(5 + length);
    const bytes = this.#bytes;
    if (length < 0x100) {
      bytes[at] = MSGPACK.BIN_8;
      bytes[at + 1] = length;
      at += 2;
    } else if (length < 0x1_0000) {
      bytes[at] = MSGPACK.BIN_16;
      writeU16(bytes, at + 1, length);
      at += 3;
    } else {
      bytes[at] = MSGPACK.BIN_32;
      writeU32(bytes, at + 1, length);
      at += 5;
    }
    bytes.set(content, at);
    this.#position = at + length;
  }

  nil(): void {
    const at = this.#reserve(1);
    this.#bytes[at] = MSGPACK.NIL;
    this.#position = at + 1;
  }

  bool(value: boolean): void {
    const at = this.#reserve(1);
    this.#bytes[at] = value ? MSGPACK.TRUE : MSGPACK.FALSE;
    this.#position = at + 1;
  }

  f64(value: number): void {
    const at = this.#reserve(9);
    this.#bytes[at] = MSGPACK.FLOAT_64;
    new DataView(this.#bytes.buffer, this.#bytes.byteOffset).setFloat64(at + 1, value);
    this.#position = at + 9;
  }

  /** Bytes that are MessagePack already, such as a batch. */
  raw(encoded: Uint8Array): void {
    const at = this.#reserve(encoded.length);
    this.#bytes.set(encoded, at);
    this.#position = at + encoded.length;
  }

  /**
   * Any value. Plain data (null, booleans, numbers, strings, bytes, arrays, maps, plain objects) is written here, so
   * that an integer above 2^32 stays an integer for readers in other languages; everything else, such as a Date or a
   * bigint, goes through msgpackr. `undefined` becomes nil; an object's undefined properties are left out.
   * @throws RangeError for what is nested more deeply than `depthLimit`, such as an object that contains itself
   */
  any(value: unknown, depthLimit: number = LIMITS.nestingMax): void {
    if (value === null || value === undefined) this.nil();
    else if (typeof value === "string") this.str(value);
    else if (typeof value === "number") this.#number(value);
    else if (typeof value === "boolean") this.bool(value);
    else if (value instanceof Uint8Array) this.bin(value);
    else if (Array.isArray(value)) this.#array(value, depthLimit);
    else if (value instanceof Map) this.#map(value, depthLimit);
    else if (isPlainObject(value)) this.#object(value, depthLimit);
    else this.raw(packValue(value));
  }

  #array(value: readonly unknown[], depthLimit: number): void {
    if (depthLimit <= 0) refuseDepth();
    this.arrayHeader(value.length);
    for (const element of value) this.any(element, depthLimit - 1);
  }

  #map(value: ReadonlyMap<unknown, unknown>, depthLimit: number): void {
    if (depthLimit <= 0) refuseDepth();
    this.mapHeader(value.size);
    for (const [key, element] of value) {
      this.any(key, depthLimit - 1);
      this.any(element, depthLimit - 1);
    }
  }

  #object(value: Record<string, unknown>, depthLimit: number): void {
    if (depthLimit <= 0) refuseDepth();
    const keys = Object.keys(value);
    let length = keys.length;
    for (const key of keys) {
      if (value[key] === undefined) length -= 1;
    }
    this.mapHeader(length);
    for (const key of keys) {
      const element = value[key];
      if (element === undefined) continue;
      this.str(key);
      this.any(element, depthLimit - 1);
    }
  }

  #number(value: number): void {
    if (!Number.isSafeInteger(value) || Object.is(value, -0)) {
      this.f64(value);
    } else if (value >= 0) {
      this.uint(value);
    } else {
      this.#negative(value);
    }
  }

  #negative(value: number): void {
    const at = this.#reserve(9);
    const bytes = this.#bytes;
    if (value >= -32) {
      bytes[at] = value;
      this.#position = at + 1;
    } else if (value >= -0x80) {
      bytes[at] = MSGPACK.INT_8;
      bytes[at + 1] = value;
      this.#position = at + 2;
    } else if (value >= -0x8000) {
      bytes[at] = MSGPACK.INT_16;
      writeU16(bytes, at + 1, value);
      this.#position = at + 3;
    } else if (value >= -0x8000_0000) {
      bytes[at] = MSGPACK.INT_32;
      writeU32(bytes, at + 1, value);
      this.#position = at + 5;
    } else {
      bytes[at] = MSGPACK.INT_64;
      writeU64(bytes, at + 1, value);
      this.#position = at + 9;
    }
  }

  #reserve(more: number): number {
    const needed = this.#position + more;
    if (needed > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
      larger.set(this.#bytes.subarray(0, this.#position));
      this.#bytes = larger;
    }
    return this.#position;
  }
}

function refuseDepth(): never {
  throw new RangeError("the value is nested too deeply, or contains itself");
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
