import t from "tap";
import { causeChaos } from "../harness/chaos.ts";
import { ChaosProcess } from "../harness/chaos-process.ts";
import { ChaosLoad } from "../harness/history/chaos-load.ts";
import { SeededRandom, seedOf } from "../harness/seeded-random.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";

/** MILLRACE_CHAOS_SECONDS sets another one for a long run. */
const CHAOS_SECONDS = Number(process.env.MILLRACE_CHAOS_SECONDS ?? 8);

/** A hang becomes a message; the test itself measures nothing. */
const TIMEOUT_MS = (CHAOS_SECONDS + 200) * 1_000;

t.setTimeout(TIMEOUT_MS);
t.test(
  "a broker of one process that is killed, stopped and robbed of its threads",
  { timeout: TIMEOUT_MS },
  async (t) => {
    const random = new SeededRandom(seedOf(t));
    const broker = await ChaosProcess.start(t, temporaryFolder(t), 4);
    const load = await ChaosLoad.start(t, {
      random,
      url: broker.url,
      folder: temporaryFolder(t),
      recordsPerSecond: 200,
    });
    await causeChaos(t, {
      actions: broker.actions,
      random,
      history: load.history,
      durationMs: CHAOS_SECONDS * 1_000,
      pauseMsMax: 1_500,
    });
    await load.finish();
    load.check(t);
    const failures = broker.broker.log.filter(({ level }) => level === "error");
    t.same(
      failures.filter(({ event }) => event !== "shard-thread-died"),
      [],
      "nothing else failed inside the broker",
    );
  },
);
