import t from "tap";
import { ENTRY_CHECK, ENTRY_LENGTH_WORD, type EntryCheck, isEntryLength } from "../src/internal.ts";
import {
  deleteBeforeManifest,
  deleteUpToNewestCheckpoint,
  dropOneFileTooMany,
  settleWithoutSync,
} from "./broken-jobs.ts";
import { WithoutDataSync, WithoutDirectorySync } from "./broken-storage.ts";
import { simulate } from "./journal-simulation.ts";
import { seedOfRun } from "./seed-of-run.ts";
import type { Breakage } from "./simulated-world.ts";

const SEEDS = 200;
const CANARY_SEEDS = 300;

const { first, count } = seedOfRun();

t.test("crashes, lost writes, full disks, failing syncs and flipped bits", (t) => {
  t.comment(`MILLRACE_SEED=${first}`);
  const total = new Map<string, number>();
  for (let seed = first; seed < first + count(SEEDS); seed++) {
    for (const [what, amount] of Object.entries(simulate(seed))) {
      total.set(what, (total.get(what) ?? 0) + amount);
    }
  }
  t.comment(JSON.stringify(Object.fromEntries(total)));
  t.ok((total.get("lives") ?? 0) > 0);
  t.end();
});

/** Judges by the length alone. */
const NO_CHECKSUMS: EntryCheck = {
  header: (words, wordIndex) => isEntryLength(words[wordIndex + ENTRY_LENGTH_WORD] as number),
  payload: () => true,
};

const CANARIES: readonly { name: string; breakage: Breakage }[] = [
  { name: "the sync of the data", breakage: { wrap: (storage) => new WithoutDataSync(storage) } },
  { name: "the sync of the folder", breakage: { wrap: (storage) => new WithoutDirectorySync(storage) } },
  { name: "the checksums", breakage: { check: NO_CHECKSUMS } },
  {
    name: "the checksum of the payload",
    breakage: { check: { header: ENTRY_CHECK.header, payload: () => true } },
  },
  { name: "the sync of settled files before their manifest", breakage: { run: settleWithoutSync } },
  { name: "the second checkpoint before the prefix goes", breakage: { run: deleteUpToNewestCheckpoint } },
  { name: "the manifest before the prefix goes", breakage: { run: deleteBeforeManifest } },
  { name: "the living file behind the last dead one", breakage: { run: dropOneFileTooMany } },
];

for (const { name, breakage } of CANARIES) {
  t.test(`the simulation notices a journal without ${name}`, (t) => {
    for (let seed = first; seed < first + CANARY_SEEDS; seed++) {
      try {
        simulate(seed, breakage);
      } catch (error) {
        t.comment(`after ${seed - first + 1} seeds: ${(error as Error).message}`);
        t.end();
        return;
      }
    }
    t.fail(`no failure within ${CANARY_SEEDS} seeds from ${first}`);
    t.end();
  });
}
