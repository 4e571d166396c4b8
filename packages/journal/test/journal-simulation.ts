import { MillraceError } from "@millrace/protocol";
import {
  DISK_FULL,
  FAILED,
  FLUSHED,
  QUARANTINE_FILE,
  SeededRandom,
  SimulatedCrash,
  SimulatedStorage,
} from "../src/internal.ts";
import { expect } from "./journal-model.ts";
import { flipOnCopy } from "./simulated-damage.ts";
import { SimulatedRetention } from "./simulated-retention.ts";
import { SimulatedOwner, SimulatedShard } from "./simulated-shard.ts";
import {
  type Breakage,
  DIRECTORY,
  type OpenedJournal,
  type OpenWorld,
  openJournal,
} from "./simulated-world.ts";
import { checkReads, checkRecovered } from "./simulation-checks.ts";
import { QuietJournal } from "./space-check.ts";

export interface SimulationResult {
  lives: number;
  entries: number;
  /** Manifests that came to count, and files that were listed in the end. */
  manifests: number;
  settledFiles: number;
  damages: number;
  flips: number;
}

const LIVES_MAX = 4;
/** Half of it takes a segment's header and the largest change. */
const HELD_BYTES = 1000;
/** Out of so many steps so many do this. */
const STEPS = {
  stage: 9,
  flush: 4,
  requestSync: 2,
  sync: 2,
  job: 5,
  checkpoint: 2,
  disk: 0.5,
  reads: 0.2,
  truncate: 0.4,
  retention: 0.6,
  roll: 0.5,
  deleteTopic: 0.05,
  createTopic: 0.05,
  adoptOnly: 0.1,
  holdRoom: 0.3,
} as const;
const STEPS_SUM = Object.values(STEPS).reduce((sum, weight) => sum + weight, 0);

/** One owner of the journal. */
interface Life {
  readonly opened: OpenedJournal;
  readonly owner: SimulatedOwner;
  readonly retention: SimulatedRetention;
}

/**
 * Some lives of one journal on one machine that crashes at random calls, beside a model that remembers every entry.
 * @throws Error that carries the seed when an invariant does not hold
 */
export function simulate(seed: number, breakage: Breakage = {}): SimulationResult {
  const simulation = new Simulation(seed, breakage);
  try {
    simulation.run();
  } catch (error) {
    throw new Error(`MILLRACE_SEED=${seed} life=${simulation.result.lives}: ${(error as Error).message}`, {
      cause: error,
    });
  }
  return simulation.result;
}

class Simulation {
  readonly result: SimulationResult = {
    lives: 0,
    entries: 0,
    manifests: 0,
    settledFiles: 0,
    damages: 0,
    flips: 0,
  };
  private readonly random: SeededRandom;
  private readonly world: OpenWorld;
  private readonly storage: SimulatedStorage;
  private readonly shard: SimulatedShard;
  private readonly rewriteDeadBytesMin: number;
  /** A sync may fail in this life. */
  private syncFails = false;
  /** An owner that does not know that it was replaced, and what it may call committed at most. */
  private zombie: { life: Life; committed: number } | undefined;

  constructor(seed: number, breakage: Breakage) {
    const random = new SeededRandom(seed);
    this.random = random;
    this.storage = new SimulatedStorage(random);
    this.storage.mkdir("/data/shards");
    const segmentSizeBytes = random.pick([4096, 8192, 16384, 65536]);
    this.rewriteDeadBytesMin = random.pick([1, 2000]);
    this.world = {
      storage: this.storage,
      random,
      clock: { nowMs: 0 },
      segmentSizeBytes,
      settling: {
        batchBytes: random.pick([1, 2 * segmentSizeBytes, 4 * segmentSizeBytes]),
        afterMs: random.pick([0, 500, 20_000]),
        adoptBytesMin: random.pick([1, segmentSizeBytes / 4]),
        rewriteDeadBytesMin: this.rewriteDeadBytesMin,
      },
      breakage,
    };
    this.shard = new SimulatedShard(this.world);
  }

  run(): void {
    const lives = 1 + this.random.below(LIVES_MAX);
    for (let i = 0; i < lives; i++) {
      this.result.lives++;
      const life = this.openWithCrashes();
      this.live(life);
      this.result.manifests += life.opened.journal.settledGeneration;
      this.zombie = undefined;
      if (!this.storage.hasCrashed && this.random.chance(0.4)) {
        const committed = life.opened.syncer.committedPosition();
        this.zombie = { life, committed };
        this.shard.floor = committed;
        life.owner.replaced();
        life.retention.stop();
        this.storage.crashAtCall = Number.POSITIVE_INFINITY;
        this.storage.failSyncIn = -1;
        continue;
      }
      this.storage.restart(this.random.chance(0.75) ? "power" : "process");
      if (this.random.chance(0.5)) this.flip();
    }
    const { opened, retention } = this.openWithCrashes();
    this.checkReads(opened);
    const quiet = new QuietJournal(this.world, opened, this.shard, retention);
    quiet.finish();
    this.checkReads(opened);
    quiet.check(this.rewriteDeadBytesMin);
    this.result.entries = this.shard.model.length;
    this.result.settledFiles = opened.journal.settledFiles.length;
  }

  /** Opens the journal, the machine crashing meanwhile now and then, and compares what it recovered. */
  private openWithCrashes(): Life {
    const { storage, random } = this;
    for (let crashes = 0; crashes < 3 && random.chance(0.3); crashes++) {
      storage.crashAtCall = storage.calls + random.below(60);
      try {
        this.open();
      } catch (error) {
        if (!(error instanceof SimulatedCrash)) throw error;
      }
      storage.restart(random.chance(0.7) ? "power" : "process");
      this.zombie = undefined;
    }
    const opened = this.open();
    checkRecovered(opened, this.shard);
    const owner = new SimulatedOwner(this.shard);
    opened.journal.startSettling(owner);
    return { opened, owner, retention: new SimulatedRetention(this.shard, opened.journal, random) };
  }

  private open(): OpenedJournal {
    try {
      return openJournal(this.world);
    } catch (error) {
      if (!(error instanceof MillraceError) || error.code !== "JOURNAL_QUARANTINED") throw error;
      // What an operator does after an EIO, in short.
      this.storage.unlink(`${DIRECTORY}/${QUARANTINE_FILE}`);
      this.storage.syncDirectory(DIRECTORY);
      return openJournal(this.world);
    }
  }

  private live(life: Life): void {
    const { storage, random } = this;
    if (random.chance(0.8)) storage.crashAtCall = storage.calls + random.below(random.pick([250, 1500]));
    storage.shortWriteChance = random.pick([0, 0, 0.3]);
    const syncFails = random.chance(0.1);
    this.syncFails = syncFails;
    const steps = 20 + random.below(520);
    try {
      for (let step = 0; step < steps && !storage.hasCrashed; step++) {
        if (syncFails && step === steps >> 1) storage.failSyncIn = random.below(3);
        if (!this.step(life)) break;
      }
      if (random.chance(0.2)) this.stop(life);
      if (random.chance(0.2)) life.opened.journal.close();
    } catch (error) {
      if (!storage.hasCrashed) throw error;
    }
    storage.shortWriteChance = 0;
    storage.capacityBytes = Number.POSITIVE_INFINITY;
  }

  /** @returns false when the journal has failed. */
  private step(life: Life): boolean {
    const { opened } = life;
    const { random, storage } = this;
    this.world.clock.nowMs += random.below(500);
    if (this.zombie !== undefined && random.chance(0.1)) this.stepZombie(this.zombie);
    this.act(life, this.pickStep());
    // Not always, so that several syncs end between two looks.
    if (random.chance(0.6)) this.noteCommitted(life);
    const failure = opened.journal.failure();
    if (failure === undefined) return true;
    expect(storage.hasCrashed || this.syncFails, () => `failed without a cause: ${failure.message}`);
    expect(
      failure.code === "JOURNAL_FAILED" && opened.journal.flush() === FAILED,
      () => "a failed journal must refuse to write",
    );
    return false;
  }

  private pickStep(): keyof typeof STEPS {
    let at = (this.random.below(1000) / 1000) * STEPS_SUM;
    for (const [step, weight] of Object.entries(STEPS)) {
      at -= weight;
      if (at < 0) return step as keyof typeof STEPS;
    }
    return "stage";
  }

  private act({ opened, retention }: Life, step: keyof typeof STEPS): void {
    const { journal } = opened;
    const { random, shard } = this;
    if (step === "stage") shard.stage(opened, () => this.flush(opened));
    else if (step === "flush") this.flush(opened);
    else if (step === "requestSync") journal.requestSync();
    else if (step === "sync") opened.syncer.step();
    else if (step === "job") this.runJob(opened);
    else if (step === "checkpoint") journal.checkpoint(shard.encodeState(), false);
    else if (step === "disk") this.changeDisk();
    else if (step === "reads") this.checkReads(opened);
    else if (step === "adoptOnly") journal.adoptOnly = random.chance(0.5);
    else if (step === "holdRoom") this.holdRoom(opened);
    else if (step === "retention") retention.plan();
    else if (journal.isFull) return;
    else if (step === "truncate") shard.truncate(journal);
    else if (step === "roll") shard.roll(journal);
    else if (step === "deleteTopic") shard.deleteTopic(journal);
    else shard.createTopic(journal);
  }

  private runJob(opened: OpenedJournal): void {
    const { random, storage } = this;
    const kind = opened.background.step(random);
    if (kind === undefined) return;
    // Between a job and what follows from it there are few calls; the fewest between files that are made or gone, and the
    // manifest or checkpoint that says so, where a mistake in their order shows.
    const isOfFiles = kind === "settle" || kind === "unlink";
    if (random.chance(isOfFiles ? 0.1 : 0.02)) {
      const calls = random.below(isOfFiles ? 12 : 4);
      storage.crashAtCall = Math.min(storage.crashAtCall, storage.calls + calls);
    } else if (isOfFiles && random.chance(0.1)) this.checkReads(opened);
  }

  private changeDisk(): void {
    const { random, storage } = this;
    const used = storage.contents().reduce((sum, { size }) => sum + size, 0);
    storage.capacityBytes = random.chance(0.5) ? used + random.below(6000) : Number.POSITIVE_INFINITY;
  }

  /** Room that is held is there, whatever others take then. */
  private holdRoom(opened: OpenedJournal): void {
    const { journal } = opened;
    const { random, storage, shard } = this;
    const isHeld = journal.holdRoom(random.pick([0, 300, HELD_BYTES]));
    if (!isHeld || journal.isFull || random.chance(0.5)) return;
    this.flush(opened);
    if (journal.isFull || !journal.holdRoom(HELD_BYTES)) return;
    storage.capacityBytes = 0;
    if (random.chance(0.5)) shard.roll(journal);
    else shard.stageChanges(journal, []);
    expect(journal.flush() !== DISK_FULL, () => "held room was not there");
    shard.releaseRing();
  }

  /** The replaced owner goes on with whatever it was doing. */
  private stepZombie({ life, committed }: { life: Life; committed: number }): void {
    const { journal, syncer, background } = life.opened;
    try {
      if (journal.failure() === undefined) journal.stageState(Buffer.alloc(this.random.below(500), 9));
    } catch (error) {
      if (!(error instanceof Error)) throw error;
    }
    journal.flush();
    journal.requestSync();
    background.step(this.random);
    if (this.random.chance(0.5)) syncer.step();
    expect(journal.committedPosition() <= committed, () => "an owner that was replaced reported a commit");
  }

  private noteCommitted({ opened: { journal }, retention }: Life): void {
    const { floor } = this.shard;
    const committed = journal.committedPosition();
    expect(committed >= floor, () => `committed position went back from ${floor} to ${committed}`);
    expect(
      committed <= journal.writtenPosition && journal.writtenPosition <= journal.stagedPosition,
      () => `positions out of order: ${committed} ${journal.writtenPosition} ${journal.stagedPosition}`,
    );
    this.shard.noteCommitted(journal, committed);
    retention.committed();
  }

  /** The owner's orderly end. */
  private stop(life: Life): void {
    const { journal, syncer, background } = life.opened;
    this.storage.capacityBytes = Number.POSITIVE_INFINITY;
    if (journal.flush() !== FLUSHED) return;
    // Nothing is staged behind the last checkpoint.
    life.retention.stop();
    journal.checkpoint(this.shard.encodeState(), true);
    for (let i = 0; i < 400 && journal.checkpointPending && journal.failure() === undefined; i++) {
      this.world.clock.nowMs += 100;
      syncer.step();
      background.step(this.random);
      this.noteCommitted(life);
    }
    expect(
      !journal.checkpointPending || journal.failure() !== undefined,
      () => "the checkpoint of an orderly end never comes to an end",
    );
  }

  private flush({ journal }: OpenedJournal): void {
    const outcome = journal.flush();
    if (outcome === FAILED) return;
    expect(
      outcome === (journal.writtenPosition === journal.stagedPosition ? FLUSHED : DISK_FULL),
      () => `flush answered ${outcome}`,
    );
    expect(outcome === FLUSHED || journal.isFull, () => "a full disk must show in isFull");
    this.shard.releaseRing();
  }

  private checkReads(opened: OpenedJournal): void {
    checkReads(opened, this.shard.model, this.shard.committedState(), this.random);
  }

  private flip(): void {
    const outcome = flipOnCopy(this.world, this.shard.model, this.random);
    if (outcome === "not tried") return;
    this.result.flips++;
    if (outcome === "told") this.result.damages++;
  }
}
