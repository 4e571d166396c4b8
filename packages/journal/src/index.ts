export { type Background, type BackgroundJob, InlineBackground, runBackgroundJob } from "./background.ts";
export {
  ColdReader,
  type ColdReadRequest,
  READ_DAMAGED,
  READ_FAILED,
  READ_NEEDS_ROOM,
  shardDirectoryName,
  TIME_NOT_FOUND,
} from "./cold-reader.ts";
export { DISK_FULL, FAILED, FLUSHED, Journal, type JournalOptions } from "./journal.ts";
export type { JournalIndex, JournalLocation } from "./journal-index.ts";
export { RealStorage } from "./real-storage.ts";
export type { RecoveryReport, ReplayHandler } from "./recovery.ts";
export type { EntryMemory } from "./staged-runs.ts";
export type { OpenMode, Storage } from "./storage.ts";
export { SyncThread } from "./sync-thread.ts";
export { InlineSyncer, type Syncer, type SyncerContext, type SyncerFactory } from "./syncer.ts";
