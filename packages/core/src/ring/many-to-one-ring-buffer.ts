import { type ByteView, byteView } from "../byte-view.ts";
import { copyBytes } from "../copy-bytes.ts";
import { CORE_LIMITS } from "../limits.ts";
import { zeroBytes } from "../zero-bytes.ts";
import {
  MANY_DATA_START,
  MANY_HEAD_CACHE_WORD,
  MANY_HEAD_WORD,
  MANY_TAIL_WORD,
  MANY_TO_ONE_GEOMETRY,
  UNIT_BYTES,
} from "./many-to-one-layout.ts";
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
  refuseClaim,
  refuseDamaged,
  refuseIndex,
  refuseLostClaim,
  refuseNestedRead,
  refuseRecord,
  refuseShorter,
} from "./ring-errors.ts";
import { alignRecord, PADDING_TYPE, RECORD_HEADER_BYTES } from "./ring-layout.ts";
import { allocateRing, attachRing } from "./ring-memory.ts";

/** No claim without a length stands in the way. */
const NO_GAP = -1;

/**
 * A queue of byte records in shared memory from any number of producer threads to exactly one consumer thread.
 *
 * A producer claims space by moving the shared tail with a compare-exchange, fills it in place and commits by storing the
 * record's length, which makes the record visible at once. Records are read in the order of their claims, so a claim that is
 * open holds up all that were claimed after it: commit soon. Records of one producer stay in order.
 *
 * Each thread attaches an instance of its own (in a single thread one instance may serve both sides). After Agrona's
 * ManyToOneRingBuffer; what differs: positions are 32-bit words in units of 8 bytes, and the head cache, which keeps producers off
 * the line that the consumer writes each batch, is written by the consumer, so that no producer that has slept for long can
 * put an old head into it. The layout and the states of a record are in many-to-one-layout.ts, the reasons for each atomic in
 * docs/reference/core-memory-model.md.
 *
 * Positions wrap after 32 GiB of records. A thread that is stopped between loading the tail and moving it, while exactly a
 * multiple of 32 GiB passes, would not notice.
 */
export class ManyToOneRingBuffer implements RingBuffer {
  readonly buffer: SharedArrayBuffer;
  readonly capacity: number;
  readonly maxMessageLength: number;
  readonly bytes: ByteView;
  readonly words: Int32Array;

  private readonly control: Int32Array;
  /** The rest in units of 8 bytes. */
  private readonly capacityUnits: number;
  private readonly mask: number;
  private readonly releaseUnits: number;

  // Producer.
  private claimIndex: number = NO_CLAIM;
  private claimHeader = 0;
  private committed = false;
  /** The head cache when it was last loaded. */
  private headCache: number;

  // Consumer.
  private reading = false;
  /** Where the last `unblock` found a claim without a length, and its end. */
  private gapHead = 0;
  private gapEnd: number = NO_GAP;

  /**
   * Memory for a ring.
   *
   * @param capacityBytes of the data region, a power of two from 128 to 2^30. Where threads outnumber cores a producer may lose
   * its core between claim and commit: a ring with room for what the others write in some milliseconds hides that.
   * @param startPosition of head and tail in bytes, a multiple of 8; tests start just below 2^34 or 2^35.
   * @throws RangeError
   */
  static allocate(capacityBytes: number, startPosition = 0): SharedArrayBuffer {
    const buffer = allocateRing(MANY_TO_ONE_GEOMETRY, capacityBytes, startPosition);
    const control = new Int32Array(buffer);
    control[MANY_HEAD_CACHE_WORD] = control[MANY_HEAD_WORD] as number;
    return buffer;
  }

  /**
   * An instance over memory from `allocate`. Each thread attaches for itself.
   *
   * @throws TypeError when the buffer is no many-to-one ring or has another layout; RangeError when it was cut or holds
   * impossible positions.
   */
  static attach(buffer: SharedArrayBuffer): ManyToOneRingBuffer {
    return new this(buffer);
  }

  /** See `attach`. */
  protected constructor(buffer: SharedArrayBuffer) {
    const { capacity, control } = attachRing(MANY_TO_ONE_GEOMETRY, buffer);
    this.buffer = buffer;
    this.capacity = capacity;
    this.maxMessageLength = capacity / CORE_LIMITS.recordsPerRingMin - RECORD_HEADER_BYTES;
    this.bytes = byteView(buffer, MANY_DATA_START, capacity);
    this.words = new Int32Array(buffer, MANY_DATA_START, capacity >> 2);
    this.control = control;
    this.headCache = Atomics.load(control, MANY_HEAD_CACHE_WORD);
    this.capacityUnits = capacity / UNIT_BYTES;
    this.mask = this.capacityUnits - 1;
    this.releaseUnits =
      Math.min(CORE_LIMITS.unreleasedBytesMax, capacity / CORE_LIMITS.recordsPerRingMin) / UNIT_BYTES;
  }

  /**
   * Producer: opens a record for filling in place. One claim per instance at a time; it holds up the records behind it.
   *
   * @param type a positive int32 of the caller's choice.
   * @param length of the payload in bytes, 0 to `maxMessageLength`.
   * @returns the payload's index, a multiple of 8 (its header is at index - 8), or INSUFFICIENT_CAPACITY, and then nothing has
   * been claimed. The payload is all zeros. A claim that fits twice (each time with its header, aligned) succeeds wherever the
   * data region ends.
   * @throws RangeError for a type or length out of bounds, Error while another claim is open.
   */
  tryClaim(type: number, length: number): number {
    if (length >>> 0 !== length || length > this.maxMessageLength || (type | 0) !== type || type <= 0) {
      refuseRecord(type, length, this.maxMessageLength);
    }
    if (this.claimIndex !== NO_CLAIM) refuseClaim(this.claimIndex);
    const control = this.control;
    const words = this.words;
    const capacityUnits = this.capacityUnits;
    const units = (length + RECORD_HEADER_BYTES + UNIT_BYTES - 1) >> 3;
    // Every Atomics call costs as much as a small record. A plain read is enough to guess the tail, since the compare-exchange
    // checks it, and to notice that the head cache moved, which is when this thread must get in step with the consumer's zeros.
    let tail = control[MANY_TAIL_WORD] as number;
    let start = 0;
    let padding = 0;
    for (;;) {
      if (control[MANY_HEAD_CACHE_WORD] !== this.headCache) {
        this.headCache = Atomics.load(control, MANY_HEAD_CACHE_WORD);
      }
      start = tail & this.mask;
      const toEnd = capacityUnits - start;
      padding = units > toEnd ? toEnd : 0;
      const needed = units + padding;
      if (
        needed > capacityUnits - ((tail - this.headCache) | 0) &&
        needed > capacityUnits - ((tail - Atomics.load(control, MANY_HEAD_WORD)) | 0)
      ) {
        return INSUFFICIENT_CAPACITY;
      }
      const found = Atomics.compareExchange(control, MANY_TAIL_WORD, tail, (tail + needed) | 0);
      if (found === tail) break;
      tail = found;
    }
    if (padding !== 0) {
      words[(start << 1) + 1] = PADDING_TYPE;
      Atomics.store(words, start << 1, padding << 3);
      start = 0;
    }
    const header = -(length + RECORD_HEADER_BYTES);
    words[start << 1] = header;
    words[(start << 1) + 1] = type;
    this.claimHeader = header;
    const index = (start << 3) + RECORD_HEADER_BYTES;
    this.claimIndex = index;
    return index;
  }

  /**
   * Producer: ends the claim; the consumer sees the record as soon as it has read those claimed before.
   *
   * @throws Error when `index` is not the open claim, or when `unblock` took the claim away since it was open for too long: the
   * record is lost then, and the instance may claim again.
   */
  commit(index: number): void {
    if (index !== this.claimIndex || index === NO_CLAIM) refuseIndex(index, this.claimIndex);
    this.endClaim(-this.claimHeader);
    this.committed = true;
  }

  /**
   * Producer: like `commit`, for a payload that turned out shorter than claimed; the rest becomes padding.
   *
   * @throws as `commit`, and RangeError when `length` exceeds what was claimed; the claim stays open then.
   */
  commitLength(index: number, length: number): void {
    if (index !== this.claimIndex || index === NO_CLAIM) refuseIndex(index, this.claimIndex);
    const words = this.words;
    const claimed = -this.claimHeader - RECORD_HEADER_BYTES;
    if (length >>> 0 !== length || length > claimed) refuseShorter(length, claimed);
    const header = words[(index - RECORD_HEADER_BYTES) >> 2] as number;
    if (header === this.claimHeader) {
      const end = index + alignRecord(length);
      const padding = index + alignRecord(claimed) - end;
      for (let i = index + length; i < end; i++) this.bytes[i] = 0;
      if (padding !== 0) {
        words[end >> 2] = padding;
        words[(end >> 2) + 1] = PADDING_TYPE;
      }
    }
    this.endClaim(length + RECORD_HEADER_BYTES);
    this.committed = true;
  }

  /**
   * Producer: ends the claim without a record; its space becomes padding, which the consumer steps over.
   *
   * @throws as `commit`.
   */
  abort(index: number): void {
    if (index !== this.claimIndex || index === NO_CLAIM) refuseIndex(index, this.claimIndex);
    const words = this.words;
    const header = words[(index - RECORD_HEADER_BYTES) >> 2] as number;
    if (header === this.claimHeader) words[(index - RECORD_HEADER_BYTES + 4) >> 2] = PADDING_TYPE;
    this.endClaim(-this.claimHeader);
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
   * Producer: nothing is left to publish, since each commit does; for the same idiom as with a one-to-one ring.
   *
   * @returns whether anything was committed through this instance since the last call.
   */
  publish(): boolean {
    const committed = this.committed;
    this.committed = false;
    return committed;
  }

  /**
   * Consumer: hands up to `limit` committed records, but no more than one lap, to `handler`. What was read is zeroed and given
   * back at the end and in between, so the payload is the handler's during its call only. A record whose handler throws counts
   * as read, and the error reaches the caller.
   *
   * @returns the number of records handled.
   * @throws Error when called from a handler of this ring, or when a record's length is impossible: somebody else wrote there.
   */
  read(handler: MessageHandler, limit: number = Number.MAX_SAFE_INTEGER): number {
    if (this.reading) refuseNestedRead();
    const { words, mask, capacityUnits, releaseUnits } = this;
    const head = Atomics.load(this.control, MANY_HEAD_WORD);
    let released = head;
    let position = head;
    let count = 0;
    this.reading = true;
    try {
      while (count < limit && ((position - head) | 0) < capacityUnits) {
        const start = position & mask;
        const length = Atomics.load(words, start << 1);
        if (length <= 0) break;
        if (length < RECORD_HEADER_BYTES || length > (capacityUnits - start) << 3) this.refuse(length, start);
        position = (position + ((length + UNIT_BYTES - 1) >> 3)) | 0;
        const type = words[(start << 1) + 1] as number;
        if (type !== PADDING_TYPE) {
          count++;
          handler(type, (start << 3) + RECORD_HEADER_BYTES, length - RECORD_HEADER_BYTES);
        }
        if (((position - released) | 0) >= releaseUnits) {
          this.release(released, position);
          released = position;
        }
      }
    } finally {
      this.reading = false;
      this.release(released, position);
    }
    return count;
  }

  /**
   * Consumer: as `read`, but the handler says after each record how to go on; see ControlledAction. Here records stay where they
   * are until COMMIT or the end of the call. A record whose handler throws, or returns something else, counts as read. After an
   * ABORT the record is the first of the next read.
   *
   * @returns the number of records read. @throws as `read`, and TypeError for another return value.
   */
  controlledRead(handler: ControlledMessageHandler, limit: number = Number.MAX_SAFE_INTEGER): number {
    if (this.reading) refuseNestedRead();
    const { words, mask, capacityUnits } = this;
    const head = Atomics.load(this.control, MANY_HEAD_WORD);
    let released = head;
    let position = head;
    let count = 0;
    this.reading = true;
    try {
      while (count < limit && ((position - head) | 0) < capacityUnits) {
        const start = position & mask;
        const length = Atomics.load(words, start << 1);
        if (length <= 0) break;
        if (length < RECORD_HEADER_BYTES || length > (capacityUnits - start) << 3) this.refuse(length, start);
        const before = position;
        position = (position + ((length + UNIT_BYTES - 1) >> 3)) | 0;
        const type = words[(start << 1) + 1] as number;
        if (type === PADDING_TYPE) continue;
        const action = handler(type, (start << 3) + RECORD_HEADER_BYTES, length - RECORD_HEADER_BYTES);
        if (action === ControlledAction.ABORT) {
          position = before;
          break;
        }
        count++;
        if (action === ControlledAction.CONTINUE) continue;
        if (action === ControlledAction.BREAK) break;
        if (action !== ControlledAction.COMMIT) refuseAction(action);
        this.release(released, position);
        released = position;
      }
    } finally {
      this.reading = false;
      this.release(released, position);
    }
    return count;
  }

  /**
   * Consumer: takes away the claim at the head, whose producer died before its commit, by making it padding. Call it when
   * `read` has found nothing for longer than a producer that lives may hold a claim, although `size` is not 0. Whoever lives all
   * the same finds that its commit throws, and has written where others may write by then.
   *
   * A producer may have died so early that the claim's length was never written. Then its end is where the next record stands, or
   * the end of the data region, once two calls in turn have found the same: a living producer's claim in between would have
   * got its length by then. While nobody claims behind it, such a claim is in nobody's way, and stays.
   *
   * @returns true when a claim was taken away; there may be more behind it: read, then look again.
   */
  unblock(): boolean {
    if (this.reading) refuseNestedRead();
    const head = Atomics.load(this.control, MANY_HEAD_WORD);
    const used = (Atomics.load(this.control, MANY_TAIL_WORD) - head) | 0;
    const start = head & this.mask;
    const length = Atomics.load(this.words, start << 1);
    if (used === 0 || length > 0) return false;
    if (length < 0) {
      const found = Atomics.compareExchange(this.words, start << 1, length, 0);
      return found === length && this.fillGap(start, -length);
    }
    // Records never cross the end of the region, and what is claimed below it was claimed before the tail was loaded.
    const end = start + Math.min(used, this.capacityUnits - start);
    let next = start + 1;
    while (next < end && Atomics.load(this.words, next << 1) === 0) next++;
    const found = next < this.capacityUnits && next === end ? NO_GAP : next;
    const seenBefore = this.gapEnd === found && this.gapHead === head && found !== NO_GAP;
    this.gapHead = head;
    this.gapEnd = found;
    return seenBefore && this.isUnwritten(start, next) && this.fillGap(start, (next - start) << 3);
  }

  /** Any thread: bytes claimed and not yet given back, headers and padding included; a snapshot that errs upwards. */
  size(): number {
    const head = Atomics.load(this.control, MANY_HEAD_WORD);
    const used = (Atomics.load(this.control, MANY_TAIL_WORD) - head) | 0;
    return Math.min(used, this.capacityUnits) << 3;
  }

  /**
   * Makes the open claim a record of `length` (with its header). A compare-exchange, so that of a late commit and `unblock` one
   * wins and the other knows.
   */
  private endClaim(length: number): void {
    const index = this.claimIndex;
    const header = this.claimHeader;
    this.claimIndex = NO_CLAIM;
    const found = Atomics.compareExchange(this.words, (index - RECORD_HEADER_BYTES) >> 2, header, length);
    if (found !== header) refuseLostClaim(index, header, found);
  }

  /** Zeroes what was read, then lets the producers have it. */
  private release(from: number, to: number): void {
    if (from === to) return;
    const start = (from & this.mask) << 3;
    const end = start + (((to - from) | 0) << 3);
    const capacity = this.capacity;
    if (end <= capacity) {
      zeroBytes(this.bytes, this.words, start, end);
    } else {
      zeroBytes(this.bytes, this.words, start, capacity);
      zeroBytes(this.bytes, this.words, 0, end - capacity);
    }
    Atomics.store(this.control, MANY_HEAD_WORD, to);
    if (((from ^ to) & -this.releaseUnits) !== 0) Atomics.store(this.control, MANY_HEAD_CACHE_WORD, to);
  }

  /** Looks back from unit `end` to `start`: a producer that was only slow writes its header first. */
  private isUnwritten(start: number, end: number): boolean {
    for (let unit = end - 1; unit >= start; unit--) {
      if (Atomics.load(this.words, unit << 1) !== 0) return false;
    }
    return true;
  }

  /** Makes the claim at unit `start` padding of `bytes`. */
  private fillGap(start: number, bytes: number): boolean {
    this.words[(start << 1) + 1] = PADDING_TYPE;
    Atomics.store(this.words, start << 1, bytes);
    return true;
  }

  private refuse(length: number, start: number): never {
    refuseDamaged(
      length,
      start << 3,
      (Atomics.load(this.control, MANY_HEAD_WORD) >>> 0) * UNIT_BYTES,
      this.size(),
    );
  }
}
