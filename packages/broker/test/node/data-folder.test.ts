import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import {
  DATA_FORMAT_VERSION,
  ensureFolder,
  openDataFolder,
  shardDirectory,
  shardsDirectory,
} from "../../src/node/data-folder.ts";

function folder(t: Test): string {
  const root = mkdtempSync(join(tmpdir(), "millrace-data-"));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  return root;
}

function writeFormat(dataDir: string, content: unknown): void {
  writeFileSync(
    join(dataDir, "millrace.json"),
    typeof content === "string" ? content : JSON.stringify(content),
  );
}

t.test("a new folder is made with the shards asked for, or with the default", async (t) => {
  const asked = openDataFolder(folder(t), 5, 3);
  t.equal(asked.shards, 5);
  t.same(readdirSync(shardsDirectory(asked.path)).sort(), ["0000", "0001", "0002", "0003", "0004"]);
  t.equal(openDataFolder(folder(t), undefined, 3).shards, 3);
});

t.test("what is fixed stays as it was made", async (t) => {
  const made = openDataFolder(folder(t), 4, 2);
  t.same(openDataFolder(made.path, undefined, 9), made, "the default does not count later");
  t.same(openDataFolder(made.path, 4, 9), made);
  t.throws(() => openDataFolder(made.path, 5, 4), {
    code: "SHARD_COUNT_FIXED",
    details: { stored: 4, asked: 5 },
  });
});

t.test("impossible numbers of shards are refused", async (t) => {
  const dataDir = folder(t);
  for (const shards of [0, -1, 1.5, 1025, Number.NaN]) {
    t.throws(() => openDataFolder(dataDir, shards, 2), { code: "SHARD_COUNT_FIXED" }, `shards=${shards}`);
  }
  t.same(readdirSync(dataDir), [], "nothing was made");
});

t.test("a folder of a newer release is refused and left alone", async (t) => {
  const dataDir = folder(t);
  writeFormat(dataDir, { version: DATA_FORMAT_VERSION + 1, shards: 2, clusterId: "x", more: [] });
  t.throws(() => openDataFolder(dataDir, undefined, 2), { code: "DATA_FORMAT_NEWER" });
  t.throws(() => openDataFolder(dataDir, 3, 2), { code: "DATA_FORMAT_NEWER" });
  t.match(JSON.parse(readFileSync(join(dataDir, "millrace.json"), "utf8")), { more: [] });
});

t.test("a format file that says nothing is refused with its name", async (t) => {
  const garbage = [
    "",
    "{",
    "null",
    "[]",
    "17",
    '{"version":1}',
    { version: "1", shards: 2, clusterId: "x" },
    { version: 1, shards: 0, clusterId: "x" },
    { version: 1, shards: 2.5, clusterId: "x" },
    { version: 1, shards: 100_000, clusterId: "x" },
    { version: 0, shards: 2, clusterId: "x" },
    { version: 1, shards: 2 },
  ];
  for (const content of garbage) {
    const dataDir = folder(t);
    writeFormat(dataDir, content);
    t.throws(
      () => openDataFolder(dataDir, undefined, 2),
      { code: "DATA_DIR_UNUSABLE", message: /millrace\.json/ },
      JSON.stringify(content),
    );
  }
});

t.test("a folder that was half made is made again", async (t) => {
  const dataDir = folder(t);
  mkdirSync(shardDirectory(dataDir, 0), { recursive: true });
  writeFileSync(join(dataDir, "millrace.json.tmp"), '{"versi');
  t.equal(openDataFolder(dataDir, 3, 2).shards, 3);
});

t.test("journals without the format file beside them are not taken for a new folder", async (t) => {
  const made = openDataFolder(folder(t), 2, 2);
  writeFileSync(join(shardDirectory(made.path, 1), "fence"), "x");
  rmSync(join(made.path, "millrace.json"));
  t.throws(() => openDataFolder(made.path, undefined, 4), {
    code: "DATA_DIR_UNUSABLE",
    message: /millrace\.json/,
  });
});

t.test("a shard whose folder was lost does not come back empty", async (t) => {
  const { path } = openDataFolder(folder(t), 3, 3);
  rmSync(shardDirectory(path, 1), { recursive: true });
  t.throws(() => openDataFolder(path, undefined, 3), { code: "DATA_DIR_UNUSABLE", message: /shard 1/ });
  t.notOk(readdirSync(shardsDirectory(path)).includes("0001"));
});

t.test("a path that cannot be a folder is refused", async (t) => {
  const dataDir = folder(t);
  writeFileSync(join(dataDir, "file"), "");
  t.throws(() => ensureFolder(join(dataDir, "file")), { code: "DATA_DIR_UNUSABLE" });
  t.throws(() => ensureFolder(join(dataDir, "file", "below")), { code: "DATA_DIR_UNUSABLE" });
  // Node's own recursive mkdir never came back from there.
  const refused = process.platform === "linux" ? "/proc/millrace/a" : join(dataDir, "file", "c");
  t.throws(() => ensureFolder(refused), { code: "DATA_DIR_UNUSABLE" });
  t.doesNotThrow(() => ensureFolder(join(dataDir, "a", "b")));
  t.doesNotThrow(() => ensureFolder(join(dataDir, "a", "b")));
});
