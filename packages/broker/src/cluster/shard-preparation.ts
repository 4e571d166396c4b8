import { setTimeout as sleep } from "node:timers/promises";
import { MillraceError } from "@millrace/protocol";
import { clearRestoredMark, isMarkedRestored } from "../backup/restored-mark.ts";
import type { AskShard } from "../node/catalog-changes.ts";
import type { CatalogView } from "../node/catalog-view.ts";
import { reconcileShard } from "../node/shard-reconciliation.ts";
import type { RecoveredShard } from "../thread/thread-messages.ts";
import type { NodeCatalog } from "./node-catalog.ts";

export interface ShardPreparation {
  /** The shard's folder. */
  readonly directory: string;
  /** The node's copy, and who keeps it up to date. */
  readonly view: CatalogView;
  readonly catalog: Pick<NodeCatalog, "lead" | "barrier">;
  /** From now on `ask` reaches the shard, and changes of the catalog are told to it. */
  readonly admit: () => void;
  /** Asks the shard that was recovered, whoever else has it by then; rejects with SHARD_RESTARTED when it is gone. */
  readonly ask: AskShard;
  /** Whether the shard is still the one that was recovered, and nobody is known to have opened it since. */
  readonly isThere: () => boolean;
}

/** Before it is tried again. */
const RETRY_MS = 25;

/**
 * Brings a shard that was recovered up to date with the catalog: shard 0 with its own, which this node coordinates from then on,
 * any other with the coordinator's, which is waited for however long it takes. Rejects when the shard is lost, and soon after
 * the signal.
 */
export async function prepareShard(
  { shardId, cleanShutdown, epoch }: RecoveredShard,
  { directory, view, catalog, admit, ask, isThere }: ShardPreparation,
  signal: AbortSignal,
): Promise<void> {
  const requireThere = (): void => {
    if (signal.aborted || !isThere()) throw gone(shardId);
  };
  for (;;) {
    try {
      if (shardId === 0) {
        requireThere();
        admit();
        await catalog.lead(epoch);
      } else {
        await catalog.barrier(signal);
      }
      // It may have been lost, or be somebody else's, who fills it by now.
      requireThere();
      const restored = isMarkedRestored(directory);
      // In the turn in which the barrier ends: a change that comes later is told to the shard behind what it is told here.
      admit();
      await reconcileShard(view, shardId, { cleanShutdown, restored }, (kind, args) =>
        ask(shardId, kind, args),
      );
      if (restored) clearRestoredMark(directory);
      return;
    } catch (error) {
      // A node that loses another way to the shard meanwhile has rejected its requests; the shard itself has them.
      const isRejected = error instanceof MillraceError && error.code === "SHARD_RESTARTED";
      if (!isRejected || signal.aborted || !isThere()) throw error;
      await sleep(RETRY_MS);
      if (signal.aborted || !isThere()) throw error;
    }
  }
}

function gone(shardId: number): MillraceError {
  return new MillraceError("SHARD_RESTARTED", `shard ${shardId} was lost while it was being prepared`, {
    details: { shardId },
  });
}
