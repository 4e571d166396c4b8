import { deepStrictEqual } from "node:assert/strict";
import { crc32 as zlibCrc32 } from "node:zlib";
import fc from "fast-check";
import t from "tap";
import { crc32Tables, crc32Words } from "../src/crc32.ts";
import { crc32 } from "../src/index.ts";

t.test("zlib's, at every length around the change of method, at any place", async () => {
  const bytes = new Uint8Array(2000).map((_, i) => (i * 131) ^ (i >> 3));
  for (let length = 0; length < 600; length += 1) {
    const start = length % 9;
    const expected = zlibCrc32(bytes.subarray(start, start + length));
    deepStrictEqual(crc32(bytes, start, start + length), expected);
    deepStrictEqual(crc32Tables(bytes, start, start + length), expected);
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1500 }), (input) => {
      deepStrictEqual(crc32(input, 0, input.length), zlibCrc32(input));
      deepStrictEqual(crc32Tables(input, 0, input.length), zlibCrc32(input));
    }),
  );
});

t.test("folded, in pieces", async () => {
  const bytes = new Uint8Array(140_000).map((_, i) => (i * 2_654_435_761) >>> 13);
  for (const piece of [4_096, 65_536, 131_072]) {
    for (let more = -70; more < 400; more += 1) {
      const start = (more + 70) % 9;
      const end = start + piece + more;
      deepStrictEqual(
        crc32(bytes, start, end),
        zlibCrc32(bytes.subarray(start, end)),
        `length ${piece + more}`,
      );
    }
  }
  deepStrictEqual(crc32(bytes, 5, 9_900), crc32Tables(bytes, 5, 9_900));
});

t.test("of words, at every length around the change of method", async () => {
  const bytes = new Uint8Array(new SharedArrayBuffer(2000)).map((_, i) => (i * 131) ^ (i >> 3));
  const words = new Int32Array(bytes.buffer);
  for (let length = 0; length < 600; length += 1) {
    const start = (length % 5) * 4;
    const expected = zlibCrc32(bytes.subarray(start, start + length));
    deepStrictEqual(crc32Words(words, bytes, start, start + length), expected);
  }
});

t.test("of shared memory, through a view that does not start at 0", async (t) => {
  for (const length of [9, 1000, 9000]) {
    const shared = new Uint8Array(new SharedArrayBuffer(9100), 50);
    shared.fill(7, 3, 3 + length);
    const expected = zlibCrc32(new Uint8Array(length).fill(7));
    t.equal(crc32(shared, 3, 3 + length), expected);
    t.equal(crc32Tables(shared, 3, 3 + length), expected);
  }
});
