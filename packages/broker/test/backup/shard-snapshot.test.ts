import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { type ShardSnapshot, snapshotShard } from "../../src/backup/shard-snapshot.ts";
import { temporaryFolder } from "./backup-folders.ts";

/** A shard's folder with files that have names and sizes, and whatever content. */
class ShardFolder {
  readonly directory: string;
  readonly target: string;

  constructor(t: Test) {
    const root = temporaryFolder(t);
    this.directory = join(root, "0000");
    this.target = join(root, "copy");
    mkdirSync(this.directory);
    this.put("fence", 32);
  }

  put(name: string, bytes: number): void {
    writeFileSync(join(this.directory, `${name}.new`), name);
    truncateSync(join(this.directory, `${name}.new`), bytes);
    renameSync(join(this.directory, `${name}.new`), join(this.directory, name));
  }

  segment(basePosition: number, epoch: number, bytes: number): void {
    const name = `${String(basePosition).padStart(16, "0")}-${String(epoch).padStart(8, "0")}`;
    this.put(`${name}.log`, bytes);
    this.put(`${name}.idx`, 100);
  }

  checkpoint(position: number): void {
    this.put(`checkpoint-${String(position).padStart(16, "0")}.ckpt`, 200);
  }

  remove(pattern: RegExp): void {
    for (const name of readdirSync(this.directory))
      if (pattern.test(name)) rmSync(join(this.directory, name));
  }

  snapshot(commit: () => Promise<number>): Promise<ShardSnapshot> {
    return snapshotShard({ shardId: 0, directory: this.directory, target: this.target, commit });
  }
}

function logs({ files }: ShardSnapshot): Record<string, number> {
  const found = files.filter(({ name }) => name.endsWith(".log"));
  return Object.fromEntries(found.map(({ name, bytes }) => [Number(name.slice(0, 16)), bytes]));
}

t.test("the journal up to the commit, cut where later segments begin", async (t) => {
  const shard = new ShardFolder(t);
  // Zeros were written ahead, and 1000 is where the segment of the next epoch begins.
  shard.segment(0, 1, 4096);
  shard.segment(1000, 2, 4096);
  shard.segment(3000, 2, 4096);
  shard.segment(5000, 2, 4096);
  // Of an owner that did not know that it had lost the shard.
  shard.segment(1500, 1, 4096);
  shard.checkpoint(500);
  shard.checkpoint(2000);
  shard.checkpoint(100);
  shard.put("checkpoint-0000000000009000.ckpt.3.tmp", 7);
  shard.put("reserve", 4096);
  const snapshot = await shard.snapshot(async () => 3600);
  t.equal(snapshot.position, 3600);
  t.same(logs(snapshot), { 0: 1000, 1000: 2000, 3000: 600 });
  const others = snapshot.files.map(({ name }) => name).filter((name) => !name.endsWith(".log"));
  t.same(others.sort(), [
    "0000000000000000-00000001.idx",
    "0000000000001000-00000002.idx",
    "0000000000003000-00000002.idx",
    "checkpoint-0000000000000500.ckpt",
    "checkpoint-0000000000002000.ckpt",
    "fence",
  ]);
  shard.remove(/./);
  for (const { name } of snapshot.files)
    t.equal(readFileSync(join(shard.target, name), "utf8").length > 0, true);
});

t.test("an empty journal, and one that ends where its newest segment begins", async (t) => {
  const shard = new ShardFolder(t);
  shard.segment(0, 1, 64);
  t.same(logs(await shard.snapshot(async () => 0)), { 0: 64 });
  shard.segment(0, 1, 500);
  shard.segment(500, 2, 64);
  t.same(logs(await shard.snapshot(async () => 500)), { 0: 500, 500: 64 });
  shard.put("0000000000000500-00000002.log", 0);
  t.same(logs(await shard.snapshot(async () => 500)), { 0: 500 }, "its header is not written yet");
});

t.test("a shard that moves on meanwhile is looked at again", async (t) => {
  const shard = new ShardFolder(t);
  shard.segment(0, 1, 1000);
  shard.segment(1000, 1, 1000);
  shard.checkpoint(900);
  let commits = 0;
  const snapshot = await shard.snapshot(async () => {
    commits += 1;
    if (commits === 1) shard.remove(/^0{16}-/);
    if (commits === 2) shard.segment(0, 1, 1000);
    return 1500;
  });
  t.equal(commits, 2);
  t.same(logs(snapshot), { 0: 1000, 1000: 500 });
});

t.test("a shard that is not whole is refused, with the file", async (t) => {
  const shard = new ShardFolder(t);
  shard.segment(0, 1, 1000);
  await t.rejects(
    shard.snapshot(async () => 1500),
    { code: "BACKUP_FAILED", message: /1000 bytes instead of 1500: .*0{16}-00000001\.log/ },
  );
  shard.put("manifest-00000001", 60);
  await t.rejects(
    shard.snapshot(async () => 900),
    { code: "BACKUP_FAILED", message: /manifest is damaged: .*manifest-00000001/ },
  );
  shard.remove(/manifest/);
  await t.rejects(
    shard.snapshot(async () => {
      throw Object.assign(new Error("the shard is being restarted"), { code: "SHARD_RESTARTED" });
    }),
    { code: "SHARD_RESTARTED" },
  );
  shard.remove(/log/);
  await t.rejects(
    shard.snapshot(async () => 900),
    { code: "BACKUP_FAILED", message: /kept changing/ },
  );
});

t.test("what the owner writes behind the commit is not part of the copy, what it replaces is", async (t) => {
  const shard = new ShardFolder(t);
  shard.segment(0, 1, 1000);
  const path = join(shard.directory, "0000000000000000-00000001.log");
  const snapshot = await shard.snapshot(async () => 600);
  writeFileSync(path, Buffer.alloc(1200, "x"), { flag: "r+" });
  shard.put("fence", 99);
  t.same(logs(snapshot), { 0: 600 });
  t.equal(readFileSync(join(shard.target, "fence")).length, 32);
});
