import { deepStrictEqual, ok } from "node:assert/strict";
import fc from "fast-check";
import t from "tap";
import {
  BatchBuilder,
  BatchReader,
  FrameWriter,
  MALFORMED,
  NO_KEY,
  type OutgoingRecord,
  PARSED,
  RECORD_FLAG,
  RecordWalker,
  readRecordHeaders,
  readRecordKey,
  recordWithHeaders,
  UNSUPPORTED,
  writeBatchHead,
} from "../src/internal.ts";

const text = fc.string({ unit: "grapheme", maxLength: 50 });
const keyOrValue = fc.oneof(text, fc.uint8Array({ maxLength: 300 }));
const outgoing: fc.Arbitrary<OutgoingRecord> = fc.record(
  {
    key: fc.option(keyOrValue, { nil: undefined }),
    headers: fc.option(
      fc.dictionary(
        text.filter((name) => !name.startsWith("millrace-")),
        keyOrValue,
        {
          maxKeys: 4,
          noNullPrototype: true,
        },
      ),
      { nil: undefined },
    ),
    value: fc.oneof(keyOrValue, fc.constant(null), fc.array(fc.integer(), { maxLength: 5 })),
    timestamp: fc.option(fc.maxSafeNat(), { nil: undefined }),
    groupKey: fc.option(text, { nil: undefined }),
  },
  { noNullPrototype: true },
);
const batches = fc.array(outgoing, { minLength: 1, maxLength: 8 });

function build(records: readonly OutgoingRecord[]): Uint8Array {
  const builder = new BatchBuilder(100_000);
  for (const record of records) builder.append(record);
  return builder.finish();
}

/** Of the only record. */
function hashOf(key: OutgoingRecord["key"]): number {
  const bytes = build([{ key, value: "v" }]);
  const walker = new RecordWalker();
  walker.reset(bytes, 0, bytes.length);
  walker.seek(0);
  return walker.keyHash();
}

t.test("records are where a reader finds them, in any order", async () => {
  const walker = new RecordWalker();
  const reader = new BatchReader();
  fc.assert(
    fc.property(batches, fc.array(fc.nat(7), { maxLength: 12 }), fc.nat(9), (records, visits, before) => {
      const batch = build(records);
      const bytes = new Uint8Array(batch.length + before + 9).fill(0xc4);
      bytes.set(batch, before);
      const end = before + batch.length;
      reader.reset(bytes, before, end);
      deepStrictEqual(walker.reset(bytes, before, end), PARSED);
      deepStrictEqual([walker.count, walker.flags, walker.end], [reader.count, reader.flags, reader.end]);
      for (const index of [...records.keys(), ...visits]) {
        deepStrictEqual(walker.seek(index), index < records.length);
        if (index >= records.length) continue;
        const { recordStart, contentStart, contentEnd } = walker;
        const { key, headers } = reader.recordAt(index);
        deepStrictEqual(readRecordKey(bytes, contentStart, contentEnd), key);
        deepStrictEqual(readRecordHeaders(bytes, contentStart, contentEnd), headers);
        deepStrictEqual(walker.keyHash() === NO_KEY, key === undefined);
        ok(recordStart < contentStart && contentStart <= contentEnd);
      }
    }),
  );
});

t.test("a run of records is a batch of its own", async () => {
  const walker = new RecordWalker();
  const reader = new BatchReader();
  fc.assert(
    fc.property(batches, fc.nat(), fc.nat(), (records, a, b) => {
      const first = a % records.length;
      const last = first + (b % (records.length - first));
      const stored = build(records);
      walker.reset(stored, 0, stored.length);
      walker.seek(first);
      const from = walker.recordStart;
      walker.seek(last);
      const run = stored.subarray(from, walker.contentEnd);
      const bytes = new Uint8Array(run.length + 50);
      const at = writeBatchHead(bytes, 3, walker.flags, last - first + 1, run.length);
      bytes.set(run, at);
      reader.reset(stored, 0, stored.length);
      const expected = [...reader].slice(first, last + 1);
      reader.reset(bytes, 3, at + run.length);
      deepStrictEqual([...reader], expected);
    }),
  );
});

t.test("a key's hash is that of its raw bytes", async (t) => {
  fc.assert(
    fc.property(text, (key) => {
      const hash = hashOf(key);
      deepStrictEqual(hash, hashOf(new TextEncoder().encode(key)));
      ok(Number.isSafeInteger(hash) && hash >= 0);
    }),
  );
  t.equal(hashOf(undefined), NO_KEY);
  t.not(hashOf(""), NO_KEY, "an empty key is a key");
  t.not(hashOf(""), hashOf("\0"));
  t.not(hashOf("ab"), hashOf("a"));
});

t.test("hashes differ, and use all their bits", async (t) => {
  const seen = new Set<number>();
  let upper = 0;
  let lower = 0;
  const keys = 20_000;
  for (let i = 0; i < keys; i += 1) {
    const hash = hashOf(`customer-${i}`);
    seen.add(hash);
    if (hash >= 2 ** 52) upper += 1;
    if (hash % 2 === 1) lower += 1;
  }
  t.equal(seen.size, keys);
  for (const bits of [upper, lower]) t.ok(Math.abs(bits / keys - 0.5) < 0.02, `${bits}`);
});

t.test("a removed record has bounds and nothing else", async (t) => {
  const kept = build([{ key: "k", headers: { h: "v" }, value: "kept" }]).slice(20, -5);
  const bytes = new Uint8Array(100);
  const records = writeBatchHead(bytes, 0, RECORD_FLAG.KEY | RECORD_FLAG.HEADERS, 2, 2 + kept.length);
  bytes.set([0xc4, 0], records);
  bytes.set(kept, records + 2);
  const walker = new RecordWalker();
  t.equal(walker.reset(bytes, 0, records + 2 + kept.length), PARSED);
  t.ok(walker.seek(0));
  t.equal(walker.contentStart, walker.contentEnd);
  t.equal(walker.keyHash(), NO_KEY);
  t.equal(readRecordKey(bytes, walker.contentStart, walker.contentEnd), undefined);
  t.equal(readRecordHeaders(bytes, walker.contentStart, walker.contentEnd), undefined);
  t.throws(() => recordWithHeaders(bytes, walker.contentStart, walker.contentEnd, {}), {
    code: "INVALID_BATCH",
  });
  t.ok(walker.seek(1));
  t.equal(readRecordKey(bytes, walker.contentStart, walker.contentEnd), "k");
});

t.test("headers are added, and nothing else is changed", async () => {
  const walker = new RecordWalker();
  const reader = new BatchReader();
  const added = { "millrace-subscription": "billing", "millrace-bytes": new Uint8Array([1, 2]) };
  fc.assert(
    fc.property(outgoing, (record) => {
      const stored = build([{ ...record, headers: { ...record.headers, "a header": "old" } }]);
      walker.reset(stored, 0, stored.length);
      walker.seek(0);
      const { contentStart, contentEnd } = walker;
      const content = recordWithHeaders(stored, contentStart, contentEnd, { ...added, "a header": "new" });
      const writer = new FrameWriter();
      writer.bin(content);
      const wrapped = writer.bytes();
      const bytes = new Uint8Array(wrapped.length + 30);
      const at = writeBatchHead(bytes, 0, walker.flags | RECORD_FLAG.HEADERS, 1, wrapped.length);
      bytes.set(wrapped, at);
      reader.reset(stored, 0, stored.length);
      const before = reader.recordAt(0);
      reader.reset(bytes, 0, at + wrapped.length);
      const headers = { ...record.headers, "a header": "new", ...added };
      deepStrictEqual(reader.recordAt(0), { ...before, headers });
    }),
  );
});

t.test("what is no record has no key and no headers", async (t) => {
  const contents = ["94", "94c0", "93c0c0c0", "94c0a5", "94c0a161", "c0", "94c0c081c0", "9fc0"];
  for (const hex of contents) {
    const content = Buffer.from(hex, "hex");
    const bytes = new Uint8Array(80).fill(0xc0);
    const at = writeBatchHead(bytes, 0, RECORD_FLAG.KEY, 1, 2 + content.length);
    bytes.set([0xc4, content.length], at);
    bytes.set(content, at + 2);
    const walker = new RecordWalker();
    const end = at + 2 + content.length;
    t.equal(walker.reset(bytes, 0, end), PARSED, hex);
    t.ok(walker.seek(0));
    t.doesNotThrow(() => walker.keyHash());
    t.throws(() => readRecordHeaders(bytes, at + 2, end), { code: "INVALID_BATCH" }, hex);
  }
});

t.test("a batch that cannot be read has no records", async (t) => {
  const stored = build([{ value: "a" }, { value: "b" }]).slice();
  const walker = new RecordWalker();
  t.equal(walker.reset(stored, 0, stored.length), PARSED);
  t.notOk(walker.seek(2));
  t.notOk(walker.seek(-1));
  t.ok(walker.seek(1), "it goes on after an index that there is not");
  t.equal(walker.reset(stored, 0, 19), MALFORMED);
  t.notOk(walker.seek(0));
  const compressed = stored.slice();
  compressed[3] = 1;
  t.equal(walker.reset(compressed, 0, compressed.length), UNSUPPORTED);
  t.notOk(walker.seek(0));
  const lie = stored.slice();
  lie[21] = 200;
  t.equal(walker.reset(lie, 0, lie.length), PARSED);
  t.notOk(walker.seek(0), "a record that reaches beyond the batch");
});
