import t from "tap";
import { AWAKE, BLOCKED, DOORBELL_BYTES, PARKED, STATE_WORD } from "../../src/doorbell/doorbell-layout.ts";
import { Doorbell } from "../../src/index.ts";
import { CAPACITY_WORD, LINE_BYTES, SharedKind, writeHeader } from "../../src/shared-header.ts";

function stateOf(doorbell: Doorbell): number {
  return Atomics.load(new Int32Array(doorbell.buffer), STATE_WORD);
}

t.test("the state is on a line of its own", async (t) => {
  t.equal((STATE_WORD * 4) % LINE_BYTES, 0);
  t.ok(STATE_WORD * 4 >= LINE_BYTES);
  t.equal(Doorbell.allocate().byteLength, DOORBELL_BYTES);
  t.equal(DOORBELL_BYTES, STATE_WORD * 4 + LINE_BYTES);
});

t.test("only a sleeper is rung, and once, in the way that its state asks for", async (t) => {
  const buffer = Doorbell.allocate();
  let pokes = 0;
  const sleeper = Doorbell.attach(buffer);
  const ringer = Doorbell.attach(buffer, () => {
    pokes++;
  });
  t.equal(ringer.ring(), false, "awake from the start");
  for (const [announce, state, poked] of [
    [() => sleeper.park(), PARKED, 1],
    [() => sleeper.prepareSleep(), BLOCKED, 0],
  ] as const) {
    pokes = 0;
    announce();
    t.equal(stateOf(sleeper), state);
    t.equal(ringer.ring(), true);
    t.equal(stateOf(sleeper), AWAKE);
    t.equal(ringer.ring(), false, "nobody is woken twice");
    t.equal(pokes, poked);
    announce();
    sleeper.cancelSleep();
    t.equal(ringer.ring(), false);
    t.equal(pokes, poked);
  }
  t.equal(ringer.buffer, buffer);
});

t.test("a sleeper may change its mind about how to sleep", async (t) => {
  const buffer = Doorbell.allocate();
  let pokes = 0;
  const sleeper = Doorbell.attach(buffer);
  const ringer = Doorbell.attach(buffer, () => {
    pokes++;
  });
  sleeper.prepareSleep();
  sleeper.park();
  t.equal(ringer.ring(), true);
  t.equal(pokes, 1);
});

t.test("wait returns at once when it was rung in between, and at its timeout otherwise", async (t) => {
  const doorbell = Doorbell.attach(Doorbell.allocate(), () => t.fail("nobody is parked"));
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

t.test("waitAsync resolves when rung, at its timeout, and at once when rung in between", async (t) => {
  const doorbell = Doorbell.attach(Doorbell.allocate());
  const hold = setTimeout(() => {}, 60_000);
  t.equal(Doorbell.canWaitAsync(), true);
  doorbell.prepareSleep();
  const rung = doorbell.waitAsync();
  t.equal(doorbell.ring(), true);
  await rung;
  await doorbell.waitAsync();
  doorbell.prepareSleep();
  doorbell.ring();
  await doorbell.waitAsync();
  for (const timeoutMs of [5, 0, -1]) {
    doorbell.prepareSleep();
    await doorbell.waitAsync(timeoutMs);
    t.equal(stateOf(doorbell), AWAKE);
  }
  clearTimeout(hold);
});

t.test("an earlier waitAsync neither takes the ring of a later one nor its announcement", async (t) => {
  const doorbell = Doorbell.attach(Doorbell.allocate());
  const hold = setTimeout(() => {}, 60_000);
  const ends: Record<string, (doorbell: Doorbell) => void> = {
    cancelSleep: (doorbell) => doorbell.cancelSleep(),
    "a new announcement": () => {},
    park: (doorbell) => doorbell.park(),
  };
  for (const [name, end] of Object.entries(ends)) {
    doorbell.prepareSleep();
    const earlier = doorbell.waitAsync();
    end(doorbell);
    doorbell.prepareSleep();
    const later = doorbell.waitAsync();
    await earlier;
    t.equal(stateOf(doorbell), BLOCKED, `${name}: the earlier one resolves and leaves the state alone`);
    t.equal(doorbell.ring(), true);
    await later;
    t.equal(stateOf(doorbell), AWAKE);
  }
  doorbell.prepareSleep();
  const first = doorbell.waitAsync();
  const second = doorbell.waitAsync();
  await first;
  doorbell.ring();
  await second;
  clearTimeout(hold);
});

t.test("a platform without Atomics.waitAsync is told so", async (t) => {
  const atomics = Atomics as { waitAsync?: unknown };
  const waitAsync = atomics.waitAsync;
  delete atomics.waitAsync;
  t.teardown(() => {
    Object.defineProperty(atomics, "waitAsync", { value: waitAsync, configurable: true, writable: true });
  });
  const doorbell = Doorbell.attach(Doorbell.allocate());
  t.equal(Doorbell.canWaitAsync(), false);
  doorbell.prepareSleep();
  await t.rejects(doorbell.waitAsync(), { message: /no Atomics\.waitAsync/ });
});

t.test("misuse is refused with the values", async (t) => {
  const doorbell = Doorbell.attach(Doorbell.allocate());
  t.throws(() => doorbell.wait(Number.NaN), { message: /timeoutMs=NaN/ });
  await t.rejects(doorbell.waitAsync(Number.NaN), { message: /timeoutMs=NaN/ });
  doorbell.park();
  t.throws(() => doorbell.wait(1), { message: /parked/ });
  await t.rejects(doorbell.waitAsync(1), { message: /parked/ });
  t.equal(stateOf(doorbell), PARKED, "and stays as it was");
});

t.test("memory that is no doorbell is refused", async (t) => {
  const refuse = (buffer: unknown, name: string, message: RegExp): void => {
    t.throws(() => Doorbell.attach(buffer as SharedArrayBuffer), { name, message });
  };
  refuse(new ArrayBuffer(256), "TypeError", /got \[object ArrayBuffer\]/);
  refuse(new SharedArrayBuffer(8), "RangeError", /too small for a doorbell: byteLength=8/);
  refuse(new SharedArrayBuffer(256), "TypeError", /not a doorbell: magic=0x0/);
  const ring = new SharedArrayBuffer(DOORBELL_BYTES);
  writeHeader(ring, SharedKind.ONE_TO_ONE_RING, 0);
  refuse(ring, "TypeError", /not a doorbell but a one-to-one ring/);
  const cut = new SharedArrayBuffer(DOORBELL_BYTES - 4);
  writeHeader(cut, SharedKind.DOORBELL, 0);
  refuse(cut, "RangeError", /truncated or foreign doorbell: byteLength=252 expected=256/);
  const damaged = Doorbell.allocate();
  new Int32Array(damaged)[CAPACITY_WORD] = 7;
  refuse(damaged, "RangeError", /damaged doorbell: capacity=7/);
});
