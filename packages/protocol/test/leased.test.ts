import { deepStrictEqual } from "node:assert/strict";
import fc from "fast-check";
import t from "tap";
import {
  BatchBuilder,
  BatchReader,
  batchHeadBytes,
  crc32,
  decodeFrame,
  encodeFrame,
  FrameReader,
  FrameWriter,
  LEASED_HEAD_BYTES,
  LEASED_NO_CHECKSUM_BYTES,
  LEASED_ROW_HEAD_BYTES,
  LeasedReader,
  LIMITS,
  RECORD_FLAG,
  RecordWalker,
  writeBatchHead,
  writeLeasedHead,
  writeLeasedNoChecksum,
  writeLeasedRowHead,
} from "../src/internal.ts";
import { frameValues } from "./frame-arbitraries.ts";

function storedBatch(values: readonly string[], groupKey?: string): Uint8Array {
  const builder = new BatchBuilder(100_000);
  for (const value of values) builder.append({ key: `key of ${value}`, value, groupKey });
  return builder.finish().slice();
}

t.test("a frame laid around a stored batch and a part of another is the frame that it says", async (t) => {
  for (const groupKey of [undefined, "flags above a fixint take a byte more"]) {
    const whole = storedBatch(["one"]);
    const other = storedBatch(["two", "three", "four", "five"], groupKey);
    const consumerId = 0xffff_fff0;
    const offset = 2 ** 52 + 1;
    const counter = Number.MAX_SAFE_INTEGER;
    const time = 1_700_000_000_123;
    const bytes = new Uint8Array(2000).fill(0xc1);
    const start = 8;
    writeLeasedHead(bytes, start, consumerId, 2);
    let at = start + LEASED_HEAD_BYTES;
    writeLeasedRowHead(bytes, at, 7, 2, offset, 1, time, 1, 0xffff_ffff, counter);
    bytes.set(whole, at + LEASED_ROW_HEAD_BYTES);
    at += LEASED_ROW_HEAD_BYTES + whole.length;

    const walker = new RecordWalker();
    walker.reset(other, 0, other.length);
    t.ok(walker.seek(1));
    const from = walker.recordStart;
    t.ok(walker.seek(2));
    const part = other.subarray(from, walker.contentEnd);
    writeLeasedRowHead(bytes, at, 8, 1023, 6, 2, time + 1, 3, 1, 5);
    at += LEASED_ROW_HEAD_BYTES;
    const records = writeBatchHead(bytes, at, walker.flags, 2, part.length);
    t.equal(records - at, batchHeadBytes(walker.flags));
    bytes.set(part, records);
    at = writeLeasedNoChecksum(bytes, records + part.length);
    t.equal(at, records + part.length + LEASED_NO_CHECKSUM_BYTES);

    const frame = decodeFrame(new FrameReader(), bytes, start, at);
    if (frame.name !== "LEASED") throw new Error(frame.name);
    t.equal(frame.value.consumerId, consumerId);
    t.equal(frame.value.rows.length, 2);

    const reader = new LeasedReader();
    const batch = new BatchReader();
    reader.reset(bytes, start, at);
    t.equal(reader.rowCount, 2);
    const seen: unknown[] = [];
    while (reader.next()) {
      batch.reset(bytes, reader.batchStart, reader.rowEnd);
      t.ok(batch.verifyChecksum());
      t.equal(batch.count, reader.count);
      const { topicId, partition, baseOffset, appendTimeMs, deliveryCount, leaseEpoch, leaseCounter } =
        reader;
      seen.push([topicId, partition, baseOffset, appendTimeMs, deliveryCount, leaseEpoch, leaseCounter]);
      seen.push(reader.hasChecksum ? reader.checksum : undefined);
      seen.push([...batch].map(({ key, value }) => [key, value]));
    }
    t.same(seen, [
      [7, 2, offset, time, 1, 0xffff_ffff, counter],
      crc32(whole, 0, whole.length - 5),
      [["key of one", "one"]],
      [8, 1023, 6, time + 1, 3, 1, 5],
      undefined,
      [
        ["key of three", "three"],
        ["key of four", "four"],
      ],
    ]);
  }
});

t.test("a batch's head is what BatchBuilder writes", async (t) => {
  for (const groupKey of [undefined, "g"]) {
    const stored = storedBatch(["a", "b"], groupKey);
    const flags = RECORD_FLAG.KEY | (groupKey === undefined ? 0 : RECORD_FLAG.GROUP_KEY);
    const head = new Uint8Array(batchHeadBytes(flags));
    t.equal(writeBatchHead(head, 0, flags, 2, stored.length - head.length - 5), head.length);
    t.same(head, stored.slice(0, head.length));
  }
});

t.test("the reader of rows agrees with the decoder", async () => {
  const reader = new LeasedReader();
  const writer = new FrameWriter();
  fc.assert(
    fc.property(frameValues.LEASED, (value) => {
      writer.reset();
      encodeFrame(writer, { name: "LEASED", value });
      const bytes = writer.bytes();
      reader.reset(bytes, 0, bytes.length);
      const rows = [];
      while (reader.next()) {
        rows.push({
          topicId: reader.topicId,
          partition: reader.partition,
          baseOffset: reader.baseOffset,
          count: reader.count,
          appendTimeMs: reader.appendTimeMs,
          deliveryCount: reader.deliveryCount,
          leaseEpoch: reader.leaseEpoch,
          leaseCounter: reader.leaseCounter,
          batch: bytes.slice(reader.batchStart, reader.batchEnd),
          checksum: reader.hasChecksum ? reader.checksum : undefined,
        });
      }
      deepStrictEqual({ consumerId: reader.consumerId, rows }, value);
    }),
  );
});

t.test("another frame is not taken for a lease", async (t) => {
  t.throws(() => new LeasedReader().reset(Buffer.from("9104", "hex"), 0, 2), { code: "MALFORMED_FRAME" });
  const reader = new LeasedReader();
  const shortRow = Buffer.from("9347059198070264010001010", "hex");
  reader.reset(shortRow, 0, shortRow.length);
  t.throws(() => reader.next(), { code: "MALFORMED_FRAME" });
});

t.test("what was published can be leased", async (t) => {
  const around = LEASED_HEAD_BYTES + LEASED_ROW_HEAD_BYTES;
  t.ok(LIMITS.batchBytesMax + around <= LIMITS.frameBytesMax, "a stored batch");
  const part = batchHeadBytes(0xff) + LEASED_NO_CHECKSUM_BYTES;
  t.ok(LIMITS.batchBytesMax + around + part <= LIMITS.frameBytesMax, "nearly all of one");
  t.ok(LIMITS.leaseRecordsMax <= 32, "the records of a lease are bits of a word");
  t.ok(LIMITS.settlesPerFrameMax >= LIMITS.leaseRecordsMax);
  t.ok(LIMITS.leaseMsMin <= LIMITS.leaseMsMax);
});
