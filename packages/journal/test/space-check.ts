import { RESERVE_FILE, settledFileName } from "../src/internal.ts";
import { claimFileName } from "../src/ownership/claim.ts";
import { expect } from "./journal-model.ts";
import type { SimulatedRetention } from "./simulated-retention.ts";
import type { SimulatedShard } from "./simulated-shard.ts";
import { DIRECTORY, type OpenedJournal, type OpenWorld } from "./simulated-world.ts";
import { sectionsOf } from "./simulation-checks.ts";

/** Longer than any wait before a retry or until a segment is settled. */
const LONG_MS = 60_000;
const ROUNDS_MAX = 400;

/** A journal that is left alone until it has nothing more to do. */
export class QuietJournal {
  private readonly world: OpenWorld;
  private readonly opened: OpenedJournal;
  private readonly shard: SimulatedShard;
  private readonly retention: SimulatedRetention;

  constructor(world: OpenWorld, opened: OpenedJournal, shard: SimulatedShard, retention: SimulatedRetention) {
    this.world = world;
    this.opened = opened;
    this.shard = shard;
    this.retention = retention;
  }

  /** Settles what can be settled, drops what is dead, and takes the checkpoints that let the journal's prefix go. */
  finish(): void {
    const { journal } = this.opened;
    journal.holdRoom(0);
    this.shard.roll(journal);
    this.run();
    // Twice: what was dropped before the first plan was made may have left files that are mostly dead.
    for (let i = 0; i < 2; i++) {
      this.retention.planNothing();
      this.run();
      journal.checkpoint(this.shard.encodeState(), false);
      this.run();
      this.shard.stageChanges(journal, []);
    }
    this.run();
  }

  /** No file is there without a reason, and nothing of what is settled is dead to a large part. */
  check(rewriteDeadBytesMin: number): void {
    const { journal, storage } = this.opened;
    const { index } = journal;
    const segments = [...index.sealedSegments, ...index.openSegments];
    const bases = new Set(segments.map(({ basePosition }) => basePosition));
    const listed = new Set(journal.settledFiles.map(settledFileName));
    let checkpoints = 0;
    let manifests = 0;
    for (const name of storage.list(DIRECTORY)) {
      const isWanted = /\.(log|idx)$/.test(name)
        ? bases.has(Number(name.slice(0, 16)))
        : name.endsWith(".settled")
          ? listed.has(name)
          : name === "fence" ||
            name === claimFileName(journal.epoch) ||
            name === RESERVE_FILE ||
            /\.ckpt$|^manifest-|^prepared-/.test(name);
      expect(isWanted, () => `file without a reason: ${name}`);
      if (name.endsWith(".ckpt")) checkpoints++;
      if (name.startsWith("manifest-")) manifests++;
    }
    expect(checkpoints === 2, () => `${checkpoints} checkpoints are kept`);
    expect(manifests === (journal.settledGeneration > 0 ? 1 : 0), () => `${manifests} manifests are kept`);
    this.checkLiving(rewriteDeadBytesMin);
    expect(
      journal.settlingFailure === undefined,
      () => `settling fails: ${journal.settlingFailure?.message}`,
    );
    expect(segments.length <= 2, () => `${segments.length} segments are not settled`);
  }

  private checkLiving(rewriteDeadBytesMin: number): void {
    const { journal } = this.opened;
    const state = this.shard.committedState();
    for (const file of journal.settledFiles) {
      let living = 0;
      for (const { topicId, partition, endOffset, bytes } of sectionsOf(this.opened, file)) {
        const exists = this.shard.find(topicId, partition) !== undefined;
        if (exists && endOffset > state.logStart(topicId, partition)) living += bytes;
      }
      const name = settledFileName(file);
      expect(living > 0, () => `settled file is dead: ${name}`);
      const isMostlyDead = living * 2 < file.entryBytes && file.entryBytes - living >= rewriteDeadBytesMin;
      expect(!isMostlyDead, () => `settled file has ${living} of ${file.entryBytes} bytes living: ${name}`);
    }
  }

  /** Lets time pass until nothing happens any more. */
  private run(): void {
    const { journal, syncer, background } = this.opened;
    let idleRounds = 0;
    for (let round = 0; idleRounds < 3; round++) {
      expect(round < ROUNDS_MAX, () => "the journal never comes to rest");
      journal.flush();
      journal.requestSync();
      let busy = syncer.step();
      while (background.step(this.world.random)) busy = true;
      this.shard.noteCommitted(journal, journal.committedPosition());
      this.retention.committed();
      idleRounds = busy ? 0 : idleRounds + 1;
      this.world.clock.nowMs += LONG_MS;
    }
  }
}
