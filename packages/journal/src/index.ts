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
export {
  ColdReader,
  type ColdReadRequest,
  READ_DAMAGED,
  READ_FAILED,
  READ_NEEDS_ROOM,
  shardDirectoryName,
  TIME_NOT_FOUND,
} from "./read/cold-reader.ts";
export type { RecoveryReport, ReplayHandler } from "./recovery/recovery.ts";
export type { EntryMemory } from "./segment/staged-runs.ts";
export type { SettlingOptions } from "./settled/settle-policy.ts";
export type { SettlingOwner } from "./settled/settler.ts";
export { RealStorage } from "./storage/real-storage.ts";
export type { OpenMode, Storage } from "./storage/storage.ts";
export { SyncThread } from "./sync/sync-thread.ts";
export { InlineSyncer, type Syncer, type SyncerContext, type SyncerFactory } from "./sync/syncer.ts";
