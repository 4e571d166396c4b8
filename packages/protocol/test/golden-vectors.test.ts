import { Packr, Unpackr } from "msgpackr";
import t from "tap";
import {
  BatchBuilder,
  BatchReader,
  crc32,
  type DeliverEntry,
  decodeFrame,
  encodeFrame,
  FRAME_TYPE,
  type Frame,
  FrameReader,
  FrameWriter,
  type IncomingRecord,
  type LeasedRow,
  murmur2,
  type OutgoingRecord,
  type PublishFrame,
  partitionForKey,
} from "../src/index.ts";
import {
  type BatchVector,
  bytesOf,
  type FrameVector,
  fromJson,
  hexOf,
  type Refused,
  readVectors,
  toJson,
} from "./vectors.ts";

// These files are the protocol. A change that makes one of these tests fail is a change that the clients of today do
// not understand: add a vector, never alter one.

const { frames, refused } = readVectors<{ frames: FrameVector[]; refused: (Refused & { hex: string })[] }>(
  "frames",
);
const batches = readVectors<{ batches: BatchVector[]; refused: (Refused & { batch: string })[] }>("batches");

function decode(bytes: Uint8Array): Frame {
  return decodeFrame(new FrameReader(), bytes, 0, bytes.length);
}

function records(batch: Uint8Array): unknown {
  const reader = new BatchReader();
  reader.reset(batch, 0, batch.length);
  return [...reader].map(recordJson);
}

function recordJson(record: IncomingRecord): unknown {
  const { removed, ...rest } = record;
  return toJson(removed ? { removed } : rest);
}

t.test("every frame has a vector", async (t) => {
  const covered = new Set(frames.filter((vector) => !vector.decodeOnly).map((vector) => vector.frame));
  for (const name of Object.keys(FRAME_TYPE)) t.ok(covered.has(name as FrameVector["frame"]), name);
});

for (const { frame, name, value, hex, decodeOnly } of frames) {
  t.test(`${frame}: ${name}`, async (t) => {
    const decoded = decode(bytesOf(hex));
    t.equal(decoded.name, frame);
    t.strictSame(toJson(decoded.value), value);
    if (decodeOnly === true) return;
    const writer = new FrameWriter();
    encodeFrame(writer, { name: frame, value: fromJson(value) } as Frame);
    t.equal(hexOf(writer.bytes()), hex);
  });
}

for (const { name, hex, code } of refused) {
  t.test(`refused: ${name}`, async (t) => {
    t.throws(() => decode(bytesOf(hex)), { name: "MillraceError", code });
  });
}

for (const vector of batches.batches) {
  t.test(`batch: ${vector.name}`, async (t) => {
    const batch = bytesOf(vector.batch);
    const reader = new BatchReader();
    reader.reset(batch, 0, batch.length);
    t.equal(reader.flags, vector.flags);
    t.equal(reader.count, vector.count);
    t.strictSame([...reader].map(recordJson), vector.records);
    t.equal(crc32(batch, 0, batch.length), vector.checksum);
    if (vector.decodeOnly === true) return;
    const builder = new BatchBuilder(10_000);
    for (const record of fromJson(vector.records) as OutgoingRecord[]) builder.append(record);
    t.equal(hexOf(builder.finish()), vector.storedPayload);
    t.equal(vector.storedPayload, `${vector.batch}ce${vector.checksum.toString(16).padStart(8, "0")}`);
  });
}

for (const { name, batch, code } of batches.refused) {
  t.test(`refused batch: ${name}`, async (t) => {
    t.throws(() => records(bytesOf(batch)), { name: "MillraceError", code });
  });
}

t.test("murmur2 and partitions as in Kafka's clients", async (t) => {
  interface Vector {
    key: string | null;
    bytes: string;
    hash: number;
    partitionOf4: number;
    partitionOf1024: number;
  }
  for (const { key, bytes, hash, partitionOf4, partitionOf1024 } of readVectors<{ vectors: Vector[] }>(
    "murmur2",
  ).vectors) {
    t.equal(murmur2(bytesOf(bytes)), hash, key ?? bytes);
    for (const form of key === null ? [bytesOf(bytes)] : [bytesOf(bytes), key]) {
      t.equal(partitionForKey(form, 4), partitionOf4);
      t.equal(partitionForKey(form, 1024), partitionOf1024);
      t.equal(partitionForKey(form, 1), 0);
    }
  }
  const long = "é".repeat(1000);
  t.equal(partitionForKey(long, 1024), partitionForKey(new TextEncoder().encode(long), 1024), "a long key");
});

t.test("crc32", async (t) => {
  for (const vector of readVectors<{ vectors: { bytes: string; crc32: number }[] }>("crc32").vectors) {
    const bytes = bytesOf(vector.bytes);
    t.equal(crc32(bytes, 0, bytes.length), vector.crc32);
  }
});

// A plain MessagePack library reads every frame, and what it writes in turn means the same here. It has its own way
// with the width of numbers, so a batch comes back with other bytes: its records are compared, and its checksum left out.

const plain = { useRecords: false, variableMapSize: true, int64AsType: "number" as const };

function meaning(frame: Frame): unknown {
  if (frame.name === "PUBLISH") return { ...frame.value, ...batchMeaning(frame.value) };
  if (frame.name === "LEASED") {
    return { ...frame.value, rows: frame.value.rows.map((row) => ({ ...row, ...batchMeaning(row) })) };
  }
  if (frame.name !== "DELIVER") return toJson(frame.value);
  const entries = frame.value.entries.map((entry) => ({ ...entry, ...batchMeaning(entry) }));
  return { ...frame.value, entries };
}

function batchMeaning({ batch }: PublishFrame | DeliverEntry | LeasedRow): object {
  return { batch: records(batch), checksum: undefined };
}

for (const { frame, name, hex } of frames) {
  t.test(`any MessagePack library speaks ${frame}: ${name}`, async (t) => {
    const array = new Unpackr(plain).unpack(bytesOf(hex)) as unknown[];
    t.ok(Array.isArray(array));
    t.equal(array[0], FRAME_TYPE[frame]);
    const again = new Uint8Array(new Packr(plain).pack(array));
    t.strictSame(meaning(decode(again)), meaning(decode(bytesOf(hex))));
  });
}
