import { crc32 } from "node:zlib";
import { BatchReader } from "@millrace/protocol";
import t, { type Test } from "tap";
import { type Finding, SeededRandom, SimulatedCrash, type SimulatedStorage } from "../../src/internal.ts";
import { segmentSeed } from "../../src/segment/segment-layout.ts";
import { decodeManifest, encodeManifest } from "../../src/settled/manifest-layout.ts";
import { readFile, writeFully } from "../../src/storage/storage.ts";
import { erasedPayload } from "../../src/verify/erased-batch.ts";
import { journalIdOf } from "../../src/verify/journal-id.ts";
import { placeFile } from "../placed-file.ts";
import { DIRECTORY, examine, makeShard, readRecords, repair, start } from "./damaged-shard.ts";

const made = makeShard(7);
const before = readRecords(made.storage);

function copy(): SimulatedStorage {
  return made.storage.clone(new SeededRandom(1));
}

function filesLike(storage: SimulatedStorage, pattern: RegExp): string[] {
  return storage
    .contents()
    .map(({ path }) => path)
    .filter((path) => path.startsWith(`${DIRECTORY}/`) && pattern.test(path))
    .sort();
}

function codes(findings: readonly Finding[]): string[] {
  return findings.map(({ severity, code }) => `${severity} ${code}`);
}

function sentences(findings: readonly Finding[]): string[] {
  return findings.map(({ file, sentence, remains }) => [file, sentence, remains].join(": "));
}

/** Offsets whose records are not what they were. */
function changed(storage: SimulatedStorage, expected: ReadonlyMap<string, string | null> = before): string[] {
  const now = readRecords(storage);
  return [...new Set([...now.keys(), ...expected.keys()])].filter(
    (key) => now.get(key) !== expected.get(key),
  );
}

/** Repairs until a doctor finds nothing, and starts the shard. */
function mend(t: Test, storage: SimulatedStorage): void {
  for (let round = 0; round < 4 && examine(storage).length > 0; round++) repair(storage, examine(storage));
  t.same(sentences(examine(storage)), [], "nothing is left");
  start(storage.clone(new SeededRandom(2)));
}

function overwrite(storage: SimulatedStorage, path: string, at: number, bytes: Uint8Array): void {
  const fd = storage.open(path, "readWrite");
  writeFully(storage, fd, bytes, 0, bytes.length, at);
  storage.close(fd);
}

function cutFile(storage: SimulatedStorage, path: string, size: number): void {
  const fd = storage.open(path, "readWrite");
  storage.truncate(fd, size);
  storage.close(fd);
}

/** What a failed sync leaves behind. */
function markAt(position: number): string {
  const checksum = crc32(String(position)).toString(16).padStart(8, "0");
  return `sync failed with EIO\neverything before position ${position} had been synced (crc32 ${checksum})\n`;
}

function withChecksum(content: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(content.length + 4);
  bytes.set(content);
  bytes.writeUInt32LE(crc32(content), content.length);
  return bytes;
}

t.test("the id of a journal is in every header of a segment", async (t) => {
  const random = new SeededRandom(5);
  for (let i = 0; i < 100; i++) {
    const journalId = random.uint32() | 0;
    const base = random.below(2 ** 31) * 8 * 1024;
    const epoch = 1 + random.below(1000);
    t.equal(journalIdOf(segmentSeed(journalId, base, epoch), base, epoch), journalId);
  }
});

t.test("erased batches", async (t) => {
  for (const [length, count] of [
    [60, 1],
    [300, 3],
    [70_000, 5_000],
  ] as const) {
    const payload = erasedPayload(length, count);
    if (payload === undefined) throw new Error("it fits");
    t.equal(payload.length, length);
    const reader = new BatchReader();
    reader.reset(payload, 0, length);
    t.equal(reader.count, count);
    t.ok(reader.verifyChecksum());
    t.ok(reader.isRemoved(0) && reader.isRemoved(count - 1));
  }
  t.equal(erasedPayload(60, 40), undefined, "so many were never in it");
});

t.test("a torn tail is no damage", async (t) => {
  const storage = copy();
  const last = filesLike(storage, /\.log$/).at(-1) as string;
  const size = storage.contents().find(({ path }) => path === last)?.size as number;
  overwrite(storage, last, size, Buffer.alloc(40, 0xa5));
  const findings = examine(storage);
  t.match(findings, [{ severity: "leftover", code: "TORN_TAIL", file: last, position: size }]);
  mend(t, storage);
  t.same(changed(storage), []);
  overwrite(storage, last, size, Buffer.alloc(5_000));
  t.same(examine(storage), [], "zeros written ahead are nothing");
});

t.test("damage over whole sectors", async (t) => {
  for (const pattern of [/\.log$/, /\.settled$/]) {
    const storage = copy();
    const path = filesLike(storage, pattern)[0] as string;
    overwrite(storage, path, 2_048, Buffer.alloc(512));
    const findings = examine(storage);
    t.ok(
      findings.length > 0 && findings.every(({ file, severity }) => file === path && severity === "damage"),
    );
    const first = findings[0] as Finding;
    t.ok(first.position > 1_000 && first.position < 2_560, `at byte ${first.position}`);
    if (pattern.test("x.settled")) mend(t, storage);
    else
      t.ok(
        findings.some(({ repair: by }) => by === undefined),
        "headers are lost, and nobody can make them again",
      );
  }
});

t.test("files that were cut off, or are gone", async (t) => {
  const cut = copy();
  const settled = filesLike(cut, /\.settled$/)[0] as string;
  cutFile(cut, settled, 5_000);
  t.ok(examine(cut).every(({ file }) => file === settled));
  mend(t, cut);
  t.ok(readRecords(cut).size < before.size);

  for (const [pattern, code] of [
    [/\.settled$/, "SETTLED_MISSING"],
    [/\.log$/, "SEGMENT_MISSING"],
  ] as const) {
    const storage = copy();
    storage.unlink(filesLike(storage, pattern)[1] as string);
    const finding = examine(storage).find((each) => each.severity === "damage");
    t.match(codes(examine(storage)).join(), pattern.test("x.log") ? /ENTRY_DAMAGED|SEGMENT_MISSING/ : code);
    t.equal(finding?.repair, undefined, "nobody can make it again");
  }
  for (const [pattern, code] of [
    [/\.idx$/, "INDEX_MISSING"],
    [/fence$/, "FENCE_DAMAGED"],
    [/manifest/, "MANIFEST_DAMAGED"],
  ] as const) {
    const storage = copy();
    storage.unlink(filesLike(storage, pattern)[0] as string);
    t.match(codes(examine(storage)).join(), code);
    mend(t, storage);
    t.same(changed(storage), []);
  }
});

t.test("both checkpoints", async (t) => {
  const storage = copy();
  for (const path of filesLike(storage, /\.ckpt$/)) storage.flipBit(path, 100, 1);
  const findings = examine(storage);
  t.same(codes(findings), ["damage CHECKPOINT_DAMAGED", "damage CHECKPOINT_DAMAGED"]);
  t.ok(
    findings.every(({ repair: by }) => by === undefined),
    "the journal's beginning is gone",
  );
});

t.test("a manifest that says something else than the files", async (t) => {
  const storage = copy();
  const path = filesLike(storage, /manifest/)[0] as string;
  const bytes = readFile(storage, path) as Uint8Array;
  const manifest = decodeManifest(bytes);
  if (manifest === undefined) throw new Error("a good manifest");
  const [first, ...others] = manifest.files;
  const files = [{ ...first, records: 1 } as (typeof manifest.files)[number], ...others];
  placeFile(
    storage,
    DIRECTORY,
    path.slice(DIRECTORY.length + 1),
    withChecksum(encodeManifest({ ...manifest, files })),
  );
  t.same(codes(examine(storage)), ["damage MANIFEST_DISAGREES"]);
  mend(t, storage);
});

t.test("leftovers go, and strangers stay", async (t) => {
  const storage = copy();
  for (const name of ["x.log.3.tmp", "0000000000000008-00000003-0007.settled", "notes"]) {
    placeFile(storage, DIRECTORY, name, Buffer.from("x"));
  }
  t.same(codes(examine(storage)).sort(), [
    "leftover LEFTOVER_FILE",
    "leftover LEFTOVER_FILE",
    "warning UNKNOWN_FILE",
  ]);
  repair(storage, examine(storage));
  t.same(codes(examine(storage)), ["warning UNKNOWN_FILE"]);
});

t.test("a quarantined shard", async (t) => {
  const storage = copy();
  const last = filesLike(storage, /\.log$/).at(-1) as string;
  const base = Number(/(\d{16})-/.exec(last)?.[1]);
  const size = storage.contents().find(({ path }) => path === last)?.size as number;
  t.throws(
    () => {
      placeFile(storage, DIRECTORY, "quarantined", Buffer.from("sync failed with EIO\n"));
      start(storage);
    },
    { code: "JOURNAL_QUARANTINED" },
  );
  const whole = storage.clone(new SeededRandom(3));
  t.same(codes(examine(whole)), ["damage QUARANTINED"]);
  mend(t, whole);
  t.same(changed(whole), [], "a mark that states no position: what is whole stays");

  placeFile(storage, DIRECTORY, "quarantined", Buffer.from(markAt(base + size)));
  overwrite(storage, last, size, Buffer.alloc(100, 1));
  mend(t, storage);
  t.same(changed(storage), []);
  const kept = filesLike(storage, /./).length;
  t.ok(
    kept > 5 && storage.contents().some(({ path }) => path.startsWith("/data/damaged/")),
    "originals are kept",
  );
});

t.test("a crash at any call of a repair", async (t) => {
  const damages: ((storage: SimulatedStorage) => void)[] = [
    (storage) => storage.flipBit(filesLike(storage, /\.settled$/)[1] as string, 3_000, 2),
    (storage) => storage.flipBit(filesLike(storage, /\.log$/)[0] as string, 3_000, 2),
    (storage) => storage.flipBit(filesLike(storage, /fence$/)[0] as string, 20, 2),
    (storage) => storage.unlink(filesLike(storage, /manifest/)[0] as string),
  ];
  let crashes = 0;
  for (const damage of damages) {
    const storage = copy();
    damage(storage);
    storage.syncDirectory(DIRECTORY);
    const findings = examine(storage);
    const whole = storage.clone(new SeededRandom(1));
    mend(t, whole);
    const expected = readRecords(whole);
    for (let call = 0; ; call += 1 + (call >> 4)) {
      const random = new SeededRandom(call);
      const broken = storage.clone(random);
      broken.crashAtCall = broken.calls + call;
      try {
        repair(broken, findings);
        break;
      } catch (error) {
        if (!(error instanceof SimulatedCrash)) throw error;
      }
      broken.restart(call % 2 === 0 ? "power" : "process");
      crashes++;
      for (let round = 0; round < 4 && examine(broken).length > 0; round++) repair(broken, examine(broken));
      t.same(sentences(examine(broken)), [], `after a crash at call ${call}`);
      t.same(changed(broken, expected), []);
    }
  }
  t.ok(crashes > 40, `${crashes} crashes`);
});

t.test("a later format is refused", async (t) => {
  const storage = copy();
  const path = filesLike(storage, /manifest/)[0] as string;
  const bytes = (readFile(storage, path) as Uint8Array).slice();
  bytes[8] = 2;
  placeFile(storage, DIRECTORY, path.slice(DIRECTORY.length + 1), withChecksum(bytes.subarray(0, -4)));
  t.throws(() => examine(storage), { code: "DATA_FORMAT_NEWER" });
});
