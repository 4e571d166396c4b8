import t from "tap";
import { FRAME_HEADER_BYTES_MAX, maskInPlace, writeMaskedFrame } from "../src/connection/masked-frame.ts";
import { Seeded } from "./seeded.ts";

/** Reads a frame byte by byte, as RFC 6455 section 5.2 says. */
function read(bytes: Uint8Array, at: number): { payload: number[]; end: number } {
  t.equal(bytes[at], 0x82, "final, binary");
  const second = bytes[at + 1] as number;
  t.ok(second & 0x80, "masked");
  let length = second & 0x7f;
  let p = at + 2;
  const lengthBytes = length === 126 ? 2 : length === 127 ? 8 : 0;
  if (lengthBytes > 0) length = 0;
  for (let i = 0; i < lengthBytes; i += 1) length = length * 256 + (bytes[p++] as number);
  const mask = bytes.subarray(p, p + 4);
  p += 4;
  const payload = Array.from({ length }, (_, i) => (bytes[p + i] as number) ^ (mask[i & 3] as number));
  return { payload, end: p + length };
}

t.test("frames of every length class and alignment are read back by the RFC's rules", async (t) => {
  const random = new Seeded(5);
  const lengths = [
    0, 1, 2, 3, 4, 5, 7, 8, 31, 32, 33, 35, 36, 100, 125, 126, 127, 1_000, 65_535, 65_536, 70_003,
  ];
  for (const length of lengths) {
    const payload = Uint8Array.from({ length }, () => random.below(256));
    for (const at of [0, 1, 2, 3, 6]) {
      const target = new Uint8Array(at + FRAME_HEADER_BYTES_MAX + length + 3).fill(0xee);
      const mask = random.below(0x1_0000_0000) | 0;
      const end = writeMaskedFrame(target, at, payload, mask);
      const found = read(target, at);
      t.equal(found.end, end);
      t.ok(found.payload.every((byte, i) => byte === payload[i]) && found.payload.length === length);
      t.ok(
        target.subarray(end).every((byte) => byte === 0xee),
        "nothing behind the frame is touched",
      );
      t.ok(
        target.subarray(0, at).every((byte) => byte === 0xee),
        "nothing before it",
      );
    }
  }
});

t.test("masking at any place and length is a byte by byte XOR, and its own inverse", async (t) => {
  const random = new Seeded(6);
  for (let round = 0; round < 300; round += 1) {
    const buffer = new ArrayBuffer(200);
    const bytes = new Uint8Array(buffer, random.below(9));
    for (let i = 0; i < bytes.length; i += 1) bytes[i] = random.below(256);
    const start = random.below(60);
    const end = start + random.below(120);
    const mask = random.below(0x1_0000_0000) | 0;
    const expected = bytes.map((byte, i) => {
      if (i < start || i >= end) return byte;
      return byte ^ ((mask >>> (24 - 8 * ((i - start) & 3))) & 0xff);
    });
    const before = bytes.slice();
    maskInPlace(bytes, start, end, mask);
    if (!bytes.every((byte, i) => byte === expected[i])) t.fail(`start=${start} end=${end} mask=${mask}`);
    maskInPlace(bytes, start, end, mask);
    if (!bytes.every((byte, i) => byte === before[i])) t.fail("not its own inverse");
  }
  t.pass("all rounds");
});
