import t from "tap";
import { zeroBytes } from "../src/zero-bytes.ts";

t.test("zeroes what it is told and nothing else, short and long", async (t) => {
  const buffer = new SharedArrayBuffer(16_384);
  const bytes = Buffer.from(buffer);
  const words = new Int32Array(buffer);
  for (const [start, end] of [
    [0, 0],
    [8, 16],
    [64, 2_104],
    [2_048, 16_384],
    [0, 16_384],
  ] as const) {
    bytes.fill(Buffer.from([0xa5]));
    zeroBytes(bytes, words, start, end);
    t.equal(
      bytes.findIndex((byte, at) => (byte === 0) !== (at >= start && at < end)),
      -1,
      `${start} to ${end}`,
    );
  }
});
