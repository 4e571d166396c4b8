import assert from "node:assert/strict";
import t from "tap";
import { KeyGate } from "../../src/subscription/key-gate.ts";
import { forSeeds, type Seeded } from "../harness/seeded.ts";

const ROUNDS = 40;
const STEPS = 2000;

function fuzz(random: Seeded): void {
  const told: number[] = [];
  const gate = new KeyGate((holder) => told.push(holder));
  const lines = new Map<number, number[]>();
  const hashOf = new Map<number, number>();
  const keys = random.pick([1, 5, 700]);
  // Hashes that differ in few bits, low or high ones, meet in the index.
  const factor = random.pick([1, 64, 2 ** 32, 2 ** 40 + 1]);
  let offset = random.pick([0, 2 ** 33]);
  let growing = true;
  const leave = (gone: number): number | undefined => {
    const hash = hashOf.get(gone);
    if (hash === undefined) return undefined;
    const line = lines.get(hash) as number[];
    const place = line.indexOf(gone);
    line.splice(place, 1);
    hashOf.delete(gone);
    if (line.length === 0) lines.delete(hash);
    return place === 0 ? line[0] : undefined;
  };
  for (let step = 0; step < STEPS; step += 1) {
    if (random.oneIn(500)) growing = !growing;
    const known = random.pick([...lines.values()])?.[0];
    if (growing ? !random.oneIn(5) : random.oneIn(5)) {
      offset += 1 + random.below(3);
      const hash = random.below(keys) * factor;
      const line = lines.get(hash) ?? [];
      line.push(offset);
      lines.set(hash, line);
      hashOf.set(offset, hash);
      assert.equal(gate.enter(hash, offset), line.length === 1);
      assert.equal(gate.enter(hash, offset), line.length === 1, "once more is the same");
    } else if (random.oneIn(50)) {
      const from = offset - random.below(500);
      const holders = new Map([...lines].map(([hash, line]) => [hash, line[0]]));
      for (const gone of [...hashOf.keys()]) if (gone >= from && gone < offset) leave(gone);
      gate.leaveBetween(from, offset);
      const known = new Set(told.splice(0).filter((next) => next < from || next >= offset));
      const expected = [...lines].filter(([hash, line]) => line[0] !== holders.get(hash));
      assert.deepEqual(known, new Set(expected.map(([, line]) => line[0])), "who holds a key now is told");
    } else {
      const gone = random.oneIn(3) ? offset - random.below(50) : (known ?? offset);
      const next = leave(gone);
      gate.leave(gone);
      assert.deepEqual(told.splice(0), next === undefined ? [] : [next]);
    }
    compare(gate, lines, hashOf, offset - random.below(100));
  }
  gate.clear();
  assert.deepEqual([gate.heldCount, gate.waiting], [0, 0]);
  assert.equal(gate.enter(0, 1), true);
}

function compare(
  gate: KeyGate,
  lines: Map<number, number[]>,
  hashOf: Map<number, number>,
  probe: number,
): void {
  assert.equal(gate.heldCount, lines.size);
  assert.equal(gate.waiting, hashOf.size - lines.size);
  const hash = hashOf.get(probe);
  const first = hash === undefined ? undefined : lines.get(hash)?.[0];
  assert.equal(gate.holds(probe), first === probe);
  assert.equal(gate.waits(probe), first !== undefined && first !== probe);
}

t.test("KeyGate behaves like a list a key", async (t) => {
  forSeeds(ROUNDS, fuzz);
  t.pass(`${ROUNDS} seeds`);
});
