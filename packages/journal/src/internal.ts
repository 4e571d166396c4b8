export {
  attemptBackgroundJob,
  type Background,
  type BackgroundJob,
  type BackgroundResult,
  completeBackgroundJob,
  InlineBackground,
  type JobDone,
  runBackgroundJob,
} from "./background.ts";
export { decodeCheckpoint, parseCheckpointFileName } from "./checkpoint/checkpoint-layout.ts";
export { ENTRY_CHECK, type EntryCheck, isEntryLength } from "./entry/entry-check.ts";
export {
  alignEntry,
  BATCH_TRAILER_BYTES,
  BATCH_TRAILER_MARKER,
  ENTRY_ALIGNMENT,
  ENTRY_APPEND_TIME_WORD,
  ENTRY_BASE_OFFSET_WORD,
  ENTRY_BASE_SEQUENCE_WORD,
  ENTRY_BATCH_CRC_WORD,
  ENTRY_COUNT_WORD,
  ENTRY_EPOCH_WORD,
  ENTRY_FLAGS_SHIFT,
  ENTRY_HEADER_BYTES,
  ENTRY_HEADER_CRC_WORD,
  ENTRY_LENGTH_WORD,
  ENTRY_PARTITION_WORD,
  ENTRY_PRODUCER_EPOCH_WORD,
  ENTRY_PRODUCER_ID_WORD,
  ENTRY_SEQUENCE_WORD,
  ENTRY_SYNCED_POSITION_WORD,
  ENTRY_TOPIC_ID_WORD,
  ENTRY_TYPE_BATCH,
  ENTRY_TYPE_STATE,
  ENTRY_TYPE_WORD,
  ENTRY_VERSION,
  ENTRY_VERSION_WORD,
  type EntryFields,
  FLAG_CLIENT_CHECKSUM,
  readU32,
  readU64,
  writeEntryFields,
  writeU64,
} from "./entry/entry-layout.ts";
export { checksumWords } from "./entry/header-checksum.ts";
export { type EntryItem, listEntries } from "./inspect/entry-list.ts";
export { type FileKind, fileKindOf } from "./inspect/file-kind.ts";
export { type IndexItem, listIndex } from "./inspect/index-list.ts";
export { DISK_FULL, FAILED, FLUSHED, Journal } from "./journal.ts";
export type { JournalOptions } from "./journal-options.ts";
export { JOURNAL_LIMITS } from "./limits.ts";
export { JournalIndex, type JournalLocation, type SealedSegment } from "./lookup/journal-index.ts";
export { decodeFence, FENCE_FILE } from "./ownership/fence.ts";
export { QUARANTINE_FILE } from "./ownership/quarantine.ts";
export { ColdReader, type ColdReadRequest, type SettledPart } from "./read/cold-reader.ts";
export { DiskMeter } from "./read/disk-meter.ts";
export {
  READ_DAMAGED,
  READ_FAILED,
  READ_MOVED,
  READ_NEEDS_ROOM,
  READ_UNFINISHED,
  TIME_NOT_FOUND,
} from "./read/read-outcomes.ts";
export { shardDirectoryName } from "./read/shard-directory.ts";
export type { AheadSlots, SharedDisk } from "./read/shared-disk.ts";
export type { RecoveryReport, ReplayHandler } from "./recovery/recovery.ts";
export { chainSegments, type LiveSegment } from "./segment/segment-chain.ts";
export { SEGMENT_HEADER_BYTES, sidecarFileName } from "./segment/segment-layout.ts";
export type { EntryMemory } from "./segment/staged-runs.ts";
export {
  decodeManifest,
  type Manifest,
  parseManifestFileName,
  type SettledFile,
  type SettledPartition,
} from "./settled/manifest-layout.ts";
export { runRetentionPlan } from "./settled/retention-plan.ts";
export { runSettleJob } from "./settled/settle-job.ts";
export {
  RETENTION_FIELDS,
  RETENTION_KEEP_BYTES,
  RETENTION_LOG_START,
  RETENTION_MS,
  RETENTION_PARTITION,
  RETENTION_TOPIC_ID,
  type RetentionJob,
  type RetentionPlan,
  SETTLE_FIELDS,
  SETTLE_LOG_START,
  SETTLE_PARTITION,
  SETTLE_RETENTION_MS,
  SETTLE_TOPIC_ID,
  type SettleJob,
  type SettleResult,
  type SettleSource,
} from "./settled/settle-jobs.ts";
export type { SettlingOptions } from "./settled/settle-policy.ts";
export {
  type FileIndex,
  readFileIndex,
  readIndexPoints,
  readSettledIndex,
} from "./settled/settled-index.ts";
export { settledFileName } from "./settled/settled-layout.ts";
export type { SettlingOwner } from "./settled/settler.ts";
export { SeededRandom } from "./simulation/seeded-random.ts";
export { SimulatedCrash, SimulatedStorage } from "./simulation/simulated-storage.ts";
export {
  DiskReserve,
  type DiskReserveOptions,
  RESERVE_FILE,
  releaseReserve,
} from "./storage/disk-reserve.ts";
export { RealStorage } from "./storage/real-storage.ts";
export { isDiskFull, type OpenMode, readFile, readFully, type Storage } from "./storage/storage.ts";
export { SyncThread } from "./sync/sync-thread.ts";
export { InlineSyncer, type Syncer, type SyncerContext, type SyncerFactory } from "./sync/syncer.ts";
export type { Hole } from "./verify/damage-walk.ts";
export { type EntryFacts, entryFacts } from "./verify/entry-facts.ts";
export type { Finding, FindingCode, Repair, RepairStep, Severity } from "./verify/finding.ts";
export { judgeShard } from "./verify/judge-shard.ts";
export { largeFilesOf, shardJobs } from "./verify/shard-jobs.ts";
export { type ShardSurvey, surveyShard } from "./verify/shard-survey.ts";
export { runVerifyJob, type VerifyJob, type VerifyResult } from "./verify/verify-job.ts";
export type { SegmentResult } from "./verify/verify-segment.ts";
export type { SettledResult } from "./verify/verify-settled.ts";
