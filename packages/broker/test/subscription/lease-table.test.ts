import t from "tap";
import { LEASES_MAX, LeaseTable } from "../../src/subscription/lease-table.ts";

t.test("a lease is at most 64 bytes", async (t) => {
  for (const leases of [4096, 4097, 100_000, 524_289, LEASES_MAX]) {
    const table = new LeaseTable(LEASES_MAX);
    for (let lease = 0; lease < leases; lease += 1) table.grant(1, lease & 1023, lease, 1, 1, lease);
    const bytes = table.byteSize / leases;
    t.ok(bytes <= 64, `${bytes.toFixed(1)} bytes each of ${leases}`);
  }
});

t.test("a full table refuses until a lease ends", async (t) => {
  const table = new LeaseTable(1000);
  const counters = Array.from({ length: 1000 }, (_, lease) => table.grant(1, 1, lease, 1, 1, lease));
  t.equal(new Set(counters).size, 1000);
  t.equal(table.grant(1, 1, 5, 1, 1, 5), -1);
  t.equal(table.count, 1000);
  table.release(table.find(counters[500] as number));
  const counter = table.grant(1, 1, 5, 1, 1, 5);
  t.ok(counter >= 0 && !counters.includes(counter), "the slot has a new counter");
  t.equal(table.find(counters[500] as number), -1);
  t.equal(table.counterAt(table.find(counter)), counter);
  t.throws(() => new LeaseTable(LEASES_MAX + 1), RangeError);
  t.throws(() => new LeaseTable(0), RangeError);
  t.throws(() => table.grant(1, 1, 0, 33, 1, 0), RangeError);
  t.throws(() => table.grant(1, 1, 0, 0, 1, 0), RangeError);
});

t.test("counters that nobody was given are not found", async (t) => {
  const table = new LeaseTable(10);
  const counter = table.grant(1, 1, 0, 1, 1, 0);
  for (const strange of [
    0,
    -1,
    0.5,
    counter + 0.5,
    counter + 1,
    counter + LEASES_MAX,
    2 ** 53 - 1,
    Number.NaN,
  ]) {
    t.equal(table.find(strange), -1, `${strange}`);
  }
});

t.test("settling clears exactly the open records of a range", async (t) => {
  for (const offset of [0, 2 ** 40]) {
    const table = new LeaseTable(4);
    for (let first = -2; first < 34; first += 1) {
      for (let count = 0; count < 36; count += 1) {
        const slot = table.find(table.grant(1, 1, offset, 32, 1, 0));
        table.settle(slot, offset + 7, 3);
        let open = 0;
        let cleared = 0;
        for (let bit = 0; bit < 32; bit += 1) {
          if (bit >= 7 && bit < 10) continue;
          if (bit >= first && bit < first + count) cleared = (cleared | (1 << bit)) >>> 0;
          else open = (open | (1 << bit)) >>> 0;
        }
        const expected = cleared.toString(2).replaceAll("0", "").length;
        if (table.openIn(slot, offset + first, count) !== cleared) t.fail(`openIn(${first}, ${count})`);
        if (table.settle(slot, offset + first, count) !== expected) t.fail(`settle(${first}, ${count})`);
        if (table.openAt(slot) !== open) t.fail(`open after settle(${first}, ${count})`);
        if (open !== 0) table.release(slot);
      }
    }
    t.equal(table.count, 0);
  }
  t.throws(() => new LeaseTable(1).release(0), RangeError);
});

t.test("a slot that is free by its last record is not ended twice", async (t) => {
  const table = new LeaseTable(4);
  const slot = table.find(table.grant(9, 3, 100, 2, 4, 50));
  t.same(
    [
      table.ownerAt(slot),
      table.consumerAt(slot),
      table.offsetAt(slot),
      table.countAt(slot),
      table.deliveriesAt(slot),
    ],
    [9, 3, 100, 2, 4],
  );
  t.equal(table.expired(49), -1);
  t.equal(table.expired(50), slot);
  table.extend(slot, 70);
  t.equal(table.expired(69), -1);
  t.equal(table.nextDeadlineMs(), 70);
  t.equal(table.settle(slot, 100, 2), 2);
  t.throws(() => table.release(slot), RangeError);
  t.equal(table.settle(slot, 100, 2), 0);
  t.equal(table.nextDeadlineMs(), Number.POSITIVE_INFINITY);
  t.equal(table.firstOf(3), -1);
});

t.test("leases of many owners and consumers are told apart", async (t) => {
  const table = new LeaseTable(LEASES_MAX);
  const left = new Map<number, { owner: number; consumer: number; deadline: number }>();
  let random = 1;
  const below = (bound: number): number => {
    random = (Math.imul(random, 1_103_515_245) + 12_345) >>> 0;
    return (random >>> 8) % bound;
  };
  for (let step = 0; step < 20_000; step += 1) {
    const owner = below(5);
    const consumer = 2 ** 31 + below(40);
    const deadline = below(100_000);
    left.set(table.grant(owner, consumer, step, 1, 1, deadline), { owner, consumer, deadline });
    if (below(3) > 0) continue;
    const slot = table.firstOf(2 ** 31 + below(40));
    if (slot < 0) continue;
    left.delete(table.counterAt(slot));
    table.release(slot);
  }
  t.equal(table.releaseOwner(3), [...left.values()].filter(({ owner }) => owner === 3).length);
  for (const [counter, { owner }] of left) if (owner === 3) left.delete(counter);
  for (let slot = table.firstOf(2 ** 31 + 7); slot >= 0; slot = table.firstOf(2 ** 31 + 7)) {
    const lease = left.get(table.counterAt(slot));
    if (lease?.consumer !== 2 ** 31 + 7) t.fail("a lease of somebody else");
    left.delete(table.counterAt(slot));
    table.release(slot);
  }
  t.notOk([...left.values()].some(({ consumer }) => consumer === 2 ** 31 + 7));
  const deadlines = [...left.values()].map(({ deadline }) => deadline).sort((a, b) => a - b);
  const expired: number[] = [];
  for (let slot = table.expired(1e9); slot >= 0; slot = table.expired(1e9)) {
    expired.push((left.get(table.counterAt(slot)) as { deadline: number }).deadline);
    table.release(slot);
  }
  t.same(expired, deadlines, "in the order of their deadlines");
  t.equal(table.count, 0);
});
