import t, { type Test } from "tap";
import { BroadcastReceiver, BroadcastTransmitter } from "../../src/index.ts";
import { type Seeded, seeded, seedOfRun } from "../seeded.ts";
import { stressRuns } from "../stress-time.ts";

const STEPS = 3_000;
const GAMES = 60;

/** What was transmitted, and where it must lie. */
interface Sent {
  readonly start: number;
  readonly end: number;
  readonly type: number;
  readonly bytes: Uint8Array;
}

interface Listening {
  readonly receiver: BroadcastReceiver;
  /** Sequence of the next record that it has not been given and cannot have missed yet. */
  expected: number;
  missed: number;
  /** Of the current record, if it was given one. */
  current: number | undefined;
}

/** A transmitter beside what is known of it, with its receivers. Every check throws. */
class Game {
  readonly capacity: number;
  readonly buffer: SharedArrayBuffer;
  readonly random: Seeded;
  readonly sent: Sent[] = [];
  readonly listening: Listening[] = [];
  transmitter: BroadcastTransmitter;
  readonly startPosition: number;
  tail: number;
  intent: number;
  open: { index: number; sent: Sent; end: number } | undefined;
  /** The last thing published was padding: whoever joins or is lapped waits for the next record. */
  padded = false;

  constructor(seed: number, mistake = false) {
    this.random = seeded(seed);
    this.capacity = 256 << this.random.below(4);
    const edge = [0, 2 ** 31, 2 ** 32, 2 ** 33][this.random.below(4)] as number;
    this.startPosition = Math.max(0, edge - 16 * this.random.below(200));
    this.tail = this.startPosition;
    this.intent = this.tail;
    this.buffer = BroadcastTransmitter.allocate(this.capacity, this.tail);
    this.transmitter = BroadcastTransmitter.attach(this.buffer);
    if (mistake) {
      // A transmitter that forgets to say what it overwrites.
      Object.defineProperty(this.transmitter, "announce", { value: () => {} });
    }
  }

  step(): void {
    const choice = this.random.below(100);
    if (choice < 45 && this.open !== undefined) this.end();
    else if (choice < 45) this.transmit();
    else if (choice < 46) this.takeOver();
    else if (choice < 48) this.join();
    else this.listen();
  }

  private transmit(): void {
    const length = this.random.below(3) === 0 ? 0 : this.random.below(this.transmitter.maxMessageLength + 1);
    const bytes = Uint8Array.from({ length }, () => this.random.below(256));
    const type = 1 + this.random.below(1000);
    const size = Math.ceil((16 + length) / 16) * 16;
    const toEnd = this.capacity - (this.tail % this.capacity);
    const start = this.tail + (size > toEnd ? toEnd : 0);
    const end = start + size;
    this.intent = end;
    if (this.random.below(2) === 0) {
      this.transmitter.transmit(type, bytes);
      this.published({ start, end, type, bytes }, end);
    } else {
      const index = this.transmitter.claim(type, length);
      check(index === (start % this.capacity) + 16, `index=${index} start=${start}`);
      this.transmitter.bytes.set(bytes, index);
      this.open = { index, sent: { start, end, type, bytes }, end };
    }
  }

  private published(sent: Sent | undefined, end: number): void {
    if (sent !== undefined) this.sent.push(sent);
    this.padded = sent === undefined;
    this.tail = end;
  }

  private end(): void {
    if (this.open === undefined) return;
    const { index, sent, end } = this.open;
    this.open = undefined;
    if (this.random.below(4) === 0) {
      this.transmitter.abort(index);
      this.published(undefined, end);
    } else {
      this.transmitter.commit(index);
      this.published(sent, end);
    }
  }

  private takeOver(): void {
    this.transmitter = BroadcastTransmitter.attach(this.buffer);
    if (this.open !== undefined) this.published(undefined, this.open.end);
    this.open = undefined;
    check(this.transmitter.sequence === this.sent.length, `sequence=${this.transmitter.sequence}`);
  }

  private join(): void {
    if (this.listening.length === 6) this.listening.splice(this.random.below(6), 1);
    const { length } = this.sent;
    const expected = this.padded || length === 0 ? length : length - 1;
    const receiver = BroadcastReceiver.attach(this.buffer);
    this.listening.push({ receiver, expected, missed: 0, current: undefined });
  }

  private isOverwritten(sequence: number): boolean {
    return (this.sent[sequence] as Sent).start + this.capacity < this.intent;
  }

  /** Whoever stood behind the record before this one cannot go on there: perhaps only padding in between is gone. */
  private isCutOff(sequence: number): boolean {
    const stood = this.sent[sequence - 1]?.end ?? this.startPosition;
    return stood + this.capacity < this.intent;
  }

  private listen(): void {
    const one = this.listening[this.random.below(Math.max(1, this.listening.length))];
    if (one === undefined) return;
    const { receiver } = one;
    if (this.random.below(4) === 0) {
      const valid = receiver.validate();
      if (one.current === undefined) return;
      check(valid === !this.isOverwritten(one.current), `valid=${valid} sequence=${one.current}`);
      if (!valid) one.expected = Math.min(one.expected, one.current);
      return;
    }
    const found = receiver.receiveNext();
    if (!found) {
      if (one.expected === this.sent.length) return;
      check(this.padded && this.isCutOff(one.expected), `not received: ${one.expected}`);
      return;
    }
    const { sequence } = receiver;
    if (sequence !== one.expected) {
      check(sequence > one.expected, `sequence=${sequence} expected=${one.expected}`);
      // Skipped only if it was overwritten at some time; what is overwritten stays so.
      check(this.isCutOff(one.expected), `skipped: ${one.expected}`);
    }
    one.missed += sequence - one.expected;
    check(receiver.missedCount === one.missed, `missed=${receiver.missedCount} expected=${one.missed}`);
    one.expected = sequence + 1;
    one.current = sequence;
    const sent = this.sent[sequence] as Sent;
    check(receiver.type === sent.type && receiver.length === sent.bytes.length, `header of ${sequence}`);
    const bytes = receiver.bytes.subarray(receiver.index, receiver.index + receiver.length);
    check(receiver.validate(), `valid at once: ${sequence}`);
    check(Buffer.compare(bytes, sent.bytes) === 0, `payload of ${sequence}`);
  }
}

function check(condition: boolean, what: string): void {
  if (!condition) throw new Error(what);
}

function play(t: Test, seed: number, number: number, mistake = false): string | undefined {
  const game = new Game(Math.imul(seed, GAMES) + number, mistake);
  for (let step = 0; step < STEPS; step++) {
    try {
      game.step();
    } catch (error) {
      const failure = `MILLRACE_SEED=${seed} game ${number} step ${step}: ${(error as Error).message}`;
      t.comment(failure);
      return failure;
    }
  }
  return undefined;
}

t.test("receivers get what a plain array says", async (t) => {
  for (const seed of stressRuns(seedOfRun(), 1)) {
    t.comment(`MILLRACE_SEED=${seed}`);
    for (let game = 0; game < GAMES; game++) {
      const failure = play(t, seed, game);
      if (failure !== undefined) return t.fail(failure);
    }
  }
  t.pass("in all games");
});

t.test("canary: a transmitter that does not announce what it overwrites is noticed", async (t) => {
  const seed = seedOfRun();
  for (let game = 0; game < GAMES; game++) {
    if (play(t, seed, game, true) !== undefined) return t.pass(`in game ${game}`);
  }
  t.fail(`MILLRACE_SEED=${seed}`);
});
