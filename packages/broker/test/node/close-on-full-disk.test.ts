import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { ShardThreadsRig } from "../harness/shard-threads-rig.ts";

const DISK_BYTES = 1_048_576;
/** Of topics that find no room: more than the last page of a file has left. */
const TOPICS = 200;
const CONFIG = { partitions: 1, retentionMs: 0, retentionBytes: 0, durability: "fsynced" } as const;

/** Threads that start on a loaded machine. */
t.setTimeout(180_000);

t.test("a shard that cannot write what it took is let go of in time, and its thread goes on", async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), "millrace-"));
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${DISK_BYTES}`, "tmpfs", dataDir]);
  // Behind the end of the threads, which the rig registers later.
  t.teardown(() => {
    if (mounted.status === 0) spawnSync("umount", ["--lazy", dataDir]);
    rmSync(dataDir, { recursive: true });
  });
  if (mounted.status !== 0) {
    t.pass("no small disk can be mounted here");
    return;
  }
  const rig = new ShardThreadsRig(t, dataDir, 1);
  for (const shardId of [0, 1]) {
    await rig.open(shardId);
    await rig.commits(shardId);
  }
  const filler = join(dataDir, "filler");
  t.throws(() => writeFileSync(filler, Buffer.alloc(DISK_BYTES, 1)), { code: "ENOSPC" });
  const outcomes = Array.from({ length: TOPICS }, (_, i) =>
    rig.ask(0, "createTopic", [`topic-${i}`, CONFIG]).then(
      () => "made",
      (error: { code?: string }) => error.code,
    ),
  );
  t.equal(await rig.close(0), false, "as if its process had ended");
  t.equal(await rig.commits(1), true);
  rmSync(filler);
  t.match((await rig.open(0)).recovered, { epoch: 2, cleanShutdown: false });
  t.equal(await rig.commits(0), true);
  t.equal(await rig.close(0), true);
  rig.lose(0);
  t.ok((await Promise.all(outcomes)).includes("SHARD_RESTARTED"), "what was not written was not answered");
});
