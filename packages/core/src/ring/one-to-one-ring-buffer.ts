import { type ByteView, byteView } from "../byte-view.ts";
import { copyBytes } from "../copy-bytes.ts";
import { CORE_LIMITS } from "../limits.ts";
import {
  ControlledAction,
  type ControlledMessageHandler,
  INSUFFICIENT_CAPACITY,
  type MessageHandler,
  NO_CLAIM,
  type RingBuffer,
} from "./ring-buffer.ts";
import {
  refuseAction,
  refuseAdvance,
  refuseClaim,
  refuseDamaged,
  refuseIndex,
  refuseRecord,
  refuseRelease,
  refuseShorter,
} from "./ring-errors.ts";
import {
  alignRecord,
  DATA_START,
  HEAD_WORD,
  ONE_TO_ONE_GEOMETRY,
  PADDING_TYPE,
  RECORD_ALIGNMENT,
  RECORD_HEADER_BYTES,
  TAIL_WORD,
} from "./ring-layout.ts";
import { allocateRing, attachRing } from "./ring-memory.ts";

/**
 * A queue of byte records in shared memory from exactly one producer thread to exactly one consumer thread.
 *
 * The producer claims a record, fills its payload in place and commits it; committed records become visible together, when
 * the tail is published. The consumer polls the tail, steps through the records where they lie, and releases their space
 * whenever it likes: between `headPosition` and `readPosition` they stay readable.
 *
 * Each thread builds its own instance over the same buffer and uses one side of it only (in a single thread, one instance may
 * serve both). Positions count bytes, grow for ever and are private doubles; shared memory holds their low 32 bits. An
 * instance that attaches to a ring in use counts on from there, modulo 2^32. The layout is in ring-layout.ts. After Agrona's
 * OneToOneRingBuffer, with the tail published in runs instead of record by record: a sequentially consistent store,
 * the only kind that JavaScript has, costs as much as a small record.
 */
export class OneToOneRingBuffer implements RingBuffer {
  /** The shared memory, to hand to the other thread. */
  readonly buffer: SharedArrayBuffer;
  /** Bytes of the data region; a power of two. */
  readonly capacity: number;
  /** Longest payload in bytes: capacity / 8 - 8. */
  readonly maxMessageLength: number;
  /** The data region; every `index` of this class is an index into it. */
  readonly bytes: ByteView;
  /** The data region as 32-bit words: `words[index >> 2]`. */
  readonly words: Int32Array;

  private readonly control: Int32Array;
  private readonly mask: number;
  private readonly publishBytes: number;

  // Producer. Hot fields are int32 (V8 keeps those unboxed); full positions are derived at publish and release.
  private tailLow: number;
  private unpublished = 0;
  private free: number;
  private claimIndex: number = NO_CLAIM;
  private claimBytes = 0;
  private moved = false;

  /** The published tail as this side last saw or stored it, in full. */
  private tailSeen: number;

  // Consumer.
  private headStart: number;
  private readAhead = 0;
  private readLow: number;
  private readable = 0;
  private nextSkip = 0;
  private nextBytes = 0;

  /**
   * Memory for a ring.
   *
   * @param capacityBytes of the data region, a power of two from 128 to 2^30.
   * @param startPosition of head and tail, a multiple of 8; tests start just below 2^31 or 2^32.
   * @throws RangeError
   */
  static allocate(capacityBytes: number, startPosition = 0): SharedArrayBuffer {
    return allocateRing(ONE_TO_ONE_GEOMETRY, capacityBytes, startPosition);
  }

  /**
   * An instance over memory from `allocate`, for one side of the ring. Each thread attaches for itself.
   *
   * @throws TypeError when the buffer is no one-to-one ring or has another layout; RangeError when it was cut or holds
   * impossible positions.
   */
  static attach(buffer: SharedArrayBuffer): OneToOneRingBuffer {
    return new this(buffer);
  }

  /** See `attach`. */
  protected constructor(buffer: SharedArrayBuffer) {
    const ring = attachRing(ONE_TO_ONE_GEOMETRY, buffer);
    const capacity = ring.capacity;
    this.buffer = buffer;
    this.capacity = capacity;
    this.maxMessageLength = capacity / CORE_LIMITS.recordsPerRingMin - RECORD_HEADER_BYTES;
    this.bytes = byteView(buffer, DATA_START, capacity);
    this.words = new Int32Array(buffer, DATA_START, capacity >> 2);
    this.control = ring.control;
    this.mask = capacity - 1;
    this.publishBytes = Math.min(CORE_LIMITS.unpublishedBytesMax, capacity / CORE_LIMITS.recordsPerRingMin);

    const used = (ring.tail - ring.head) | 0;
    this.headStart = ring.head >>> 0;
    this.tailSeen = this.headStart + used;
    this.tailLow = ring.tail;
    this.free = capacity - used;
    this.readLow = ring.head;
  }

  /**
   * Producer: opens a record for filling in place. One claim at a time; nothing is visible before commit and publish.
   *
   * @param type a positive int32 of the caller's choice.
   * @param length of the payload in bytes, 0 to `maxMessageLength`.
   * @returns the payload's index, a multiple of 8 (its header is at index - 8), or INSUFFICIENT_CAPACITY.
   * @throws RangeError for a type or length out of bounds, Error while another claim is open.
   */
  tryClaim(type: number, length: number): number {
    if (length >>> 0 !== length || length > this.maxMessageLength || (type | 0) !== type || type <= 0) {
      refuseRecord(type, length, this.maxMessageLength);
    }
    if (this.claimIndex !== NO_CLAIM) refuseClaim(this.claimIndex);
    const words = this.words;
    let index = this.tailLow & this.mask;
    let bytes = alignRecord(length + RECORD_HEADER_BYTES);
    const toEnd = this.capacity - index;
    let padding = 0;
    if (bytes > toEnd) {
      padding = toEnd;
      bytes += padding;
    }
    if (bytes > this.free && bytes > this.refreshFree()) {
      this.publishRun();
      return INSUFFICIENT_CAPACITY;
    }
    if (padding !== 0) {
      words[index >> 2] = padding;
      words[(index >> 2) + 1] = PADDING_TYPE;
      index = 0;
    }
    const word = index >> 2;
    words[word] = length + RECORD_HEADER_BYTES;
    words[word + 1] = type;
    if ((length & (RECORD_ALIGNMENT - 1)) !== 0) {
      // Records go to disk as they lie here: the gap behind the payload must not carry bytes of an older record.
      const last = (index + bytes - padding) >> 2;
      words[last - 1] = 0;
      words[last - 2] = 0;
    }
    this.claimIndex = index + RECORD_HEADER_BYTES;
    this.claimBytes = bytes;
    return index + RECORD_HEADER_BYTES;
  }

  /**
   * Producer: ends the claim; the record joins the unpublished run. The run is published once it reaches 64 KiB or an eighth
   * of the capacity; until then, and to ring a doorbell in any case, call `publish`.
   *
   * @throws Error when `index` is not the open claim.
   */
  commit(index: number): void {
    if (index !== this.claimIndex || index === NO_CLAIM) refuseIndex(index, this.claimIndex);
    const bytes = this.claimBytes;
    this.claimIndex = NO_CLAIM;
    this.tailLow = (this.tailLow + bytes) | 0;
    this.free -= bytes;
    this.unpublished += bytes;
    if (this.unpublished >= this.publishBytes) this.publishRun();
  }

  /**
   * Producer: like `commit`, for a payload that turned out shorter than claimed; the rest is given back.
   *
   * @throws Error when `index` is not the open claim, RangeError when `length` exceeds what was claimed.
   */
  commitLength(index: number, length: number): void {
    if (index !== this.claimIndex || index === NO_CLAIM) refuseIndex(index, this.claimIndex);
    const header = (index - RECORD_HEADER_BYTES) >> 2;
    const claimed = (this.words[header] as number) - RECORD_HEADER_BYTES;
    if (length >>> 0 !== length || length > claimed) refuseShorter(length, claimed);
    const bytes = alignRecord(length + RECORD_HEADER_BYTES);
    this.words[header] = length + RECORD_HEADER_BYTES;
    for (let i = index + length; i < index - RECORD_HEADER_BYTES + bytes; i++) this.bytes[i] = 0;
    this.claimBytes -= alignRecord(claimed + RECORD_HEADER_BYTES) - bytes;
    this.commit(index);
  }

  /**
   * Producer: gives the claim back, as if it had never been made.
   *
   * @throws Error when `index` is not the open claim.
   */
  abort(index: number): void {
    if (index !== this.claimIndex || index === NO_CLAIM) refuseIndex(index, this.claimIndex);
    this.claimIndex = NO_CLAIM;
  }

  /**
   * Producer: claims a record, copies `bytes` into it and commits it.
   *
   * @returns the payload's index or INSUFFICIENT_CAPACITY. @throws as `tryClaim`.
   */
  write(type: number, bytes: Uint8Array): number {
    const length = bytes.length;
    const index = this.tryClaim(type, length);
    if (index >= 0) {
      copyBytes(this.bytes, index, bytes, 0, length);
      this.commit(index);
    }
    return index;
  }

  /**
   * Producer: makes all committed records visible to the consumer. Call it at the end of each drain, before ringing.
   *
   * @returns true when the tail moved since the last call, also if a full run or a full ring has moved it in between:
   * `if (ring.publish()) doorbell.ring()` never forgets anybody.
   */
  publish(): boolean {
    if (this.unpublished !== 0) this.publishRun();
    const moved = this.moved;
    this.moved = false;
    return moved;
  }

  /**
   * Producer: bytes that are neither committed nor still held by the consumer, headers and padding included; loads the head.
   * A claim that fits twice (each time with its header, aligned) succeeds wherever the data region ends.
   */
  freeSpace(): number {
    return this.refreshFree();
  }

  /** Consumer: loads the tail. @returns bytes published beyond `readPosition`, headers and padding included. */
  poll(): number {
    const readable = (Atomics.load(this.control, TAIL_WORD) - this.readLow) | 0;
    this.readable = readable;
    this.tailSeen = this.headStart + this.readAhead + readable;
    return readable;
  }

  /**
   * Consumer: finds the next record among those of the last `poll`, without moving anything.
   *
   * @returns the index of its header (length with header at `words[index >> 2]`, type one word on, payload at index + 8), or
   * -1 when there is none: `poll` again. The record stays readable until its position is released.
   * @throws Error when the record's length is impossible: somebody else wrote into the ring.
   */
  next(): number {
    const readable = this.readable;
    if (readable === 0) return -1;
    const words = this.words;
    let index = this.readLow & this.mask;
    let skip = 0;
    if (words[(index >> 2) + 1] === PADDING_TYPE) {
      skip = this.capacity - index;
      index = 0;
    }
    const length = words[index >> 2] as number;
    if (length < RECORD_HEADER_BYTES || length > readable - skip || length > this.capacity - index) {
      refuseDamaged(length, index, this.readPosition, readable);
    }
    this.nextSkip = skip;
    this.nextBytes = alignRecord(length);
    return index;
  }

  /** Consumer: moves `readPosition` past the record that `next` returned. @throws Error without such a record. */
  advance(): void {
    if (this.nextBytes === 0) refuseAdvance(this.readPosition);
    const bytes = this.nextSkip + this.nextBytes;
    this.nextBytes = 0;
    this.readLow = (this.readLow + bytes) | 0;
    this.readAhead += bytes;
    this.readable -= bytes;
  }

  /** Consumer: everything below has been read. */
  get readPosition(): number {
    return this.headStart + this.readAhead;
  }

  /** Consumer: everything below has been given back to the producer; from here to `readPosition` records stay readable. */
  get headPosition(): number {
    return this.headStart;
  }

  /** Consumer: position of the header of the record that `next` returned; valid until `advance`. */
  get recordPosition(): number {
    return this.headStart + this.readAhead + this.nextSkip;
  }

  /** Consumer: gives back all that was published, read or not, without a look at the records. */
  discard(): void {
    const readable = this.poll();
    this.nextBytes = 0;
    this.readLow = (this.readLow + readable) | 0;
    this.readAhead += readable;
    this.readable = 0;
    this.release();
  }

  /**
   * Consumer: gives the space below `position` back to the producer, who overwrites it. Call it once a drain.
   *
   * @param position from `headPosition` to `readPosition` (the default), at a record's edge.
   * @throws RangeError otherwise.
   */
  release(position: number = this.readPosition): void {
    const bytes = position - this.headStart;
    if (!(bytes >= 0 && bytes <= this.readAhead) || (bytes & (RECORD_ALIGNMENT - 1)) !== 0) {
      refuseRelease(position, this.headStart, this.readPosition);
    }
    if (bytes === 0) return;
    this.headStart = position;
    this.readAhead -= bytes;
    Atomics.store(this.control, HEAD_WORD, position | 0);
  }

  /** Index in `bytes` of the byte at `position`. Pure; any thread. */
  positionToIndex(position: number): number {
    return position & this.mask;
  }

  /**
   * Consumer: polls and hands up to `limit` records to `handler`, then releases all that has been read, a held back
   * region included. A record whose handler throws counts as read, and the error reaches the caller.
   *
   * @param handler gets the type, and index and length of the payload, which is valid during the call.
   * @returns the number of records handled.
   */
  read(handler: MessageHandler, limit: number = Number.MAX_SAFE_INTEGER): number {
    this.poll();
    const words = this.words;
    let count = 0;
    try {
      while (count < limit) {
        const index = this.next();
        if (index < 0) break;
        count++;
        this.advance();
        const word = index >> 2;
        handler(
          words[word + 1] as number,
          index + RECORD_HEADER_BYTES,
          (words[word] as number) - RECORD_HEADER_BYTES,
        );
      }
    } finally {
      this.release();
    }
    return count;
  }

  /**
   * Consumer: as `read`, but the handler says after each record how to go on; see ControlledAction. A record whose handler
   * throws, or returns something else, counts as read. After an ABORT the record is the first of the next read.
   *
   * @returns the number of records read. @throws TypeError for another return value, and what the handler throws.
   */
  controlledRead(handler: ControlledMessageHandler, limit: number = Number.MAX_SAFE_INTEGER): number {
    this.poll();
    const words = this.words;
    let count = 0;
    try {
      while (count < limit) {
        const index = this.next();
        if (index < 0) break;
        const word = index >> 2;
        let action: ControlledAction = ControlledAction.CONTINUE;
        try {
          action = handler(
            words[word + 1] as number,
            index + RECORD_HEADER_BYTES,
            (words[word] as number) - RECORD_HEADER_BYTES,
          );
        } finally {
          if (action !== ControlledAction.ABORT) {
            count++;
            this.advance();
          }
        }
        if (action === ControlledAction.CONTINUE) continue;
        if (action === ControlledAction.COMMIT) this.release();
        else if (action === ControlledAction.ABORT || action === ControlledAction.BREAK) break;
        else refuseAction(action);
      }
    } finally {
      this.release();
    }
    return count;
  }

  /**
   * Consumer: nothing to do, ever. What a dead producer did not publish is invisible and in nobody's way; a new producer
   * attaches and goes on behind the last published record.
   *
   * @returns false
   */
  unblock(): boolean {
    return false;
  }

  /** Position up to which records are published; loads the tail. Producer or consumer. */
  tail(): number {
    const moved = (Atomics.load(this.control, TAIL_WORD) - this.tailSeen) | 0;
    this.tailSeen += moved;
    return this.tailSeen;
  }

  /**
   * Bytes published and not released, headers and padding included; a snapshot that errs upwards, for metrics and limits.
   * Any thread.
   */
  size(): number {
    const head = Atomics.load(this.control, HEAD_WORD);
    const used = (Atomics.load(this.control, TAIL_WORD) - head) | 0;
    return Math.min(used, this.capacity);
  }

  private refreshFree(): number {
    this.free = this.capacity - ((this.tailLow - Atomics.load(this.control, HEAD_WORD)) | 0);
    return this.free;
  }

  private publishRun(): void {
    if (this.unpublished === 0) return;
    this.tailSeen += this.unpublished;
    this.unpublished = 0;
    this.moved = true;
    Atomics.store(this.control, TAIL_WORD, this.tailLow);
  }
}
