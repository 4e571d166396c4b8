import t from "tap";
import { copyBytes } from "../src/index.ts";

const SIZE = 1400;
const LENGTHS = [0, 1, 7, 8, 9, 15, 16, 31, 32, 33, 63, 64, 65, 127, 255, 256, 257, 512, 1000, 1024, 1031];

const MEMORIES: Record<string, () => ArrayBufferLike> = {
  private: () => new ArrayBuffer(SIZE),
  shared: () => new SharedArrayBuffer(SIZE),
};

function asBuffer(memory: ArrayBufferLike): Buffer {
  return Buffer.from(memory as ArrayBuffer);
}

for (const [from, makeSource] of Object.entries(MEMORIES)) {
  for (const [to, makeTarget] of Object.entries(MEMORIES)) {
    t.test(`${from} to ${to}, every alignment and way of copying`, async (t) => {
      const source = new Uint8Array(makeSource());
      for (let i = 0; i < SIZE; i++) source[i] = 1 + (i % 251);
      const target = asBuffer(makeTarget());
      const expected = new Uint8Array(SIZE);
      let copies = 0;
      for (const length of LENGTHS) {
        for (let sourceStart = 0; sourceStart < 9; sourceStart++) {
          for (let targetStart = 0; targetStart < 9; targetStart++) {
            target.fill(0);
            copyBytes(target, targetStart, source, sourceStart, length);
            expected.fill(0);
            for (let i = 0; i < length; i++) expected[targetStart + i] = source[sourceStart + i] as number;
            if (!target.equals(expected)) t.fail(`${sourceStart} -> ${targetStart}, ${length} bytes`);
            // The same bytes as a whole source, which skips the view.
            target.fill(0);
            copyBytes(target, targetStart, source.subarray(sourceStart, sourceStart + length), 0, length);
            if (!target.equals(expected))
              t.fail(`whole source, ${sourceStart} -> ${targetStart}, ${length} bytes`);
            copies++;
          }
        }
      }
      t.equal(copies, LENGTHS.length * 81);
    });
  }
}

t.test("views that do not start at the front of their memory", async (t) => {
  const memory = new SharedArrayBuffer(SIZE);
  const target = asBuffer(memory).subarray(5, 805);
  const source = Buffer.from(memory, 900, 500);
  for (let i = 0; i < 500; i++) source[i] = i & 0xff;
  copyBytes(target, 11, source, 13, 400);
  t.ok(target.subarray(11, 411).equals(source.subarray(13, 413)));
  t.same(new Uint8Array(memory, 0, 16), new Uint8Array(16));
  t.equal(target[411], 0);
});

t.test("nothing happens for zero bytes, at the very end too", async (t) => {
  const target = Buffer.alloc(300, 7);
  copyBytes(target, 300, new Uint8Array(0), 0, 0);
  copyBytes(target, 0, new Uint8Array(4), 4, 0);
  t.ok(target.equals(Buffer.alloc(300, 7)));
});

t.test("regions outside of their arrays are refused and nothing is copied", async (t) => {
  const target = Buffer.alloc(300, 7);
  const source = new Uint8Array(300);
  const cases: [number, number, number][] = [
    [0, 0, 301],
    [1, 0, 300],
    [0, 1, 300],
    [-1, 0, 8],
    [0, -1, 8],
    [0, 0, -1],
    [Number.NaN, 0, 8],
    [0, Number.NaN, 8],
    [0, 0, Number.NaN],
    [301, 0, 0],
  ];
  for (const [targetStart, sourceStart, length] of cases) {
    t.throws(() => copyBytes(target, targetStart, source, sourceStart, length), {
      name: "RangeError",
      message: new RegExp(
        `length=${length} targetStart=${targetStart} target.length=300 sourceStart=${sourceStart} source.length=300`,
      ),
    });
  }
  t.ok(target.equals(Buffer.alloc(300, 7)));
});
