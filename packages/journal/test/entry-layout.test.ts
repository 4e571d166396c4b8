import t from "tap";
import { alignEntry, readU32, readU64, writeEntryFields, writeU64 } from "../src/internal.ts";

t.test("64 bit integers in two words", async (t) => {
  const words = new Int32Array(4);
  const view = new DataView(words.buffer);
  const values = [
    0,
    1,
    2 ** 31 - 1,
    2 ** 31,
    2 ** 32 - 1,
    2 ** 32,
    2 ** 40 + 3,
    2 ** 52,
    Number.MAX_SAFE_INTEGER,
  ];
  for (const value of values) {
    writeU64(words, 1, value);
    t.equal(readU64(words, 1), value);
    t.equal(view.getBigUint64(4, true), BigInt(value), "little-endian, low word first");
  }
});

t.test("entries take a multiple of 8 bytes", async (t) => {
  t.same([88, 89, 95, 96, 97].map(alignEntry), [88, 96, 96, 96, 104]);
});

t.test("absent fields are written as zero", async (t) => {
  const words = new Int32Array(22).fill(-1);
  writeEntryFields(words, 0, { topicId: 0xffff_fffe, appendTime: 2 ** 41 });
  t.equal(readU32(words, 8), 0xffff_fffe);
  t.equal(readU64(words, 14), 2 ** 41);
  t.same([...words.subarray(9, 14)], [0, 0, 0, 0, 0]);
  t.same([...words.subarray(16, 20)], [0, 0, 0, 0]);
  t.same([...words.subarray(0, 8)], new Array(8).fill(-1), "what staging fills in is left alone");
});
