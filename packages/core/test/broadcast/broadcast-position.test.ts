import t from "tap";
import { BroadcastPosition } from "../../src/broadcast/broadcast-position.ts";

const words = (): Int32Array => new Int32Array(new SharedArrayBuffer(8));

t.test("positions of 53 bits come back whole", async (t) => {
  const shared = words();
  const reader = new BroadcastPosition(shared, 0);
  const writer = new BroadcastPosition(shared, 0);
  const edges = [0, 2 ** 31, 2 ** 32, 3 * 2 ** 31, 2 ** 33, 2 ** 40, 2 ** 52, 2 ** 53];
  for (const edge of edges) {
    for (const distance of [-32, -16, 0, 16]) {
      const position = edge + distance;
      if (position < 0 || !Number.isSafeInteger(position)) continue;
      writer.store(position);
      t.equal(reader.load(), position);
      t.equal(new BroadcastPosition(shared, 0).load(), position, "by one who comes now");
    }
  }
});

t.test("a reader that was away for exactly 4 GiB, or any number of them, notices", async (t) => {
  const shared = words();
  const reader = new BroadcastPosition(shared, 0);
  for (const laps of [0, 1, 2, 3, 1000]) {
    new BroadcastPosition(shared, 0).store(laps * 2 ** 32 + 64);
    t.equal(reader.load(), laps * 2 ** 32 + 64);
  }
});

/** Runs `action` with every Atomics.load followed by `after`, which may be the other thread's next step. */
function stepping<Result>(after: (load: number) => void, action: () => Result): Result {
  const { load } = Atomics;
  let loads = 0;
  Object.assign(Atomics, {
    load: (array: Int32Array, index: number) => {
      const value = load(array, index);
      after(loads++);
      return value;
    },
  });
  try {
    return action();
  } finally {
    Object.assign(Atomics, { load });
  }
}

/** The stores of `count` moves by `step` bytes, one by one. */
function moves(from: number, step: number, count: number): { stores: [number, number][]; values: number[] } {
  const { store } = Atomics;
  const shared = words();
  const writer = new BroadcastPosition(shared, 0);
  writer.store(from);
  const stores: [number, number][] = [];
  const values = [from];
  Object.assign(Atomics, {
    store: (array: Int32Array, index: number, value: number) => {
      stores.push([index, value]);
      values.push(values.at(-1) as number);
      return store(array, index, value);
    },
  });
  try {
    for (let i = 1; i <= count; i++) {
      const before = stores.length;
      writer.store(from + i * step);
      // What the position is after each store: the low word alone says it.
      for (let at = before; at < stores.length; at++) values[at + 1] = from + i * step;
    }
  } finally {
    Object.assign(Atomics, { store });
  }
  return { stores, values };
}

t.test(
  "every interleaving of a load with stores gives a position that was there during the load",
  async (t) => {
    let interleavings = 0;
    for (const edge of [2 ** 31, 2 ** 32, 3 * 2 ** 31]) {
      for (const [step, count] of [
        [16, 3],
        [2 ** 30, 6],
      ] as const) {
        const start = edge - step;
        const { stores, values } = moves(start, step, count);
        // The reader's knowledge may be old; each of its loads is followed by some stores.
        const tried = (known: number, pace: readonly number[]): void => {
          const shared = words();
          new BroadcastPosition(shared, 0).store(start);
          let done = 0;
          const apply = (count: number): void => {
            for (const end = Math.min(stores.length, done + count); done < end; done++) {
              const [index, value] = stores[done] as [number, number];
              Atomics.store(shared, index, value);
            }
          };
          const reader = new BroadcastPosition(shared, 0);
          apply(known);
          const first = done;
          const seen = stepping(
            (load) => apply(pace[load] ?? 0),
            () => reader.load(),
          );
          interleavings++;
          const possible = values.slice(first, done + 1);
          if (!possible.includes(seen)) t.fail(`edge=${edge} known=${known} pace=${pace} seen=${seen}`);
        };
        for (let known = 0; known <= stores.length; known++) {
          for (let a = 0; a <= stores.length - known; a++) {
            for (let b = 0; b <= stores.length - known - a; b++) {
              for (let c = 0; c <= stores.length - known - a - b; c++) tried(known, [a, b, c]);
            }
          }
        }
      }
    }
    t.comment(`${interleavings} interleavings`);
    t.ok(interleavings > 1000);
  },
);
