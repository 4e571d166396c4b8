import { deepStrictEqual } from "node:assert/strict";
import { crc32 as zlibCrc32 } from "node:zlib";
import fc from "fast-check";
import t from "tap";
import { crc32Tables } from "../src/crc32.ts";
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

t.test("of shared memory, through a view that does not start at 0", async (t) => {
  for (const length of [9, 1000]) {
    const shared = new Uint8Array(new SharedArrayBuffer(1100), 50);
    shared.fill(7, 3, 3 + length);
    const expected = zlibCrc32(new Uint8Array(length).fill(7));
    t.equal(crc32(shared, 3, 3 + length), expected);
    t.equal(crc32Tables(shared, 3, 3 + length), expected);
  }
});
