import t from "tap";
import { ENTRY_HEADER_BYTES, JournalIndex, type JournalLocation, SeededRandom } from "../src/internal.ts";

interface Added {
  readonly partition: number;
  readonly offset: number;
  readonly end: number;
  readonly time: number;
  readonly position: number;
  readonly size: number;
}

/** True when a reader that follows the location meets the entry before any later one of the partition. */
function covers(location: JournalLocation | undefined, entry: Added): boolean {
  if (location === undefined) return false;
  if (location.sealed) {
    return entry.position >= location.position && entry.position < location.position + location.length;
  }
  for (let i = 0; i < location.extents.length; i += 2) {
    const start = location.extents[i] as number;
    if (
      entry.position >= start &&
      entry.position + entry.size <= start + (location.extents[i + 1] as number)
    ) {
      return true;
    }
  }
  return false;
}

t.test("finds every entry by offset and time, sealed or not", async (t) => {
  for (let seed = 0; seed < 30; seed++) {
    const random = new SeededRandom(seed);
    const index = new JournalIndex();
    const added: Added[] = [];
    const next = new Map<number, { offset: number; time: number }>();
    let position = 0;
    for (let segment = 0; segment < 4; segment++) {
      index.beginSegment(position, 1);
      position += 64;
      for (let i = 0; i < 60; i++) {
        const partition = random.below(3);
        const state = next.get(partition) ?? { offset: random.below(5), time: 1000 };
        const length = ENTRY_HEADER_BYTES + random.below(random.pick([50, 20_000]));
        const size = (length + 7) & -8;
        const count = 1 + random.below(9);
        index.add(7, partition, state.offset, count, state.time, position, length);
        const { offset, time } = state;
        added.push({ partition, offset, end: offset + count, time, position, size });
        next.set(partition, {
          offset: offset + count + random.pick([0, 0, 3]),
          time: time + random.below(3),
        });
        position += size;
      }
      for (let sealed = random.below(2); sealed > 0 && index.oldestUnsealed(); sealed--) index.sealOldest();
    }
    for (const entry of added) {
      for (const offset of [entry.offset, entry.end - 1]) {
        if (!covers(index.locate(7, entry.partition, offset), entry)) t.fail(`seed ${seed} offset ${offset}`);
      }
      const first = added.find(
        (each) => each.partition === entry.partition && each.time >= entry.time,
      ) as Added;
      const location = index.locateTime(7, entry.partition, entry.time);
      const before = added.filter(
        (each) => each.partition === first.partition && each.position < first.position,
      );
      if (!covers(location, first) && !before.some((each) => covers(location, each))) {
        t.fail(`seed ${seed} time ${entry.time}`);
      }
    }
    for (const [partition, { offset }] of next) {
      const last = added.findLast((each) => each.partition === partition) as Added;
      t.equal(index.locate(7, partition, Math.max(offset, last.end)), undefined, "nothing behind the end");
    }
  }
});

t.test("contiguous entries share points, others hardly", async (t) => {
  const index = new JournalIndex();
  index.beginSegment(0, 1);
  for (let i = 0; i < 64; i++) index.add(1, 0, i, 1, 5, 64 + i * 8192, 8192);
  const location = index.locate(1, 0, 0, 100);
  t.equal(location?.extents.length, 2 * 8, "64 KiB a point");
  const other = new JournalIndex();
  other.beginSegment(0, 1);
  for (let i = 0; i < 256; i++) other.add(1, i % 2, i >> 1, 1, 5, 64 + i * 1024, 1024);
  t.equal(
    other.locate(1, 0, 0, 100)?.extents.length,
    2 * 16,
    "15 KiB a point with another partition between",
  );
  t.same(other.locate(1, 1, 0, 1)?.extents, [64 + 1024, 15 * 1024], "as many as asked for");
});

t.test("forgets topics", async (t) => {
  const index = new JournalIndex();
  index.beginSegment(0, 1);
  index.add(1, 0, 0, 1, 5, 64, 100);
  index.add(2, 0, 0, 1, 5, 168, 100);
  index.dropTopic(1);
  index.dropTopic(99);
  t.equal(index.locate(1, 0, 0), undefined);
  t.equal(index.locate(2, 0, 0)?.position, 168);
  index.endSegment(1000);
  index.sealOldest();
  t.ok(index.locate(2, 0, 0)?.sealed);
  t.equal(index.firstOffset(2, 0), 0);
  t.equal(index.firstOffset(1, 0), undefined);
  index.beginSegment(1000, 1);
  index.add(1, 0, 0, 1, 5, 1064, 100);
  t.equal(index.locate(1, 0, 0)?.position, 1064, "an id that comes back begins anew");
});

t.test("forgets what is settled, and counts bytes", async (t) => {
  const index = new JournalIndex();
  for (let segment = 0; segment < 12; segment++) {
    const base = segment * 1000;
    index.beginSegment(base, 1);
    if (segment !== 3) index.add(1, 0, segment * 10, 10, segment, base + 64, 100);
    if (segment % 2 === 0) index.add(1, 1, segment, 1, segment, base + 168, 201);
    if (segment > 0) index.sealOldest();
  }
  t.equal(index.unsettledBytes(1, 0), 11 * 104);
  t.equal(index.unsettledBytes(1, 1), 6 * 208);
  t.same(index.settleThrough(999), []);
  t.same(
    index.settleThrough(5_500).map(({ basePosition }) => basePosition),
    [0, 1000, 2000, 3000, 4000],
  );
  index.addSettledBytes(1, 0, 4 * 104);
  index.addSettledBytes(9, 9, 1);
  t.equal(index.unsettledBytes(1, 0), 7 * 104);
  t.equal(index.retainedBytes(1, 0), 11 * 104);
  t.equal(index.retainedBytes(9, 9), 0, "nothing is known of a topic that was dropped");
  t.equal(index.firstOffset(1, 0), 50);
  t.equal(index.firstOffset(1, 1), 6);
  t.match(index.locate(1, 0, 0), { segmentBase: 5000, sealed: true }, "where the journal goes on");
  t.match(index.locate(1, 0, 77), { segmentBase: 7000, sealed: true });
  t.match(index.locate(1, 1, 9), { segmentBase: 10_000, sealed: true });
  t.match(index.locateTime(1, 0, 0), { segmentBase: 5000 });
  t.equal(index.settleThrough(11_000).length, 6);
  t.equal(index.firstOffset(1, 1), undefined);
  t.match(index.locate(1, 0, 0), { segmentBase: 11_000, sealed: false });
  index.endSegment(12_000);
  index.sealOldest();
  t.match(index.locate(1, 0, 115), { segmentBase: 11_000, sealed: true }, "numbers go on");
  t.equal(index.unsettledBytes(1, 0), 104);
});

t.test("refuses entries before the first segment and impossible offsets", async (t) => {
  const index = new JournalIndex();
  t.throws(() => index.add(1, 0, 0, 1, 5, 64, 100), { message: /nothing is staged/ });
  index.beginSegment(0, 1);
  index.add(1, 0, 50, 1, 5, 64, 100_000);
  t.throws(() => index.add(1, 0, 10, 1, 5, 200_064, 100_000), RangeError);
});
