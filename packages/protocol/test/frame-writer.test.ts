import { deepStrictEqual } from "node:assert/strict";
import fc from "fast-check";
import { Packr, Unpackr } from "msgpackr";
import t from "tap";
import { type ExtensionValue, FrameReader, FrameWriter, LIMITS } from "../src/index.ts";
import { plainValue } from "./frame-arbitraries.ts";

function roundTrip(value: unknown): unknown {
  const writer = new FrameWriter(1);
  writer.any(value);
  return read(writer.bytes());
}

function read(bytes: Uint8Array): unknown {
  const reader = new FrameReader();
  reader.reset(bytes, 0, bytes.length);
  const value = reader.any(LIMITS.valueNestingMax);
  deepStrictEqual(reader.position, bytes.length);
  return value;
}

/** A value as msgpackr writes it, that is with 0 for -0. */
function withoutNegativeZero(value: unknown): unknown {
  if (Object.is(value, -0)) return 0;
  if (Array.isArray(value)) return value.map(withoutNegativeZero);
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [name, withoutNegativeZero(member)]),
  );
}

t.test("plain values come back as they were", async () => {
  fc.assert(fc.property(plainValue(), (value) => deepStrictEqual(roundTrip(value), value)));
});

t.test("another library reads what is written", async () => {
  const unpackr = new Unpackr({ useRecords: false, int64AsType: "number" });
  const jsonLike = fc
    .jsonValue({ maxDepth: 4 })
    .filter((value) => !JSON.stringify(value).includes("__proto__"));
  fc.assert(
    fc.property(jsonLike, (value) => {
      const writer = new FrameWriter();
      writer.any(value, 50);
      deepStrictEqual(JSON.stringify(unpackr.unpack(writer.bytes())), JSON.stringify(value));
    }),
  );
});

t.test("what another library writes is read", async () => {
  const packr = new Packr({ useRecords: false, variableMapSize: true });
  fc.assert(
    fc.property(plainValue(), (value) => {
      deepStrictEqual(read(new Uint8Array(packr.pack(value))), withoutNegativeZero(value));
    }),
  );
});

t.test("integers take their shortest form and stay integers", async (t) => {
  const hex = (value: unknown): string => {
    const writer = new FrameWriter();
    writer.any(value);
    return Buffer.from(writer.bytes()).toString("hex");
  };
  const cases: [unknown, string][] = [
    [0, "00"],
    [127, "7f"],
    [128, "cc80"],
    [255, "ccff"],
    [256, "cd0100"],
    [65_535, "cdffff"],
    [65_536, "ce00010000"],
    [0xffff_ffff, "ceffffffff"],
    [0x1_0000_0000, "cf0000000100000000"],
    [Number.MAX_SAFE_INTEGER, "cf001fffffffffffff"],
    [-1, "ff"],
    [-32, "e0"],
    [-33, "d0df"],
    [-128, "d080"],
    [-129, "d1ff7f"],
    [-32_769, "d2ffff7fff"],
    [-2_147_483_649, "d3ffffffff7fffffff"],
    [Number.MIN_SAFE_INTEGER, "d3ffe0000000000001"],
    [2 ** 53, "cb4340000000000000"],
    [-0, "cb8000000000000000"],
    [1.5, "cb3ff8000000000000"],
    [undefined, "c0"],
    [{ a: undefined, b: 1 }, "81a16201"],
    [new Map<unknown, unknown>([[1, "x"]]), "8101a178"],
    ["é".repeat(16), `d920${"c3a9".repeat(16)}`],
    ["a".repeat(31), `bf${"61".repeat(31)}`],
    ["a".repeat(32), `d920${"61".repeat(32)}`],
  ];
  for (const [value, expected] of cases) t.equal(hex(value), expected);
});

t.test("strings of every length and script come back", async (t) => {
  for (const unit of ["a", "é", "€", "😀", "\u0000", "\ud800"]) {
    for (const length of [0, 1, 10, 15, 16, 17, 31, 32, 33, 100, 255, 256, 300, 66_000]) {
      const text = unit.repeat(length);
      t.equal(roundTrip(text), unit === "\ud800" ? "\ufffd".repeat(length) : text, `${length} x ${unit}`);
    }
  }
});

t.test("binary of every width comes back as a view", async (t) => {
  for (const length of [0, 1, 255, 256, 65_535, 65_536]) {
    const bytes = new Uint8Array(length).fill(7);
    t.same(roundTrip(bytes), bytes);
  }
  t.same(roundTrip(Buffer.from("abc")), new Uint8Array([97, 98, 99]));
});

t.test("values that are not plain data", async (t) => {
  for (const ms of [0, 1, 1_700_000_000_123, -1, -62_135_596_800_000, 17_179_869_184_000, 2 ** 45]) {
    t.same(roundTrip(new Date(ms)), new Date(ms), `a date: ${ms}`);
  }
  t.equal(roundTrip(2n ** 60n), 2n ** 60n);
  t.equal(roundTrip(-(2n ** 60n)), -(2n ** 60n));
  t.equal(roundTrip(5n), 5);
  t.equal(read(new Uint8Array([0xcf, 255, 255, 255, 255, 255, 255, 255, 255])), 2n ** 64n - 1n);
  class Point {
    x = 1;
    y = 2;
  }
  t.same(roundTrip(new Point()), { x: 1, y: 2 });
  t.same(read(new Uint8Array([0xd4, 5, 9])), { type: 5, data: new Uint8Array([9]) } satisfies ExtensionValue);
  t.same(read(new Uint8Array([0xc7, 2, 0xfe, 8, 9])), { type: -2, data: new Uint8Array([8, 9]) });
  t.same(read(new Uint8Array([0xc8, 0, 1, 3, 9])), { type: 3, data: new Uint8Array([9]) });
  t.same(read(new Uint8Array([0xc9, 0, 0, 0, 1, 3, 9])), { type: 3, data: new Uint8Array([9]) });
  t.same(read(new Uint8Array([0x82, 0x01, 0x02, 0xff, 0x03])), { 1: 2, "-1": 3 });
  t.throws(() => read(new Uint8Array([0x81, 0xc0, 0x01])), { code: "MALFORMED_FRAME" });
  t.throws(() => read(new Uint8Array([0xc1])), { code: "MALFORMED_FRAME" });
});

t.test("what is no unsigned integer is not written as one", async (t) => {
  const writer = new FrameWriter();
  for (const value of [-1, 1.5, Number.NaN, 2 ** 53, Number.POSITIVE_INFINITY]) {
    t.throws(() => writer.uint(value), RangeError, String(value));
  }
  t.equal(writer.byteLength, 0);
});

t.test("bytes() is a view, take() a copy", async (t) => {
  const writer = new FrameWriter();
  writer.uint(1);
  const view = writer.bytes();
  const copy = writer.take();
  writer.reset();
  writer.uint(2);
  t.same([...view], [2]);
  t.same([...copy], [1]);
});
