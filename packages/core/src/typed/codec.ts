/**
 * Turns values of one kind into bytes and back. One instance may serve any number of channels of one thread.
 *
 * Both directions work on private memory only: what a decoder leaves aliased, or reads twice, no other thread can change.
 */
export interface Codec<T> {
  /** @returns the bytes of `value`, which may be overwritten by the next call. Throws what it cannot encode. */
  encode(value: T): Uint8Array;
  /**
   * @param source holds the bytes from 0 to `length`; valid during the call, so whatever is kept has to be copied. A Buffer where the
   * platform has Buffers.
   * @returns the value. Throws for bytes that are none.
   */
  decode(source: Uint8Array, length: number): T;
}
