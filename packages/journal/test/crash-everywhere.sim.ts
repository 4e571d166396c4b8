import t from "tap";
import { SeededRandom, SimulatedStorage } from "../src/internal.ts";
import { seedOfRun } from "./seed-of-run.ts";
import { SimulatedRetention } from "./simulated-retention.ts";
import { SimulatedOwner, SimulatedShard } from "./simulated-shard.ts";
import { type OpenedJournal, type OpenWorld, openJournal } from "./simulated-world.ts";
import { checkReads, checkRecovered } from "./simulation-checks.ts";
import { QuietJournal } from "./space-check.ts";

const REWRITE_BYTES = 500;
const ROUNDS = 6;

function newWorld(seed: number): { world: OpenWorld; shard: SimulatedShard } {
  const random = new SeededRandom(seed);
  const storage = new SimulatedStorage(random);
  storage.mkdir("/data/shards");
  const world = {
    storage,
    random,
    clock: { nowMs: 0 },
    segmentSizeBytes: 4096,
    settling: { batchBytes: 6000, afterMs: 5_000, adoptBytesMin: 1, rewriteDeadBytesMin: REWRITE_BYTES },
    breakage: {},
  };
  return { world, shard: new SimulatedShard(world, 300) };
}

/** A life that does everything once at least; the same for the same seed, up to where the machine stops. */
function live(world: OpenWorld, shard: SimulatedShard): void {
  const { opened, retention } = open(world, shard);
  const { journal, syncer, background } = opened;
  for (let round = 0; round < ROUNDS; round++) {
    for (let i = 0; i < 12; i++) shard.stage(opened, () => journal.flush());
    if (round === 2) shard.truncate(journal);
    if (round === 3) journal.adoptOnly = true;
    if (round === 4) shard.deleteTopic(journal);
    if (round === 5) journal.adoptOnly = false;
    shard.roll(journal);
    journal.flush();
    shard.releaseRing();
    journal.requestSync();
    syncer.step();
    shard.noteCommitted(journal, journal.committedPosition());
    retention.committed();
    if (round % 2 === 0) journal.checkpoint(shard.encodeState(), false);
    if (round > 0) retention.plan();
    while (background.step(world.random)) {
      shard.noteCommitted(journal, journal.committedPosition());
      retention.committed();
    }
    world.clock.nowMs += 2_000;
  }
  retention.stop();
  journal.checkpoint(shard.encodeState(), true);
  while (syncer.step() || background.step(world.random)) {
    shard.noteCommitted(journal, journal.committedPosition());
  }
  journal.close();
}

function open(
  world: OpenWorld,
  shard: SimulatedShard,
): { opened: OpenedJournal; retention: SimulatedRetention } {
  const opened = openJournal(world);
  checkRecovered(opened, shard);
  opened.journal.startSettling(new SimulatedOwner(shard));
  return { opened, retention: new SimulatedRetention(shard, opened.journal, world.random) };
}

/** What a crash left is opened, read, and brought to rest. */
function recover(world: OpenWorld, shard: SimulatedShard): void {
  const { opened, retention } = open(world, shard);
  const check = (): void => checkReads(opened, shard.model, shard.committedState(), world.random);
  check();
  const quiet = new QuietJournal(world, opened, shard, retention);
  quiet.finish();
  check();
  quiet.check(REWRITE_BYTES);
}

t.test("a life with settling survives a crash at each of its storage calls", (t) => {
  const { first: seed } = seedOfRun();
  t.comment(`MILLRACE_SEED=${seed}`);
  const whole = newWorld(seed);
  live(whole.world, whole.shard);
  const { calls } = whole.world.storage;
  recover(whole.world, whole.shard);
  t.comment(`${calls} storage calls`);
  for (let call = 0; call < calls; call++) {
    const { world, shard } = newWorld(seed);
    world.storage.crashAtCall = call;
    try {
      live(world, shard);
    } catch (error) {
      if (!world.storage.hasCrashed) throw error;
    }
    world.storage.restart(call % 4 === 0 ? "process" : "power");
    try {
      recover(world, shard);
    } catch (error) {
      t.fail(`MILLRACE_SEED=${seed} crash at call ${call}: ${(error as Error).message}`);
      break;
    }
  }
  t.end();
});
