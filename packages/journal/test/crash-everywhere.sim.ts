import t from "tap";
import { deleteBeforeManifest, dropOneFileTooMany, settleWithoutSync } from "./broken-jobs.ts";
import { WithoutDataSync, WithoutDirectorySync } from "./broken-storage.ts";
import { COVERED, ScriptedLife } from "./scripted-life.ts";
import { seedOfRun } from "./seed-of-run.ts";
import type { Breakage } from "./simulated-world.ts";

/**
 * One life of a journal, crashed at each call of the storage in turn, and recovered from what that leaves. The life is
 * scripted, and the test fails unless it has done all of COVERED: segments are adopted and sorted, files that are mostly
 * dead are written anew, manifests and checkpoints replaced, log starts moved by age, bytes and force, logs truncated, a
 * topic deleted, what is dead and the journal's prefix removed; and it does much of that on a full disk, with the reserve
 * given up, in room that was held, and with no room at all. Three of four crashes are a loss of power, which keeps any part
 * of what was not synced. What comes after must have everything that was committed, read as it was staged, and come to rest
 * with no file too many.
 */
const { first: seed } = seedOfRun();

/** A hang becomes a message, also where the file is run without the runner and its limit. */
const TIMEOUT_MS = 300_000;

t.setTimeout(TIMEOUT_MS);

/** @returns where and how it failed, or how many calls it survived. */
function crashEverywhere(breakage: Breakage = {}): { calls: number; failure?: string } {
  const whole = new ScriptedLife(seed, breakage);
  try {
    whole.live();
    whole.recover();
  } catch (error) {
    return { calls: 0, failure: (error as Error).message };
  }
  const { calls } = whole.storage;
  for (let call = 0; call < calls; call++) {
    const life = new ScriptedLife(seed, breakage);
    const { storage } = life;
    storage.crashAtCall = call;
    try {
      try {
        life.live();
      } catch (error) {
        if (!storage.hasCrashed) throw error;
      }
      storage.restart(call % 4 === 0 ? "process" : "power");
      life.recover();
    } catch (error) {
      return { calls: call, failure: `crash at call ${call}: ${(error as Error).message}` };
    }
  }
  return { calls };
}

t.test("a life that does everything", (t) => {
  t.comment(`MILLRACE_SEED=${seed}`);
  const life = new ScriptedLife(seed);
  life.live();
  t.same([...life.covered].sort(), [...COVERED].sort());
  life.recover();
  t.end();
});

t.test("survives a crash at each of its storage calls", { timeout: TIMEOUT_MS }, (t) => {
  const { calls, failure } = crashEverywhere();
  t.equal(failure, undefined, `MILLRACE_SEED=${seed}, ${calls} calls`);
  t.end();
});

const CANARIES: readonly { name: string; breakage: Breakage }[] = [
  { name: "the sync of the data", breakage: { wrap: (storage) => new WithoutDataSync(storage) } },
  { name: "the sync of the folder", breakage: { wrap: (storage) => new WithoutDirectorySync(storage) } },
  { name: "the sync of settled files before their manifest", breakage: { run: settleWithoutSync } },
  { name: "the manifest before the prefix goes", breakage: { run: deleteBeforeManifest } },
  { name: "the living file behind the last dead one", breakage: { run: dropOneFileTooMany } },
];

for (const { name, breakage } of CANARIES) {
  t.test(`which a journal without ${name} does not`, (t) => {
    const { calls, failure } = crashEverywhere(breakage);
    t.ok(failure !== undefined, `MILLRACE_SEED=${seed}, ${calls} calls: ${failure}`);
    t.end();
  });
}
