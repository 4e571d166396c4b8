import type { ByteView } from "../byte-view.ts";
import { allocateShared } from "../shared-header.ts";
import {
  alignBroadcast,
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
 * One of any number of receivers of a broadcast, reading the records where they lie, while the transmitter may already be
 * overwriting them: nothing that was read counts before `validate` has said so. CopyBroadcastReceiver does that by itself.
 *
 * A receiver joins with the latest record, if there is one yet. When it is lapped it goes on with the latest, and knows from the
 * records' sequence how many it missed. Each thread attaches an instance of its own, and all methods belong to it. After
 * Agrona's BroadcastReceiver, which believes a header before it is validated and counts laps only.
 *
 * Why reading what is being overwritten is safe here. In JavaScript such a race is defined: each byte read is one that somebody
 * wrote there, the old one or the new, and nothing else goes wrong. So a copy may be torn, but it is ours, and `validate`
 * decides afterwards: the transmitter stores the intent before any byte that it overwrites, in an order that holds in memory too
 * (BroadcastTransmitter). So if a byte was new, then the intent was there before it; and since `validate` loads the intent after
 * the bytes, it sees it. For "after" a load is not enough, since plain loads may be late: `validate` stores into a word of its
 * own first, which waits for all loads before it, and the sequentially consistent load waits for that store. The language's memory
 * model gives no such promise for plain bytes; the processors' models do, and no engine moves plain accesses across Atomics.
 */
export class BroadcastReceiver {
  /** The shared memory. */
  readonly buffer: SharedArrayBuffer;
  /** Bytes of the data region; a power of two. */
  readonly capacity: number;
  /** Longest payload in bytes: capacity / 8 - 16. */
  readonly maxMessageLength: number;
  /** The data region; `index` is an index into it. Only the transmitter writes here. */
  readonly bytes: ByteView;
  /** The data region as 32-bit words: `words[index >> 2]`. */
  readonly words: Int32Array;

  private readonly intent: BroadcastPosition;
  private readonly tail: BroadcastPosition;
  private readonly latest: BroadcastPosition;
  private readonly fence: Int32Array = new Int32Array(allocateShared(4));

  /** Of the current record, and of the one that comes after it. */
  private cursor: number;
  private next: number;
  /** As last loaded: below it nothing need be asked. */
  private tailSeen: number;

  private recordType = 0;
  private recordIndex = 0;
  private recordLength = 0;
  private recordSequence = -1;
  /** Sequence of the first record that is neither received nor counted as missed. */
  private expected = 0;
  private missed = 0;
  private laps = 0;
  /** The record at hand was overwritten, and that lap is counted. */
  private lost = false;

  /**
   * A receiver that joins now.
   *
   * @throws TypeError when the buffer is no broadcast or has another layout; RangeError when it was cut.
   */
  static attach(buffer: SharedArrayBuffer): BroadcastReceiver {
    return new BroadcastReceiver(buffer);
  }

  private constructor(buffer: SharedArrayBuffer) {
    const capacity = checkBroadcast(buffer);
    const control = new Int32Array(buffer);
    this.buffer = buffer;
    this.capacity = capacity;
    this.maxMessageLength = maxPayload(capacity);
    this.bytes = broadcastBytes(buffer, capacity);
    this.words = new Int32Array(buffer, BROADCAST_DATA_START, capacity >> 2);
    this.intent = new BroadcastPosition(control, INTENT_WORD);
    this.tail = new BroadcastPosition(control, BROADCAST_TAIL_WORD);
    this.latest = new BroadcastPosition(control, LATEST_WORD);
    do {
      this.next = this.latest.load();
      // What it joins with, or zero where nothing was ever written.
      this.expected = this.sequenceAt((this.next & (capacity - 1)) >> 2);
    } while (this.next + capacity < this.intent.load());
    this.cursor = this.next;
    this.tailSeen = this.next;
  }

  /** Type of the current record. */
  get type(): number {
    return this.recordType;
  }

  /** Index in `bytes` of the current record's payload, a multiple of 16. */
  get index(): number {
    return this.recordIndex;
  }

  /** Bytes of the current record's payload, 0 to `maxMessageLength`. */
  get length(): number {
    return this.recordLength;
  }

  /** The current record's number among all that were transmitted, from 0 on; -1 before the first. */
  get sequence(): number {
    return this.recordSequence;
  }

  /** How many records were overwritten before they were received, as known at the last record received. */
  get missedCount(): number {
    return this.missed;
  }

  /** How often the transmitter has overtaken this receiver. */
  get lappedCount(): number {
    return this.laps;
  }

  /**
   * Goes to the next record, or to the latest when that one has been overwritten. Never blocks; it is repeated inside only when
   * the transmitter has gone around the whole buffer meanwhile.
   *
   * `type`, `index`, `length` and `sequence` are true then, and stay so; the payload has to be validated after it was read.
   *
   * @returns false when there is nothing to receive; nothing has changed then but, after a lap, `lappedCount`.
   * @throws Error when the record is impossible: somebody else wrote into the buffer.
   */
  receiveNext(): boolean {
    const { words, capacity } = this;
    for (;;) {
      const start = this.next;
      if (start >= this.tailSeen) {
        this.tailSeen = this.tail.load();
        if (start >= this.tailSeen) return false;
      }
      const index = start & (capacity - 1);
      const word = index >> 2;
      // Atomic, so that the intent is loaded after them.
      const length = Atomics.load(words, word + LENGTH_WORD);
      const type = Atomics.load(words, word + TYPE_WORD);
      const sequence = this.sequenceAt(word);
      if (start + capacity < this.intent.load()) {
        this.countLap();
        this.next = this.latest.load();
        continue;
      }
      if (length < BROADCAST_HEADER_BYTES || length > capacity - index || sequence < this.expected) {
        refuseDamaged(start, length, sequence, this.expected);
      }
      this.next = start + alignBroadcast(length);
      if (type === PADDING_TYPE) continue;
      this.cursor = start;
      this.recordType = type;
      this.recordIndex = index + BROADCAST_HEADER_BYTES;
      this.recordLength = length - BROADCAST_HEADER_BYTES;
      this.recordSequence = sequence;
      this.missed += sequence - this.expected;
      this.expected = sequence + 1;
      this.lost = false;
      return true;
    }
  }

  /**
   * Whether all that was read of the current record up to here is what was transmitted. Call it after reading the payload and before
   * using it; if false, forget it. The record then counts among the missed with the next one received.
   */
  validate(): boolean {
    // Waits for the loads before it; see the class.
    Atomics.store(this.fence, 0, 0);
    if (this.cursor + this.capacity >= this.intent.load()) return true;
    if (!this.lost && this.recordSequence >= 0) {
      this.countLap();
      this.lost = true;
      this.expected = this.recordSequence;
    }
    return false;
  }

  private countLap(): void {
    if (!this.lost) this.laps++;
  }

  private sequenceAt(word: number): number {
    const low = Atomics.load(this.words, word + SEQUENCE_LOW_WORD);
    return Atomics.load(this.words, word + SEQUENCE_HIGH_WORD) * 2 ** 32 + (low >>> 0);
  }
}

function refuseDamaged(position: number, length: number, sequence: number, expected: number): never {
  throw new Error(
    `damaged broadcast: position=${position} length=${length} sequence=${sequence} expected=${expected}`,
  );
}
