import assert from "node:assert/strict";
import t from "tap";
import { RetryQueue } from "../../src/subscription/retry-queue.ts";
import { forSeeds, type Seeded } from "../harness/seeded.ts";

const ROUNDS = 40;
const STEPS = 1500;

interface Row {
  deliveries: number;
  notBeforeMs: number;
  scheduled: boolean;
}

function fuzz(random: Seeded): void {
  let queue = new RetryQueue();
  const model = new Map<number, Row>();
  const start = random.pick([0, 2 ** 32 - 1000]);
  const offsets = random.pick([50, 3000]);
  let growing = true;
  for (let step = 0; step < STEPS; step += 1) {
    if (random.oneIn(400)) growing = !growing;
    const offset = start + random.below(offsets);
    if (growing ? !random.oneIn(6) : random.oneIn(6)) set(queue, model, offset, random);
    else removeSome(queue, model, offset, random);
    if (random.oneIn(300)) queue = decoded(queue, model);
    compare(queue, model, offset, random.below(1000));
  }
  for (;;) {
    const slot = queue.due(Number.POSITIVE_INFINITY);
    if (slot < 0) break;
    const offset = queue.offsetAt(slot);
    assert.equal(offset, firstOf(model, Number.POSITIVE_INFINITY));
    queue.remove(slot);
    model.delete(offset);
  }
  assert.equal(queue.size, model.size, "parked ones alone are left");
  queue.clear();
  assert.deepEqual([queue.size, queue.scheduled, queue.nextMs()], [0, 0, Number.POSITIVE_INFINITY]);
  queue.schedule(queue.set(5, 1, 7));
  assert.equal(queue.offsetAt(queue.due(7)), 5, "usable when cleared");
}

function set(queue: RetryQueue, model: Map<number, Row>, offset: number, random: Seeded): void {
  const row = {
    deliveries: random.below(70_000),
    notBeforeMs: random.below(1000),
    scheduled: !random.oneIn(4),
  };
  const slot = queue.set(offset, row.deliveries, row.notBeforeMs);
  if (row.scheduled) queue.schedule(slot);
  model.set(offset, { ...row, deliveries: Math.min(row.deliveries, 65_535) });
}

function removeSome(queue: RetryQueue, model: Map<number, Row>, offset: number, random: Seeded): void {
  const slot = queue.find(offset);
  assert.equal(slot >= 0, model.has(offset));
  if (random.oneIn(20)) {
    const end = offset + random.below(random.pick([5, 3000]));
    let removed = 0;
    for (const known of [...model.keys()]) {
      if (known < offset || known >= end) continue;
      model.delete(known);
      removed += 1;
    }
    assert.equal(queue.removeBetween(offset, end), removed);
  } else if (slot >= 0 && random.oneIn(5)) {
    queue.park(slot);
    (model.get(offset) as Row).scheduled = false;
  } else if (slot >= 0) {
    queue.remove(slot);
    model.delete(offset);
  }
}

function decoded(queue: RetryQueue, model: Map<number, Row>): RetryQueue {
  const bytes = new Uint8Array(3 + queue.encodedLength);
  queue.encodeInto(bytes, 3);
  const copy = RetryQueue.decode(bytes.subarray(3), 0);
  assert.equal(copy.scheduled, 0);
  for (const [offset, row] of model) {
    if (row.scheduled) copy.schedule(copy.find(offset));
  }
  return copy;
}

function firstOf(model: Map<number, Row>, nowMs: number): number | undefined {
  const due = [...model].filter(([, row]) => row.scheduled && row.notBeforeMs <= nowMs);
  due.sort(([a, rowA], [b, rowB]) => rowA.notBeforeMs - rowB.notBeforeMs || a - b);
  return due[0]?.[0];
}

function compare(queue: RetryQueue, model: Map<number, Row>, offset: number, nowMs: number): void {
  assert.equal(queue.size, model.size);
  const row = model.get(offset);
  const slot = queue.find(offset);
  if (row !== undefined) {
    assert.deepEqual(
      [queue.offsetAt(slot), queue.deliveriesAt(slot), queue.notBeforeAt(slot), queue.isScheduled(slot)],
      [offset, row.deliveries, row.notBeforeMs, row.scheduled],
    );
  }
  if (offset % 16 !== 0) return;
  const rows = [...model.values()].filter(({ scheduled }) => scheduled);
  assert.equal(queue.scheduled, rows.length);
  const dueRows = rows.filter(({ notBeforeMs }) => notBeforeMs <= nowMs).length;
  assert.equal(queue.dueCount(nowMs, Number.POSITIVE_INFINITY), dueRows);
  assert.equal(Math.min(9, queue.dueCount(nowMs, 9)), Math.min(9, dueRows));
  const due = queue.due(nowMs);
  assert.equal(due < 0 ? undefined : queue.offsetAt(due), firstOf(model, nowMs));
}

t.test("RetryQueue behaves like a sorted list", async (t) => {
  forSeeds(ROUNDS, fuzz);
  t.pass(`${ROUNDS} seeds`);
});
