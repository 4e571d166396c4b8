// Runs against one process: it makes a cluster by itself.
import t from "tap";
import { causeChaos } from "../harness/chaos.ts";
import { ChaosCluster } from "../harness/chaos-cluster.ts";
import { ChaosLoad } from "../harness/history/chaos-load.ts";
import { SeededRandom, seedOf } from "../harness/seeded-random.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";

/** MILLRACE_CHAOS_SECONDS sets another one for a long run. */
const CHAOS_SECONDS = Number(process.env.MILLRACE_CHAOS_SECONDS ?? 20);
/** A hang becomes a message; the test itself measures nothing. */
const TIMEOUT_MS = (CHAOS_SECONDS + 200) * 1_000;

t.setTimeout(TIMEOUT_MS);
t.test(
  "three nodes and their supervisor, killed, stopped and robbed of their threads",
  { timeout: TIMEOUT_MS },
  async (t) => {
    const random = new SeededRandom(seedOf(t));
    const cluster = await ChaosCluster.start(t, temporaryFolder(t));
    const load = await ChaosLoad.start(t, {
      random,
      url: cluster.url,
      folder: temporaryFolder(t),
      recordsPerSecond: 100,
    });
    const count = await causeChaos(t, {
      actions: cluster.actions,
      random,
      history: load.history,
      durationMs: CHAOS_SECONDS * 1_000,
      pauseMsMax: 2_000,
    });
    await cluster.settle();
    t.comment(`${count} things were done`);
    await load.finish();
    load.check(t);
  },
);
