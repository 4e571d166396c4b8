import { deepStrictEqual } from "node:assert/strict";
import fc from "fast-check";
import t from "tap";
import {
  BatchBuilder,
  BatchReader,
  DELIVER_ENTRY_HEAD_BYTES,
  DELIVER_HEAD_BYTES,
  DeliverReader,
  decodeFrame,
  encodeFrame,
  FrameReader,
  FrameWriter,
  LIMITS,
  writeDeliverEntryHead,
  writeDeliverHead,
} from "../src/internal.ts";
import { frameValues } from "./frame-arbitraries.ts";

t.test("a frame laid around stored payloads is the frame that it says", async (t) => {
  const builder = new BatchBuilder(10_000);
  const payloads = ["one", "two"].map((value) => {
    builder.reset();
    builder.appendValue(value);
    return builder.finish().slice();
  });
  const streamId = 0xffff_fff0;
  const offset = 2 ** 52 + 1;
  const time = 1_700_000_000_123;
  const bytes = new Uint8Array(1000).fill(0xc1);
  const start = 5;
  writeDeliverHead(bytes, start, streamId, offset + 2, payloads.length);
  let at = start + DELIVER_HEAD_BYTES;
  for (const [i, payload] of payloads.entries()) {
    writeDeliverEntryHead(bytes, at, offset + i, 1, time + i);
    bytes.set(payload, at + DELIVER_ENTRY_HEAD_BYTES);
    at += DELIVER_ENTRY_HEAD_BYTES + payload.length;
  }
  const frame = decodeFrame(new FrameReader(), bytes, start, at);
  if (frame.name !== "DELIVER") throw new Error(frame.name);
  t.equal(frame.value.streamId, streamId);
  t.equal(frame.value.nextOffset, offset + 2);
  t.equal(frame.value.entries.length, 2);

  const reader = new DeliverReader();
  const batch = new BatchReader();
  reader.reset(bytes, start, at);
  const seen: unknown[] = [];
  while (reader.next()) {
    batch.reset(bytes, reader.batchStart, reader.entryEnd);
    t.ok(reader.hasChecksum);
    t.ok(batch.verifyChecksum());
    t.ok(batch.verifyChecksum(reader.checksum));
    seen.push([reader.baseOffset, reader.count, reader.appendTimeMs, batch.recordAt(0).value]);
  }
  t.same(seen, [
    [offset, 1, time, "one"],
    [offset + 1, 1, time + 1, "two"],
  ]);
});

t.test("the reader of entries agrees with the decoder", async () => {
  const reader = new DeliverReader();
  const writer = new FrameWriter();
  fc.assert(
    fc.property(frameValues.DELIVER, (value) => {
      writer.reset();
      encodeFrame(writer, { name: "DELIVER", value });
      const bytes = writer.bytes();
      reader.reset(bytes, 0, bytes.length);
      const entries = [];
      while (reader.next()) {
        entries.push({
          baseOffset: reader.baseOffset,
          count: reader.count,
          appendTimeMs: reader.appendTimeMs,
          batch: bytes.slice(reader.batchStart, reader.batchEnd),
          checksum: reader.hasChecksum ? reader.checksum : undefined,
        });
      }
      deepStrictEqual({ streamId: reader.streamId, nextOffset: reader.nextOffset, entries }, value);
    }),
  );
});

t.test("another frame is not taken for a delivery", async (t) => {
  const ping = Buffer.from("9104", "hex");
  t.throws(() => new DeliverReader().reset(ping, 0, 2), { code: "MALFORMED_FRAME" });
});

t.test("the limits fit each other", async (t) => {
  const around = DELIVER_HEAD_BYTES + DELIVER_ENTRY_HEAD_BYTES;
  t.ok(LIMITS.batchBytesMax + around <= LIMITS.deliverFrameBytesMax, "what was published can be delivered");
  t.ok(LIMITS.batchBytesMax + 64 <= LIMITS.frameBytesMax, "and published");
  t.ok(LIMITS.recordBytesMax + 64 <= LIMITS.batchBytesMax, "a record of the largest size can travel alone");
  t.ok(LIMITS.headersBytesMax + LIMITS.keyBytesMax < LIMITS.recordBytesMax);
  t.ok(LIMITS.deliverFrameBytesMax <= LIMITS.frameBytesMax);
  t.ok(LIMITS.deadAfterMs > 2 * LIMITS.pingIntervalMs, "one lost PING does not end a session");
  t.ok(LIMITS.publishCreditInitialBytes <= LIMITS.publishCreditPoolBytes);
  t.ok(LIMITS.frameBytesMax <= LIMITS.publishCreditPoolBytes, "the pool can grant the largest frame");
});
