export { ENTRY_HEADER_BYTES, type Finding } from "@millrace/journal/internal";
export { BackupError } from "./backup/backup-error.ts";
export {
  type BackupOptions,
  type BackupProgress,
  type BackupSummary,
  createBackup,
} from "./backup/create-backup.ts";
export { type RestoreOptions, type RestoreSummary, restoreBackup } from "./backup/restore-backup.ts";
export { type DoctorOptions, type DoctorReport, runDoctor } from "./doctor/doctor.ts";
export type { Examination, ExaminationProgress } from "./doctor/examine-folder.ts";
export { type InspectedItem, type InspectOptions, inspectFile } from "./inspect/inspect-file.ts";
export { BROKER_LIMITS } from "./limits.ts";
export { type Logger, type LogLevel, SILENT_LOGGER } from "./logger.ts";
export { BrokerNode, type NodeOptions, type NodeStatus } from "./node/broker-node.ts";
export type { GatewayHandler } from "./node/gateway-handler.ts";
export { type GatewayPort, SHARD_DOWN } from "./node/gateway-port.ts";
export type { SubscriptionPort } from "./node/subscription-port.ts";
export { fillEntryHeader } from "./shard/entry-fields.ts";
export { AckLedger } from "./subscription/ack-ledger.ts";
export type { Assignment } from "./subscription/group-coordinator.ts";
export { type AssignmentNotice, HomeGroups } from "./subscription/home-groups.ts";
export { homeShardOf } from "./subscription/home-shard.ts";
export { LeaseTable } from "./subscription/lease-table.ts";
export { QueueState } from "./subscription/queue-state.ts";
export {
  type AcquiredPartition,
  type CursorCommit,
  type CursorOutcome,
  PEEK_STATE,
  type PeekedRecord,
  type RedriveRow,
  SUBSCRIPTION_MODES,
  type Subscription,
  type SubscriptionChanges,
  type SubscriptionConfig,
  type SubscriptionMode,
  type SubscriptionPartitionState,
  type SubscriptionStarts,
} from "./subscription/subscription.ts";
export type {
  Durability,
  PartitionBounds,
  Topic,
  TopicChanges,
  TopicConfig,
  TopicOverflow,
  TopicRetention,
} from "./topic.ts";
export {
  DURABILITIES,
  DURABILITY_FSYNCED,
  DURABILITY_MEMORY,
  DURABILITY_WRITTEN,
} from "./topic.ts";
export { VERSION } from "./version.ts";
