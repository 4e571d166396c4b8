import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import t, { type Test } from "tap";
import {
  ColdReader,
  type ColdReadRequest,
  type Journal,
  READ_DAMAGED,
  READ_FAILED,
  READ_NEEDS_ROOM,
  RealStorage,
  SeededRandom,
  TIME_NOT_FOUND,
} from "../../src/internal.ts";
import { openFixture } from "../journal-fixture.ts";
import { batchPayload } from "../simulated-world.ts";

const ENTRIES = 40;
const PAYLOAD = 1005;

/** Two topics in turn, two records an entry, in several segments of which the last is not sealed. */
function fill(t: Test): { directory: string; journal: Journal; reader: ColdReader; payloads: Buffer[] } {
  const shards = t.testdir();
  const directory = `${shards}/0003`;
  const { journal } = openFixture(directory, { segmentSizeBytes: 16_384 });
  const random = new SeededRandom(3);
  const payloads: Buffer[] = [];
  for (let i = 0; i < ENTRIES; i++) {
    const payload = batchPayload(random, PAYLOAD - 5);
    payloads.push(payload);
    journal.stageBatch(1, 0, i * 2, 2, 1000 + i * 10, payload);
    journal.stageBatch(2, 5, i, 1, 1000 + i * 10, batchPayload(random, 50));
  }
  journal.flush();
  const reader = new ColdReader(new RealStorage(), shards);
  t.teardown(() => {
    reader.close();
    journal.close();
  });
  return { directory, journal, reader, payloads };
}

function request(journal: Journal, offset: number, limits: Partial<ColdReadRequest> = {}): ColdReadRequest {
  const location = journal.index.locate(1, 0, offset);
  if (location === undefined) throw new Error(`nothing at ${offset}`);
  const endPosition = journal.writtenPosition;
  return { shardId: 3, topicId: 1, partition: 0, offset, limitOffset: 1e9, endPosition, location, ...limits };
}

/** All stored payloads from an offset on. */
function readAll(journal: Journal, reader: ColdReader, from = 0): Buffer[] {
  const target = Buffer.alloc(50_000);
  const payloads: Buffer[] = [];
  let offset = from;
  while (journal.index.locate(1, 0, offset) !== undefined) {
    const bytes = reader.read(request(journal, offset), target, 3, 45_000);
    if (bytes <= 0) throw new Error(`read ${bytes} ${reader.error?.message}`);
    for (let at = 3; at < 3 + bytes; at += 24 + PAYLOAD) {
      payloads.push(Buffer.from(target.subarray(at + 24, at + 24 + PAYLOAD)));
    }
    offset = reader.nextOffset;
  }
  return payloads;
}

t.test("reads sealed and unsealed segments alike", async (t) => {
  const { directory, journal, reader, payloads } = fill(t);
  t.ok(readdirSync(directory).filter((name) => name.endsWith(".idx")).length >= 2);
  t.same(readAll(journal, reader), payloads);
  t.same(readAll(journal, reader, 31), payloads.slice(15), "an entry that holds the offset comes whole");
});

t.test("keeps to its limits", async (t) => {
  const { journal, reader } = fill(t);
  const target = Buffer.alloc(20_000);
  t.equal(reader.read(request(journal, 0), target, 0, 100), READ_NEEDS_ROOM);
  t.equal(reader.neededBytes, 24 + PAYLOAD);
  t.equal(reader.firstOffset, 0);
  t.equal(reader.read(request(journal, 0), target, 0, reader.neededBytes), 24 + PAYLOAD);
  t.equal(reader.entryCount, 1);
  t.equal(reader.nextOffset, 2);
  t.ok(reader.more);
  t.equal(reader.read(request(journal, 0, { limitOffset: 5 }), target, 0, 20_000), 2 * (24 + PAYLOAD));
  t.notOk(reader.more);
  t.equal(reader.read(request(journal, 0, { limitOffset: 1 }), target, 0, 20_000), 0);
  t.equal(reader.firstOffset, -1);
  const second = 64 + 1096 + 144;
  t.equal(
    reader.read(request(journal, 0, { endPosition: second + 1096 }), target, 0, 20_000),
    2 * (24 + PAYLOAD),
  );
  t.equal(reader.read(request(journal, 0, { endPosition: second + 1088 }), target, 0, 20_000), 24 + PAYLOAD);
});

t.test("finds times", async (t) => {
  const { journal, reader } = fill(t);
  const find = (timeMs: number, limits: Partial<ColdReadRequest> = {}): number => {
    const location = journal.index.locateTime(1, 0, timeMs);
    if (location === undefined) throw new Error("no location");
    return reader.findTime({ ...request(journal, 0, limits), location }, timeMs);
  };
  for (let i = 0; i < ENTRIES; i++) {
    const found = find(1000 + i * 10);
    t.equal(found === TIME_NOT_FOUND ? reader.nextOffset : found, i * 2);
    const between = find(1000 + i * 10 - 5);
    t.equal(between === TIME_NOT_FOUND ? reader.nextOffset : between, i * 2);
  }
  t.equal(find(5_000), TIME_NOT_FOUND);
  t.equal(reader.nextOffset, ENTRIES * 2);
  t.equal(find(1390, { limitOffset: 20 }), TIME_NOT_FOUND);
  t.equal(reader.nextOffset, 20);
});

t.test("does without sidecars", async (t) => {
  for (const spoil of ["remove", "damage", "shorten"]) {
    const { directory, journal, reader, payloads } = fill(t);
    for (const name of readdirSync(directory).filter((name) => name.endsWith(".idx"))) {
      const path = `${directory}/${name}`;
      const bytes = readFileSync(path);
      bytes[bytes.length - 3] = (bytes[bytes.length - 3] as number) ^ 1;
      if (spoil === "remove") rmSync(path);
      else writeFileSync(path, spoil === "damage" ? bytes : bytes.subarray(0, 100));
    }
    t.same(readAll(journal, reader), payloads, spoil);
  }
});

t.test("says where damage is, and never passes it by", async (t) => {
  const { directory, journal, reader } = fill(t);
  const target = Buffer.alloc(50_000);
  const name = "0000000000000000-00000001.log";
  const intact = readFileSync(`${directory}/${name}`);
  const entrySize = 1096 + 144;
  for (const [at, position] of [
    [64 + 88 + 500, 64],
    [64 + entrySize * 3 + 40, 64 + entrySize * 3],
    [64 + entrySize * 3 + 1096 + 9, 64 + entrySize * 3 + 1096],
    [14, 0],
  ] as const) {
    const bytes = Buffer.from(intact);
    bytes[at] = (bytes[at] as number) ^ 4;
    writeFileSync(`${directory}/${name}`, bytes);
    for (const withSidecar of [true, false]) {
      const fresh = new ColdReader(new RealStorage(), directory.slice(0, -5));
      if (!withSidecar) rmSync(`${directory}/${name.replace("log", "idx")}`, { force: true });
      let offset = 0;
      let outcome = fresh.read(request(journal, offset), target, 0, 50_000);
      for (; outcome > 0; outcome = fresh.read(request(journal, offset), target, 0, 50_000)) {
        offset = fresh.nextOffset;
      }
      t.equal(outcome, READ_DAMAGED);
      t.equal(
        offset,
        position === 0 ? 0 : 2 * Math.ceil((position - 64) / entrySize),
        "what is in front of it is read",
      );
      t.equal(fresh.error?.code, "JOURNAL_DAMAGED");
      t.same(fresh.error?.details, { file: `${directory}/${name}`, position });
      fresh.close();
    }
  }
  rmSync(`${directory}/${name}`);
  t.equal(reader.read(request(journal, 0), target, 0, 50_000), READ_FAILED);
  t.ok(reader.error?.retriable);
});
