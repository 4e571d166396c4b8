import assert from "node:assert/strict";
import t from "tap";
import { PartitionTail } from "../../src/shard/partition-tail.ts";
import { forSeeds, type Seeded } from "../harness/seeded.ts";

const ROUNDS = 300;
const STEPS = 400;

interface Entry {
  readonly baseOffset: number;
  readonly count: number;
  /** Undefined: not in the ring. */
  readonly position: number | undefined;
}

/** What `find` promises: the entry that holds the offset or the last one before the gap it lies in; -1 when older. */
function findInArray(entries: readonly Entry[], offset: number): Entry | undefined {
  return entries.filter((entry) => entry.baseOffset <= offset).at(-1);
}

function compare(tail: PartitionTail, entries: readonly Entry[], random: Seeded, nextOffset: number): void {
  assert.equal(tail.end - tail.first, entries.length);
  entries.forEach((entry, i) => {
    assert.equal(tail.baseOffsetAt(tail.first + i), entry.baseOffset);
    assert.equal(tail.isInRing(tail.first + i), entry.position !== undefined);
    if (entry.position !== undefined) assert.equal(tail.ringPositionAt(tail.first + i), entry.position);
  });
  for (let i = 0; i < 8; i += 1) {
    const offset = random.below(nextOffset + 5);
    const expected = findInArray(entries, offset);
    const found = tail.find(offset);
    if (expected === undefined) assert.equal(found, -1, `offset ${offset} is older than the cache`);
    else assert.equal(tail.baseOffsetAt(found), expected.baseOffset, `offset ${offset}`);
  }
}

function fuzz(random: Seeded): void {
  const tail = new PartitionTail();
  let entries: Entry[] = [];
  let nextOffset = random.below(3) * 2 ** 40;
  let position = random.pick([0, 2 ** 31 - 64, 2 ** 32 - 64, 2 ** 45]);
  // Some runs keep much, so that the list grows past the size at which it gives memory back.
  const evictionRarity = random.pick([2, 20, 400]);
  for (let step = 0; step < STEPS; step += 1) {
    for (let pushes = random.below(6); pushes > 0; pushes -= 1) {
      const count = 1 + random.below(9);
      if (random.oneIn(10)) {
        const last = entries.at(-1);
        tail.pushElsewhere(nextOffset);
        if (last?.position !== undefined)
          entries.push({ baseOffset: nextOffset, count, position: undefined });
        nextOffset += count;
        continue;
      }
      entries.push({ baseOffset: nextOffset, count, position });
      tail.push(nextOffset, position);
      // A gap: offsets that an unclean stop left out.
      nextOffset += count + (random.oneIn(15) ? random.below(1000) : 0);
      position += 8 * (1 + random.below(100));
    }
    if (random.oneIn(evictionRarity)) {
      const first = entries.find((entry) => entry.position !== undefined)?.position ?? position;
      const before = first + random.below(position - first + 9);
      tail.evictBefore(before);
      const kept = entries.findIndex((entry) => entry.position !== undefined && entry.position >= before);
      entries = kept < 0 ? [] : entries.slice(kept);
    }
    if (random.oneIn(200)) {
      tail.clear();
      entries = [];
    }
    if (random.oneIn(10)) compare(tail, entries, random, nextOffset);
  }
  compare(tail, entries, random, nextOffset);
}

t.test("PartitionTail behaves like an array", async (t) => {
  forSeeds(ROUNDS, fuzz);
  t.pass(`${ROUNDS} seeds`);
});

t.test("a list that forgets as it grows stays small", async (t) => {
  const tail = new PartitionTail();
  for (let i = 0; i < 100_000; i += 1) {
    tail.push(i, i * 8);
    tail.evictBefore((i - 3) * 8);
  }
  t.equal(tail.end - tail.first, 4);
  t.equal(tail.baseOffsetAt(tail.find(99_999)), 99_999);
  t.equal(tail.find(10), -1);
});
