import { crc32 } from "node:zlib";
import t from "tap";
import { checksumWords, SeededRandom } from "../src/internal.ts";

t.test("is zlib's CRC-32, continued from the seed", async (t) => {
  const random = new SeededRandom(7);
  const words = new Int32Array(64).map(() => random.uint32());
  const bytes = new Uint8Array(words.buffer);
  for (let count = 0; count < 30; count++) {
    for (const start of [0, 1, 5]) {
      for (const seed of [0, 1, -1, 0x1234_5678, random.uint32() | 0]) {
        const expected = crc32(bytes.subarray(start * 4, (start + count) * 4), seed >>> 0);
        t.equal(checksumWords(words, start, count, seed) >>> 0, expected);
      }
    }
  }
});

t.test("differs for every other seed", async (t) => {
  const words = new Int32Array(21).fill(5);
  const seen = new Set<number>();
  for (let seed = 0; seed < 1000; seed++) seen.add(checksumWords(words, 0, 21, seed));
  t.equal(seen.size, 1000);
});
