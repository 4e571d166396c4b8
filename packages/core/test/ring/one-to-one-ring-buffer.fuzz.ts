import t from "tap";
import { ControlledAction, type ControlledMessageHandler, OneToOneRingBuffer } from "../../src/index.ts";
import { alignRecord, HEAD_WORD, RECORD_HEADER_BYTES, TAIL_WORD } from "../../src/ring/ring-layout.ts";
import { type Seeded, seeded, seedOfRun } from "../seeded.ts";
import { type Answer, type MakeRing, RingModel } from "./ring-model.ts";

const ROUNDS = 1000;
const STEPS = 1500;
const CAPACITIES = [128, 256, 512, 4096, 65536];

const { ABORT, BREAK, COMMIT, CONTINUE } = ControlledAction;
const PLAIN: readonly Answer[] = [CONTINUE, CONTINUE, CONTINUE, CONTINUE, CONTINUE, CONTINUE, "throw"];
const CONTROLLED: readonly Answer[] = [CONTINUE, CONTINUE, CONTINUE, COMMIT, ABORT, BREAK, "throw"];

function answers(random: Seeded, among: readonly Answer[]): Answer[] {
  return Array.from({ length: random.below(6) }, () => among[random.below(among.length)] as Answer);
}

/** One run of random steps. @throws Error that carries the seed, where ring and model differ. */
function fuzz(seed: number, steps: number, makeRing: MakeRing): void {
  const random = seeded(seed);
  const capacity = CAPACITIES[random.below(CAPACITIES.length)] as number;
  const edge = [0, 2 ** 31, 2 ** 32, 2 ** 52][random.below(4)] as number;
  const startPosition = Math.max(0, edge - 8 * random.below((2 * capacity) / 8));
  const model = new RingModel(capacity, startPosition, makeRing);
  const longest = model.producer.maxMessageLength;
  // Some runs have small records, some few large ones, and some a consumer that holds much back.
  const bound = 1 + (random.below(2) === 0 ? longest : Math.min(longest, 40));
  const holding = random.below(3) === 0;
  let step = 0;
  try {
    for (; step < steps; step++) {
      if (model.hasClaim) {
        const choice = random.below(8);
        if (choice === 0) model.abort();
        else if (choice < 3) model.commitLength(random.below(model.claimLength + 1));
        else model.commit();
        continue;
      }
      const choice = random.below(14);
      if (choice < 5) model.tryClaim(random.below(bound));
      else if (choice === 5) model.publish();
      else if (choice === 6) model.poll();
      else if (choice < 10) model.readOne();
      else if (choice === 12) model.readWith(answers(random, PLAIN), false);
      else if (choice === 13 && !holding) model.readWith(answers(random, CONTROLLED), true);
      else if (choice === 10 && !(holding && random.below(4) !== 0)) {
        model.release(random.below(model.heldCount + 1));
      } else model.checkHeld();
    }
    model.drain();
  } catch (error) {
    throw new Error(
      `MILLRACE_SEED=${seed} capacity=${capacity} startPosition=${startPosition} step=${step}: ${(error as Error).message}`,
      { cause: error },
    );
  }
}

/** What the first run that fails within the budget says, or undefined. */
function firstFailure(base: number, rounds: number, makeRing: MakeRing): Error | undefined {
  for (let round = 0; round < rounds; round++) {
    try {
      fuzz(base + round, STEPS, makeRing);
    } catch (error) {
      return error as Error;
    }
  }
  return undefined;
}

t.test("random steps agree with plain arrays", async (t) => {
  const base = seedOfRun();
  t.comment(`MILLRACE_SEED=${base}`);
  t.equal(
    firstFailure(base, ROUNDS, (buffer) => OneToOneRingBuffer.attach(buffer)),
    undefined,
  );
});

// Canaries: rings with one deliberate mistake each. A fuzz that does not notice them proves nothing.

/** Makes the head visible before the records are given back: the producer overwrites what is held. */
class EagerHead extends OneToOneRingBuffer {
  override advance(): void {
    super.advance();
    Atomics.store(new Int32Array(this.buffer), HEAD_WORD, this.readPosition | 0);
  }
}

/** Hides the last record of each published run. */
class LateTail extends OneToOneRingBuffer {
  override publish(): boolean {
    const control = new Int32Array(this.buffer);
    const before = Atomics.load(control, TAIL_WORD);
    const moved = super.publish();
    if (moved && ((before / 8) & 3) === 0) Atomics.store(control, TAIL_WORD, before);
    return moved;
  }
}

/** Wraps without marking the rest of the data region as padding. */
class ForgottenPadding extends OneToOneRingBuffer {
  private end = -1;

  override tryClaim(type: number, length: number): number {
    const index = super.tryClaim(type, length);
    if (index === RECORD_HEADER_BYTES && this.end >= 0) this.words[(this.end >> 2) + 1] = 1;
    return index;
  }

  override commit(index: number): void {
    const length = this.words[(index - RECORD_HEADER_BYTES) >> 2] as number;
    this.end = (index - RECORD_HEADER_BYTES + alignRecord(length)) & (this.capacity - 1);
    super.commit(index);
  }
}

/** Leaves bytes of older records behind a shortened payload. */
class DirtyGap extends OneToOneRingBuffer {
  override commitLength(index: number, length: number): void {
    const dirt = this.bytes[index + length] as number;
    super.commitLength(index, length);
    this.bytes[index + length] = dirt;
  }
}

/** Releases in 32-bit arithmetic, so that positions break past 2^31. */
class NarrowPositions extends OneToOneRingBuffer {
  override get headPosition(): number {
    return super.headPosition | 0;
  }
}

/** An aborted record is read all the same. */
class ForgottenAbort extends OneToOneRingBuffer {
  override controlledRead(handler: ControlledMessageHandler, limit?: number): number {
    return super.controlledRead((type, index, length) => {
      const action = handler(type, index, length);
      return action === ABORT ? BREAK : action;
    }, limit);
  }
}

for (const Broken of [EagerHead, LateTail, ForgottenPadding, DirtyGap, NarrowPositions, ForgottenAbort]) {
  t.test(`canary: the fuzz notices ${Broken.name}`, async (t) => {
    const failure = firstFailure(1, 50, (buffer) => Broken.attach(buffer));
    t.match(failure?.message, /^MILLRACE_SEED=\d+ capacity=/);
    t.comment(failure?.message ?? "not noticed");
  });
}
