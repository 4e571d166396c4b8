// Runs against one process: it fills a disk until the broker says so, and each node of a cluster would say so for itself.
import { join } from "node:path";
import type { Client, Gap } from "@millrace/client";
import t from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { connectedClient } from "../harness/connected-client.ts";
import { PublishingLoad } from "../harness/publishing-load.ts";
import { readAll } from "../harness/reading.ts";
import { SeededRandom, seedOf } from "../harness/seeded-random.ts";
import { SmallDisk } from "../harness/small-disk.ts";
import { problemsOfLog } from "../harness/stored-log.ts";
import { pauseMs, until } from "../harness/waiting.ts";

const DISK_BYTES = 256 * 1024 * 1024;
const PROBLEMS_SHOWN = 10;

t.test("a disk of 256 MiB full to the brim: what is given up makes room for what goes on", async (t) => {
  const disk = SmallDisk.mount(t, DISK_BYTES);
  if (disk === undefined) return;
  const dataDir = join(disk.path, "data");
  const args = ["--shards", "2", "--retention-total", "none"];
  let broker = await BrokerProcess.start(t, { dataDir, args });
  const names = ["kept", "dropped", "shortened"];
  const clients = await Promise.all(names.map(() => connectedClient(t, broker.url)));
  const [admin] = clients as [Client];
  for (const name of names) await admin.topics.create(name, { partitions: 2 });
  const load = new PublishingLoad(
    names.map((name, i) => ({
      name,
      client: clients[i] as Client,
      topic: name,
      partitions: 2,
      valueBytesMin: 2_000,
      valueBytesMax: 30_000,
    })),
    new SeededRandom(seedOf(t)),
  );

  load.run();
  await until(() => broker.logged("disk-low").length > 0, "the broker says that the disk is low");
  // What was under way then is written; the rest of the disk is taken by others.
  for (let seen = -1; seen < load.acked.length; await pauseMs(1_000)) seen = load.acked.length;
  disk.fill();
  const filled = load.acked.length;
  t.ok(filled > 500, `${filled} records before the disk was full`);
  t.equal((await broker.get("/healthz")).status, 200);
  const isLow = async (): Promise<boolean> => {
    const { status, body } = await broker.get("/readyz");
    return status === 200 && body.includes('"the disk is low: publishes are refused"');
  };
  // It may have had room again for a moment.
  await until(isLow, "the broker says why it refuses publishes");
  const early = await readAll(admin, "kept");
  t.ok(early.length > 0, "what is there can be read");

  // What needs no room to speak of goes on; it frees the most where files hold one topic.
  await admin.topics.delete("dropped");
  const [truncated] = await admin.topics.truncate("shortened", { before: "latest" });
  t.ok((truncated?.logStartOffset ?? 0) > 0, "a topic can be truncated");
  // More than the reserve is, which may be given up on the way.
  await until(
    () => disk.freeBytes > DISK_BYTES / 32,
    "what was given up has made room, of which others took all",
  );
  disk.free();
  await until(() => broker.logged("disk-recovered").length > 0, "the room is there again");
  await until(() => load.acked.length > filled + 50, "and publishing goes on by itself");
  await load.settle();

  const lost = load.failed.filter((line) => !line.startsWith("dropped:"));
  t.same(lost.slice(0, PROBLEMS_SHOWN), [], "only the topic that was deleted has lost records");
  for (const when of ["at once", "after a kill -9"]) {
    const client = await connectedClient(t, broker.url);
    const gaps: Gap[] = [];
    const kept = await readAll(client, "kept", { onGap: (gap) => gaps.push(gap) });
    const acked = load.acked.filter(({ ack }) => ack.topic === "kept");
    const problems = problemsOfLog(kept, acked, gaps, { isComplete: true });
    t.same(
      problems.slice(0, PROBLEMS_SHOWN),
      [],
      `${when}: ${kept.length} records of the topic that was left alone`,
    );
    await client.close();
    if (when === "at once") {
      await broker.kill();
      broker = await BrokerProcess.start(t, { dataDir, args: args.slice(2) });
    }
  }
});
