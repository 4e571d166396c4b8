import t, { type Test } from "tap";
import { AWAKE, BLOCKED, STATE_WORD } from "../../src/doorbell/doorbell-layout.ts";
import {
  BackoffIdleStrategy,
  BusySpinIdleStrategy,
  Doorbell,
  DoorbellIdleStrategy,
  type IdleStrategy,
  ROUND_FAILED,
  YieldingIdleStrategy,
} from "../../src/index.ts";

const NO_TIMER = { nextTimerMs: (): number => Number.POSITIVE_INFINITY };

/** Records how long each Atomics.wait would have taken, and does not sleep. */
function watchSleeps(t: Test): number[] {
  const sleeps: number[] = [];
  t.intercept(Atomics, "wait", {
    value: (_words: Int32Array, _index: number, _value: number, timeoutMs: number) => {
      sleeps.push(timeoutMs);
      return "timed-out";
    },
  });
  return sleeps;
}

function idle(strategy: IdleStrategy, rounds: number, agent = NO_TIMER): void {
  for (let i = 0; i < rounds; i++) strategy.idle(0, agent);
}

t.test("busy-spin never sleeps, and pauses where the platform can", async (t) => {
  const sleeps = watchSleeps(t);
  let pauses = 0;
  Object.defineProperty(Atomics, "pause", { value: () => pauses++, configurable: true });
  const pausing = new BusySpinIdleStrategy();
  Reflect.deleteProperty(Atomics, "pause");
  idle(pausing, 3);
  pausing.idle(1);
  pausing.reset();
  t.equal(pauses, 3);
  idle(new BusySpinIdleStrategy(), 1000);
  t.same(sleeps, []);
});

t.test("yielding gives the core away after its spins, and spins anew when there was work", async (t) => {
  const sleeps = watchSleeps(t);
  const strategy = new YieldingIdleStrategy({ spins: 3 });
  idle(strategy, 5);
  t.same(sleeps, [0.001, 0.001]);
  strategy.idle(1);
  idle(strategy, 3);
  t.equal(sleeps.length, 2);
  strategy.reset();
  idle(strategy, 4);
  t.equal(sleeps.length, 3);
  idle(new YieldingIdleStrategy(), 100);
  t.equal(sleeps.length, 3);
});

t.test("back-off spins, yields, then sleeps for longer and longer, never past a timer", async (t) => {
  const sleeps = watchSleeps(t);
  const strategy = new BackoffIdleStrategy({ spins: 2, yields: 2, parkMsMin: 0.1, parkMsMax: 0.5 });
  const once = [0.001, 0.001, 0.1, 0.2, 0.4, 0.5, 0.5];
  idle(strategy, 9);
  t.same(sleeps, once);
  strategy.idle(1, NO_TIMER);
  idle(strategy, 9);
  t.same(sleeps, [...once, ...once]);
  strategy.idle(0, { nextTimerMs: () => 0.3 });
  strategy.idle(0, { nextTimerMs: () => 0 });
  t.same(sleeps.slice(14), [0.3], "a timer that is due lets nobody sleep");
  sleeps.length = 0;
  idle(new BackoffIdleStrategy(), 10 + 5 + 6);
  t.same(sleeps.slice(5), [0.05, 0.1, 0.2, 0.4, 0.8, 1]);
  sleeps.length = 0;
  idle(new BackoffIdleStrategy({ spins: 0, yields: 0, parkMsMin: 4 }), 2);
  idle(new BackoffIdleStrategy({ spins: 0, yields: 0, parkMsMax: 0.01 }), 2);
  t.same(sleeps, [4, 4, 0.01, 0.01], "one of both park times alone");
});

t.test("the doorbell strategy announces sleep, lets a round look again, and sleeps", async (t) => {
  const sleeps = watchSleeps(t);
  const doorbell = Doorbell.attach(Doorbell.allocate());
  const state = (): number => Atomics.load(new Int32Array(doorbell.buffer), STATE_WORD);
  const strategy = new DoorbellIdleStrategy(doorbell);
  for (const timerMs of [Number.POSITIVE_INFINITY, 7]) {
    idle(strategy, 15);
    t.equal(state(), AWAKE);
    idle(strategy, 1);
    t.equal(state(), BLOCKED);
    t.same(sleeps, []);
    strategy.idle(0, { nextTimerMs: () => timerMs });
    t.same(sleeps, [timerMs]);
    t.equal(state(), AWAKE);
    sleeps.length = 0;
  }
  idle(strategy, 15);
  strategy.idle(1, NO_TIMER);
  idle(strategy, 15);
  t.equal(state(), AWAKE, "work starts the spins anew");
  idle(strategy, 1);
  strategy.idle(1, NO_TIMER);
  t.equal(state(), AWAKE, "work found by the second look takes the announcement back");
  strategy.idle(ROUND_FAILED, NO_TIMER);
  t.equal(state(), BLOCKED, "a failed round counts as all the spins");
  strategy.reset();
  t.equal(state(), AWAKE);
  idle(new DoorbellIdleStrategy(doorbell, { spins: 0 }), 1);
  t.equal(state(), BLOCKED);
  t.same(sleeps, []);
});

t.test("numbers out of order are refused with their values", async (t) => {
  const doorbell = Doorbell.attach(Doorbell.allocate());
  for (const spins of [-1, 0.5, Number.NaN]) {
    const message = new RegExp(`spins must be an integer from 0 on: spins=${spins}`);
    t.throws(() => new YieldingIdleStrategy({ spins }), { name: "RangeError", message });
    t.throws(() => new BackoffIdleStrategy({ spins }), { name: "RangeError", message });
    t.throws(() => new DoorbellIdleStrategy(doorbell, { spins }), { name: "RangeError", message });
  }
  t.throws(() => new BackoffIdleStrategy({ yields: -1 }), { message: /yields=-1/ });
  t.throws(() => new BackoffIdleStrategy({ parkMsMin: 2, parkMsMax: 1 }), {
    message: /parkMsMin=2 parkMsMax=1/,
  });
  t.throws(() => new BackoffIdleStrategy({ parkMsMin: 0 }), { message: /parkMsMin=0/ });
});
