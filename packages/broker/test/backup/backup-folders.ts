import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import type { Test } from "tap";
import { openDataFolder } from "../../src/node/data-folder.ts";

/** A folder of its own for a test. */
export function temporaryFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), "millrace-backup-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A data folder on which no broker ran, with some bytes for a journal. */
export function smallDataFolder(root: string): string {
  const dataDir = join(root, "data");
  mkdirSync(dataDir);
  openDataFolder(dataDir, 2, 2);
  put(dataDir, "shards/0000/fence", "fence of shard 0");
  put(dataDir, "shards/0000/0000000000000000-00000001.log", "0123456789".repeat(1000));
  put(dataDir, "shards/0000/checkpoint-0000000000000512.ckpt", "a checkpoint");
  put(dataDir, "shards/0000/checkpoint-0000000000001024.ckpt.1.tmp", "not finished");
  put(dataDir, "shards/0001/fence", "fence of shard 1");
  put(dataDir, "shards/0001/0000000000000000-00000001.log", "abcdefghij".repeat(2000));
  put(dataDir, "shards/0001/0000000000000000-00000001-0000.settled", "in no manifest");
  return dataDir;
}

export function put(folder: string, path: string, content: string): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), content);
}

/** Content by path. */
export function contentOf(folder: string): Record<string, string> {
  const content: Record<string, string> = {};
  const walk = (path: string): void => {
    for (const name of readdirSync(path).sort()) {
      const inside = join(path, name);
      if (statSync(inside).isDirectory()) walk(inside);
      else content[relative(folder, inside)] = readFileSync(inside, "latin1");
    }
  };
  walk(folder);
  return content;
}
