import t from "tap";
import {
  ControlledAction,
  type ControlledMessageHandler,
  ManyToOneRingBuffer,
  type MessageHandler,
} from "../../src/index.ts";
import { MANY_HEAD_CACHE_WORD, MANY_HEAD_WORD } from "../../src/ring/many-to-one-layout.ts";
import { type Seeded, seeded, seedOfRun } from "../seeded.ts";
import { type MakeManyToOneRing, ManyToOneModel } from "./many-to-one-model.ts";
import type { Answer } from "./ring-model.ts";

const ROUNDS = 600;
const STEPS = 1500;
const CAPACITIES = [128, 256, 512, 4096, 65536];

const { ABORT, BREAK, COMMIT, CONTINUE } = ControlledAction;
const PLAIN: readonly Answer[] = [CONTINUE, CONTINUE, CONTINUE, CONTINUE, CONTINUE, CONTINUE, "throw"];
const CONTROLLED: readonly Answer[] = [CONTINUE, CONTINUE, CONTINUE, COMMIT, ABORT, BREAK, "throw"];

function answers(random: Seeded, among: readonly Answer[]): Answer[] {
  return Array.from({ length: random.below(8) }, () => among[random.below(among.length)] as Answer);
}

/** One run of random steps. @throws Error that carries the seed, where ring and model differ. */
function fuzz(seed: number, makeRing: MakeManyToOneRing): void {
  const random = seeded(seed);
  const capacity = CAPACITIES[random.below(CAPACITIES.length)] as number;
  const edge = [0, 2 ** 32, 2 ** 34, 2 ** 35, 2 ** 40][random.below(5)] as number;
  const startPosition = Math.max(0, edge - 8 * random.below((2 * capacity) / 8));
  const producers = 1 + random.below(4);
  const model = new ManyToOneModel(capacity, startPosition, producers, makeRing);
  // Some runs have small records, some few large ones; in some nobody dies.
  const longest = model.maxMessageLength;
  const bound = 1 + (random.below(2) === 0 ? longest : Math.min(longest, 40));
  const deadly = random.below(2) === 0;
  let step = 0;
  try {
    for (; step < STEPS; step++) {
      const which = random.below(producers);
      const choice = random.below(16);
      if (choice === 0) model.publish(which);
      else if (choice === 1 && deadly && random.below(4) === 0) model.die(which);
      else if (choice === 2 && deadly && random.below(4) === 0) model.dieClaiming(which, random.below(bound));
      else if (choice < 4) model.unblock();
      else if (choice < 6) model.readWith(answers(random, PLAIN), false);
      else if (choice < 8) model.readWith(answers(random, CONTROLLED), true);
      else if (choice === 8) model.check();
      else claimOrEnd(model, which, random, bound);
    }
    model.drain();
  } catch (error) {
    throw new Error(
      `MILLRACE_SEED=${seed} capacity=${capacity} startPosition=${startPosition} step=${step}: ${(error as Error).message}`,
      { cause: error },
    );
  }
}

function claimOrEnd(model: ManyToOneModel, which: number, random: Seeded, bound: number): void {
  const claimed = model.claimLength(which);
  if (claimed < 0) {
    model.tryClaim(which, random.below(bound));
    return;
  }
  const choice = random.below(8);
  if (choice === 0) model.abort(which);
  else if (choice < 3) model.commitLength(which, random.below(claimed + 1));
  else model.commit(which);
}

/** What the first run that fails within the budget says, or undefined. */
function firstFailure(base: number, rounds: number, makeRing: MakeManyToOneRing): Error | undefined {
  for (let round = 0; round < rounds; round++) {
    try {
      fuzz(base + round, makeRing);
    } catch (error) {
      return error as Error;
    }
  }
  return undefined;
}

t.test("random steps agree with a plain array", async (t) => {
  const base = seedOfRun();
  t.comment(`MILLRACE_SEED=${base}`);
  t.equal(
    firstFailure(base, ROUNDS, (buffer) => ManyToOneRingBuffer.attach(buffer)),
    undefined,
  );
});

// Canaries: rings with one deliberate mistake each. A fuzz that does not notice them proves nothing.

/** Forgets to count the last record of a read, as one that releases too little. */
class ShortHead extends ManyToOneRingBuffer {
  override read(handler: MessageHandler, limit?: number): number {
    const control = new Int32Array(this.buffer);
    const before = Atomics.load(control, MANY_HEAD_WORD);
    const count = super.read(handler, limit);
    if (count === 3) Atomics.store(control, MANY_HEAD_WORD, before);
    return count;
  }
}

/** A head cache that runs ahead: producers overwrite what is not read. */
class EagerHeadCache extends ManyToOneRingBuffer {
  override commit(index: number): void {
    super.commit(index);
    Atomics.add(new Int32Array(this.buffer), MANY_HEAD_CACHE_WORD, 1);
  }
}

/** Leaves bytes of the longer payload behind the shorter one. */
class DirtyGap extends ManyToOneRingBuffer {
  override commitLength(index: number, length: number): void {
    const dirt = this.bytes[index + length] as number;
    super.commitLength(index, length);
    this.bytes[index + length] = dirt;
  }
}

/** Leaves something in the ring that the next lap takes for a claim. */
class DirtyLap extends ManyToOneRingBuffer {
  override read(handler: MessageHandler, limit?: number): number {
    let last = -1;
    const count = super.read((type, index, length) => {
      last = index;
      handler(type, index, length);
    }, limit);
    if (last >= 0) this.words[last >> 2] = 1;
    return count;
  }
}

/** An aborted record is read all the same. */
class ForgottenAbort extends ManyToOneRingBuffer {
  override controlledRead(handler: ControlledMessageHandler, limit?: number): number {
    return super.controlledRead((type, index, length) => {
      const action = handler(type, index, length);
      return action === ABORT ? BREAK : action;
    }, limit);
  }
}

/** Takes a claim without a length away at first sight, up to the first 8 bytes. */
class HastyUnblock extends ManyToOneRingBuffer {
  override unblock(): boolean {
    const head = Atomics.load(new Int32Array(this.buffer), MANY_HEAD_WORD) * 8;
    const word = (head & (this.capacity - 1)) >> 2;
    if (this.size() === 0 || this.words[word] !== 0) return super.unblock();
    this.words[word + 1] = -1;
    Atomics.store(this.words, word, 8);
    return true;
  }
}

/** Says that something was committed again and again. */
class LoudPublish extends ManyToOneRingBuffer {
  private ever = false;

  override publish(): boolean {
    this.ever ||= super.publish();
    return this.ever;
  }
}

for (const Broken of [
  ShortHead,
  EagerHeadCache,
  DirtyGap,
  DirtyLap,
  ForgottenAbort,
  HastyUnblock,
  LoudPublish,
]) {
  t.test(`canary: the fuzz notices ${Broken.name}`, async (t) => {
    const failure = firstFailure(1, 50, (buffer) => Broken.attach(buffer));
    t.match(failure?.message, /^MILLRACE_SEED=\d+ capacity=/);
    t.comment(failure?.message ?? "not noticed");
  });
}
