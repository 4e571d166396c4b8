import { type Background, Journal, RealStorage, SyncThread } from "@millrace/journal";
import { releaseReserve } from "@millrace/journal/internal";
import { MillraceError } from "@millrace/protocol";
import { ShardRecovery } from "../shard/shard-recovery.ts";
import { ShardState } from "../shard/shard-state.ts";
import { SYSTEM_CLOCK, SYSTEM_ENTROPY } from "../system-clock.ts";

export interface OpenedJournal {
  readonly state: ShardState;
  readonly recovery: ShardRecovery;
  readonly journal: Journal;
}

export interface JournalOpening {
  readonly shardId: number;
  readonly shardCount: number;
  readonly directory: string;
  readonly segmentBytes: number;
  readonly background: Background;
  /** Of the shard's thread, rung when something is committed. */
  readonly doorbell: SharedArrayBuffer;
}

/**
 * Takes a shard's folder over. On a full disk it takes the reserve's room, so that deletions and retention can free some.
 * Blocks for as long as recovery does. @throws MillraceError as Journal.open
 */
export function openJournal(opening: JournalOpening): OpenedJournal {
  try {
    return tryOpenJournal(opening);
  } catch (error) {
    if (!(error instanceof MillraceError && error.code === "DISK_FULL")) throw error;
    if (!releaseReserve(new RealStorage(), opening.directory)) throw error;
    return tryOpenJournal(opening);
  }
}

function tryOpenJournal(opening: JournalOpening): OpenedJournal {
  const { shardId, shardCount, directory, segmentBytes, background, doorbell } = opening;
  const state = new ShardState(shardId, shardCount, SYSTEM_CLOCK);
  const recovery = new ShardRecovery(state);
  const journal = Journal.open({
    storage: new RealStorage(),
    directory,
    shardId,
    syncer: (context) => new SyncThread(context, doorbell),
    background,
    clock: SYSTEM_CLOCK,
    entropy: SYSTEM_ENTROPY,
    segmentSizeBytes: segmentBytes,
    replay: recovery,
  });
  return { state, recovery, journal };
}
