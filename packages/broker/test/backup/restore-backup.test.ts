import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { decodeBackup, encodeBackup } from "../../src/backup/backup-layout.ts";
import { type BackupSummary, createBackup } from "../../src/backup/create-backup.ts";
import { type RestoreOptions, type RestoreSummary, restoreBackup } from "../../src/backup/restore-backup.ts";
import { openDataFolder, readDataFolder } from "../../src/node/data-folder.ts";
import { FolderLock } from "../../src/node/folder-lock.ts";
import { contentOf, put, smallDataFolder, temporaryFolder } from "./backup-folders.ts";

const UNLIMITED = Number.POSITIVE_INFINITY;

function backUp(dataDir: string, destination: string): Promise<BackupSummary> {
  return createBackup({ dataDir, destination, bytesPerSecond: UNLIMITED });
}

function restore(root: string, options: Partial<RestoreOptions> = {}): Promise<RestoreSummary> {
  const defaults = { source: join(root, "backup"), dataDir: join(root, "new") };
  return restoreBackup({ ...defaults, link: false, keepClusterId: false, ...options });
}

/** A backup at ROOT/backup. */
async function backedUp(t: Test): Promise<string> {
  const root = temporaryFolder(t);
  await backUp(smallDataFolder(root), join(root, "backup"));
  return root;
}

t.test("what counts is copied, restored as it was, and marked", async (t) => {
  const root = temporaryFolder(t);
  const dataDir = smallDataFolder(root);
  const before = contentOf(dataDir);
  const summary = await backUp(dataDir, join(root, "backup"));
  t.match(summary, { shards: 2, files: 5, live: false, clusterId: readDataFolder(dataDir).clusterId });
  t.same(contentOf(dataDir), before, "the data folder is as it was, and unlocked");
  const restored = await restore(root);
  t.match(restored, { shards: 2, files: 5, linkedFiles: 0 });
  const after = contentOf(join(root, "new"));
  for (const [path, content] of Object.entries(before)) {
    const isLeft = /tmp$|settled$|^millrace/.test(path);
    t.equal(after[path], isLeft && path !== "millrace.json" ? undefined : (after[path] ?? ""), path);
    if (!isLeft) t.equal(after[path], content, path);
  }
  t.ok(after["shards/0000/restored"]?.includes(restored.time));
  t.ok(after["shards/0001/restored"]);
  t.not(restored.clusterId, summary.clusterId, "a cluster of its own");
  t.match(openDataFolder(join(root, "new"), undefined, 9), { shards: 2, clusterId: restored.clusterId });
});

t.test("the place of the old cluster is taken when that is asked for", async (t) => {
  const root = await backedUp(t);
  const { clusterId } = await restore(root, { keepClusterId: true });
  t.equal(clusterId, readDataFolder(join(root, "data")).clusterId);
  t.equal(readDataFolder(join(root, "new")).clusterId, clusterId);
});

t.test("nobody runs a broker on a backup", async (t) => {
  const root = await backedUp(t);
  t.throws(() => openDataFolder(join(root, "backup"), undefined, 2), {
    code: "DATA_DIR_UNUSABLE",
    message: /millrace restore/,
  });
});

t.test("folders that are in use, one in the other, or hold something are refused", async (t) => {
  const root = await backedUp(t);
  const data = join(root, "data");
  symlinkSync(data, join(root, "alias"));
  for (const destination of [data, join(data, "b"), join(root, "alias", "deep", "b"), root]) {
    await t.rejects(backUp(data, destination), { code: "FOLDER_NOT_USABLE", message: /inside/ });
  }
  await t.rejects(backUp(data, join(root, "backup")), { code: "FOLDER_NOT_USABLE", message: /not empty/ });
  await t.rejects(restore(root, { dataDir: data }), { code: "FOLDER_NOT_USABLE", message: /not empty/ });
  await t.rejects(restore(root, { dataDir: join(root, "backup", "new") }), { code: "FOLDER_NOT_USABLE" });
  put(root, "file", "");
  await t.rejects(backUp(data, join(root, "file")), { code: "FOLDER_NOT_USABLE" });
  await t.rejects(backUp(join(root, "nowhere"), join(root, "b2")), { code: "DATA_DIR_UNUSABLE" });
  const lock = await FolderLock.acquire(data, "1.2.3");
  await t.rejects(backUp(data, join(root, "b2")), { code: "BROKER_GONE" }, "a holder that takes no commands");
  await lock.release();
  mkdirSync(join(root, "empty"));
  await backUp(data, join(root, "empty"));
});

t.test(
  "every kind of damage is refused, with the names of the files, and leaves no data folder",
  async (t) => {
    const root = await backedUp(t);
    const log = "shards/0001/0000000000000000-00000001.log";
    const cases: Record<string, readonly [(folder: string) => void, string, RegExp]> = {
      "a bit is another": [(folder) => flip(join(folder, log)), "BACKUP_DAMAGED", new RegExp(log)],
      "a file is gone": [(folder) => unlinkSync(join(folder, log)), "BACKUP_INCOMPLETE", new RegExp(log)],
      "a file is short": [(folder) => truncateSync(join(folder, log), 9), "BACKUP_DAMAGED", new RegExp(log)],
      "a file is longer": [
        (folder) => put(folder, log, "x".repeat(99_999)),
        "BACKUP_DAMAGED",
        new RegExp(log),
      ],
      "files changed places": [
        (folder) => {
          put(folder, "shards/0000/fence", "fence of shard 1");
          put(folder, "shards/0001/fence", "fence of shard 0");
        },
        "BACKUP_DAMAGED",
        /shards\/0001\/fence, shards\/0000\/fence/,
      ],
      "a shard is gone": [
        (folder) => rmSync(join(folder, "shards/0000"), { recursive: true }),
        "BACKUP_INCOMPLETE",
        /shards\/0000\/fence/,
      ],
      "it was never completed": [
        (folder) => unlinkSync(join(folder, "millrace.json")),
        "BACKUP_INCOMPLETE",
        /millrace\.json/,
      ],
      "millrace.json is another": [
        (folder) => flip(join(folder, "millrace.json")),
        "BACKUP_DAMAGED",
        /millrace\.json/,
      ],
      "it has no description": [
        (folder) => unlinkSync(join(folder, "backup.json")),
        "BACKUP_INCOMPLETE",
        /backup\.json/,
      ],
      "its description is damaged": [
        (folder) => put(folder, "backup.json", read(folder).replace('"bytes": 20000', '"bytes": 20001')),
        "BACKUP_DAMAGED",
        /backup\.json/,
      ],
      "its description is no JSON": [(folder) => put(folder, "backup.json", "{"), "BACKUP_DAMAGED", /JSON/],
      "it is of a newer release": [
        (folder) => put(folder, "backup.json", encodeBackup({ ...decoded(folder), version: 2 })),
        "BACKUP_NEWER",
        /version=2/,
      ],
      "a path leaves the folder": [
        (folder) => {
          const files = [...decoded(folder).files, { path: "../x", bytes: 0, sha256: "" }];
          put(folder, "backup.json", encodeBackup({ ...decoded(folder), files }));
        },
        "BACKUP_DAMAGED",
        /\.\.\/x/,
      ],
    };
    for (const [what, [damage, code, message]] of Object.entries(cases)) {
      const source = join(root, "damaged");
      cpSync(join(root, "backup"), source, { recursive: true });
      damage(source);
      await t.rejects(restore(root, { source }), { code, message }, what);
      t.notOk(existsSync(join(root, "new")), "nothing is left");
      mkdirSync(join(root, "new"));
      await t.rejects(restore(root, { source }), { code }, what);
      t.same(readdirSync(join(root, "new")), [], "an empty folder is empty again");
      rmSync(join(root, "new"), { recursive: true });
      rmSync(source, { recursive: true });
    }
  },
);

t.test("interrupted, both take back what they did", async (t) => {
  const root = await backedUp(t);
  const aborted = (): { signal: AbortSignal; onProgress: () => void } => {
    const controller = new AbortController();
    return { signal: controller.signal, onProgress: () => controller.abort() };
  };
  const options = { dataDir: join(root, "data"), destination: join(root, "b2"), bytesPerSecond: UNLIMITED };
  await t.rejects(createBackup({ ...options, ...aborted() }), { code: "ABORTED" });
  await t.rejects(restore(root, aborted()), { code: "ABORTED" });
  t.same(readdirSync(root).sort(), ["backup", "data"]);
});

t.test("no more is read in a second than was asked for", async (t) => {
  const root = temporaryFolder(t);
  const dataDir = smallDataFolder(root);
  const startMs = performance.now();
  await createBackup({ dataDir, destination: join(root, "backup"), bytesPerSecond: 30_000 });
  // A quarter of a second may be caught up with.
  t.ok(performance.now() - startMs > 700, "30,044 bytes took a second");
});

function flip(path: string): void {
  const bytes = readFileSync(path);
  const middle = bytes.length >> 1;
  bytes[middle] = (bytes[middle] as number) ^ 1;
  writeFileSync(path, bytes);
}

function read(folder: string): string {
  return readFileSync(join(folder, "backup.json"), "utf8");
}

function decoded(folder: string): ReturnType<typeof decodeBackup> {
  return decodeBackup(read(folder), "backup.json");
}
