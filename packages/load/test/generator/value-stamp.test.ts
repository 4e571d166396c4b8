import t from "tap";
import { StampedValue, stampOf } from "../../src/generator/value-stamp.ts";

t.test("a stamp is read wherever the value stands", async (t) => {
  const value = new StampedValue(16);
  value.stamp(123_456.789);
  t.equal(stampOf(value.bytes), 123_456.789);
  const frame = new Uint8Array(40);
  frame.set(value.bytes, 13);
  t.equal(stampOf(frame.subarray(13, 29)), 123_456.789, "unaligned");
  const rest = value.bytes.subarray(8).toString("hex");
  value.stamp(1);
  t.equal(value.bytes.subarray(8).toString("hex"), rest, "the rest stays");
});

t.test("a value may be shorter than a stamp, and empty", async (t) => {
  t.equal(new StampedValue(3).bytes.length, 3);
  t.equal(new StampedValue(0).bytes.length, 0);
});
