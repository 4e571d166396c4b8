import { SeededRandom, type SimulatedStorage, type Storage } from "../src/internal.ts";
import { expect, type ModelEntry } from "./journal-model.ts";
import { REWRITE_BYTES, SEGMENT_BYTES, SETTLE_AFTER_MS } from "./scripted-life.ts";
import { SimulatedRetention } from "./simulated-retention.ts";
import { SimulatedOwner, SimulatedShard } from "./simulated-shard.ts";
import { type OpenedJournal, type OpenWorld, openJournal } from "./simulated-world.ts";
import { checkReads, checkRecovered } from "./simulation-checks.ts";
import { QuietJournal } from "./space-check.ts";

const PAYLOAD_MAX = 300;
const STEPS_MAX = 500;
const SHORT_RETENTION_MS = 200;

/** Who takes a journal over, with a model of its own that begins with what the owner before had staged. */
export class Successor {
  readonly shard: SimulatedShard;
  private readonly world: OpenWorld;
  private opened: OpenedJournal | undefined;
  private retention: SimulatedRetention | undefined;

  /**
   * @param model what the owner before has staged. `reported`: the end of what it has told anybody, which must be there.
   * @param wrap for what is to happen between its calls of the storage.
   */
  constructor(
    seed: number,
    storage: SimulatedStorage,
    model: readonly ModelEntry[],
    reported: number,
    wrap?: (storage: Storage) => Storage,
  ) {
    this.world = {
      storage,
      random: new SeededRandom(seed),
      clock: { nowMs: 1e9 },
      segmentSizeBytes: SEGMENT_BYTES,
      settling: {
        batchBytes: Number.POSITIVE_INFINITY,
        afterMs: SETTLE_AFTER_MS,
        adoptBytesMin: 1,
        rewriteDeadBytesMin: REWRITE_BYTES,
      },
      breakage: wrap === undefined ? {} : { wrap },
    };
    this.shard = new SimulatedShard(this.world, PAYLOAD_MAX);
    this.shard.model = [...model];
    this.shard.floor = reported;
  }

  get reportedPosition(): number {
    return this.opened?.syncer.committedPosition() ?? 0;
  }

  /** What it has staged, and up to where it has told anybody of it. */
  get told(): { readonly model: readonly ModelEntry[]; readonly floor: number } {
    return { model: this.shard.model, floor: this.reportedPosition };
  }

  get epoch(): number {
    return this.opened?.journal.epoch ?? 0;
  }

  /** @param reported as of now, where that may have grown since. */
  open(reported?: () => { readonly model: readonly ModelEntry[]; readonly floor: number }): void {
    this.opened = openJournal(this.world);
    if (reported !== undefined) {
      const { model, floor } = reported();
      this.shard.model = [...model];
      this.shard.floor = floor;
    }
    checkRecovered(this.opened, this.shard);
    this.opened.journal.startSettling(new SimulatedOwner(this.shard));
    this.retention = new SimulatedRetention(this.shard, this.opened.journal, this.world.random);
  }

  /** Takes what comes, settles what is there, drops what is old, takes checkpoints. */
  serve(rounds: number): void {
    const { shard, world, journal } = this;
    if (shard.partitions.length === 0) shard.createTopic(journal, 2, SHORT_RETENTION_MS);
    for (let round = 0; round < rounds; round++) {
      for (const partition of shard.partitions) {
        for (let i = 0; i < 3; i++) shard.stage(this.theOpened, () => this.flush(), partition);
      }
      world.clock.nowMs += SETTLE_AFTER_MS + 1;
      shard.roll(journal);
      this.rest();
      const nowMs = round % 2 === 0 ? 0 : shard.newestTime + 2 * SHORT_RETENTION_MS;
      this.retention?.planWith(nowMs, Number.POSITIVE_INFINITY, 0);
      this.rest();
      shard.stageChanges(journal, []);
      journal.checkpoint(shard.encodeState(), false);
      this.rest();
    }
  }

  /** One step of its work, any; it may have been replaced, and not know it. */
  step(): void {
    const { journal, shard } = this;
    const { random, clock } = this.world;
    const { background, syncer } = this.theOpened;
    clock.nowMs += 500;
    const step = random.below(7);
    try {
      if (step <= 1) shard.stage(this.theOpened, () => this.flush());
      else if (step === 2) this.flush();
      else if (step === 3) journal.requestSync();
      else if (step === 4) syncer.step();
      else if (step === 5) background.step(random);
      else if (random.chance(0.2)) shard.roll(journal);
      else journal.checkpoint(shard.encodeState(), false);
      this.noteCommitted();
    } catch (error) {
      if (journal.failure() === undefined) throw error;
    }
  }

  /** Everything that is to be there can be read, and nothing else. */
  check(): void {
    checkReads(this.theOpened, this.shard.model, this.shard.committedState(), this.world.random);
    expect(this.journal.failure() === undefined, () => `it failed: ${this.journal.failure()?.message}`);
  }

  /** The same, when it has nothing more to do; and no file is there without a reason. */
  checkAtRest(): void {
    this.check();
    const quiet = new QuietJournal(
      this.world,
      this.theOpened,
      this.shard,
      this.retention as SimulatedRetention,
    );
    quiet.finish();
    this.check();
    quiet.check(REWRITE_BYTES);
  }

  close(): void {
    this.journal.close();
  }

  private get theOpened(): OpenedJournal {
    return this.opened as OpenedJournal;
  }

  private get journal(): OpenedJournal["journal"] {
    return this.theOpened.journal;
  }

  private flush(): void {
    this.journal.flush();
    this.shard.releaseRing();
  }

  private rest(): void {
    const { syncer, background } = this.theOpened;
    let isBusy = true;
    for (let steps = 0; isBusy; steps++) {
      expect(steps < STEPS_MAX, () => "the journal never comes to rest");
      this.flush();
      this.journal.requestSync();
      isBusy = syncer.step();
      this.noteCommitted();
      while (background.step(this.world.random) !== undefined) {
        isBusy = true;
        this.noteCommitted();
      }
    }
  }

  private noteCommitted(): void {
    this.shard.noteCommitted(this.journal, this.journal.committedPosition());
    this.retention?.committed();
  }
}
