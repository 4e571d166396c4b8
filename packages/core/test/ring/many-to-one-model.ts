import { ControlledAction, INSUFFICIENT_CAPACITY, ManyToOneRingBuffer } from "../../src/index.ts";
import { MANY_TAIL_WORD } from "../../src/ring/many-to-one-layout.ts";
import type { Answer } from "./ring-model.ts";

type State = "open" | "committed" | "aborted" | "dead" | "unwritten";

/** One claim, in the order of claims: what must stand in the ring from `start` on. */
interface Claim {
  state: State;
  readonly type: number;
  payload: Uint8Array;
  /** Index of its header, and of the first byte behind it. */
  readonly start: number;
  end: number;
}

export type MakeManyToOneRing = (buffer: SharedArrayBuffer) => ManyToOneRingBuffer;

/**
 * Drives some producers and a consumer over one buffer, in one thread, and compares each answer with a plain array of claims.
 * Every method throws an Error that names the difference.
 */
export class ManyToOneModel {
  readonly maxMessageLength: number;
  readonly #buffer: SharedArrayBuffer;
  readonly #makeRing: MakeManyToOneRing;
  readonly #producers: { ring: ManyToOneRingBuffer; open: Claim | undefined; committed: boolean }[];
  readonly #consumer: ManyToOneRingBuffer;
  readonly #capacity: number;
  readonly #claims: Claim[] = [];
  #tail: number;
  #counter = 0;

  constructor(capacity: number, startPosition: number, producers: number, makeRing: MakeManyToOneRing) {
    this.#buffer = ManyToOneRingBuffer.allocate(capacity, startPosition);
    this.#makeRing = makeRing;
    this.#consumer = makeRing(this.#buffer);
    this.#producers = Array.from({ length: producers }, () => this.#newProducer());
    this.#capacity = capacity;
    this.maxMessageLength = this.#consumer.maxMessageLength;
    this.#tail = startPosition % capacity;
  }

  /** Bytes of the open claim of a producer, or -1. */
  claimLength(which: number): number {
    return this.#producer(which).open?.payload.length ?? -1;
  }

  tryClaim(which: number, length: number): void {
    const producer = this.#producer(which);
    const type = 1 + (this.#counter++ % 1000);
    const bytes = (length + 15) & ~7;
    const toEnd = this.#capacity - this.#tail;
    const padding = bytes > toEnd ? toEnd : 0;
    const fits = bytes + padding <= this.#capacity - this.#used();
    const index = producer.ring.tryClaim(type, length);
    same(index, fits ? 8 + ((this.#tail + padding) % this.#capacity) : INSUFFICIENT_CAPACITY, "claim");
    if (!fits) return;
    if (padding !== 0) this.#push({ state: "aborted", type: -1, payload: new Uint8Array(0) }, padding);
    const payload = producer.ring.bytes.subarray(index, index + length);
    check(
      payload.every((byte) => byte === 0),
      `claim of ${length} bytes at index ${index} is not zeros`,
    );
    for (let i = 0; i < length; i++) payload[i] = (type * 31 + i * 7 + 1) & 0xff;
    producer.open = this.#push({ state: "open", type, payload: payload.slice() }, bytes);
  }

  commit(which: number): void {
    const [producer, claim] = this.#takeClaim(which);
    producer.ring.commit(claim.start + 8);
    claim.state = "committed";
    producer.committed = true;
  }

  commitLength(which: number, length: number): void {
    const [producer, claim] = this.#takeClaim(which);
    producer.ring.commitLength(claim.start + 8, length);
    claim.payload = claim.payload.slice(0, length);
    claim.state = "committed";
    const rest = { state: "aborted", type: -1, payload: claim.payload, end: claim.end } as const;
    claim.end = claim.start + ((length + 15) & ~7);
    if (claim.end !== rest.end) {
      this.#claims.splice(this.#claims.indexOf(claim) + 1, 0, { ...rest, start: claim.end });
    }
    producer.committed = true;
  }

  abort(which: number): void {
    const [producer, claim] = this.#takeClaim(which);
    producer.ring.abort(claim.start + 8);
    claim.state = "aborted";
  }

  publish(which: number): void {
    const producer = this.#producer(which);
    same(producer.ring.publish(), producer.committed, "publish");
    producer.committed = false;
  }

  /** The producer's thread dies, with its claim if it has one; a new one takes its place. */
  die(which: number): void {
    const { open } = this.#producer(which);
    if (open !== undefined) open.state = "dead";
    this.#producers[which] = this.#newProducer();
  }

  /** The producer's thread dies when it has moved the tail and nothing else. */
  dieClaiming(which: number, length: number): void {
    this.die(which);
    const bytes = (length + 15) & ~7;
    const toEnd = this.#capacity - this.#tail;
    const padding = bytes > toEnd ? toEnd : 0;
    if (bytes + padding > this.#capacity - this.#used()) return;
    const nothing = { state: "unwritten", type: 0, payload: new Uint8Array(0) } as const;
    if (padding !== 0) this.#push(nothing, padding);
    this.#push(nothing, bytes);
    Atomics.add(new Int32Array(this.#buffer), MANY_TAIL_WORD, (bytes + padding) / 8);
  }

  /** One call of `read` or `controlledRead`, answered in turn; it ends at the limit, which is the number of answers. */
  readWith(answers: readonly Answer[], controlled: boolean): void {
    const ring = this.#consumer;
    let calls = 0;
    let counted = 0;
    let ended = false;
    const handler = (type: number, index: number, length: number): ControlledAction => {
      this.#passPadding();
      const claim = this.#claims[0];
      check(claim?.state === "committed" && !ended, `handler called ${calls + 1} times`);
      this.#compare(claim as Claim, type, index, length);
      const answer = answers[calls++] as Answer;
      ended =
        answer === "throw" ||
        (controlled && (answer === ControlledAction.ABORT || answer === ControlledAction.BREAK));
      if (answer !== ControlledAction.ABORT) {
        counted++;
        this.#claims.shift();
      }
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
    const atLimit = ended || calls === answers.length;
    if (!atLimit) this.#passPadding();
    check(atLimit || this.#claims[0]?.state !== "committed", `handler called ${calls} times only`);
    // What ends a call leaves padding behind the last record for the next one.
    same(ring.size(), this.#used(), "size after a read");
  }

  /** As its callers must, only when a dead producer's claim is at the head. */
  unblock(): void {
    const first = this.#claims[0];
    if (first?.state === "open") return;
    const ring = this.#consumer;
    if (first?.state === "dead") {
      same(ring.unblock(), true, "unblock of a claim");
      first.state = "aborted";
    } else if (first?.state === "unwritten") {
      const end = this.#gapEnd();
      ring.unblock();
      same(ring.unblock(), end !== undefined, "second unblock of a claim without a length");
      if (end === undefined) return;
      do this.#claims.shift();
      while (this.#claims[0] !== undefined && this.#claims[0].start !== end % this.#capacity);
      this.#claims.unshift({ ...first, state: "aborted", end });
    } else same(ring.unblock(), false, "unblock of nothing");
  }

  check(): void {
    for (const { ring } of this.#producers) same(ring.size(), this.#used(), "size");
    let used = 0;
    for (const claim of this.#claims) used += claim.end - claim.start;
    same(this.#used(), used, "bytes of all claims");
  }

  /** Ends and reads everything; afterwards the ring must be empty and all zeros. */
  drain(): void {
    for (let which = 0; which < this.#producers.length; which++) {
      if (this.claimLength(which) >= 0) this.commit(which);
    }
    for (let round = 0; this.#claims.length > 0; round++) {
      check(round < 1000, `still ${this.#claims.length} claims, the first ${this.#claims[0]?.state}`);
      this.readWith(new Array<Answer>(100).fill(ControlledAction.CONTINUE), false);
      this.unblock();
      // Somebody must claim behind a claim without a length.
      if (this.#claims.every((claim) => claim.state === "unwritten") && this.#claims.length > 0) {
        this.tryClaim(0, 0);
        if (this.claimLength(0) >= 0) this.commit(0);
      }
    }
    same(this.#consumer.size(), 0, "size of a drained ring");
    check(
      this.#consumer.words.every((word) => word === 0),
      "a drained ring is not zeros",
    );
  }

  /** Where a claim without a length ends as far as the ring can tell. */
  #gapEnd(): number | undefined {
    for (const { state, start, end } of this.#claims) {
      if (state !== "unwritten") return start === 0 ? this.#capacity : start;
      if (end === this.#capacity) return this.#capacity;
    }
    return undefined;
  }

  #used(): number {
    const first = this.#claims[0];
    if (first === undefined) return 0;
    const used = (this.#tail - first.start + this.#capacity) % this.#capacity;
    return used === 0 ? this.#capacity : used;
  }

  #push(claim: Pick<Claim, "state" | "type" | "payload">, bytes: number): Claim {
    const pushed = { ...claim, start: this.#tail, end: this.#tail + bytes };
    this.#claims.push(pushed);
    this.#tail = pushed.end % this.#capacity;
    return pushed;
  }

  #passPadding(): void {
    while (this.#claims[0]?.state === "aborted") this.#claims.shift();
  }

  #compare(claim: Claim, type: number, index: number, length: number): void {
    same(type, claim.type, "type");
    same(index, claim.start + 8, "index");
    same(length, claim.payload.length, "length");
    const { bytes } = this.#consumer;
    check(bytes.subarray(index, index + length).equals(claim.payload), `payload at index ${index} differs`);
    for (let i = index + length; i % 8 !== 0; i++) same(bytes[i], 0, `byte ${i} behind the payload`);
  }

  #producer(which: number): { ring: ManyToOneRingBuffer; open: Claim | undefined; committed: boolean } {
    const producer = this.#producers[which];
    if (producer === undefined) throw new Error(`no producer ${which}`);
    return producer;
  }

  #newProducer(): { ring: ManyToOneRingBuffer; open: undefined; committed: boolean } {
    return { ring: this.#makeRing(this.#buffer), open: undefined, committed: false };
  }

  #takeClaim(which: number): [{ ring: ManyToOneRingBuffer; committed: boolean }, Claim] {
    const producer = this.#producer(which);
    const { open } = producer;
    if (open === undefined) throw new Error("the test holds no claim");
    producer.open = undefined;
    return [producer, open];
  }
}

function check(holds: boolean, difference: string): void {
  if (!holds) throw new Error(difference);
}

function same(actual: unknown, expected: unknown, what: string): void {
  if (actual !== expected) throw new Error(`${what}: ${String(actual)}, expected ${String(expected)}`);
}
