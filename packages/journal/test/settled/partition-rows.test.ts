import t from "tap";
import { SeededRandom } from "../../src/internal.ts";
import { NO_ROW, PartitionRows } from "../../src/settled/partition-rows.ts";

t.test("every row is found, and nothing else", async (t) => {
  const random = new SeededRandom(3);
  const keys = new Set<string>();
  for (let i = 0; i < 3_000; i++)
    keys.add(`${random.pick([0, 1, 2 ** 31, 2 ** 32 - 1])}:${random.below(1_500)}`);
  const sorted = [...keys]
    .map((key) => key.split(":").map(Number) as [number, number])
    .sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const rows = new PartitionRows(Float64Array.from(sorted.flatMap(([a, b], i) => [a, b, i])), 3);
  t.equal(rows.count, sorted.length);
  const numbers = new Map(sorted.map(([a, b], i) => [`${a}:${b}`, i]));
  for (const topicId of [0, 1, 2, 2 ** 31, 2 ** 32 - 1]) {
    for (let partition = 0; partition < 1_600; partition++) {
      const row = rows.find(topicId, partition);
      const expected = numbers.get(`${topicId}:${partition}`) ?? NO_ROW;
      if (row !== expected) t.fail(`${topicId}:${partition} is ${row}, not ${expected}`);
      if (row !== NO_ROW && rows.field(row, 2) !== row) t.fail("a field of another row");
    }
  }
});

t.test("no rows, and rows in disorder", async (t) => {
  t.equal(new PartitionRows(new Float64Array(0), 4).find(0, 0), NO_ROW);
  t.throws(() => new PartitionRows(Float64Array.of(1, 0, 0, 5), 2), RangeError);
  t.throws(() => new PartitionRows(Float64Array.of(1, 1, 1, 1), 2), RangeError);
});
