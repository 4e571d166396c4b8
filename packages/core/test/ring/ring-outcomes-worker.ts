import { parentPort, workerData } from "node:worker_threads";
import {
  INSUFFICIENT_CAPACITY,
  ManyToOneRingBuffer,
  OneToOneRingBuffer,
  type RingBuffer,
} from "../../src/index.ts";
import { type Seeded, seeded } from "../seeded.ts";
import { passGate } from "../start-gate.ts";
import {
  type OutcomeCounts,
  type OutcomeMessage,
  OutcomeSignal,
  type OutcomeWorkerData,
} from "./ring-outcomes-plan.ts";

const PAYLOAD_WORDS = 10;

const data = workerData as OutcomeWorkerData;
const signals = new Int32Array(data.signals);
const counts: OutcomeCounts = {};

function attach(): RingBuffer {
  return data.kind === "one-to-one"
    ? OneToOneRingBuffer.attach(data.ring)
    : ManyToOneRingBuffer.attach(data.ring);
}

function saw(outcome: string): void {
  counts[outcome] = (counts[outcome] ?? 0) + 1;
}

function nap(): void {
  Atomics.wait(signals, OutcomeSignal.NAP, 0, 0.02);
}

/** Numbered records: type and all words of the payload say the number and the writer. */
function publish(random: Seeded): void {
  const ring = attach();
  for (let n = 1; n <= data.rounds; n++) {
    const value = (n << 2) | data.which;
    let index = ring.tryClaim(value, PAYLOAD_WORDS * 4);
    while (index === INSUFFICIENT_CAPACITY) {
      saw("a full ring");
      ring.publish();
      nap();
      index = ring.tryClaim(value, PAYLOAD_WORDS * 4);
    }
    const start = index >> 2;
    if (data.kind === "many-to-one") {
      let zeros = true;
      for (let i = 0; i < PAYLOAD_WORDS; i++) zeros &&= ring.words[start + i] === 0;
      saw(zeros ? "a claim of zeros" : "a claim with old bytes");
    }
    for (let i = 0; i < PAYLOAD_WORDS; i++) ring.words[start + i] = value;
    if (random.below(16) === 0) {
      ring.abort(index);
      n--;
      continue;
    }
    ring.commit(index);
    if (random.below(4) === 0) ring.publish();
  }
  ring.publish();
}

function read(random: Seeded): void {
  const ring = attach();
  const next = new Array<number>(data.publishers).fill(1);
  let last = -1;
  let left = data.rounds * data.publishers;
  while (left > 0) {
    const count = ring.read((type, index) => {
      const which = type & 3;
      const n = type >>> 2;
      const expected = next[which] as number;
      saw(
        n === expected
          ? "the next record of its writer"
          : n < expected
            ? "a record again"
            : "a record too early",
      );
      next[which] = n + 1;
      let whole = true;
      for (let i = 0; i < PAYLOAD_WORDS; i++) whole &&= ring.words[(index >> 2) + i] === type;
      saw(whole ? "a whole payload" : "a payload with old words");
      if (last >= 0 && data.publishers > 1)
        saw(which === last ? "the same writer as before" : "another writer than before");
      last = which;
    }, 1 + random.below(40));
    left -= count;
    if (count === 0) {
      saw("nothing yet");
      nap();
    }
  }
  Atomics.store(signals, OutcomeSignal.OVER, 1);
}

/** Somebody who only looks at how full the ring is. */
function watch(): void {
  const ring = attach();
  while (Atomics.load(signals, OutcomeSignal.OVER) === 0) {
    const size = ring.size();
    if (size === 0) saw("size 0");
    else if (size === ring.capacity) saw("size = capacity");
    else saw(size > 0 && size < ring.capacity ? "a size between" : "an impossible size");
    if ((counts["a size between"] ?? 0) % 64 === 0) nap();
  }
}

function awaitAtLeast(signal: number, round: number): void {
  for (let spin = 0; Atomics.load(signals, signal) < round; spin++) if (spin > 2000) nap();
}

/** Mostly for the time in which the other side does its part, and sometimes for so long that the other is first, whoever has a core. */
function stepBack(random: Seeded): void {
  if (random.below(8) === 0) nap();
  for (let i = random.below(120); i > 0; i--) Atomics.load(signals, OutcomeSignal.NAP);
}

/** Commits its claim in the moment in which the consumer takes it away. */
function raceToCommit(random: Seeded): void {
  const ring = attach();
  for (let round = 1; round <= data.rounds; round++) {
    awaitAtLeast(OutcomeSignal.UNBLOCKED, round - 1);
    const index = ring.tryClaim(round, 8);
    Atomics.store(signals, OutcomeSignal.CLAIMED, round);
    stepBack(random);
    let won = 1;
    try {
      ring.commit(index);
    } catch {
      won = 0;
    }
    Atomics.store(signals, OutcomeSignal.COMMIT_WON, won);
    Atomics.store(signals, OutcomeSignal.COMMITTED, round);
  }
}

function raceToUnblock(random: Seeded): void {
  const ring = attach();
  for (let round = 1; round <= data.rounds; round++) {
    awaitAtLeast(OutcomeSignal.CLAIMED, round);
    stepBack(random);
    const unblocked = ring.unblock();
    awaitAtLeast(OutcomeSignal.COMMITTED, round);
    const committed = Atomics.load(signals, OutcomeSignal.COMMIT_WON) === 1;
    let records = 0;
    ring.read((type) => {
      records += type === round ? 1 : 1000;
    });
    saw(
      `${committed ? "committed" : "commit refused"}, ${unblocked ? "unblocked" : "not unblocked"}, ${records} read`,
    );
    if (ring.size() !== 0) saw("something left in the ring");
    Atomics.store(signals, OutcomeSignal.UNBLOCKED, round);
  }
}

const ROLES = {
  publisher: publish,
  reader: read,
  bystander: watch,
  committer: raceToCommit,
  unblocker: raceToUnblock,
} as const;

let message: OutcomeMessage;
try {
  passGate(signals, OutcomeSignal.GATE, data.parties);
  ROLES[data.role](seeded(data.seed + data.which * 101 + data.role.length));
  message = { counts };
} catch (error) {
  message = { failed: `${data.role}: ${(error as Error).stack}` };
}
parentPort?.postMessage(message);
