import type { Journal, RetentionPlan, SeededRandom, SettledFile } from "../src/internal.ts";
import type { Change } from "./model-state.ts";
import type { SimulatedShard } from "./simulated-shard.ts";

/** Retention in one life: plan, move the log starts, wait for the commit, reclaim. */
export class SimulatedRetention {
  private readonly shard: SimulatedShard;
  private readonly journal: Journal;
  private readonly random: SeededRandom;
  private planning = false;
  private waiting: { files: readonly SettledFile[]; plan: RetentionPlan; position: number } | undefined;
  private over = false;

  constructor(shard: SimulatedShard, journal: Journal, random: SeededRandom) {
    this.shard = shard;
    this.journal = journal;
    this.random = random;
  }

  get isBusy(): boolean {
    return this.planning || this.waiting !== undefined || this.journal.reclaimPending;
  }

  /** By age, bytes or force, as it happens. */
  plan(): void {
    const { random, shard } = this;
    const force = random.chance(0.1) ? random.below(this.journal.settledFiles.length + 1) : 0;
    this.planWith(random.chance(0.6) ? shard.someTime() : 0, random.pick([Infinity, 500, 5000]), force);
  }

  /** Whatever expires of itself: nothing. What was truncated or deleted goes. */
  planNothing(): void {
    this.planWith(0, Number.POSITIVE_INFINITY, 0);
  }

  /** Call it after each look at what is committed. */
  committed(): void {
    if (this.waiting === undefined || this.waiting.position > this.shard.floor) return;
    const { files, plan } = this.waiting;
    this.waiting = undefined;
    this.journal.reclaim(files, plan);
  }

  /** The shard has another owner, or stops: no plan leads to anything. */
  stop(): void {
    this.over = true;
  }

  /**
   * What has expired at a time, what each partition has beyond so many settled bytes, and what is in so many of the oldest
   * files. Not while another plan is under way.
   */
  planWith(nowMs: number, keepBytes: number, dropThrough: number): void {
    const { journal, shard } = this;
    const files = journal.settledFiles;
    if (this.isBusy || files.length === 0) return;
    this.planning = true;
    const partitions = shard.committedState().retentionRows(keepBytes);
    journal.planRetention({ files, partitions, nowMs, dropThrough }, (_, plan) => {
      this.planning = false;
      if (plan === undefined || this.over || journal.failure() !== undefined || journal.isFull) return;
      const changes: Change[] = [];
      for (let at = 0; at < plan.moves.length; at += 3) {
        const [topicId, partition, offset] = plan.moves.subarray(at, at + 3) as unknown as [
          number,
          number,
          number,
        ];
        if (shard.find(topicId, partition)) changes.push(["start", topicId, partition, offset]);
      }
      if (changes.length > 0) shard.stageChanges(journal, changes);
      // Also where a topic is going to be gone, and its log is not moved.
      const position = plan.moves.length > 0 ? journal.stagedPosition : 0;
      this.waiting = { files, plan, position };
    });
  }
}
