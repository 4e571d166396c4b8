import assert from "node:assert/strict";
import t from "tap";
import { stickyPlan } from "../../src/subscription/sticky-assignment.ts";
import { forSeeds, type Seeded } from "../harness/seeded.ts";

interface Group {
  readonly partitions: number;
  readonly held: number[][];
  readonly free: number[];
  /** Neither held nor free. */
  readonly moving: number;
}

function randomGroup(random: Seeded): Group {
  const partitions = random.below(40);
  const held: number[][] = Array.from({ length: random.below(12) }, () => []);
  const free: number[] = [];
  let moving = 0;
  for (let partition = 0; partition < partitions; partition += 1) {
    if (held.length === 0 || random.oneIn(4)) {
      if (random.oneIn(3)) moving += 1;
      else free.push(partition);
    } else random.pick(held).push(partition);
  }
  return { partitions, held, free, moving };
}

/** The least that must be given up so that all can have floor or ceil, by trying who gets the ceil. */
function leastRevoked({ partitions, held }: Group): number {
  const floor = Math.floor(partitions / held.length);
  const larger = partitions % held.length;
  const savings = held.map(({ length }) => (length > floor ? 1 : 0)).sort((a, b) => b - a);
  const toFloor = held.reduce((sum, { length }) => sum + Math.max(0, length - floor), 0);
  return toFloor - savings.slice(0, larger).reduce((sum: number, saved) => sum + saved, 0);
}

t.test("a plan is even, moves the least, and gives away what is free", (t) => {
  forSeeds(3000, (random) => {
    const group = randomGroup(random);
    const { partitions, held, free, moving } = group;
    const plan = stickyPlan(partitions, held, free);
    if (held.length === 0) {
      assert.deepEqual(plan, { revoked: [], assigned: [] });
      return;
    }
    const floor = Math.floor(partitions / held.length);
    const after = held.map((list, member) => {
      const gone = new Set(plan.revoked[member]);
      for (const partition of gone) assert.ok(list.includes(partition), "only what it holds is revoked");
      return [...list.filter((partition) => !gone.has(partition)), ...(plan.assigned[member] ?? [])];
    });
    const revoked = plan.revoked.flat();
    assert.equal(revoked.length, leastRevoked(group), "as few as can be are revoked");
    assert.equal(new Set(after.flat()).size, after.flat().length, "no partition is given twice");
    assert.deepEqual(plan.assigned.flat().sort(ascending), free, "all that is free is given away");
    for (const list of after) assert.ok(list.length <= floor + 1, "nobody has more than the ceil");
    const missing = after.reduce((sum, { length }) => sum + Math.max(0, floor - length), 0);
    assert.ok(missing <= moving + revoked.length, "what is missing is on its way");
    // The oldest stay.
    held.forEach((list, member) => {
      const kept = list.length - (plan.revoked[member]?.length ?? 0);
      assert.deepEqual(plan.revoked[member], list.slice(kept));
    });
  });
  t.end();
});

t.test("neighbours are spread", (t) => {
  const { assigned } = stickyPlan(6, [[], []], [0, 1, 2, 3, 4, 5]);
  t.same(assigned, [
    [0, 2, 4],
    [1, 3, 5],
  ]);
  t.end();
});

function ascending(a: number, b: number): number {
  return a - b;
}
