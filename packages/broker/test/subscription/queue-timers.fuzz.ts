import assert from "node:assert/strict";
import t from "tap";
import { QueueTimers, type Timed } from "../../src/subscription/queue-timers.ts";
import { forSeeds } from "../harness/seeded.ts";

const SEEDS = 100;
const STEPS = 300;

t.test("timers come out in their order, however they are moved", async (t) => {
  let taken = 0;
  forSeeds(SEEDS, (random) => {
    const timers = new QueueTimers<Timed>();
    const items = Array.from(
      { length: 1 + random.below(20) },
      (): Timed => ({
        dueMs: Number.POSITIVE_INFINITY,
        heapIndex: -1,
      }),
    );
    const model = new Map<Timed, number>();
    let nowMs = 0;
    for (let step = 0; step < STEPS; step += 1) {
      const item = random.pick(items);
      if (random.oneIn(4)) {
        timers.cancel(item);
        model.delete(item);
      } else if (random.oneIn(3)) {
        nowMs += random.below(20);
        for (let due = timers.takeDue(nowMs); due !== undefined; due = timers.takeDue(nowMs)) {
          const dueMs = model.get(due) as number;
          assert.ok(dueMs <= nowMs);
          assert.equal(dueMs, Math.min(...model.values()), "the earliest first");
          assert.equal(due.heapIndex, -1);
          model.delete(due);
          taken += 1;
        }
      } else {
        const dueMs = random.oneIn(8) ? Number.POSITIVE_INFINITY : nowMs + random.below(100);
        timers.schedule(item, dueMs);
        if (dueMs === Number.POSITIVE_INFINITY) model.delete(item);
        else model.set(item, dueMs);
      }
      assert.equal(timers.nextMs(), Math.min(Number.POSITIVE_INFINITY, ...model.values()));
    }
  });
  t.ok(taken > 0, `${taken} timers`);
});
