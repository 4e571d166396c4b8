import assert from "node:assert/strict";
import t from "tap";
import { KeyGate } from "../../src/subscription/key-gate.ts";
import { forSeeds, type Seeded } from "../harness/seeded.ts";

const ROUNDS = 40;
const STEPS = 2000;

function fuzz(random: Seeded): void {
  const gate = new KeyGate();
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
      const expected = new Set<number>();
      const freed = new Set<number>();
      for (const gone of [...hashOf.keys()]) if (gone >= from && gone < offset) leave(gone);
      gate.leaveBetween(from, offset, (next) => freed.add(next));
      for (const [, line] of lines) if (freed.has(line[0] as number)) expected.add(line[0] as number);
      for (const next of freed) {
        assert.ok(
          expected.has(next) || (next >= from && next < offset),
          "who was freed holds its key, or is gone",
        );
      }
    } else {
      const gone = random.oneIn(3) ? offset - random.below(50) : (known ?? offset);
      assert.equal(gate.leave(gone), leave(gone) ?? -1);
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
