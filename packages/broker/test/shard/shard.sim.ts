import t from "tap";
import { forSeeds } from "../harness/seeded.ts";
import { ShardSimulation } from "../harness/shard-simulation.ts";

const SEEDS = 300;

t.test("a shard keeps what it has promised, however it dies", async (t) => {
  let records = 0;
  forSeeds(SEEDS, (random) => {
    const simulation = new ShardSimulation(random);
    simulation.run();
    records += simulation.world.knownRecords;
  });
  t.ok(records > 0, `${SEEDS} seeds, ${records} records`);
});
