import fc from "fast-check";
import t from "tap";
import { OpenLoopSchedule } from "../../src/generator/open-loop-schedule.ts";

t.test("a record every millisecond, to three lanes in turn", async (t) => {
  const schedule = new OpenLoopSchedule(1000, 50, 1, 3);
  t.equal(schedule.burstsDue(49.999), 0, "nothing before the start");
  t.equal(schedule.burstsDue(50), 1, "the first one is due at the start");
  t.equal(schedule.burstsDue(50.9), 1);
  t.equal(schedule.burstsDue(51), 2);
  t.equal(schedule.burstsDue(1049), 1000);
  t.equal(schedule.burstMs(7), 57);
  t.equal(schedule.recordMs(0, 0), 50);
  t.equal(schedule.recordMs(1, 0), 51);
  t.equal(schedule.recordMs(2, 4), 50 + 2 + 4 * 3);
});

t.test("bursts: records of one moment, each burst to one lane", async (t) => {
  const schedule = new OpenLoopSchedule(1000, 0, 10, 2);
  t.equal(schedule.burstsDue(9.9), 1);
  t.equal(schedule.burstsDue(10), 2);
  t.equal(schedule.recordMs(0, 9), 0, "the last of the lane's first burst");
  t.equal(schedule.recordMs(0, 10), 20, "its next one comes after the other lane's");
  t.equal(schedule.recordMs(1, 0), 10);
});

t.test("what is due and when it is due never disagree", async () => {
  const rates = fc.double({ min: 0.1, max: 1e7, noNaN: true });
  const starts = fc.double({ min: 0, max: 1e9, noNaN: true });
  fc.assert(
    fc.property(rates, starts, fc.double({ min: 0, max: 1e6, noNaN: true }), (rate, startMs, afterMs) => {
      const schedule = new OpenLoopSchedule(rate, startMs, 1, 1);
      const due = schedule.burstsDue(startMs + afterMs);
      return schedule.burstMs(due - 1) <= startMs + afterMs && schedule.burstMs(due) > startMs + afterMs;
    }),
  );
});

t.test("refuses what is no schedule", async (t) => {
  t.throws(() => new OpenLoopSchedule(0, 0, 1, 1), RangeError);
  t.throws(() => new OpenLoopSchedule(Number.NaN, 0, 1, 1), RangeError);
  t.throws(() => new OpenLoopSchedule(1, 0, 0, 1), RangeError);
});
