import { MillraceError } from "@millrace/protocol";
import { BatchBuilder } from "@millrace/protocol/internal";
import { BROKER_LIMITS } from "../limits.ts";
import { CATALOG_TOPIC_ID } from "./catalog-state.ts";
import type { Partition } from "./partition.ts";
import type { RequestContext } from "./request-context.ts";

/** Bounds for one record of `$catalog`: a name, and 1024 placements of at most 5 bytes. */
const CATALOG_BATCH_BYTES = 16 * 1024;

/** Appends to `$catalog`, on shard 0. Shard thread only. */
export class CatalogWriter {
  readonly #context: RequestContext;
  readonly #batch: BatchBuilder = new BatchBuilder(CATALOG_BATCH_BYTES);

  constructor(context: RequestContext) {
    this.#context = context;
  }

  /** @throws MillraceError INTERNAL on any other shard */
  get partition(): Partition {
    const partition = this.#context.state.find(CATALOG_TOPIC_ID, 0);
    if (partition === undefined) {
      throw new MillraceError("INTERNAL", "this shard does not hold the catalog");
    }
    return partition;
  }

  /** Offset of the next record. */
  get position(): number {
    return this.partition.nextOffset;
  }

  /** Changes and deletions go on: they are what an operator makes room with. Throws DISK_FULL. */
  assertRoom(forWhat: string): void {
    const { journal, upkeep } = this.#context;
    if (journal.isFull || upkeep.refusal === "disk-full" || upkeep.refusal === "disk-low") {
      throw new MillraceError("DISK_FULL", `the disk is full: no ${forWhat} can be created`, {
        details: { retryAfterMs: BROKER_LIMITS.retryAfterMs },
      });
    }
  }

  /**
   * Appends one record like any published batch, from private memory, and applies it. `value` empty = deleted.
   * @param done runs when it is durable
   */
  write(key: string, value: Uint8Array, done: () => void): void {
    const { state, ownAppends, afterCommit } = this.#context;
    const batch = this.#batch;
    batch.reset();
    if (!batch.append({ key, value })) {
      throw new MillraceError("INTERNAL", `catalog record too large: key=${key} bytes=${value.length}`);
    }
    state.catalog.apply(key, value, ownAppends.append(this.partition, 1, batch.finish()));
    afterCommit(done);
  }
}
