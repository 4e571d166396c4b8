import { BROKER_LIMITS } from "../limits.ts";
import type { DroppableFile, DroppedFiles } from "../shard/retention.ts";
import type { ShardStatus } from "../shard/upkeep-requests.ts";

export interface TotalRetentionOptions {
  /** Bytes that the shards may store together; 0 = no bound. */
  readonly boundBytes: number;
  /** Of all shards that are up. */
  readonly statuses: () => Promise<readonly Pick<ShardStatus, "shardId" | "storedBytes">[]>;
  /** A shard's settled files in the order in which they may go; and drops the first of them. */
  readonly oldest: (shardId: number, limit: number) => Promise<readonly DroppableFile[]>;
  readonly drop: (shardId: number, files: number) => Promise<DroppedFiles>;
  readonly onDropped: (shardId: number, dropped: DroppedFiles) => void;
  /** The bound is exceeded and there is nothing that may be dropped, or (false) no longer so. */
  readonly onStuck: (stuck: boolean, storedBytes: number) => void;
}

interface OldFile {
  readonly shardId: number;
  readonly lastTimeMs: number;
  readonly sizeBytes: number;
  readonly hasUnfinished: boolean;
}

/**
 * Keeps what all shards of a node store together below a bound, whatever the topics' own retention says: the oldest
 * settled files of all go first, those with records that somebody has yet to finish last. What is not settled and the catalog are exempt. Main thread.
 */
export class TotalRetention {
  readonly #options: TotalRetentionOptions;
  #checking = false;
  #stuck = false;
  #running = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: TotalRetentionOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#running || this.#options.boundBytes <= 0) return;
    this.#running = true;
    this.#schedule(BROKER_LIMITS.retentionTotalCheckMs);
  }

  stop(): void {
    this.#running = false;
    clearTimeout(this.#timer);
  }

  /**
   * One look, and the drops that it takes. Rejects with what a shard refused.
   * @returns bytes stored before the drops.
   */
  async check(): Promise<number> {
    const { boundBytes, statuses, drop, onDropped } = this.#options;
    if (this.#checking || boundBytes <= 0) return 0;
    this.#checking = true;
    try {
      const shards = await statuses();
      const storedBytes = shards.reduce((sum, shard) => sum + shard.storedBytes, 0);
      const excess = storedBytes - boundBytes;
      const chosen = excess > 0 ? await this.#choose(shards, excess) : new Map<number, number>();
      this.#setStuck(excess > 0 && chosen.size === 0, storedBytes);
      await Promise.all(
        [...chosen].map(async ([shardId, files]) => {
          const dropped = await drop(shardId, files);
          if (dropped.files > 0 || dropped.partitions > 0) onDropped(shardId, dropped);
        }),
      );
      return storedBytes;
    } finally {
      this.#checking = false;
    }
  }

  /** @returns how many of its oldest files each shard has to drop, so that the oldest of all cover the excess. */
  async #choose(shards: readonly { shardId: number }[], excess: number): Promise<Map<number, number>> {
    const files: OldFile[] = [];
    await Promise.all(
      shards.map(async ({ shardId }) => {
        const oldest = await this.#options.oldest(shardId, BROKER_LIMITS.retentionDropFilesMax);
        for (const [lastTimeMs, sizeBytes, hasUnfinished] of oldest) {
          files.push({ shardId, lastTimeMs, sizeBytes, hasUnfinished });
        }
      }),
    );
    files.sort((left, right) => {
      return Number(left.hasUnfinished) - Number(right.hasUnfinished) || left.lastTimeMs - right.lastTimeMs;
    });
    const chosen = new Map<number, number>();
    let rest = excess;
    for (const { shardId, sizeBytes } of files) {
      if (rest <= 0) break;
      chosen.set(shardId, (chosen.get(shardId) ?? 0) + 1);
      rest -= sizeBytes;
    }
    return chosen;
  }

  #schedule(afterMs: number): void {
    this.#timer = setTimeout(() => void this.#run(), afterMs);
    this.#timer.unref();
  }

  async #run(): Promise<void> {
    const { retentionTotalCheckMs, retentionTotalNearMs, retentionTotalNearPart } = BROKER_LIMITS;
    let storedBytes = 0;
    try {
      storedBytes = await this.check();
    } catch {
      // A shard that restarts answers nothing; the next look is soon enough.
    }
    // It may have been started anew meanwhile, too: one timer runs.
    clearTimeout(this.#timer);
    if (!this.#running) return;
    const isNear = storedBytes > this.#options.boundBytes * retentionTotalNearPart;
    this.#schedule(isNear ? retentionTotalNearMs : retentionTotalCheckMs);
  }

  #setStuck(stuck: boolean, storedBytes: number): void {
    if (stuck === this.#stuck) return;
    this.#stuck = stuck;
    this.#options.onStuck(stuck, storedBytes);
  }
}
