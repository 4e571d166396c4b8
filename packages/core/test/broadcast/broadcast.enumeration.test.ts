import t from "tap";
import { BROADCAST_TAIL_WORD, INTENT_WORD } from "../../src/broadcast/broadcast-layout.ts";
import { BroadcastReceiver, BroadcastTransmitter, CopyBroadcastReceiver } from "../../src/index.ts";
import { Interleavings, recordSteps, type Step } from "./broadcast-steps.ts";

const CAPACITY = 256;
/** With its header a record of 2 bytes takes 32, so eight fill the buffer. */
const LENGTH = 2;
const PER_LAP = 8;

/** Records whose payload says which they are. */
function transmit(transmitter: BroadcastTransmitter, sequence: number, length: number = LENGTH): void {
  transmitter.transmit(1 + sequence, new Uint8Array(length).fill(100 + sequence));
}

interface Scene {
  readonly startPosition: number;
  /** Transmitted before the receiver looks for the first time. */
  readonly before: number;
  /** Received of those. */
  readonly received: number;
  /** Transmitted while the receiver receives: lengths. */
  readonly during: readonly number[];
}

interface Prepared {
  readonly buffer: SharedArrayBuffer;
  readonly steps: Step[];
  readonly sent: number;
}

/** The memory before the steps, and the steps. */
function prepare(scene: Scene): Prepared {
  const buffer = BroadcastTransmitter.allocate(CAPACITY, scene.startPosition);
  const transmitter = BroadcastTransmitter.attach(buffer);
  for (let i = 0; i < scene.before; i++) transmit(transmitter, i);
  const before = Uint8Array.prototype.slice.call(new Uint8Array(buffer));
  const steps = recordSteps(transmitter, () => {
    for (const [i, length] of scene.during.entries()) transmit(transmitter, scene.before + i, length);
  });
  new Uint8Array(buffer).set(before);
  return { buffer, steps, sent: scene.before + scene.during.length };
}

/** What the canaries change. */
interface Mistakes {
  readonly steps?: (steps: Step[]) => Step[];
  readonly receiver?: (receiver: BroadcastReceiver) => void;
}

/** What was seen of a receiver in all interleavings. */
interface Seen {
  count: number;
  problems: Set<string>;
  outcomes: Set<string>;
}

/** A copying receiver calls `receive` `looks` times while the steps take place, and drains after. */
function enumerate(scene: Scene, looks: number, mistakes: Mistakes = {}): Seen {
  const { buffer, steps, sent } = prepare(scene);
  const ways = new Interleavings(buffer, mistakes.steps?.(steps) ?? steps);
  const seen: Seen = { count: 0, problems: new Set(), outcomes: new Set() };
  seen.count = ways.each(() => {
    const transmitted = new Uint8Array(buffer);
    const whole = Uint8Array.prototype.slice.call(transmitted);
    // It joined before everything.
    const empty = new Uint8Array(BroadcastTransmitter.allocate(CAPACITY, scene.startPosition));
    transmitted.set(empty);
    const copying = CopyBroadcastReceiver.attach(buffer, (missed) => log.push(`missed ${missed}`));
    transmitted.set(whole);
    const inner = Reflect.get(copying, "receiver") as BroadcastReceiver;
    const log: string[] = [];
    let handed = 0;
    let last = -1;
    const handler = (type: number, bytes: Uint8Array, length: number): void => {
      const { sequence } = copying;
      const torn = bytes.subarray(0, length).some((byte) => byte !== 100 + sequence);
      if (torn) seen.problems.add("torn");
      if (type !== 1 + sequence || sequence >= sent) seen.problems.add(`header ${type} ${sequence}`);
      if (sequence <= last) seen.problems.add("order");
      last = sequence;
      handed++;
      log.push(String(sequence));
    };
    try {
      copying.receive(handler, scene.received);
      ways.watch(inner);
      mistakes.receiver?.(inner);
      ways.between(() => {
        for (let look = 0; look < looks; look++) {
          if (copying.receive(handler) === 0) log.push("-");
        }
      });
      ways.finish();
      log.push("|");
      while (copying.receive(handler) > 0);
    } catch (error) {
      seen.problems.add(String(error));
      return;
    }
    if (last !== sent - 1) seen.problems.add("end");
    if (handed + copying.missedCount !== sent) seen.problems.add("count");
    seen.outcomes.add(log.join(" "));
  });
  return seen;
}

/** Where a position's words change their high part, inside the records that are transmitted. */
const STARTS = [0, 2 ** 31 - 32 * (PER_LAP + 1), 2 ** 32 - 32 * (PER_LAP + 1)];

const SCENES: Record<string, Omit<Scene, "startPosition">> = {
  "into an empty buffer": { before: 0, received: 0, during: [2, 2] },
  "while one record waits": { before: 1, received: 0, during: [2, 2] },
  "over the record that is being read": { before: PER_LAP, received: 0, during: [2, 2] },
  "over the record after it": { before: PER_LAP, received: 1, during: [2, 2, 2] },
  "over all but the last": { before: PER_LAP + 7, received: 7, during: [2] },
  // Twelve records of 16 bytes follow each other where six of 32 lie.
  "with other edges": { before: PER_LAP, received: 0, during: [0, 2, 0] },
  "of a lapped receiver": { before: PER_LAP + 3, received: 0, during: [2, 2] },
};

for (const startPosition of STARTS) {
  for (const [name, scene] of Object.entries(SCENES)) {
    t.test(`${name}, from ${startPosition}: no interleaving shows a torn record`, async (t) => {
      const seen = enumerate({ startPosition, ...scene }, 2);
      t.same([...seen.problems], []);
      t.comment(`${seen.count} interleavings, ${seen.outcomes.size} outcomes`);
      t.ok(seen.outcomes.size > 1, "and they differ");
    });
  }
}

t.test("padding at the end of the region is stepped over in every interleaving", async (t) => {
  // Seven records of 32 bytes and one of 16, so that 16 bytes are left.
  for (const received of [0, 1]) {
    const buffered = { startPosition: CAPACITY - 48, before: 1, received, during: [2, 2] };
    const seen = enumerate(buffered, 2);
    t.same([...seen.problems], []);
    t.ok(seen.outcomes.size > 1);
  }
});

t.test("one transmit and one receive: these outcomes, and no others", async (t) => {
  const outcomes = (before: number, received: number): string[] => {
    return [...enumerate({ startPosition: 0, before, received, during: [2] }, 1).outcomes].sort();
  };
  // "-" is nothing found; what stands behind the bar was received when the transmit had ended.
  t.same(outcomes(0, 0), ["- | 0", "0 |"]);
  t.same(outcomes(1, 0), ["0 | 1"]);
  // The ninth overwrites the first. That one is received in time, or lost in the copy, where the others are whole; or the receiver
  // finds that it was lapped, and goes to the eighth or, if it is there, to the ninth, though perhaps before its tail is.
  t.same(outcomes(PER_LAP, 0), [
    "- | missed 8 8",
    "0 | 1 2 3 4 5 6 7 8",
    "missed 7 7 | 8",
    "missed 8 8 |",
    "| missed 1 1 2 3 4 5 6 7 8",
  ]);
});

/** Stores of each record, between those of its intent and of its tail. */
function records(steps: Step[]): { intent: Step[]; plain: Step[]; end: Step[] }[] {
  const parts: { intent: Step[]; plain: Step[]; end: Step[] }[] = [];
  for (const step of steps) {
    const word = step.byte / 4;
    if (step.atomic && word >= INTENT_WORD && word < INTENT_WORD + 2) {
      if (word === INTENT_WORD) parts.push({ intent: [], plain: [], end: [] });
      parts.at(-1)?.intent.push(step);
    } else if (step.atomic) parts.at(-1)?.end.push(step);
    else parts.at(-1)?.plain.push(step);
  }
  return parts;
}

t.test("the order of the plain stores between intent and tail does not matter", async (t) => {
  for (const [name, scene] of Object.entries(SCENES)) {
    const seen = enumerate({ startPosition: 0, ...scene }, 2, {
      steps: (steps) =>
        records(steps).flatMap(({ intent, plain, end }) => [...intent, ...plain.reverse(), ...end]),
    });
    t.same([...seen.problems], [], name);
  }
});

t.test(
  "every interleaving of a join with transmits starts at a whole record, and misses none after it",
  async (t) => {
    for (const startPosition of STARTS) {
      for (const before of [0, 1, PER_LAP + 2]) {
        const { buffer, steps, sent } = prepare({ startPosition, before, received: 0, during: [2, 2, 2] });
        const ways = new Interleavings(buffer, steps);
        const firsts = new Set<number>();
        ways.each(() => {
          const receiver = ways.between(() => BroadcastReceiver.attach(buffer));
          ways.finish();
          let expected: number | undefined;
          while (receiver.receiveNext()) {
            const { sequence, index, length } = receiver;
            firsts.add(expected === undefined ? sequence : -1);
            if (expected !== undefined && sequence !== expected) t.fail(`${sequence} after ${expected - 1}`);
            if (receiver.bytes.subarray(index, index + length).some((byte) => byte !== 100 + sequence))
              t.fail("torn");
            expected = sequence + 1;
          }
          if (expected !== sent || receiver.missedCount !== 0)
            t.fail(`${expected} of ${sent}, missed ${receiver.missedCount}`);
        });
        firsts.delete(-1);
        // From the latest at the join's begin to the latest at its end.
        const latest = Math.max(0, before - 1);
        t.same(
          [...firsts].sort((a, b) => a - b),
          Array.from({ length: sent - latest }, (_, i) => latest + i),
        );
      }
    }
  },
);

const OVER = { startPosition: 0, before: PER_LAP, received: 0, during: [2, 2] };

t.test("canary: a receiver that does not validate is noticed", async (t) => {
  const seen = enumerate(OVER, 2, {
    receiver: (receiver) => Object.defineProperty(receiver, "validate", { value: () => true }),
  });
  t.ok(seen.problems.has("torn"));
});

t.test("canary: a receiver that validates before it reads is noticed", async (t) => {
  const seen = enumerate(OVER, 2, {
    receiver: (receiver) => {
      const { receiveNext, validate } = receiver;
      let valid = true;
      Object.defineProperty(receiver, "receiveNext", {
        value: () => {
          const found = receiveNext.call(receiver);
          valid = !found || validate.call(receiver);
          return found;
        },
      });
      Object.defineProperty(receiver, "validate", { value: () => valid });
    },
  });
  t.ok(seen.problems.has("torn"));
});

t.test("canary: bytes that overtake the intent on their way to memory are noticed", async (t) => {
  const seen = enumerate(OVER, 2, {
    steps: (steps) => records(steps).flatMap(({ intent, plain, end }) => [...plain, ...intent, ...end]),
  });
  t.ok(seen.problems.has("torn"));
});

t.test("canary: a tail that overtakes the bytes is noticed", async (t) => {
  const seen = enumerate({ ...OVER, received: PER_LAP }, 2, {
    steps: (steps) =>
      records(steps).flatMap(({ intent, plain, end }) => {
        const tails = end.filter(
          (step) => step.byte / 4 >= BROADCAST_TAIL_WORD && step.byte / 4 < BROADCAST_TAIL_WORD + 2,
        );
        return [...intent, ...tails, ...plain, ...end.filter((step) => !tails.includes(step))];
      }),
  });
  t.not(seen.problems.size, 0);
});

t.test("canary: a header that is believed before it is validated is noticed", async (t) => {
  // As Agrona's: first the check, then length and type.
  const seen = enumerate({ startPosition: 0, before: PER_LAP, received: 0, during: [0, 2, 0] }, 3, {
    receiver: (receiver) => {
      const intent = Reflect.get(receiver, "intent") as { load: () => number };
      const validate = receiver.validate;
      const load = intent.load.bind(intent);
      let early = 0;
      const receiveNext = receiver.receiveNext;
      Object.defineProperty(receiver, "receiveNext", {
        value: () => {
          early = load();
          intent.load = () => early;
          try {
            return receiveNext.call(receiver);
          } finally {
            intent.load = load;
          }
        },
      });
      Object.defineProperty(receiver, "validate", { value: () => validate.call(receiver) });
    },
  });
  t.not(seen.problems.size, 0, [...seen.problems].join(", "));
});
