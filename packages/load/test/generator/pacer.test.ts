import t from "tap";
import { NOTHING_DUE, Pacer } from "../../src/generator/pacer.ts";
import { delay, monotonicMs } from "../../src/measure/system-clock.ts";

for (const waiting of ["nap", "spin"] as const) {
  t.test(`${waiting}: a turn comes when it is due and not before`, async (t) => {
    const startMs = monotonicMs();
    const early: number[] = [];
    let turns = 0;
    await new Promise<void>((resolve) => {
      const pacer = new Pacer(() => {
        if (monotonicMs() < startMs + turns * 0.7) early.push(turns);
        turns += 1;
        if (turns < 20) return startMs + turns * 0.7;
        pacer.stop();
        resolve();
        return NOTHING_DUE;
      }, waiting);
      pacer.wake();
    });
    t.same(early, []);
    t.equal(turns, 20);
  });
}

t.test("with nothing due it rests until it is woken, and stopped it stays so", async (t) => {
  let turns = 0;
  const pacer = new Pacer(() => {
    turns += 1;
    return NOTHING_DUE;
  }, "nap");
  pacer.wake();
  pacer.wake();
  await delay(20);
  t.equal(turns, 1, "woken twice in a turn, it turns once");
  pacer.wake();
  await delay(20);
  t.equal(turns, 2);
  pacer.stop();
  pacer.wake();
  await delay(20);
  t.equal(turns, 2);
});

t.test("a wake-up overtakes what was due later", async (t) => {
  let turns = 0;
  const pacer = new Pacer(() => {
    turns += 1;
    return monotonicMs() + 60_000;
  }, "nap");
  pacer.wake();
  await delay(20);
  pacer.wake();
  await delay(20);
  pacer.stop();
  t.equal(turns, 2);
});
