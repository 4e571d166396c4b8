import { parseCheckpointFileName } from "../checkpoint/checkpoint-layout.ts";
import { claimEpoch, deposeOthers, highestClaim } from "../ownership/claim.ts";
import { FENCE_FILE, type Fence, fenced, readFence, writeFence } from "../ownership/fence.ts";
import { parseSegmentFileName } from "../segment/segment-layout.ts";
import { parseManifestFileName } from "../settled/manifest-layout.ts";
import { parseSettledFileName } from "../settled/settled-layout.ts";
import type { Storage } from "../storage/storage.ts";
import { type RecoveredFolder, refuseDamaged } from "./refusal.ts";

export interface TakenOver {
  readonly epoch: number;
  readonly journalId: number;
  /** Of the owner before; 0 for a new shard. */
  readonly previousEpoch: number;
}

/** Others who take the shard over at the same time. */
const TRIES_MAX = 16;
/** Names that only a journal with a fence has. */
const JOURNAL_FILES: readonly ((name: string) => unknown)[] = [
  parseSegmentFileName,
  parseCheckpointFileName,
  parseManifestFileName,
  parseSettledFileName,
];

/**
 * Makes its caller the only owner of a shard's folder, before anything but the fence is read: claims an epoch, removes the
 * claims of all before, and writes the epoch into the fence. Durable when it returns.
 * @throws MillraceError JOURNAL_DAMAGED, DATA_FORMAT_NEWER; JOURNAL_FAILED (fenced) when somebody else takes it over as well
 */
export function takeShardOver(
  storage: Storage,
  folder: RecoveredFolder & { readonly entropy: { uint32(): number } },
): TakenOver {
  const { directory, shardId, entropy } = folder;
  let fence: Fence | undefined;
  let previousEpoch = 0;
  const epochAfter = (names: readonly string[]): number => {
    fence = fenceOf(storage, folder, names);
    previousEpoch = Math.max(fence?.epoch ?? 0, highestClaim(names));
    return previousEpoch + 1;
  };
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const epoch = claimEpoch(storage, directory, entropy.uint32(), epochAfter);
    if (epoch === undefined) continue;
    const journalId = fence?.journalId ?? entropy.uint32();
    deposeOthers(storage, directory, epoch);
    writeFence(storage, directory, { shardId, epoch, journalId });
    return { epoch, journalId, previousEpoch };
  }
  throw fenced(directory, previousEpoch + 1);
}

/** The fence, which every journal has. */
function fenceOf(storage: Storage, folder: RecoveredFolder, names: readonly string[]): Fence | undefined {
  const { directory, shardId } = folder;
  const fence = readFence(storage, directory);
  if (fence === undefined) {
    const first = names.find((name) => JOURNAL_FILES.some((parse) => parse(name) !== undefined));
    // The fence is durable before the first file of a journal is made, so somebody removed it.
    if (first !== undefined) refuseDamaged(folder, FENCE_FILE, 0, `fence file is missing beside ${first}`);
  } else if (fence.shardId !== shardId) {
    refuseDamaged(folder, FENCE_FILE, 0, `folder belongs to shard ${fence.shardId}, not ${shardId}`);
  }
  return fence;
}
