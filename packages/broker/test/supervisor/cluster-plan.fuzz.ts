import assert from "node:assert/strict";
import t from "tap";
import { forSeeds, type Seeded } from "../harness/seeded.ts";
import { ModelCluster } from "./model-cluster.ts";

const ROUNDS = 200;
const STEPS = 600;

/**
 * Random deaths, hangs, lost connections, moves, restarts and supervisors that die, over nodes that do as they are told, sooner
 * or later. The model checks after each step that nobody is told to open what another one may have.
 */
t.test("whatever happens, a shard has one owner, and in the end everything is served evenly", async (t) => {
  forSeeds(ROUNDS, (random) => {
    const cluster = new ModelCluster(random, 1 + random.below(4), 1 + random.below(9));
    for (let step = 0; step < STEPS; step += 1) disturb(cluster, random);
    const closesBefore = cluster.closes;
    cluster.calm();
    cluster.checkServed();
    // A restart empties and fills each node once; the rest is evened out.
    const most = cluster.shards * (2 * cluster.nodes + 2);
    assert.ok(cluster.closes - closesBefore <= most, `it calms down: ${cluster.closes - closesBefore} moves`);
  });
  t.pass("held");
});

t.test("a cluster that is left alone moves nothing", async (t) => {
  forSeeds(50, (random) => {
    const cluster = new ModelCluster(random, 1 + random.below(5), 1 + random.below(12));
    cluster.calm();
    cluster.checkServed();
    assert.equal(cluster.closes, 0);
  });
  t.pass("held");
});

t.test("a canary: an owner that is opened twice is noticed", async (t) => {
  forSeeds(1, (random) => {
    const cluster = new ModelCluster(random, 2, 1);
    cluster.calm();
    const owner = cluster.ownerOf(0);
    assert.throws(() => cluster.told({ kind: "open", nodeId: 1 - owner, shardId: 0 }), /may have/);
  });
  t.pass("noticed");
});

function disturb(cluster: ModelCluster, random: Seeded): void {
  cluster.wait(random.below(30));
  const roll = random.below(400);
  if (roll < 6) cluster.killNode();
  else if (roll < 9) cluster.hangNode();
  else if (roll < 12) cluster.loseConnection();
  else if (roll < 14) cluster.restartSupervisor();
  else if (roll < 18) cluster.move();
  else if (roll < 20) cluster.restart();
  else if (roll < 24) cluster.reopen();
  else if (roll < 26) cluster.failNextOpen();
  else if (roll < 28) cluster.loseShard();
  else cluster.step();
}
