import type { ByteView } from "../byte-view.ts";
import { copyBytes } from "../copy-bytes.ts";
import { NO_CLAIM } from "../ring/ring-buffer.ts";
import { refuseClaim, refuseIndex, refuseRecord } from "../ring/ring-errors.ts";
import {
  alignBroadcast,
  allocateBroadcast,
  BROADCAST_DATA_START,
  BROADCAST_HEADER_BYTES,
  BROADCAST_TAIL_WORD,
  broadcastBytes,
  checkBroadcast,
  INTENT_WORD,
  LATEST_WORD,
  LENGTH_WORD,
  maxPayload,
  PADDING_TYPE,
  SEQUENCE_HIGH_WORD,
  SEQUENCE_LOW_WORD,
  TYPE_WORD,
} from "./broadcast-layout.ts";
import { BroadcastPosition } from "./broadcast-position.ts";

/**
 * The one sender of a broadcast: records of bytes to any number of receivers, none of whom it knows or waits for. A receiver
 * that falls behind by more than the capacity is lapped and told so. For what is worth most when it is new: prices, positions,
 * states of a game.
 *
 * Exactly one thread transmits, with one instance. A thread that takes over after that one ended (a worker that was terminated
 * in the middle of a record too) attaches a new instance and goes on. After Agrona's BroadcastTransmitter, with a sequence in each
 * record.
 *
 * What makes an overwrite known in time: the intent is stored before the bytes, and loaded again in between. The store is
 * sequentially consistent, but what follows it in the program may still overtake it on its way to memory (a release store of ARM
 * holds back what comes before it only); a sequentially consistent load waits for the store, and holds back what comes after.
 */
export class BroadcastTransmitter {
  /** The shared memory, to hand to other threads. */
  readonly buffer: SharedArrayBuffer;
  /** Bytes of the data region; a power of two. */
  readonly capacity: number;
  /** Longest payload in bytes: capacity / 8 - 16. */
  readonly maxMessageLength: number;
  /** The data region; every `index` of this class is an index into it. */
  readonly bytes: ByteView;
  /** The data region as 32-bit words: `words[index >> 2]`. */
  readonly words: Int32Array;

  private readonly control: Int32Array;
  private readonly intent: BroadcastPosition;
  private readonly tail: BroadcastPosition;
  private readonly latest: BroadcastPosition;
  private position: number;
  private nextSequence: number;
  private claimIndex: number = NO_CLAIM;
  private claimStart = 0;
  private claimEnd = 0;

  /**
   * Memory for a broadcast.
   *
   * @param capacityBytes of the data region, a power of two from 256 to 2^30. A receiver may be behind by that much.
   * @param startPosition of the first record, a multiple of 16; tests start just below 2^31 or 2^32.
   * @throws RangeError
   */
  static allocate(capacityBytes: number, startPosition = 0): SharedArrayBuffer {
    const buffer = allocateBroadcast(capacityBytes, startPosition);
    const control = new Int32Array(buffer);
    for (const word of [INTENT_WORD, BROADCAST_TAIL_WORD, LATEST_WORD]) {
      new BroadcastPosition(control, word).store(startPosition);
    }
    return buffer;
  }

  /**
   * The transmitter over memory from `allocate`. Only where no other transmits, or never will again.
   *
   * @throws TypeError when the buffer is no broadcast or has another layout; RangeError when it was cut or holds impossible positions.
   */
  static attach(buffer: SharedArrayBuffer): BroadcastTransmitter {
    return new BroadcastTransmitter(buffer);
  }

  private constructor(buffer: SharedArrayBuffer) {
    const capacity = checkBroadcast(buffer);
    this.buffer = buffer;
    this.capacity = capacity;
    this.maxMessageLength = maxPayload(capacity);
    this.bytes = broadcastBytes(buffer, capacity);
    this.words = new Int32Array(buffer, BROADCAST_DATA_START, capacity >> 2);
    this.control = new Int32Array(buffer);
    this.intent = new BroadcastPosition(this.control, INTENT_WORD);
    this.tail = new BroadcastPosition(this.control, BROADCAST_TAIL_WORD);
    this.latest = new BroadcastPosition(this.control, LATEST_WORD);
    this.position = this.tail.load();
    this.nextSequence = this.takeOver();
  }

  /** Sequence of the next record: how many have been transmitted, by earlier transmitters too. */
  get sequence(): number {
    return this.nextSequence;
  }

  /**
   * Transmits a record with a copy of `bytes`. Never blocks.
   *
   * @param type a positive int32 of the caller's choice. @throws as `claim`.
   */
  transmit(type: number, bytes: Uint8Array): void {
    const length = bytes.length;
    const index = this.claim(type, length);
    copyBytes(this.bytes, index, bytes, 0, length);
    this.commit(index);
  }

  /**
   * Opens a record for filling in place. Receivers that stand where it will lie are lapped from here on.
   *
   * @param type a positive int32 of the caller's choice.
   * @param length of the payload in bytes, 0 to `maxMessageLength`.
   * @returns the payload's index, a multiple of 16.
   * @throws RangeError for a type or length out of bounds; Error while another claim is open, and when another instance transmits.
   */
  claim(type: number, length: number): number {
    if (length >>> 0 !== length || length > this.maxMessageLength || (type | 0) !== type || type <= 0) {
      refuseRecord(type, length, this.maxMessageLength);
    }
    if (this.claimIndex !== NO_CLAIM) refuseClaim(this.claimIndex);
    const bytes = alignBroadcast(length + BROADCAST_HEADER_BYTES);
    let start = this.position;
    let index = start & (this.capacity - 1);
    const toEnd = this.capacity - index;
    const wraps = bytes > toEnd;
    if (wraps) start += toEnd;
    this.announce(start + bytes);
    if (wraps) {
      this.writeHeader(index, toEnd, PADDING_TYPE);
      index = 0;
    }
    this.writeHeader(index, length + BROADCAST_HEADER_BYTES, type);
    this.claimStart = start;
    this.claimEnd = start + bytes;
    this.claimIndex = index + BROADCAST_HEADER_BYTES;
    return this.claimIndex;
  }

  /** Ends the claim: receivers see the record. Ring their doorbells after. @throws Error when `index` is not the open claim. */
  commit(index: number): void {
    if (index !== this.claimIndex || index === NO_CLAIM) refuseIndex(index, this.claimIndex);
    this.claimIndex = NO_CLAIM;
    this.nextSequence++;
    this.publish(this.claimStart, this.claimEnd);
  }

  /** Ends the claim without a record. What it overwrote is gone. @throws Error when `index` is not the open claim. */
  abort(index: number): void {
    if (index !== this.claimIndex || index === NO_CLAIM) refuseIndex(index, this.claimIndex);
    this.claimIndex = NO_CLAIM;
    // The intent must not fall back, or a receiver could take what was overwritten for whole.
    this.writeHeader(index - BROADCAST_HEADER_BYTES, this.claimEnd - this.claimStart, PADDING_TYPE);
    this.publish(this.claimStart, this.claimEnd);
  }

  /** From here on everything below `end - capacity` counts as overwritten. */
  private announce(end: number): void {
    this.intent.store(end);
    // Keeps the bytes that follow behind the intent (see the class), and finds a second transmitter sooner or later.
    const seen = Atomics.load(this.control, INTENT_WORD);
    if (seen !== (end | 0)) refuseSecond(end | 0, seen);
  }

  private writeHeader(index: number, length: number, type: number): void {
    const words = this.words;
    const word = index >> 2;
    words[word + LENGTH_WORD] = length;
    words[word + TYPE_WORD] = type;
    words[word + SEQUENCE_LOW_WORD] = this.nextSequence | 0;
    words[word + SEQUENCE_HIGH_WORD] = Math.floor(this.nextSequence / 2 ** 32);
  }

  /** `latest` first: a receiver that was lapped must find a whole record there, whenever it looks. */
  private publish(start: number, end: number): void {
    this.position = end;
    this.latest.store(start);
    this.tail.store(end);
  }

  /** Goes on where another ended, perhaps inside a record. @returns the next sequence */
  private takeOver(): number {
    const { words, capacity, position: tail } = this;
    const intent = this.intent.load();
    const latest = this.latest.load();
    const recordBytesMax = capacity / 4;
    if (
      intent < tail ||
      intent > tail + recordBytesMax ||
      latest > intent ||
      latest < tail - recordBytesMax
    ) {
      throw new RangeError(
        `damaged broadcast: intent=${intent} tail=${tail} latest=${latest} capacity=${capacity}`,
      );
    }
    const word = (latest & (capacity - 1)) >> 2;
    this.nextSequence =
      (words[word + SEQUENCE_HIGH_WORD] as number) * 2 ** 32 +
      ((words[word + SEQUENCE_LOW_WORD] as number) >>> 0);
    // At or above the tail stands what was never published, or nothing yet: zeros.
    if (latest < tail && words[word + TYPE_WORD] !== PADDING_TYPE) this.nextSequence++;
    // Padding over what the other has begun to overwrite: the intent must not fall back.
    const edge = Math.min(intent, tail + capacity - (tail & (capacity - 1)));
    for (const [start, end] of [
      [tail, edge],
      [edge, intent],
    ] as const) {
      if (start === end) continue;
      this.writeHeader(start & (capacity - 1), end - start, PADDING_TYPE);
      this.publish(start, end);
    }
    return this.nextSequence;
  }
}

function refuseSecond(expected: number, seen: number): never {
  throw new Error(`another instance transmits into this broadcast: intent=${seen} expected=${expected}`);
}
