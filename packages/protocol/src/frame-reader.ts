import { readU16, readU32, readU64 } from "./big-endian.ts";
import type { ErrorName } from "./error-code.ts";
import { LIMITS } from "./limits.ts";
import { MillraceError } from "./millrace-error.ts";
import { isArray, isExt, isMap, isStr, MSGPACK } from "./msgpack-format.ts";
import { readName } from "./name-cache.ts";
import { skipValue } from "./skip-value.ts";
import { readTimestamp } from "./timestamp-extension.ts";
import { readUtf8 } from "./utf8.ts";

const EMPTY: Uint8Array = new Uint8Array(0);
/** Exponent of 2^32, for the upper word of a signed 64 bit integer. */
const TWO_32 = 0x1_0000_0000;

/**
 * Reads the MessagePack of one frame, in order, within [start, end). Every method throws MillraceError MALFORMED_FRAME
 * for what the grammar does not allow and never reads at or past the end. Binary values are views of the input.
 */
export class FrameReader {
  #bytes: Uint8Array = EMPTY;
  #position = 0;
  #end = 0;
  #remaining = 0;
  /** Values that `any` and `map` may still make of this frame. */
  #valuesLeft = Number.POSITIVE_INFINITY;

  /** Where the next value starts. */
  get position(): number {
    return this.#position;
  }

  get end(): number {
    return this.#end;
  }

  /** The bytes that are read, as given to `reset`. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** Elements of the frame that have not been taken, see `open` and `more`. */
  get remaining(): number {
    return this.#remaining;
  }

  reset(bytes: Uint8Array, start: number, end: number): void {
    this.#bytes = bytes;
    this.#position = start;
    this.#end = Math.min(end, bytes.length);
    this.#remaining = 0;
    this.#valuesLeft = Number.POSITIVE_INFINITY;
  }

  /** Resets, reads the frame's array header and type, and returns the type. Then the decoders of `frames/` apply. */
  open(bytes: Uint8Array, start: number, end: number): number {
    this.reset(bytes, start, end);
    this.#valuesLeft = LIMITS.frameValuesMax;
    this.#remaining = this.arrayHeader();
    return this.required("type").uint();
  }

  /** Takes the next element of the frame if there is one. For elements that have a default. */
  more(): boolean {
    if (this.#remaining === 0) return false;
    this.#remaining -= 1;
    return true;
  }

  /** Takes the next element of the frame, which has no default. */
  required(name: string): this {
    if (!this.more()) this.malformed(`element ${name} is missing`);
    return this;
  }

  /** Passes elements that a newer peer has added; the frame must end with its last element. */
  close(): void {
    while (this.more()) this.skip();
    if (this.#position !== this.#end) this.malformed(`${this.#end - this.#position} bytes follow the frame`);
  }

  /** Number of elements, at most `lengthMax`; never more than there are bytes left. */
  arrayHeader(lengthMax: number = Number.POSITIVE_INFINITY): number {
    const first = this.#take(1);
    let length = -1;
    if (first >= MSGPACK.FIX_ARRAY && first < MSGPACK.FIX_STR) length = first & 0x0f;
    else if (first === MSGPACK.ARRAY_16) length = this.#u16();
    else if (first === MSGPACK.ARRAY_32) length = this.#u32();
    else this.#expected("an array", first);
    if (length > lengthMax) this.malformed(`an array of ${length} elements is longer than ${lengthMax}`);
    if (length > this.#end - this.#position) this.malformed(`an array of ${length} elements does not fit`);
    return length;
  }

  /** Number of pairs; never more than half the bytes left. */
  mapHeader(): number {
    const first = this.#take(1);
    let length = -1;
    if (first >= MSGPACK.FIX_MAP && first < MSGPACK.FIX_ARRAY) length = first & 0x0f;
    else if (first === MSGPACK.MAP_16) length = this.#u16();
    else if (first === MSGPACK.MAP_32) length = this.#u32();
    else this.#expected("a map", first);
    if (length * 2 > this.#end - this.#position) this.malformed(`a map of ${length} pairs does not fit`);
    return length;
  }

  /** An integer of 0..2^53-1 in any encoding, a float without fraction included (some libraries write those). */
  uint(): number {
    const first = this.#take(1);
    if (first < MSGPACK.FIX_MAP) return first;
    const value = this.#numberAfter(first);
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
      this.malformed(`an integer of 0..2^53-1 is needed, found ${describe(first)}`);
    }
    return value;
  }

  /** A string of at most `bytesMax` bytes of UTF-8. */
  str(bytesMax: number = Number.POSITIVE_INFINITY): string {
    const length = this.#strLength(this.#take(1));
    if (length > bytesMax) this.malformed(`a string of ${length} bytes is longer than ${bytesMax}`);
    const start = this.#position;
    this.#advance(length);
    return readUtf8(this.#bytes, start, start + length);
  }

  /** A view of the input. */
  bin(): Uint8Array {
    const length = this.#binLength(this.#take(1));
    const start = this.#position;
    this.#advance(length);
    return this.#view(start, start + length);
  }

  /** A string, or binary as a view of the input. */
  text(): string | Uint8Array {
    return this.isStr() ? this.str() : this.bin();
  }

  bool(): boolean {
    const first = this.#take(1);
    if (first !== MSGPACK.TRUE && first !== MSGPACK.FALSE) this.#expected("a boolean", first);
    return first === MSGPACK.TRUE;
  }

  /** Whether the next value is nil; takes nothing. */
  isNil(): boolean {
    return this.#position < this.#end && this.#bytes[this.#position] === MSGPACK.NIL;
  }

  /** Whether the next value is a string; takes nothing. */
  isStr(): boolean {
    return this.#position < this.#end && isStr(this.#bytes[this.#position] as number);
  }

  /** Takes the next value if it is nil, and says whether it was. */
  nil(): boolean {
    if (!this.isNil()) return false;
    this.#position += 1;
    return true;
  }

  /** Passes one value, whatever it is. */
  skip(): void {
    const next = skipValue(this.#bytes, this.#position, this.#end);
    if (next < 0) this.malformed("a value does not end within the frame");
    this.#position = next;
  }

  /** One value, still encoded, as a view. */
  encoded(): Uint8Array {
    const start = this.#position;
    this.skip();
    return this.#view(start, this.#position);
  }

  /** Goes on at `position`, which another parser of the same bytes has reached. */
  seek(position: number): void {
    if (position < this.#position || position > this.#end) this.malformed("it ends within a value");
    this.#position = position;
  }

  /**
   * One value of plain data: nil is null, maps are objects (their keys strings or numbers), binary a view, a timestamp
   * a Date, an integer beyond 2^53-1 a bigint, any other extension an ExtensionValue. `depthLimit` bounds the nesting.
   */
  any(depthLimit: number = LIMITS.nestingMax): unknown {
    const first = this.#bytes[this.#position] as number;
    if (this.#position >= this.#end) this.#take(1);
    if (isArray(first)) return this.#array(depthLimit);
    if (isMap(first)) return this.map(depthLimit);
    if (isStr(first)) return this.str();
    if (first >= MSGPACK.BIN_8 && first <= MSGPACK.BIN_32) return this.bin();
    this.#position += 1;
    if (first === MSGPACK.NIL) return null;
    if (first === MSGPACK.TRUE || first === MSGPACK.FALSE) return first === MSGPACK.TRUE;
    if (first < MSGPACK.FIX_MAP) return first;
    if (isExt(first)) return this.#ext(first);
    const value = this.#numberAfter(first);
    if (value === undefined) this.malformed("byte 0xc1 starts no value");
    return value;
  }

  /** A map as an object; see `any`. */
  map(depthLimit: number = LIMITS.nestingMax): Record<string, unknown> {
    if (depthLimit <= 0) this.malformed("values are nested too deeply");
    const length = this.mapHeader();
    this.#spend(length);
    const object: Record<string, unknown> = {};
    for (let i = 0; i < length; i += 1) {
      const key = this.#key();
      const value = this.any(depthLimit - 1);
      // Plain assignment to this one name would replace the object's prototype.
      if (key === "__proto__") {
        Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
      } else {
        object[key] = value;
      }
    }
    return object;
  }

  /** An error of this frame other than MALFORMED_FRAME. */
  error(code: ErrorName, message: string): MillraceError {
    return new MillraceError(code, message, { details: { position: this.#position } });
  }

  /** Ends the reading with MALFORMED_FRAME. For decoders that find a value out of its range. */
  malformed(reason: string): never {
    throw new MillraceError("MALFORMED_FRAME", `malformed frame: ${reason}`, {
      details: { position: this.#position },
    });
  }

  #array(depthLimit: number): unknown[] {
    if (depthLimit <= 0) this.malformed("values are nested too deeply");
    const length = this.arrayHeader();
    this.#spend(length);
    const array: unknown[] = [];
    for (let i = 0; i < length; i += 1) array.push(this.any(depthLimit - 1));
    return array;
  }

  #spend(values: number): void {
    this.#valuesLeft -= values;
    if (this.#valuesLeft < 0) this.malformed(`its maps hold more than ${LIMITS.frameValuesMax} values`);
  }

  #key(): string {
    const first = this.#bytes[this.#position] as number;
    this.#take(1);
    if (isStr(first)) {
      const length = this.#strLength(first);
      const start = this.#position;
      this.#advance(length);
      return readName(this.#bytes, start, start + length);
    }
    const value = this.#numberAfter(first);
    if (value === undefined) this.malformed("a map's key is neither a string nor a number");
    return String(value);
  }

  /** The number whose first byte was taken; undefined when that byte starts no number. */
  #numberAfter(first: number): number | bigint | undefined {
    if (first < MSGPACK.FIX_MAP) return first;
    if (first >= MSGPACK.NEGATIVE_FIXINT) return first - 0x100;
    switch (first) {
      case MSGPACK.UINT_8:
        return this.#take(1);
      case MSGPACK.UINT_16:
        return this.#u16();
      case MSGPACK.UINT_32:
        return this.#u32();
      case MSGPACK.UINT_64: {
        const at = this.#position;
        this.#advance(8);
        const value = readU64(this.#bytes, at);
        return value >= 0
          ? value
          : (BigInt(readU32(this.#bytes, at)) << 32n) | BigInt(readU32(this.#bytes, at + 4));
      }
      case MSGPACK.INT_8:
        return (this.#take(1) << 24) >> 24;
      case MSGPACK.INT_16:
        return (this.#u16() << 16) >> 16;
      case MSGPACK.INT_32:
        return this.#u32() | 0;
      case MSGPACK.INT_64: {
        const at = this.#position;
        this.#advance(8);
        const high = readU32(this.#bytes, at) | 0;
        const value = high * TWO_32 + readU32(this.#bytes, at + 4);
        return Number.isSafeInteger(value)
          ? value
          : (BigInt(high) << 32n) | BigInt(readU32(this.#bytes, at + 4));
      }
      case MSGPACK.FLOAT_32:
      case MSGPACK.FLOAT_64:
        return this.#float(first === MSGPACK.FLOAT_32 ? 4 : 8);
      default:
        return undefined;
    }
  }

  #float(size: number): number {
    const at = this.#position;
    this.#advance(size);
    const view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset + at, size);
    return size === 4 ? view.getFloat32(0) : view.getFloat64(0);
  }

  #ext(first: number): Date | ExtensionValue {
    let length = 1 << (first - MSGPACK.FIX_EXT_1);
    if (first === MSGPACK.EXT_8) length = this.#take(1);
    else if (first === MSGPACK.EXT_16) length = this.#u16();
    else if (first === MSGPACK.EXT_32) length = this.#u32();
    const type = (this.#take(1) << 24) >> 24;
    const start = this.#position;
    this.#advance(length);
    const date = type === -1 ? readTimestamp(this.#bytes, start, length) : undefined;
    return date ?? { type, data: this.#view(start, start + length) };
  }

  #strLength(first: number): number {
    if (first >= MSGPACK.FIX_STR && first < MSGPACK.NIL) return first & 0x1f;
    if (first === MSGPACK.STR_8) return this.#take(1);
    if (first === MSGPACK.STR_16) return this.#u16();
    if (first === MSGPACK.STR_32) return this.#u32();
    return this.#expected("a string", first);
  }

  #binLength(first: number): number {
    if (first === MSGPACK.BIN_8) return this.#take(1);
    if (first === MSGPACK.BIN_16) return this.#u16();
    if (first === MSGPACK.BIN_32) return this.#u32();
    return this.#expected("binary", first);
  }

  /** The next byte; the frame must hold it. */
  #take(count: 1): number {
    const at = this.#position;
    this.#advance(count);
    return this.#bytes[at] as number;
  }

  #u16(): number {
    const at = this.#position;
    this.#advance(2);
    return readU16(this.#bytes, at);
  }

  #u32(): number {
    const at = this.#position;
    this.#advance(4);
    return readU32(this.#bytes, at);
  }

  #advance(count: number): void {
    if (count > this.#end - this.#position) this.malformed("it ends within a value");
    this.#position += count;
  }

  #view(start: number, end: number): Uint8Array {
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + start, end - start);
  }

  #expected(what: string, first: number): never {
    return this.malformed(`${what} is needed, found ${describe(first)}`);
  }
}

/** A MessagePack extension that this package gives no meaning to. */
export interface ExtensionValue {
  readonly type: number;
  readonly data: Uint8Array;
}

function describe(first: number): string {
  return `a value that starts with 0x${first.toString(16).padStart(2, "0")}`;
}
