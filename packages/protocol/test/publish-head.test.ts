import { deepStrictEqual } from "node:assert/strict";
import fc from "fast-check";
import t from "tap";
import {
  BatchBuilder,
  CHECKSUM_TRAILER_BYTES,
  encodePublish,
  FrameWriter,
  MALFORMED,
  PARSED,
  PublishHead,
  RECORD_FLAG,
  UNSUPPORTED,
} from "../src/internal.ts";
import { frameValues } from "./frame-arbitraries.ts";

const BATCH = "9701 00 00 01 06 00 c406 c40494c0c0c0".replaceAll(" ", "");

function parse(hex: string, padding = ""): { outcome: number; head: PublishHead } {
  const head = new PublishHead();
  const bytes = Buffer.from((padding + hex + padding).replaceAll(" ", ""), "hex");
  const start = padding.length / 2;
  return { outcome: head.parse(bytes, start, bytes.length - start), head };
}

t.test("the head of any PUBLISH frame", async () => {
  const head = new PublishHead();
  const writer = new FrameWriter();
  fc.assert(
    fc.property(frameValues.PUBLISH, fc.nat(20), (frame, start) => {
      writer.reset();
      writer.raw(new Uint8Array(start));
      encodePublish(writer, frame);
      const end = writer.byteLength;
      writer.raw(new Uint8Array(5));
      const bytes = writer.bytes();
      deepStrictEqual(head.parse(bytes, start, end), PARSED);
      const { topicId, partition, producerId, producerEpoch, baseSequence, hasChecksum, checksum } = head;
      deepStrictEqual(
        { topicId, partition, producerId, producerEpoch, baseSequence },
        {
          topicId: frame.topicId,
          partition: frame.partition,
          producerId: frame.producerId,
          producerEpoch: frame.producerEpoch,
          baseSequence: frame.baseSequence,
        },
      );
      deepStrictEqual(hasChecksum ? checksum : undefined, frame.checksum);
      deepStrictEqual(head.tailIsStoredPayload, frame.checksum !== undefined);
      deepStrictEqual(bytes.slice(head.batchStart, head.batchEnd), frame.batch);
      deepStrictEqual(head.frameEnd, end);
    }),
  );
});

t.test("the tail of a builder's frame is its stored payload", async (t) => {
  const builder = new BatchBuilder(10_000);
  builder.append({ key: "k", groupKey: "g", value: "v" });
  const payload = builder.finish().slice();
  const frame = builder.finishPublish(7, 3, 2 ** 52, 1, 99);
  const head = new PublishHead();
  t.equal(head.parse(frame, 0, frame.length), PARSED);
  t.ok(head.tailIsStoredPayload);
  t.same(new Uint8Array(frame.subarray(head.batchStart, head.frameEnd)), new Uint8Array(payload));
  t.match(head, { topicId: 7, partition: 3, producerId: 2 ** 52, producerEpoch: 1, baseSequence: 99 });
  t.equal(head.flags, RECORD_FLAG.KEY | RECORD_FLAG.GROUP_KEY);
  t.equal(head.count, 1);
  t.equal(head.frameEnd - head.batchEnd, CHECKSUM_TRAILER_BYTES);
});

t.test("checksums: nil, missing, short, and with elements after it", async (t) => {
  for (const padding of ["", "c1c1c1", "000000"]) {
    t.match(parse(`97 10 01 02 03 04 05 ${BATCH}`, padding), {
      outcome: PARSED,
      head: { hasChecksum: false },
    });
    t.match(parse(`98 10 01 02 03 04 05 ${BATCH} c0`, padding), {
      outcome: PARSED,
      head: { hasChecksum: false, checksum: 0, tailIsStoredPayload: false },
    });
    t.match(parse(`98 10 01 02 03 04 05 ${BATCH} 07`, padding), {
      outcome: PARSED,
      head: { hasChecksum: true, checksum: 7, tailIsStoredPayload: false },
    });
    t.match(parse(`99 10 01 02 03 04 05 ${BATCH} ceffffffff 91a161`, padding), {
      outcome: PARSED,
      head: { hasChecksum: true, checksum: 0xffff_ffff, tailIsStoredPayload: false },
    });
    t.match(parse(`98 10 01 02 03 04 05 ${BATCH} ce00000007`, padding), {
      outcome: PARSED,
      head: { hasChecksum: true, checksum: 7, tailIsStoredPayload: true },
    });
  }
});

t.test("what this release does not know is told from what is malformed", async (t) => {
  const codec = BATCH.replace("97010000", "97010001");
  t.match(parse(`97 10 01 02 03 04 05 ${codec}`), { outcome: UNSUPPORTED, head: { codec: 1 } });
  const flags = BATCH.replace("97010000", "97010400");
  t.equal(parse(`97 10 01 02 03 04 05 ${flags}`).outcome, UNSUPPORTED);
  t.equal(parse(`97 10 01 02 03 04 05 ${flags} 00`).outcome, MALFORMED);
  for (const hex of [
    "",
    "98",
    "96 10 01 02 03 04 05",
    "97 10 01 02 03 04 05 c0",
    `97 11 01 02 03 04 05 ${BATCH}`,
    `97 10 ff 02 03 04 05 ${BATCH}`,
    `97 10 cf0000000100000000 02 03 04 05 ${BATCH}`,
    `97 10 01 cf0000000100000000 03 04 05 ${BATCH}`,
    `97 10 01 02 cf0020000000000000 04 05 ${BATCH}`,
    `97 10 01 02 03 cf0000000100000000 05 ${BATCH}`,
    `97 10 01 02 03 04 a135 ${BATCH}`,
    `97 10 01 02 03 04 05 ${BATCH} 00`,
    `98 10 01 02 03 04 05 ${BATCH}`,
    `98 10 01 02 03 04 05 ${BATCH} a0`,
    `98 10 01 02 03 04 05 ${BATCH} cf0000000100000000`,
    `98 10 01 02 03 04 05 ${BATCH} 07 00`,
    `99 10 01 02 03 04 05 ${BATCH} 07`,
    `ddffffffff 10 01 02 03 04 05 ${BATCH} 07`,
  ]) {
    t.equal(parse(hex).outcome, MALFORMED, hex);
  }
  const head = new PublishHead();
  t.equal(head.parse(new Uint8Array(4), 0, 5), MALFORMED, "an end beyond the bytes");
  t.equal(head.parse(new Uint8Array(4), -1, 4), MALFORMED);
});
