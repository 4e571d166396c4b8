import assert from "node:assert/strict";
import t from "tap";
import { AckLedger } from "../../src/subscription/ack-ledger.ts";
import { forSeeds, type Seeded } from "../harness/seeded.ts";

const ROUNDS = 60;
const STEPS = 150;
const OFFSETS = 20_000;

function fuzz(random: Seeded): void {
  const start = random.pick([0, 4095, 4096 * 3 + 17, 2 ** 40 + 1]);
  const finished = new Uint8Array(OFFSETS + 1);
  let ledger = new AckLedger(start);
  const counts = random.pick([
    [1, 1, 2, 40],
    [1, 32, 4096, 5000],
  ]);
  for (let step = 0; step < STEPS; step += 1) {
    const count = 1 + random.below(random.pick(counts));
    const near = random.oneIn(3) ? ledger.floor - start : random.below(OFFSETS);
    const first = Math.min(OFFSETS - 1, Math.max(0, near - random.below(3)));
    const end = Math.min(OFFSETS, first + count);
    let newly = 0;
    for (let at = first; at < end; at += 1) newly += 1 - (finished[at] as number);
    finished.fill(1, first, end);
    assert.equal(ledger.finish(start + first, end - first), newly);
    if (random.oneIn(10)) ledger = AckLedger.decode(ledger.encode());
    compare(ledger, start, finished, random);
  }
  const floor = start + random.below(OFFSETS);
  ledger.reset(floor);
  assert.deepEqual([ledger.floor, ledger.end, ledger.finishedAbove], [floor, floor, 0]);
  assert.equal(ledger.isFinished(floor), false);
  assert.equal(ledger.finish(floor + 1, 2), 2, "no page of before is met");
}

function compare(ledger: AckLedger, start: number, finished: Uint8Array, random: Seeded): void {
  const floor = finished.indexOf(0);
  assert.equal(ledger.floor, start + floor);
  let above = 0;
  for (let at = floor; at < OFFSETS; at += 1) above += finished[at] as number;
  assert.equal(ledger.finishedAbove, above);
  assert.equal(ledger.end, start + Math.max(floor, finished.lastIndexOf(1) + 1));
  for (let probe = 0; probe < 20; probe += 1) {
    const at = random.below(OFFSETS);
    assert.equal(ledger.isFinished(start + at), finished[at] === 1);
    assert.equal(ledger.nextUnfinished(start + at), start + finished.indexOf(0, at));
  }
}

t.test("AckLedger behaves like a list of flags", async (t) => {
  forSeeds(ROUNDS, fuzz);
  t.pass(`${ROUNDS} seeds`);
});
