import { ControlledAction, INSUFFICIENT_CAPACITY, OneToOneRingBuffer } from "../../src/index.ts";
import { RECORD_HEADER_BYTES } from "../../src/ring/ring-layout.ts";

/** What the ring must hold: the plain arrays that run beside it. */
interface ModelRecord {
  readonly type: number;
  readonly payload: Uint8Array;
  /** Position and index of the header, known once the record was read. */
  position: number;
  index: number;
}

/** What a handler does about a record. */
export type Answer = ControlledAction | "throw";

export type MakeRing = (buffer: SharedArrayBuffer) => OneToOneRingBuffer;

/**
 * Drives a producer and a consumer instance over one buffer, in one thread, and compares each answer with plain arrays.
 * Every method throws an Error that names the difference.
 */
export class RingModel {
  readonly producer: OneToOneRingBuffer;
  readonly consumer: OneToOneRingBuffer;
  private readonly committed: ModelRecord[] = [];
  private readonly published: ModelRecord[] = [];
  private polled = 0;
  private readonly held: ModelRecord[] = [];
  private claim: { index: number; type: number; payload: Uint8Array } | undefined;
  private counter = 0;

  constructor(capacity: number, startPosition: number, makeRing: MakeRing) {
    const buffer = OneToOneRingBuffer.allocate(capacity, startPosition);
    this.producer = makeRing(buffer);
    this.consumer = makeRing(buffer);
  }

  /** Something that tells this state from others with the same contents: where the two sides stand. */
  get state(): string {
    const ring = this.consumer;
    const position = (at: number): number => ring.positionToIndex(at);
    return [
      position(ring.headPosition),
      position(ring.readPosition),
      this.producer.freeSpace(),
      this.committed.map((record) => record.payload.length),
      this.published.map((record) => record.payload.length),
      this.held.map((record) => record.payload.length),
      this.polled,
      this.claim?.payload.length,
    ].join("|");
  }

  get hasClaim(): boolean {
    return this.claim !== undefined;
  }

  /** Bytes of the open claim, or -1. */
  get claimLength(): number {
    return this.claim?.payload.length ?? -1;
  }

  tryClaim(length: number): boolean {
    const type = 1 + (this.counter % 1000);
    const index = this.producer.tryClaim(type, length);
    if (index === INSUFFICIENT_CAPACITY) {
      // A full ring publishes what it holds. It may refuse only what could not fit twice.
      this.movePublished(this.committed.length);
      const needed = 2 * ((length + RECORD_HEADER_BYTES + 7) & ~7);
      check(
        this.producer.freeSpace() < needed,
        `refused ${length} bytes with ${this.producer.freeSpace()} free`,
      );
      return false;
    }
    check(
      index % 8 === 0 && index >= 8 && index + length <= this.producer.capacity,
      `claim at index ${index}`,
    );
    const payload = new Uint8Array(length);
    for (let i = 0; i < length; i++) payload[i] = (this.counter * 31 + i * 7 + 1) & 0xff;
    this.producer.bytes.set(payload, index);
    this.counter++;
    this.claim = { index, type, payload };
    return true;
  }

  commit(): void {
    const claim = this.takeClaim();
    this.producer.commit(claim.index);
    this.committed.push({ type: claim.type, payload: claim.payload, position: -1, index: -1 });
    this.notePublished();
  }

  commitLength(length: number): void {
    const claim = this.takeClaim();
    this.producer.commitLength(claim.index, length);
    this.committed.push({
      type: claim.type,
      payload: claim.payload.slice(0, length),
      position: -1,
      index: -1,
    });
    this.notePublished();
  }

  abort(): void {
    this.producer.abort(this.takeClaim().index);
  }

  publish(): void {
    const moved = this.producer.publish();
    check(moved || this.committed.length === 0, "publish said that nothing moved");
    this.movePublished(this.committed.length);
  }

  poll(): void {
    const bytes = this.consumer.poll();
    this.polled = this.published.length;
    check(bytes > 0 === this.polled > 0, `polled ${bytes} bytes with ${this.polled} records published`);
    same(this.consumer.tail(), this.consumer.readPosition + bytes, "tail");
  }

  /** @returns false when there was nothing to read, as the model agrees. */
  readOne(): boolean {
    const ring = this.consumer;
    const index = ring.next();
    if (this.polled === 0) {
      same(index, -1, "index of no record");
      return false;
    }
    const expected = this.published[0] as ModelRecord;
    check(index >= 0, `next found nothing, expected ${expected.payload.length} bytes`);
    same(ring.next(), index, "index of a second look");
    expected.index = index;
    expected.position = ring.recordPosition;
    same(ring.positionToIndex(expected.position), index, "index of the record's position");
    this.compare(expected);
    ring.advance();
    check(
      ring.readPosition >= expected.position + 8,
      `readPosition ${ring.readPosition} after ${expected.position}`,
    );
    this.published.shift();
    this.polled--;
    this.held.push(expected);
    return true;
  }

  /** Releases the oldest `count` of the records that were read and are still held. */
  release(count: number): void {
    const ring = this.consumer;
    const next = this.held[count];
    if (next === undefined) ring.release();
    else ring.release(next.position);
    this.held.splice(0, count);
    same(ring.headPosition, next === undefined ? ring.readPosition : next.position, "headPosition");
  }

  /**
   * One call of `read` (or of `controlledRead`, where an action is one) that is answered with `answers` in turn; it ends at the
   * limit, which is their number.
   */
  readWith(answers: readonly Answer[], controlled: boolean): void {
    const ring = this.consumer;
    const expected = [...this.published];
    let calls = 0;
    let counted = 0;
    let ended = false;
    const handler = (type: number, index: number, length: number): ControlledAction => {
      const answer = answers[calls] as Answer;
      const record = expected[calls];
      check(record !== undefined && !ended, `handler called ${calls + 1} times`);
      same(type, record?.type, "type that a handler gets");
      same(length, record?.payload.length, "length that a handler gets");
      const got = ring.bytes.subarray(index, index + length);
      check(
        got.equals(record?.payload ?? new Uint8Array(0)),
        `payload of ${length} bytes that a handler gets`,
      );
      calls++;
      if (answer !== ControlledAction.ABORT) counted++;
      ended =
        answer === "throw" ||
        (controlled && (answer === ControlledAction.ABORT || answer === ControlledAction.BREAK));
      if (answer === "throw") throw new Error("from the handler");
      return answer;
    };
    try {
      const count = controlled
        ? ring.controlledRead(handler, answers.length)
        : ring.read(handler, answers.length);
      same(count, counted, "number of records read");
    } catch (error) {
      if ((error as Error).message !== "from the handler") throw error;
      same(answers[calls - 1], "throw", "the last answer");
    }
    check(ended || calls === Math.min(answers.length, expected.length), `handler called ${calls} times`);
    this.published.splice(0, counted);
    this.polled = this.published.length;
    this.held.length = 0;
    same(ring.headPosition, ring.readPosition, "headPosition after a read");
  }

  /** Every record that is not released must still be there, and the sums must agree. */
  checkHeld(): void {
    for (const record of this.held) this.compare(record);
    const { producer, consumer } = this;
    const used = consumer.size();
    same(producer.size(), used, "size of both sides");
    check(used >= 0 && used <= producer.capacity, `size ${used}`);
    check(
      producer.freeSpace() <= producer.capacity - used,
      `freeSpace ${producer.freeSpace()} with ${used} used`,
    );
    same(producer.tail(), consumer.tail(), "tail of both sides");
  }

  get heldCount(): number {
    return this.held.length;
  }

  /** Reads and releases everything; afterwards the ring must be empty. */
  drain(): void {
    if (this.claim !== undefined) this.abort();
    this.publish();
    this.poll();
    while (this.readOne());
    this.checkHeld();
    this.release(this.held.length);
    same(this.consumer.size(), 0, "size of a drained ring");
    same(this.producer.freeSpace(), this.producer.capacity, "freeSpace of a drained ring");
  }

  private takeClaim(): { index: number; type: number; payload: Uint8Array } {
    const claim = this.claim;
    if (claim === undefined) throw new Error("the test holds no claim");
    this.claim = undefined;
    return claim;
  }

  /** A commit may have published the run: the shared tail tells whether it did, and then it must be all of it. */
  private notePublished(): void {
    if (this.producer.freeSpace() + this.producer.size() === this.producer.capacity) {
      this.movePublished(this.committed.length);
    }
  }

  private movePublished(count: number): void {
    this.published.push(...this.committed.splice(0, count));
  }

  private compare(record: ModelRecord): void {
    const { words, bytes } = this.consumer;
    const word = record.index >> 2;
    const length = record.payload.length;
    same(words[word], length + RECORD_HEADER_BYTES, `length of the record at index ${record.index}`);
    same(words[word + 1], record.type, `type of the record at index ${record.index}`);
    const start = record.index + RECORD_HEADER_BYTES;
    const payload = bytes.subarray(start, start + length);
    check(payload.equals(record.payload), `payload of ${length} bytes at index ${record.index} differs`);
    for (let i = start + length; i % 8 !== 0; i++) same(bytes[i], 0, `byte ${i} behind the payload`);
  }
}

function check(holds: boolean, difference: string): void {
  if (!holds) throw new Error(difference);
}

function same(actual: unknown, expected: unknown, what: string): void {
  if (actual !== expected) throw new Error(`${what}: ${String(actual)}, expected ${String(expected)}`);
}
