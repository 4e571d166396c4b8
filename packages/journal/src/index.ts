export {
  type Background,
  type BackgroundJob,
  type BackgroundResult,
  InlineBackground,
  type JobDone,
  runBackgroundJob,
} from "./background.ts";
export { DISK_FULL, FAILED, FLUSHED, Journal } from "./journal.ts";
export type { JournalOptions } from "./journal-options.ts";
export type { JournalIndex, JournalLocation } from "./lookup/journal-index.ts";
export { ColdReader, type ColdReadRequest, type SettledPart } from "./read/cold-reader.ts";
export {
  READ_DAMAGED,
  READ_FAILED,
  READ_MOVED,
  READ_NEEDS_ROOM,
  READ_UNFINISHED,
  TIME_NOT_FOUND,
} from "./read/read-outcomes.ts";
export { shardDirectoryName } from "./read/shard-directory.ts";
export type { RecoveryReport, ReplayHandler } from "./recovery/recovery.ts";
export type { EntryMemory } from "./segment/staged-runs.ts";
export type { SettlingOptions } from "./settled/settle-policy.ts";
export type { SettlingOwner } from "./settled/settler.ts";
export { RealStorage } from "./storage/real-storage.ts";
export type { OpenMode, Storage } from "./storage/storage.ts";
export { SyncThread } from "./sync/sync-thread.ts";
export { InlineSyncer, type Syncer, type SyncerContext, type SyncerFactory } from "./sync/syncer.ts";
