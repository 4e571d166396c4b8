const SLAB_BYTES = 64 * 1024;

/**
 * Copies values for libraries that keep a reference until they write: the generator stamps its buffer anew for the next
 * record. Slabs are never used again, since nobody says when the library is done with one.
 */
export class ValueCopies {
  #slab: Buffer = Buffer.allocUnsafeSlow(SLAB_BYTES);
  #used = 0;

  copy(value: Uint8Array): Buffer {
    const { length } = value;
    if (length > SLAB_BYTES / 4) return Buffer.from(value);
    if (this.#used + length > SLAB_BYTES) {
      this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
      this.#used = 0;
    }
    const copy = this.#slab.subarray(this.#used, this.#used + length);
    copy.set(value);
    this.#used += length;
    return copy;
  }
}
