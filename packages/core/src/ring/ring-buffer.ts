/**
 * Outcome of `tryClaim` and `write`: the ring is full. That is back-pressure, not an error. What was committed has been
 * published; retry after the consumer has released something.
 */
export const INSUFFICIENT_CAPACITY: number = -2;

/** In place of the index of an open claim. */
export const NO_CLAIM = -1;

/** Gets a record's type, and index and length of its payload in `bytes`, which is valid during the call. */
export type MessageHandler = (type: number, index: number, length: number) => void;

/** What the handler of `controlledRead` wants done about the record that it was given. */
export const ControlledAction = {
  /** The record is not read: it comes again, first, with the next read. This one ends. */
  ABORT: 1,
  /** The record is read, and this read ends. */
  BREAK: 2,
  /** The record is read; it and all before it are given back to the producers at once. */
  COMMIT: 3,
  /** The record is read. It stays where it is until a later COMMIT or the end of this read. */
  CONTINUE: 4,
} as const;
export type ControlledAction = (typeof ControlledAction)[keyof typeof ControlledAction];

/** As `MessageHandler`, and says how to go on. */
export type ControlledMessageHandler = (type: number, index: number, length: number) => ControlledAction;

/**
 * A bounded queue of byte records in shared memory, to one consumer thread. What is common to both rings; after Agrona's
 * interface of the same name.
 *
 * Each thread attaches an instance of its own. "Producer" and "Consumer" say whose thread a method belongs to; in a single
 * thread one instance may serve both. An `index` is a byte index into `bytes`; `words[index >> 2]` is the same place.
 */
export interface RingBuffer {
  /** The shared memory, to hand to other threads. */
  readonly buffer: SharedArrayBuffer;
  /** The data region. */
  readonly bytes: Uint8Array;
  /** The data region as 32-bit words. */
  readonly words: Int32Array;
  /** Bytes of the data region; a power of two. */
  readonly capacity: number;
  /** Longest payload in bytes: capacity / 8 - 8. */
  readonly maxMessageLength: number;

  /**
   * Producer: opens a record for filling in place. One claim per instance at a time.
   *
   * @param type a positive int32 of the caller's choice.
   * @param length of the payload in bytes, 0 to `maxMessageLength`.
   * @returns the payload's index, a multiple of 8, or INSUFFICIENT_CAPACITY, and then nothing is claimed.
   * @throws RangeError for a type or length out of bounds, Error while another claim is open.
   */
  tryClaim(type: number, length: number): number;

  /** Producer: ends the claim; the record is the consumer's to read, at the latest with `publish`. @throws Error */
  commit(index: number): void;

  /** Producer: as `commit`, for a payload that turned out shorter than claimed. @throws Error, RangeError */
  commitLength(index: number, length: number): void;

  /** Producer: ends the claim without a record. @throws Error */
  abort(index: number): void;

  /** Producer: claims a record, copies `bytes` into it and commits it. @returns and @throws as `tryClaim`. */
  write(type: number, bytes: Uint8Array): number;

  /**
   * Producer: makes all committed records visible to the consumer.
   *
   * @returns whether any became visible since the last call, so that `if (ring.publish()) doorbell.ring()` forgets nobody.
   */
  publish(): boolean;

  /**
   * Consumer: hands up to `limit` records to `handler` and gives their space back. A record whose handler throws counts as
   * read; the error reaches the caller.
   *
   * @returns the number of records handled.
   */
  read(handler: MessageHandler, limit?: number): number;

  /** Consumer: as `read`, but the handler says how to go on after each record. @returns the number of records read. */
  controlledRead(handler: ControlledMessageHandler, limit?: number): number;

  /** Consumer: gets the ring going again after a producer died. @returns true when something was in the way. */
  unblock(): boolean;

  /** Any thread: bytes in use, headers and padding included; a snapshot that errs upwards. */
  size(): number;
}
