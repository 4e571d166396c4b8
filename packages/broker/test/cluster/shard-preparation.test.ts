import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MillraceError } from "@millrace/protocol";
import t, { type Test } from "tap";
import { prepareShard } from "../../src/cluster/shard-preparation.ts";
import type { AskShard } from "../../src/node/catalog-changes.ts";
import { CatalogView } from "../../src/node/catalog-view.ts";

/** A shard that was opened with epoch 7; what it is asked is written down. */
function rig(t: Test) {
  const directory = mkdtempSync(join(tmpdir(), "mr-prepare-"));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const happened: string[] = [];
  const closing = new AbortController();
  const state = { isThere: true, lost: 0, duringBarrier: () => {} };
  const ask: AskShard = async (shardId, kind) => {
    happened.push(`${kind} ${shardId}`);
    if (state.lost > 0) {
      state.lost -= 1;
      throw new MillraceError("SHARD_RESTARTED", "another way to it was lost");
    }
    return undefined as never;
  };
  const prepare = (shardId: number): Promise<void> =>
    prepareShard(
      { shardId, epoch: 7, cleanShutdown: false, entries: 0, recoveryMs: 1 },
      {
        directory,
        view: new CatalogView(),
        catalog: {
          lead: async (epoch) => {
            happened.push(`lead ${epoch}`);
            state.duringBarrier();
          },
          barrier: async () => {
            happened.push("barrier");
            state.duringBarrier();
          },
        },
        admit: () => void happened.push("admit"),
        ask,
        isThere: () => state.isThere,
      },
      closing.signal,
    );
  return { state, closing, prepare, take: () => happened.splice(0) };
}

t.test("a shard is reconciled behind the barrier, and again when its answers were lost", async (t) => {
  const { state, prepare, take } = rig(t);
  state.lost = 1;
  await prepare(3);
  const once = ["barrier", "admit", "reconcile 3", "reconcileSubscriptions 3"];
  t.same(take(), [...once, ...once]);
});

t.test(
  "a shard that somebody else has opened, or that was lost, at the barrier is asked nothing",
  async (t) => {
    const { state, prepare, take } = rig(t);
    state.duringBarrier = () => {
      state.isThere = false;
    };
    await t.rejects(prepare(3), { code: "SHARD_RESTARTED" });
    t.same(take(), ["barrier"]);
    await t.rejects(prepare(0), { code: "SHARD_RESTARTED" });
    t.same(take(), [], "nor does anybody lead by it");
    state.isThere = true;
    await t.rejects(prepare(0), { code: "SHARD_RESTARTED" });
    t.same(take(), ["admit", "lead 7"]);
  },
);

t.test("a shard that is closed at the barrier is asked nothing", async (t) => {
  const { state, closing, prepare, take } = rig(t);
  state.duringBarrier = () => closing.abort();
  await t.rejects(prepare(3), { code: "SHARD_RESTARTED" });
  t.same(take(), ["barrier"]);
});
