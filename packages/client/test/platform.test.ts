import t from "tap";
import { Backoff } from "../src/backoff.ts";
import { systemEntropy } from "../src/entropy.ts";
import { systemClock } from "../src/system-clock.ts";

t.test("the end of a turn comes after its microtasks", async (t) => {
  const order: string[] = [];
  const globals = globalThis as { setImmediate?: unknown };
  const { setImmediate } = globals;
  for (const hasImmediate of [true, false]) {
    if (!hasImmediate) delete globals.setImmediate;
    const clock = systemClock();
    globals.setImmediate = setImmediate;
    await new Promise<void>((resolve) => {
      clock.afterTurn(() => order.push("first"));
      clock.afterTurn(() => {
        order.push("second");
        resolve();
      });
      void Promise.resolve().then(() => order.push("microtask"));
      order.push("now");
    });
    t.same(order.splice(0), ["now", "microtask", "first", "second"]);
  }
});

t.test("timers", async (t) => {
  const clock = systemClock();
  const cleared = clock.setTimer(() => t.fail("was cleared"), 1);
  clock.clearTimer(cleared);
  clock.clearTimer(undefined);
  const before = clock.now();
  await new Promise<void>((resolve) => clock.setTimer(resolve, 5));
  t.ok(clock.now() >= before);
});

t.test("producer ids are safe integers above 0, and differ", async (t) => {
  const entropy = systemEntropy();
  const ids = new Set(Array.from({ length: 1_000 }, () => entropy.producerId()));
  t.equal(ids.size, 1_000);
  t.ok([...ids].every((id) => Number.isSafeInteger(id) && id > 0));
  t.ok([...ids].some((id) => id > 2 ** 50));
  const fraction = entropy.fraction();
  t.ok(fraction >= 0 && fraction < 1);
});

t.test("back-off doubles up to its limit, times a fraction", async (t) => {
  const fractions = [0, 0.999, 0.5, 1, 1];
  const backoff = new Backoff(100, 500, () => fractions.shift() ?? 1);
  t.same(
    [backoff.next(), backoff.next(), backoff.next(), backoff.next(), backoff.next()],
    [0, 199.8, 200, 500, 500],
  );
  for (let i = 0; i < 2_000; i += 1) backoff.next();
  t.equal(backoff.next(), 500, "no overflow");
  backoff.reset();
  t.equal(backoff.next(), 100);
});
