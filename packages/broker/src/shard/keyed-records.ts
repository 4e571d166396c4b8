/** Bytes of a record's head: its length, the key's length, and a number of the writer's. */
const HEAD_BYTES = 16;
const BYTES_MIN = 4096;

/**
 * Records of which the newest of each key counts, as they are written into a checkpoint: one stretch of memory, in which that
 * one stands behind the older ones, so that a checkpoint of 10,000 subscriptions is one copy.
 *
 *     byte 0 | length u32 | key bytes u32 | number f64 | 16 key, UTF-8 | value |        little-endian; no value: deleted
 */
export class KeyedRecords {
  #bytes: Uint8Array = new Uint8Array(BYTES_MIN);
  #view: DataView = new DataView(this.#bytes.buffer);
  #end = 0;
  /** By key: where its newest record begins. */
  readonly #newest: Map<string, number> = new Map();
  /** Of records that count no more. */
  #deadBytes = 0;

  get size(): number {
    return this.#newest.size;
  }

  set(key: string, value: Uint8Array, number: number): void {
    this.#dropped(key);
    this.#newest.set(key, this.#end);
    this.#append(key, value, number);
    this.#compact();
  }

  delete(key: string): void {
    if (!this.#dropped(key)) return;
    this.#newest.delete(key);
    const start = this.#end;
    this.#append(key, new Uint8Array(0), 0);
    this.#deadBytes += this.#end - start;
    this.#compact();
  }

  /** In use until the next change. */
  encode(): Uint8Array {
    return this.#bytes.subarray(0, this.#end);
  }

  #dropped(key: string): boolean {
    const at = this.#newest.get(key);
    if (at === undefined) return false;
    this.#deadBytes += this.#view.getUint32(at, true);
    return true;
  }

  #append(key: string, value: Uint8Array, number: number): void {
    const keyBytes = Buffer.from(key);
    const length = HEAD_BYTES + keyBytes.length + value.length;
    this.#reserve(length);
    const at = this.#end;
    this.#view.setUint32(at, length, true);
    this.#view.setUint32(at + 4, keyBytes.length, true);
    this.#view.setFloat64(at + 8, number, true);
    this.#bytes.set(keyBytes, at + HEAD_BYTES);
    this.#bytes.set(value, at + HEAD_BYTES + keyBytes.length);
    this.#end += length;
  }

  #reserve(length: number): void {
    if (this.#end + length <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#end + length));
    grown.set(this.#bytes.subarray(0, this.#end));
    this.#take(grown, this.#end);
  }

  #take(bytes: Uint8Array, end: number): void {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
    this.#end = end;
  }

  /** Once most of it does not count any more. */
  #compact(): void {
    if (this.#deadBytes < BYTES_MIN || this.#deadBytes * 2 < this.#end) return;
    const kept = new Uint8Array(Math.max(BYTES_MIN, (this.#end - this.#deadBytes) * 2));
    let end = 0;
    for (const [key, at] of [...this.#newest].sort(([, left], [, right]) => left - right)) {
      const length = this.#view.getUint32(at, true);
      kept.set(this.#bytes.subarray(at, at + length), end);
      this.#newest.set(key, end);
      end += length;
    }
    this.#take(kept, end);
    this.#deadBytes = 0;
  }
}

/** What encode() has written, in the order in which it is to be applied. `value` empty = deleted. */
export function* keyedRecords(
  bytes: Uint8Array,
): Generator<{ readonly key: string; readonly value: Uint8Array; readonly number: number }> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < bytes.length; ) {
    const length = view.getUint32(at, true);
    const valueAt = at + HEAD_BYTES + view.getUint32(at + 4, true);
    if (length < HEAD_BYTES || valueAt > at + length || at + length > bytes.length) {
      throw new RangeError(`no record with a key: byte=${at} length=${length}`);
    }
    yield {
      key: Buffer.from(
        bytes.buffer,
        bytes.byteOffset + at + HEAD_BYTES,
        valueAt - at - HEAD_BYTES,
      ).toString(),
      value: bytes.slice(valueAt, at + length),
      number: view.getFloat64(at + 8, true),
    };
    at += length;
  }
}
