import t from "tap";
import { NO_CHECKSUMS, withoutDataSync, withoutFolderSync } from "../harness/broken-storage.ts";
import { forSeeds, givenSeed, type Seeded, seeded } from "../harness/seeded.ts";
import { ShardSimulation, type ShardSimulationOptions } from "../harness/shard-simulation.ts";

const SEEDS = 200;
const STEPS_PER_CALL_RUN = 120;

t.test("a shard keeps what it has promised, however it dies", async (t) => {
  let records = 0;
  let returned = 0;
  const events = new Map<string, number>();
  forSeeds(SEEDS, (random) => {
    const simulation = new ShardSimulation(random);
    simulation.run();
    records += simulation.world.knownRecords;
    returned += simulation.world.returned;
    for (const { event, fields } of simulation.rig.logged) {
      const name = fields.forced === true ? "forced" : event;
      events.set(name, (events.get(name) ?? 0) + 1);
    }
  });
  t.ok(records > SEEDS, `${SEEDS} seeds, ${records} records`);
  if (givenSeed() !== undefined) return;
  t.ok(returned > SEEDS, `${returned} gateways were lost and came back`);
  for (const event of ["settled", "retention", "forced", "reserve-released", "publishes-refused"]) {
    t.ok((events.get(event) ?? 0) > 0, `${event}: ${events.get(event)}`);
  }
});

t.test("a shard keeps what it has promised when it dies at any call of the storage", async (t) => {
  for (const kind of ["power", "process"] as const) {
    let calls = 0;
    forSeeds(4, (random) => {
      const life = random.below(2 ** 31);
      let call = 0;
      while (new ShardSimulation(seeded(life)).runUntilCall(call, STEPS_PER_CALL_RUN, kind)) call += 1;
      calls += call;
    });
    t.ok(calls > 0, `${calls} calls, ${kind}`);
  }
});

/** Canaries: what would lose data in the field must be noticed here. */
function noticed(options: ShardSimulationOptions): string {
  try {
    forSeeds(SEEDS, (random: Seeded) => new ShardSimulation(random, options).run());
    return "";
  } catch (error) {
    return (error as Error).message;
  }
}

t.test("a journal that does not sync its data is noticed", async (t) => {
  const failure = noticed({ wrapStorage: withoutDataSync });
  t.not(failure, "", failure);
});

t.test("a journal that does not sync its folder is noticed", async (t) => {
  const failure = noticed({ wrapStorage: withoutFolderSync });
  t.not(failure, "", failure);
});

t.test("a recovery that does not look at checksums is noticed", async (t) => {
  const failure = noticed({ check: NO_CHECKSUMS });
  t.not(failure, "", failure);
});
