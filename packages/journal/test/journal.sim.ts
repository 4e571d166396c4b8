import t from "tap";
import { simulate } from "./journal-simulation.ts";

const SEEDS = 400;

t.test("lives, crashes and damage of a journal", (t) => {
  const fixed = process.env.MILLRACE_SEED;
  const first = fixed === undefined ? (Date.now() & 0xffffff) * 1000 : Number(fixed);
  t.comment(`MILLRACE_SEED=${first}`);
  const total = { lives: 0, entries: 0, damages: 0, flips: 0 };
  for (let seed = first; seed < first + (fixed === undefined ? SEEDS : 1); seed++) {
    const result = simulate(seed);
    total.lives += result.lives;
    total.entries += result.entries;
    total.damages += result.damages;
    total.flips += result.flips;
  }
  t.comment(JSON.stringify(total));
  t.end();
});
