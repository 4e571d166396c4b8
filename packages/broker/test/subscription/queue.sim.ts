import t from "tap";
import { withoutDataSync } from "../harness/broken-storage.ts";
import { QueueSimulation } from "../harness/queue-simulation.ts";
import { forSeeds, givenSeed, seeded } from "../harness/seeded.ts";

const SEEDS = 15;

t.test("queues keep what they have promised, however their shard dies", async (t) => {
  const sums = { delivered: 0, redeliveries: 0, dead: 0, restarts: 0 };
  let returned = 0;
  forSeeds(SEEDS, (random) => {
    const simulation = new QueueSimulation(random);
    simulation.run();
    const { restarts, world } = simulation;
    sums.restarts += restarts;
    sums.delivered += world.delivered;
    sums.redeliveries += world.redeliveries;
    sums.dead += world.dead;
    returned += world.returned;
  });
  if (givenSeed() !== undefined) return;
  t.ok(returned > 0, `${returned} gateways were lost and came back`);
  for (const [name, sum] of Object.entries(sums)) t.ok(sum > SEEDS, `${name}: ${sum}`);
});

t.test("queues keep what they have promised when their shard dies at any call of the storage", async (t) => {
  for (const kind of ["power", "process"] as const) {
    let calls = 0;
    forSeeds(1, (random) => {
      const life = random.below(2 ** 31);
      let call = 0;
      while (new QueueSimulation(seeded(life)).runUntilCall(call, 100, kind)) call += 1;
      calls += call;
    });
    t.ok(calls > 0, `${calls} calls, ${kind}`);
  }
});

/** A canary: what would lose acks in the field must be noticed here. */
t.test("a journal that does not sync its data is noticed", async (t) => {
  let failure = "";
  try {
    forSeeds(SEEDS, (random) => new QueueSimulation(random, { wrapStorage: withoutDataSync }).run());
  } catch (error) {
    failure = (error as Error).message;
  }
  t.not(failure, "", failure);
});
