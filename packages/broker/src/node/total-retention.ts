import { BROKER_LIMITS } from "../limits.ts";
import type { DroppedFiles } from "../shard/retention.ts";
import type { ShardStatus } from "../shard/shard-requests.ts";

export interface TotalRetentionOptions {
  /** Bytes that the shards may store together; 0 = no bound. */
  readonly boundBytes: number;
  /** Of all shards that are up. */
  readonly statuses: () => Promise<readonly ShardStatus[]>;
  /** Has a shard drop its oldest settled files; see ShardRequestMap. */
  readonly drop: (shardId: number, bytes: number, untilMs: number) => Promise<DroppedFiles>;
  readonly onDropped: (shardId: number, dropped: DroppedFiles) => void;
  /** The bound is exceeded and there is nothing that may be dropped, or (false) no longer so. */
  readonly onStuck: (stuck: boolean, storedBytes: number) => void;
}

/**
 * Keeps what all shards of a node store together below a bound, whatever the topics' own retention says: the oldest
 * settled file of all goes first. What is not settled and the catalog are exempt. Main thread.
 */
export class TotalRetention {
  readonly #options: TotalRetentionOptions;
  #checking = false;
  #stuck = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: TotalRetentionOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#options.boundBytes <= 0) return;
    // A shard that restarts answers nothing; the next look is soon enough.
    this.#timer ??= setInterval(() => void this.check().catch(() => {}), BROKER_LIMITS.retentionTotalCheckMs);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** One look, and the drops that it takes. Rejects with what a shard refused. */
  async check(): Promise<void> {
    if (this.#checking || this.#options.boundBytes <= 0) return;
    this.#checking = true;
    try {
      for (let drops = 0; drops < BROKER_LIMITS.retentionDropsMax; drops += 1) {
        if (!(await this.#dropOldest())) return;
      }
    } finally {
      this.#checking = false;
    }
  }

  /** @returns whether there may be more to do. */
  async #dropOldest(): Promise<boolean> {
    const { boundBytes, statuses, drop, onDropped } = this.#options;
    const shards = await statuses();
    const storedBytes = shards.reduce((sum, shard) => sum + shard.storedBytes, 0);
    const excess = storedBytes - boundBytes;
    const [oldest, next] = shards
      .filter(({ oldestMs }) => oldestMs > 0)
      .sort((left, right) => left.oldestMs - right.oldestMs);
    this.#setStuck(excess > 0 && oldest === undefined, storedBytes);
    if (excess <= 0 || oldest === undefined) return false;
    // Up to where another shard has something older.
    const untilMs = next?.oldestMs ?? Number.MAX_SAFE_INTEGER;
    const dropped = await drop(oldest.shardId, excess, untilMs);
    if (dropped.files > 0) onDropped(oldest.shardId, dropped);
    return dropped.files > 0;
  }

  #setStuck(stuck: boolean, storedBytes: number): void {
    if (stuck === this.#stuck) return;
    this.#stuck = stuck;
    this.#options.onStuck(stuck, storedBytes);
  }
}
