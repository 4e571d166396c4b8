import type { Background } from "./background.ts";
import type { EntryCheck } from "./entry/entry-check.ts";
import { JOURNAL_LIMITS } from "./limits.ts";
import type { ReplayHandler } from "./recovery/recovery.ts";
import type { SettlingOptions } from "./settled/settle-policy.ts";
import type { Storage } from "./storage/storage.ts";
import type { SyncerFactory } from "./sync/syncer.ts";

export interface JournalOptions {
  readonly storage: Storage;
  /** The shard's folder; made when it is missing. */
  readonly directory: string;
  readonly shardId: number;
  readonly syncer: SyncerFactory;
  readonly background: Background;
  readonly clock: { monotonicMs(): number };
  readonly entropy: { uint32(): number };
  /** Default 64 MiB. */
  readonly segmentSizeBytes?: number;
  readonly replay: ReplayHandler;
  /** Called from `committedPosition` whenever that has moved. */
  readonly onCommitted?: (position: number) => void;
  readonly settling?: SettlingOptions;
  /** Tests only: how entries are judged during recovery. */
  readonly check?: EntryCheck;
}

/** @throws RangeError for a size that segments cannot have */
export function segmentSizeOf({ segmentSizeBytes }: JournalOptions): number {
  const size = segmentSizeBytes ?? JOURNAL_LIMITS.segmentBytesDefault;
  const { segmentBytesMin, segmentBytesMax } = JOURNAL_LIMITS;
  if (Number.isInteger(size) && size % 8 === 0 && size >= segmentBytesMin && size <= segmentBytesMax)
    return size;
  throw new RangeError(
    `segmentSizeBytes must be a multiple of 8 from ${segmentBytesMin} to ${segmentBytesMax}: segmentSizeBytes=${size}`,
  );
}
