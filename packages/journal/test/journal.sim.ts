import t from "tap";
import { ENTRY_CHECK, ENTRY_LENGTH_WORD, type EntryCheck, isEntryLength } from "../src/internal.ts";
import { WithoutDataSync, WithoutDirectorySync } from "./broken-storage.ts";
import { type SimulationResult, simulate } from "./journal-simulation.ts";
import { seedOfRun } from "./seed-of-run.ts";
import type { Breakage } from "./simulated-world.ts";

const SEEDS = 300;
const CANARY_SEEDS = 300;

const { first, count } = seedOfRun();

t.test("crashes, lost writes, full disks, failing syncs and flipped bits", (t) => {
  t.comment(`MILLRACE_SEED=${first}`);
  const total: SimulationResult = { lives: 0, entries: 0, damages: 0, flips: 0 };
  for (let seed = first; seed < first + count(SEEDS); seed++) {
    const { lives, entries, damages, flips } = simulate(seed);
    total.lives += lives;
    total.entries += entries;
    total.damages += damages;
    total.flips += flips;
  }
  t.comment(JSON.stringify(total));
  t.ok(total.lives > 0);
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
