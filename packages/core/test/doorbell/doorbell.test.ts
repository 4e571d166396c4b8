import t from "tap";
import { Doorbell } from "../../src/index.ts";

t.test("only a sleeper is rung, and once", async (t) => {
  const buffer = Doorbell.allocate();
  let woken = 0;
  const sleeper = Doorbell.attach(buffer);
  const ringer = Doorbell.attach(buffer, () => {
    woken++;
  });
  t.equal(ringer.ring(), false, "awake from the start");
  sleeper.prepareSleep();
  t.equal(ringer.ring(), true);
  t.equal(ringer.ring(), false);
  t.equal(woken, 1);
  sleeper.prepareSleep();
  sleeper.cancelSleep();
  t.equal(ringer.ring(), false);
  t.equal(woken, 1);
  t.equal(ringer.buffer, buffer);
});

t.test("wait returns at once when it was rung in between, and at its timeout otherwise", async (t) => {
  const doorbell = Doorbell.attach(Doorbell.allocate());
  doorbell.prepareSleep();
  doorbell.ring();
  doorbell.wait(Number.POSITIVE_INFINITY);
  doorbell.wait(Number.POSITIVE_INFINITY);
  t.pass("not asleep, not waiting");
  for (const timeoutMs of [5, 0, -1]) {
    doorbell.prepareSleep();
    doorbell.wait(timeoutMs);
    t.equal(doorbell.ring(), false, "awake again");
  }
});

t.test("misuse is refused with the values", async (t) => {
  const doorbell = Doorbell.attach(Doorbell.allocate());
  t.throws(() => doorbell.wait(Number.NaN), { message: /timeoutMs=NaN/ });
  const forLoop = Doorbell.attach(doorbell.buffer, () => undefined);
  t.throws(() => forLoop.wait(1), { message: /event loop/ });
  t.throws(() => Doorbell.attach(new ArrayBuffer(256) as unknown as SharedArrayBuffer), {
    message: /got \[object ArrayBuffer\]/,
  });
  t.throws(() => Doorbell.attach(new SharedArrayBuffer(8)), {
    message: /byteLength=8 \(expected 256\) magic=unread/,
  });
  t.throws(() => Doorbell.attach(new SharedArrayBuffer(256)), { message: /magic=0 / });
});
