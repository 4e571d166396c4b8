import t from "tap";
import type { DamageOutcome } from "../harness/damaged-copies.ts";
import { forSeeds, type Seeded } from "../harness/seeded.ts";
import { ShardSimulation } from "../harness/shard-simulation.ts";

const SEEDS = 20;
const BITS_PER_SEED = 25;

function damage(random: Seeded, count: Map<DamageOutcome, number>): void {
  const copies = new ShardSimulation(random).stopForDamage();
  for (let i = 0; i < BITS_PER_SEED; i += 1) {
    const outcome = copies.one();
    count.set(outcome, (count.get(outcome) ?? 0) + 1);
  }
}

t.test("a damaged bit in what was durable is refused with its place, or matters to nobody", async (t) => {
  const count = new Map<DamageOutcome, number>();
  forSeeds(SEEDS, (random) => damage(random, count));
  for (const outcome of ["refused at start", "refused at a read", "harmless"] as const) {
    t.ok((count.get(outcome) ?? 0) > 0, `${outcome}: ${count.get(outcome)}`);
  }
});
