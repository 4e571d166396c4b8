import { deepStrictEqual } from "node:assert/strict";
import fc from "fast-check";
import { unpack } from "msgpackr";
import t from "tap";
import {
  BATCH_HEAD_BYTES,
  BatchBuilder,
  BatchHead,
  BatchReader,
  CHECKSUM_TRAILER_BYTES,
  crc32,
  type IncomingRecord,
  LIMITS,
  MALFORMED,
  type OutgoingRecord,
  PARSED,
  RECORD_FLAG,
  UNSUPPORTED,
  walkRecords,
} from "../src/internal.ts";
import { plainValue } from "./frame-arbitraries.ts";

const MAX = 100_000;
const HEX = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

function readerOf(bytes: Uint8Array): BatchReader {
  const reader = new BatchReader();
  reader.reset(bytes, 0, bytes.length);
  return reader;
}

function incoming(record: OutgoingRecord): IncomingRecord {
  return {
    key: record.key ?? undefined,
    headers: record.headers ?? undefined,
    value: record.value ?? null,
    timestamp: record.timestamp,
    groupKey: record.groupKey,
    removed: false,
  };
}

const text = fc.string({ unit: "grapheme", maxLength: 60 });
const outgoing: fc.Arbitrary<OutgoingRecord> = fc.record(
  {
    key: fc.option(fc.oneof(text, fc.uint8Array({ maxLength: 40 }))),
    headers: fc.option(
      fc.dictionary(
        text.map((name) => `h${name}`),
        fc.oneof(text, fc.uint8Array({ maxLength: 40 })),
        { maxKeys: 3, noNullPrototype: true },
      ),
    ),
    value: fc.oneof(text, fc.uint8Array({ maxLength: 400 }), plainValue()),
    timestamp: fc.maxSafeNat(),
    groupKey: text,
  },
  { requiredKeys: ["value"], noNullPrototype: true },
);

t.test("records come back as they were appended", async () => {
  const builder = new BatchBuilder(MAX);
  const reader = new BatchReader();
  fc.assert(
    fc.property(fc.array(outgoing, { minLength: 1, maxLength: 20 }), (records) => {
      builder.reset();
      for (const record of records) deepStrictEqual(builder.append(record), true);
      const payload = builder.finish();
      deepStrictEqual(payload.length, builder.byteLength);
      reader.reset(payload, 0, payload.length);
      deepStrictEqual(reader.count, records.length);
      deepStrictEqual(reader.verifyChecksum(), true);
      deepStrictEqual([...reader], records.map(incoming));
      for (let i = records.length - 1; i >= 0; i -= 1) {
        deepStrictEqual(reader.recordAt(i), incoming(records[i] as OutgoingRecord));
      }
    }),
    { numRuns: 300 },
  );
});

t.test("another library reads a stored payload's batch, and flags say what its records have", async () => {
  fc.assert(
    fc.property(fc.array(outgoing, { minLength: 1, maxLength: 5 }), (records) => {
      const builder = new BatchBuilder(MAX);
      for (const record of records) builder.append(record);
      const payload = builder.finish();
      const batch = payload.subarray(0, -CHECKSUM_TRAILER_BYTES);
      const array = unpack(batch) as [number, number, number, number, number, number, Uint8Array];
      const [version, flags, codec, count, uncompressedBytes, schemaId, content] = array;
      deepStrictEqual(
        [version, codec, count, uncompressedBytes, schemaId],
        [1, 0, records.length, content.length, 0],
      );
      let expected = 0;
      for (const { key, headers, timestamp, groupKey } of records) {
        if (key !== undefined && key !== null) expected |= RECORD_FLAG.KEY;
        if (headers !== undefined && headers !== null) expected |= RECORD_FLAG.HEADERS;
        if (timestamp !== undefined) expected |= RECORD_FLAG.TIMESTAMP;
        if (groupKey !== undefined) expected |= RECORD_FLAG.GROUP_KEY;
      }
      deepStrictEqual(flags, expected);
    }),
    { numRuns: 100 },
  );
});

t.test("values are views of the frame", async (t) => {
  const builder = new BatchBuilder(MAX);
  const values = [0, 1, 100, 255, 256, 70_000].map((length, i) => new Uint8Array(length).fill(i));
  for (const value of values) builder.appendValue(value);
  builder.appendValue("text");
  builder.append({ key: "k", headers: { a: "b" }, value: { a: 1 } });
  const frame = new Uint8Array(builder.byteLength + 11);
  frame.set(builder.finish(), 11);
  const reader = new BatchReader();
  reader.reset(frame, 11, frame.length);
  for (const [i, value] of values.entries()) {
    const view = reader.valueAt(i);
    t.same(view, value);
    t.equal(view.buffer, frame.buffer);
  }
  t.equal(new TextDecoder().decode(reader.valueAt(6)), "text");
  t.equal(HEX(reader.valueAt(7)), "81a16101", "another value as its MessagePack");
  t.equal(HEX(reader.valueAt(2)), HEX(values[2] as Uint8Array), "backwards too");
  t.same([...reader.values()].length, 8);
  t.throws(() => reader.valueAt(8), RangeError);
  t.throws(() => reader.valueAt(-1), RangeError);
  t.throws(() => reader.recordAt(Number.NaN), RangeError);
});

t.test("a batch is full at its bound, but a record that is larger travels alone", async (t) => {
  const builder = new BatchBuilder(1000);
  t.equal(builder.byteLength, BATCH_HEAD_BYTES + CHECKSUM_TRAILER_BYTES);
  let appended = 0;
  while (builder.appendValue(new Uint8Array(100))) appended += 1;
  t.equal(appended, 9, "9 x 108 bytes + 25 <= 1000");
  t.equal(builder.count, 9);
  t.ok(builder.byteLength <= 1000);
  t.equal(builder.finish().length, builder.byteLength);
  t.notOk(builder.append({ key: "k", value: "x".repeat(100) }));
  t.notOk(builder.appendValue("x".repeat(20)));
  t.equal(readerOf(builder.finish()).count, 9, "a refused record leaves nothing behind");
  builder.reset();
  t.ok(builder.appendValue(new Uint8Array(5000)));
  t.equal(readerOf(builder.finish()).valueAt(0).length, 5000);
  t.notOk(builder.appendValue(""));
  t.throws(() => new BatchBuilder(0), RangeError);
  t.throws(() => new BatchBuilder(LIMITS.batchBytesMax + 1), RangeError);
});

t.test("the limits of a record, at both of their sides", async (t) => {
  const builder = new BatchBuilder(LIMITS.batchBytesMax);
  const tooLarge = { code: "RECORD_TOO_LARGE" };
  const envelope = 4 + 5;
  t.ok(builder.appendValue(new Uint8Array(LIMITS.recordBytesMax - envelope)));
  t.throws(() => builder.appendValue(new Uint8Array(LIMITS.recordBytesMax - envelope + 1)), {
    ...tooLarge,
    details: { part: "record", bytes: LIMITS.recordBytesMax + 1, limit: LIMITS.recordBytesMax },
  });
  t.throws(() => builder.appendValue("x".repeat(LIMITS.recordBytesMax)), tooLarge);
  builder.reset();
  for (const key of ["k".repeat(4096), "é".repeat(2048), new Uint8Array(4096)]) {
    t.ok(builder.append({ key, value: "v" }));
  }
  for (const key of ["k".repeat(4097), "é".repeat(2049), "€".repeat(1366), new Uint8Array(4097)]) {
    t.throws(() => builder.append({ key, value: "v" }), { ...tooLarge, details: { part: "key" } });
  }
  t.ok(builder.append({ headers: { a: "x".repeat(LIMITS.headersBytesMax - 6) }, value: "v" }));
  t.throws(() => builder.append({ headers: { a: "x".repeat(LIMITS.headersBytesMax - 5) }, value: "v" }), {
    ...tooLarge,
    details: { part: "headers" },
  });
  t.throws(() => builder.append({ headers: { "millrace-x": "1" }, value: "v" }), TypeError);
  const wrong = { a: 1 } as unknown as Record<string, string>;
  t.throws(() => builder.append({ headers: wrong, value: "v" }), TypeError);
  t.throws(() => builder.append({ timestamp: 1.5, value: "v" }), RangeError);
  let deep: unknown = 1;
  for (let i = 0; i < LIMITS.valueNestingMax; i += 1) deep = [deep];
  t.ok(builder.append({ value: deep }));
  t.throws(() => builder.append({ value: [deep] }), RangeError);
  t.equal(builder.count, 5);
  t.same(readerOf(builder.finish()).recordAt(4).value, deep);
});

t.test("a builder is used again and again, its head with another start", async (t) => {
  const builder = new BatchBuilder(MAX);
  builder.append({ groupKey: "g", value: "a" });
  const first = builder.finish();
  t.equal(HEX(first.subarray(0, 5)), "9701cc8000", "flags above a fixint");
  t.ok(readerOf(first).verifyChecksum());
  builder.reset();
  t.equal(builder.count, 0);
  builder.appendValue("b");
  t.equal(HEX(builder.finish()), HEX(builder.finish()), "finish may be called again");
  t.equal(HEX(builder.finish().subarray(0, 4)), "97010000");
});

t.test("the frame is built around the batch, and its head can be replaced", async (t) => {
  const builder = new BatchBuilder(MAX);
  builder.appendValue("hello");
  const payload = HEX(builder.finish());
  const ids: [number, number, number, number, number][] = [
    [0, 0, 0, 0, 0],
    [127, 128, 255, 256, 65_535],
    [0xffff_ffff, 1023, Number.MAX_SAFE_INTEGER, 0xffff_ffff, Number.MAX_SAFE_INTEGER],
  ];
  for (const numbers of ids) {
    const frame = builder.finishPublish(...numbers);
    t.ok(HEX(frame).endsWith(payload));
    const array = unpack(frame) as unknown[];
    t.same(array.slice(0, 6).map(Number), [16, ...numbers]);
  }
});

function parse(hex: string): { outcome: number; head: BatchHead } {
  const head = new BatchHead();
  const bytes = Buffer.from(hex.replaceAll(" ", ""), "hex");
  return { outcome: head.parse(bytes, 0, bytes.length), head };
}

t.test("a batch head in any width, with elements of a newer peer", async (t) => {
  const heads = [
    "97 01 00 00 01 06 00 c4 06 c40494c0c0c0",
    "dc0007 cc01 d000 cd0000 ce00000001 cf0000000000000006 d200000000 c50006 c40494c0c0c0",
    "dd00000009 01 00 00 01 cb4018000000000000 00 c600000006 c40494c0c0c0 93010203 a161",
  ];
  for (const hex of heads) {
    const { outcome, head } = parse(hex);
    t.equal(outcome, PARSED, hex);
    t.match(head, { version: 1, flags: 0, codec: 0, count: 1, uncompressedBytes: 6, schemaId: 0 });
    t.equal(head.recordsEnd - head.recordsStart, 6);
    t.equal(head.end, hex.replaceAll(" ", "").length / 2);
  }
  for (const hex of [
    "97 02 00 00 00 00 00 c400",
    "97 01 00 01 00 00 00 c400",
    "97 01 00 00 00 00 01 c400",
    "97 01 04 00 00 00 00 c400",
    "97 01 08 00 00 00 00 c400",
    "97 01 10 00 00 00 00 c400",
    "97 01 20 00 00 00 00 c400",
    "97 01 cd0100 00 00 00 00 c400",
  ]) {
    t.equal(parse(hex).outcome, UNSUPPORTED, hex);
  }
  for (const hex of [
    "",
    "c0",
    "96 01 00 00 00 00 00",
    "97 01 00 00 00 00 00",
    "97 01 00 00 00 01 00 c400",
    "97 01 00 00 00 00 00 a0",
    "97 01 00 00 00 00 00 c401",
    "97 01 00 00 ff 00 00 c400",
    "97 01 00 00 cf0000000100000000 00 00 c400",
    "97 01 00 00 00 00 00 c6ffffffff",
    "97 01 00 00 00 00 00 c680000000",
    "97 01 00 00 00 01 00 c401",
    "97 01 00 00 00 ceffffffff 00 c6ffffffff",
    "97 01 00 00 ce00000000 ce80000000 00 c680000000",
    "97 01 00 00 ce00000001 ce00000002 00 c600000002 c4",
    "98 01 00 00 00 00 00 c400",
    "ddffffffff 01 00 00 00 00 00 c400 00",
  ]) {
    t.equal(parse(hex).outcome, MALFORMED, hex);
  }
});

t.test("records are walked by their bounds", async (t) => {
  const walk = (hex: string): number => {
    const bytes = Buffer.from(hex.replaceAll(" ", ""), "hex");
    return walkRecords(bytes, 0, bytes.length);
  };
  t.equal(walk(""), 0);
  t.equal(walk("c400"), 1, "a removed record counts");
  t.equal(walk("c401aa c50001aa c600000001aa c400"), 4);
  for (const hex of [
    "c4",
    "c402aa",
    "c5",
    "c500",
    "c50002aa",
    "c6",
    "c6000000",
    "c600000002aa",
    "a0",
    "00",
  ]) {
    t.equal(walk(hex), MALFORMED, hex);
  }
  for (const lie of ["c6ffffffff", "c680000000", "c67fffffff", "c5ffff"]) {
    t.equal(walk(`${lie} aa`), MALFORMED, `${lie}: no length is negative`);
  }
  t.equal(walkRecords(new Uint8Array(4), 0, 5), MALFORMED, "an end beyond the bytes");
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 50 }), (values) => {
      const builder = new BatchBuilder(MAX);
      for (const value of values) builder.appendValue(value);
      const head = new BatchHead();
      const payload = builder.finish();
      head.parse(payload, 0, payload.length);
      deepStrictEqual(walkRecords(payload, head.recordsStart, head.recordsEnd), values.length);
    }),
  );
});

t.test("what is not as it was made is noticed", async (t) => {
  const builder = new BatchBuilder(MAX);
  builder.appendValue("hello");
  builder.appendValue("world");
  const payload = builder.finish().slice();
  t.ok(readerOf(payload).verifyChecksum());
  t.notOk(readerOf(payload).verifyChecksum(1));
  for (let i = BATCH_HEAD_BYTES; i < payload.length; i += 1) {
    const damaged = payload.slice();
    damaged[i] = (damaged[i] as number) ^ 1;
    const reader = new BatchReader();
    try {
      reader.reset(damaged, 0, damaged.length);
    } catch {
      continue;
    }
    if (damaged[payload.length - CHECKSUM_TRAILER_BYTES] === 0xce)
      t.notOk(reader.verifyChecksum(), `byte ${i}`);
  }
  const batch = payload.subarray(0, -CHECKSUM_TRAILER_BYTES);
  t.ok(readerOf(batch).verifyChecksum(), "without a trailer there is nothing to check");
  t.equal(readerOf(batch).verifyChecksum(crc32(batch, 0, batch.length)), true);
  const lying = payload.slice();
  lying[8] = 3;
  t.throws(() => readerOf(lying), { code: "COUNT_MISMATCH", details: { stated: 3, found: 2 } });
  t.throws(() => readerOf(new Uint8Array(3)), { code: "INVALID_BATCH" });
  const codec = payload.slice();
  codec[3] = 1;
  t.throws(() => readerOf(codec), { code: "UNSUPPORTED_FEATURE", details: { codec: 1 } });
  t.throws(() => readerOf(lying).count, { code: "COUNT_MISMATCH" });
});

/** A batch of `count` records whose bytes are given, with a canonical head and no trailer. */
function rawBatch(count: number, recordsHex: string): Uint8Array {
  const records = Buffer.from(recordsHex.replaceAll(" ", ""), "hex");
  const head = Buffer.from("97010000ce00000000ce0000000000c600000000", "hex");
  head.writeUInt32BE(count, 5);
  head.writeUInt32BE(records.length, 10);
  head.writeUInt32BE(records.length, 16);
  return Buffer.concat([head, records]);
}

t.test("removed records keep their place, and records may have elements of a newer peer", async (t) => {
  const plain = "c406 94 c0 c0 c0 a161";
  const longer = "c407 95 c0 c0 c0 a162 c0";
  const wide = "c40c dc0005 c0 c0 c0 a163 93010203";
  const attributes = "c419 94 82 a474686565 01 a974696d657374616d70 05 a16b 80 c401ff";
  const reader = readerOf(rawBatch(5, `c400 ${plain} ${longer} ${wide} ${attributes}`));
  t.equal(reader.count, 5);
  t.ok(reader.isRemoved(0));
  t.notOk(reader.isRemoved(1));
  t.equal(reader.valueAt(0).length, 0);
  t.match(reader.recordAt(0), { removed: true, value: undefined });
  const values = ["a", "b", "c"];
  for (const [i, value] of values.entries()) {
    t.equal(reader.recordAt(i + 1).value, value);
    t.equal(HEX(reader.valueAt(i + 1)), HEX(Buffer.from(value)));
  }
  t.match(reader.recordAt(4), { key: "k", headers: {}, timestamp: 5, value: new Uint8Array([255]) });
});

t.test("a record that is none is refused by itself", async (t) => {
  for (const record of [
    "c0",
    "93c0c0c0",
    "94c0c0c0",
    "94c0c0c0a161c0",
    "95c0c0c0a161",
    "94c0c0c0c6ffffffff",
    "94c0c0c0c1",
    "94c0",
    "dc",
    "94c4ff",
  ]) {
    const bytes = Buffer.from(record, "hex");
    const wrapped = `c4${bytes.length.toString(16).padStart(2, "0")}${record}`;
    const reader = readerOf(rawBatch(2, `c40694c0c0c0a161 ${wrapped}`));
    t.throws(() => reader.valueAt(1), { code: "INVALID_BATCH" }, record);
    t.throws(() => reader.recordAt(1), { code: "INVALID_BATCH" }, record);
    t.equal(reader.recordAt(0).value, "a", "the others can still be read");
  }
  for (const record of [
    "940ac0c0a161",
    "94c005c0a161",
    "94c0c08101a161",
    "94c0c081a16105a161",
    "94c0c0c0".concat("91".repeat(200), "c0"),
  ]) {
    const bytes = Buffer.from(record, "hex");
    const reader = readerOf(rawBatch(1, `c4${bytes.length.toString(16).padStart(2, "0")}${record}`));
    t.throws(() => reader.recordAt(0), { code: "INVALID_BATCH" }, record);
  }
});
