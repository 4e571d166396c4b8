import assert from "node:assert/strict";
import t from "tap";
import { BROKER_LIMITS } from "../../src/limits.ts";
import {
  ProducerState,
  SEQUENCE_DUPLICATE,
  SEQUENCE_FENCED,
  SEQUENCE_GAP,
  SEQUENCE_NEW,
} from "../../src/shard/producer-table.ts";
import { forSeeds, type Seeded } from "../harness/seeded.ts";

const ROUNDS = 500;
const STEPS = 300;

/** A batch in the log, as the model remembers it for ever. */
interface Stored {
  readonly epoch: number;
  readonly baseSequence: number;
  readonly count: number;
  readonly baseOffset: number;
}

function fuzz(random: Seeded): void {
  const state = new ProducerState(1, 0, 0, 0);
  const log: Stored[] = [];
  let epoch = 0;
  let next = 0;
  let offset = 0;
  const append = (count: number): void => {
    state.record(epoch, next, count, offset, 0);
    log.push({ epoch, baseSequence: next, count, baseOffset: offset });
    next += count;
    offset += count;
  };
  for (let step = 0; step < STEPS; step += 1) {
    const choice = random.below(12);
    if (choice < 5) {
      const count = 1 + random.below(4);
      assert.equal(state.check(epoch, next, count), SEQUENCE_NEW);
      append(count);
    } else if (choice < 7) {
      offset += random.below(5);
    } else if (choice === 7) {
      assert.equal(state.check(epoch, next + 1 + random.below(9), 1), SEQUENCE_GAP);
    } else if (choice === 8 && epoch > 0) {
      assert.equal(state.check(random.below(epoch), random.below(next + 2), 1), SEQUENCE_FENCED);
    } else if (choice === 9 && random.oneIn(10)) {
      epoch += 1 + random.below(3);
      next = 0;
      assert.equal(state.check(epoch, 0, 1), SEQUENCE_NEW);
      append(1);
    } else {
      const ofEpoch = log.filter((stored) => stored.epoch === epoch);
      if (ofEpoch.length === 0) continue;
      const retried = random.pick(ofEpoch);
      assert.equal(state.check(epoch, retried.baseSequence, retried.count), SEQUENCE_DUPLICATE);
      const recent = ofEpoch.indexOf(retried) >= ofEpoch.length - BROKER_LIMITS.producerRunsMax;
      // What may still be in flight is always remembered; what is older may be, and then it is right.
      if (recent || !Number.isNaN(state.duplicateOffset)) {
        assert.equal(state.duplicateOffset, retried.baseOffset);
      }
    }
    assert.equal(state.nextSequence, next);
    assert.ok(state.runs.length <= BROKER_LIMITS.producerRunsMax * 3);
  }
}

t.test("ProducerState agrees with a log of everything stored", async (t) => {
  forSeeds(ROUNDS, fuzz);
  t.pass(`${ROUNDS} seeds`);
});
