import { readFileSync } from "node:fs";
import { crc32 } from "node:zlib";
import { MillraceError } from "@millrace/protocol";
import t from "tap";
import { decodeCheckpoint, encodeCheckpointIndex } from "../src/checkpoint/checkpoint-layout.ts";
import {
  ENTRY_HEADER_BYTES,
  FENCE_FILE,
  InlineBackground,
  JournalIndex,
  QUARANTINE_FILE,
  RESERVE_FILE,
  RealStorage,
  SeededRandom,
  SimulatedStorage,
} from "../src/internal.ts";
import { encodeSidecar } from "../src/lookup/sidecar-layout.ts";
import { committedPositionOf, quarantineFor } from "../src/ownership/quarantine.ts";
import { encodeSegmentHeader, segmentFileName, segmentSeed } from "../src/segment/segment-layout.ts";
import { encodeManifest } from "../src/settled/manifest-layout.ts";
import { encodeSettledHeader, encodeSettledTrailer, settledSeed } from "../src/settled/settled-layout.ts";
import { openFixture } from "./journal-fixture.ts";
import { placeFence } from "./placed-fence.ts";

const PAGE = new URL("../../../../docs/reference/data-folder.md", import.meta.url);

interface Field {
  readonly offset: number;
  readonly bytes: number;
}

/** The rows of the first table below a heading, by field. */
function tableOf(heading: string): Map<string, Field> {
  const page = readFileSync(PAGE, "utf8");
  const start = page.search(new RegExp(`^#+ ${heading}$`, "m"));
  const fields = new Map<string, Field>();
  const rows = /^\| (\d+) \| *(\d*) *\| (\w+) \|/gm;
  const section = page.slice(start + 3, page.indexOf("\n#", start + 3));
  for (const [, offset, bytes, field] of section.matchAll(rows)) {
    fields.set(field as string, { offset: Number(offset), bytes: Number(bytes) });
  }
  return fields;
}

/** Reads a structure as the page describes it. */
function reader(heading: string, bytes: Uint8Array, at = 0): (field: string) => number | string {
  const fields = tableOf(heading);
  const view = Buffer.from(bytes.buffer, bytes.byteOffset + at);
  return (name) => {
    const field = fields.get(name);
    if (field === undefined) throw new Error(`${heading} has no field ${name}`);
    if (name === "magic") return view.toString("latin1", field.offset, field.offset + field.bytes);
    if (field.bytes === 8) return Number(view.readBigUInt64LE(field.offset));
    return view.readUIntLE(field.offset, field.bytes);
  };
}

t.test("entries and segments", async (t) => {
  const storage = new SimulatedStorage(new SeededRandom(1));
  storage.mkdir("/shards");
  const { journal } = openFixture("/shards/0003", { storage });
  const payload = Buffer.from("not a batch, but ends like one.....");
  const checksum = crc32(payload.subarray(0, -5));
  payload[payload.length - 5] = 0xce;
  payload.writeUInt32BE(checksum, payload.length - 4);
  journal.stageState(Buffer.from("x"));
  journal.flush();
  journal.requestSync();
  journal.committedPosition();
  const fields = {
    topicId: 0xffff_fff1,
    partition: 1023,
    baseOffset: 2 ** 40 + 1,
    count: 77,
    producerEpoch: 5,
    appendTime: 1_700_000_000_123,
    producerId: 2 ** 53 - 1,
    baseSequence: 2 ** 33,
  };
  const position = journal.stageBytes(1, fields, payload);
  journal.flush();

  const fd = storage.open(`/shards/0003/${segmentFileName(0, 1)}`, "read");
  const bytes = new Uint8Array(storage.size(fd));
  storage.read(fd, bytes, 0, bytes.length, 0);
  const segment = reader("Segment", bytes);
  t.equal(segment("magic"), "MRSEGMT1");
  t.equal(segment("version"), 1);
  t.equal(segment("shardId"), 3);
  t.equal(segment("epoch"), 1);
  t.equal(segment("basePosition"), 0);
  t.equal(segment("syncedPosition"), 0);
  t.equal(segment("crc"), crc32(bytes.subarray(0, 60)));
  t.equal(tableOf("Segment").get("entries")?.offset, 64);
  const seedBytes = Buffer.alloc(16);
  seedBytes.writeUInt32LE(0xdecade, 0);
  seedBytes.writeUInt32LE(1, 12);
  const seed = crc32(seedBytes);
  t.equal(segment("seed"), seed);

  const entry = reader("Entry", bytes, position);
  const length = ENTRY_HEADER_BYTES + payload.length;
  const expected = {
    length,
    type: 1,
    version: 1,
    flags: 0,
    epoch: 1,
    sequence: 2,
    syncedPosition: 160,
    ...fields,
    batchCrc: checksum,
    headerCrc: crc32(bytes.subarray(position, position + 84), seed),
  };
  for (const [field, value] of Object.entries(expected)) t.equal(entry(field), value, field);
  t.equal(tableOf("Entry").get("payload")?.offset, ENTRY_HEADER_BYTES);
  t.same(Buffer.from(bytes.subarray(position + 88, position + length)), payload);
  journal.close();
});

t.test("segment headers of any epoch", async (t) => {
  const basePosition = 2 ** 45 + 8;
  const seed = segmentSeed(-7, basePosition, 12);
  const bytes = encodeSegmentHeader({ seed, shardId: 9, epoch: 12, basePosition, syncedPosition: 2 ** 45 });
  const segment = reader("Segment", bytes);
  t.equal(segment("basePosition"), basePosition);
  t.equal(segment("syncedPosition"), 2 ** 45);
  t.equal(segment("seed"), seed >>> 0);
  t.equal(bytes.length, 64);
});

/** An index with one sealed and one open segment. */
function indexOfTwo(): JournalIndex {
  const index = new JournalIndex();
  index.beginSegment(4096, 2);
  index.add(7, 1, 100, 5, 5_000, 4096 + 64, 1000);
  index.add(7, 1, 105, 5, 6_000, 4096 + 1064, 70_000);
  index.beginSegment(100_000, 3);
  index.add(7, 1, 110, 2, 7_000, 100_064, 200);
  return index;
}

t.test("sidecars", async (t) => {
  const segment = indexOfTwo().oldestUnsealed();
  if (segment === undefined) throw new Error("nothing to seal");
  const bytes = encodeSidecar(segment, 3);
  const sidecar = reader("Sidecar", bytes);
  const expected = {
    magic: "MRINDEX1",
    version: 1,
    shardId: 3,
    epoch: 2,
    partitionCount: 1,
    basePosition: 4096,
  };
  for (const [field, value] of Object.entries(expected)) t.equal(sidecar(field), value, field);
  t.equal(sidecar("endPosition"), 100_000);
  t.equal(sidecar("crc"), crc32(bytes.subarray(0, 60)));
  t.equal(sidecar("tableCrc"), crc32(bytes.subarray(64, 128)));
  const partition = reader("Sidecar partition", bytes, tableOf("Sidecar").get("table")?.offset ?? 0);
  const row = {
    topicId: 7,
    partition: 1,
    firstOffset: 100,
    endOffset: 110,
    firstTime: 5_000,
    lastTime: 6_000,
    pointsAt: 128,
    pointCount: 2,
    pointsCrc: crc32(bytes.subarray(128)),
  };
  for (const [field, value] of Object.entries(row)) t.equal(partition(field), value, field);
  const point = reader("Point", bytes, 128 + 16);
  const last = { offset: 5, position: 1064, length: 70_000, time: 1_000 };
  for (const [field, value] of Object.entries(last)) t.equal(point(field), value, field);
  t.equal(bytes.length, 128 + 2 * 16);
});

t.test("checkpoints", async (t) => {
  const state = Buffer.from("the state");
  const head = { shardId: 3, epoch: 3, clean: true, position: 100_264, sequence: 4 };
  const encoded = encodeCheckpointIndex(head, indexOfTwo(), state.length);
  const storage = new SimulatedStorage(new SeededRandom(1));
  storage.mkdir("/d");
  placeFence(storage, "/d", { shardId: 3, epoch: 3, journalId: 1 });
  new InlineBackground(storage).submit(
    {
      kind: "write-file",
      directory: "/d",
      path: "/d/c",
      temporaryPath: "/d/c.tmp",
      chunks: [encoded, state],
      appendChecksum: true,
      epoch: 3,
    },
    (error) => t.equal(error, undefined),
  );
  const fd = storage.open("/d/c", "read");
  const bytes = new Uint8Array(storage.size(fd));
  storage.read(fd, bytes, 0, bytes.length, 0);
  const checkpoint = reader("Checkpoint", bytes);
  const expected = {
    magic: "MRCHKPT1",
    version: 1,
    shardId: 3,
    epoch: 3,
    flags: 1,
    position: 100_264,
    sequence: 4,
    segmentBase: 100_000,
    segmentEpoch: 3,
    segmentCount: 1,
    sealedPartitionCount: 1,
    openPartitionCount: 1,
    stateLength: state.length,
  };
  for (const [field, value] of Object.entries(expected)) t.equal(checkpoint(field), value, field);
  const segmentsAt = tableOf("Checkpoint").get("segments")?.offset ?? 0;
  const view = Buffer.from(bytes.buffer);
  t.same(
    [Number(view.readBigUInt64LE(segmentsAt)), Number(view.readBigUInt64LE(segmentsAt + 8))],
    [4096, 100_000],
  );
  t.equal(bytes.length, segmentsAt + 24 + (16 + 32) + (56 + 16) + state.length + 4);
  t.equal(Number(view.readBigUInt64LE(segmentsAt + 24 + 16 + 24)), 71_000, "bytes of the sealed partition");
  t.equal(Number(view.readBigUInt64LE(segmentsAt + 24 + 48 + 48)), 200, "bytes of the open partition");
  t.equal(view.readUInt32LE(bytes.length - 4), crc32(bytes.subarray(0, -4)));
  t.same(Buffer.from(decodeCheckpoint(bytes)?.state ?? []), state);
  for (let at = 0; at < bytes.length; at++) {
    const damaged = bytes.slice();
    damaged[at] = (damaged[at] as number) ^ 2;
    if (decodeCheckpoint(damaged) !== undefined) t.fail(`a flipped bit at ${at} passed`);
    if (decodeCheckpoint(bytes.slice(0, at)) !== undefined) t.fail(`the first ${at} bytes passed`);
  }
});

t.test("the fence", async (t) => {
  const directory = t.testdir();
  placeFence(new RealStorage(), directory, { shardId: 3, epoch: 77, journalId: 0xf000_0001 });
  const bytes = new Uint8Array(readFileSync(`${directory}/fence`));
  const fence = reader("Fence", bytes);
  const expected = { magic: "MRFENCE1", version: 1, shardId: 3, epoch: 77, journalId: 0xf000_0001 };
  for (const [field, value] of Object.entries(expected)) t.equal(fence(field), value, field);
  t.equal(fence("crc"), crc32(bytes.subarray(0, 28)));
  t.equal(bytes.length, 32);
});

t.test("settled files", async (t) => {
  const name = { basePosition: 2 ** 45 + 8, epoch: 12, part: 345 };
  const seed = settledSeed(0xf000_0001, name);
  const bytes = encodeSettledHeader({ ...name, seed, shardId: 9, endPosition: 2 ** 46 });
  const header = reader("Settled file", bytes);
  const expected = {
    magic: "MRSETTL1",
    version: 1,
    seed: seed >>> 0,
    shardId: 9,
    ...name,
    endPosition: 2 ** 46,
  };
  for (const [field, value] of Object.entries(expected)) t.equal(header(field), value, field);
  t.equal(header("crc"), crc32(bytes.subarray(0, 60)));
  t.equal(tableOf("Settled file").get("entries")?.offset, bytes.length);
  const seedBytes = Buffer.alloc(24);
  seedBytes.writeUInt32LE(0xf000_0001, 0);
  seedBytes.writeBigUInt64LE(BigInt(name.basePosition), 4);
  seedBytes.writeUInt32LE(name.epoch, 12);
  seedBytes.writeUInt32LE(name.part, 16);
  seedBytes.write("TTL1", 20, "latin1");
  t.equal(seed >>> 0, crc32(seedBytes));

  const trailerBytes = encodeSettledTrailer({ footerAt: 2 ** 33, footerLength: 4_096 });
  const trailer = reader("Trailer", trailerBytes);
  for (const [field, value] of Object.entries({
    magic: "MRTRAIL1",
    footerAt: 2 ** 33,
    footerLength: 4_096,
  })) {
    t.equal(trailer(field), value, field);
  }
  t.equal(trailer("crc"), crc32(trailerBytes.subarray(0, 28)));
  t.equal(trailerBytes.length, 32);
});

t.test("manifests", async (t) => {
  const file = {
    basePosition: 2 ** 45,
    endPosition: 2 ** 45 + 8_000,
    epoch: 3,
    part: 7,
    sizeBytes: 9_000,
    footerAt: 8_064,
    entryBytes: 7_936,
    firstTime: 1_700_000_000_001,
    lastTime: 1_700_000_000_009,
    expiryTime: 1_700_000_000_005,
    firstTopicId: 0xffff_fff0,
    lastTopicId: 0xffff_fff1,
    partitionCount: 2,
    records: 2 ** 33,
  };
  const head = { shardId: 9, epoch: 12, generation: 2 ** 34, settledPosition: 2 ** 45 + 8_000 };
  const partitions = [{ topicId: 7, partition: 1, bytes: 7_936 }];
  const bytes = encodeManifest({ ...head, files: [{ ...file, adopted: true }], partitions });
  const manifest = reader("Manifest", bytes);
  const expected = { magic: "MRMANIF1", version: 1, ...head, fileCount: 1, partitionCount: 1 };
  for (const [field, value] of Object.entries(expected)) t.equal(manifest(field), value, field);
  const filesAt = tableOf("Manifest").get("files")?.offset ?? 0;
  const row = reader("Manifest file", bytes, filesAt);
  for (const [field, value] of Object.entries({ ...file, flags: 1 })) t.equal(row(field), value, field);
  const view = Buffer.from(bytes.buffer);
  const partitionAt = filesAt + 96;
  t.same([view.readUInt32LE(partitionAt), view.readUInt32LE(partitionAt + 4)], [7, 1]);
  t.equal(Number(view.readBigUInt64LE(partitionAt + 8)), 7_936);
  t.equal(bytes.length, partitionAt + 16, "the checksum is put behind it by whoever writes the file");
});

t.test("the quarantine mark", async (t) => {
  const directory = t.testdir();
  const failure = new MillraceError("JOURNAL_FAILED", "sync failed with EIO");
  placeFence(new RealStorage(), directory, { shardId: 3, epoch: 1, journalId: 1 });
  quarantineFor(failure, new RealStorage(), directory, 1, 123_456);
  const text = readFileSync(`${directory}/quarantined`, "utf8");
  const line = `everything before position 123456 had been synced (crc32 ${crc32("123456").toString(16).padStart(8, "0")})`;
  t.equal(text, `sync failed with EIO\n${line}\n`);
  t.equal(committedPositionOf(text), 123_456);
  t.equal(committedPositionOf(text.replace("123456", "123457")), undefined);
  t.match(
    readFileSync(PAGE, "utf8"),
    "everything before position <position> had been synced (crc32 <hexadecimal>)",
  );
});

t.test("the page names every kind of file", async (t) => {
  const page = readFileSync(PAGE, "utf8");
  const names = [
    "millrace.json",
    FENCE_FILE,
    QUARANTINE_FILE,
    RESERVE_FILE,
    ".log",
    ".idx",
    ".ckpt",
    ".settled",
  ];
  for (const name of [...names, "manifest-", ".tmp"]) t.ok(page.includes(name), name);
});
