import t from "tap";
import { ByteMarks } from "../../src/shard/byte-marks.ts";
import { forSeeds } from "../harness/seeded.ts";

t.test("between marks records count as equally large", async (t) => {
  const marks = new ByteMarks();
  t.equal(marks.bytesAt(5), 0, "nothing is known");
  marks.add(10, -1_000_000);
  marks.add(20, 0);
  t.equal(marks.bytesAt(3), -1_000_000);
  t.equal(marks.bytesAt(10), -1_000_000);
  t.equal(marks.bytesAt(15), -500_000);
  t.equal(marks.bytesAt(99), 0);
  marks.add(30, 100_000);
  marks.trim(20);
  t.equal(marks.bytesAt(15), 0, "forgotten");
  t.equal(marks.bytesAt(25), 50_000);
});

t.test("fuzz: never further off than the distance of marks", async () => {
  forSeeds(50, (random) => {
    const marks = new ByteMarks();
    const appended: [offset: number, bytes: number][] = [[0, 0]];
    marks.add(0, 0);
    for (let step = 0; step < 2_000; step += 1) {
      const [offset, bytes] = appended.at(-1) as [number, number];
      const next: [number, number] = [offset + 1 + random.below(10), bytes + random.below(20_000)];
      appended.push(next);
      marks.add(next[0], next[1]);
    }
    const [, total] = appended.at(-1) as [number, number];
    for (const [offset, bytes] of appended) {
      const off = Math.abs(marks.bytesAt(offset) - bytes);
      if (off > total / 16) throw new Error(`offset ${offset}: ${off} of ${total} bytes`);
    }
  });
});
