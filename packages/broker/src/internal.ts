export { ENTRY_HEADER_BYTES, type Finding } from "@millrace/journal/internal";
export { BackupError } from "./backup/backup-error.ts";
export { ControlClient } from "./backup/control-client.ts";
export {
  type BackupOptions,
  type BackupProgress,
  type BackupSummary,
  createBackup,
} from "./backup/create-backup.ts";
export { type RestoreOptions, type RestoreSummary, restoreBackup } from "./backup/restore-backup.ts";
export type {
  ClusterMap,
  ClusterNodeEntry,
  ClusterShardEntry,
  NodePeerAddress,
} from "./cluster/cluster-map.ts";
export { ClusterNode, type ClusterNodeOptions, type ServeOptions } from "./cluster/cluster-node.ts";
export {
  type HelloResult,
  type NodeMethod,
  type NodeRequests,
  nodeSocketName,
} from "./cluster/control-messages.ts";
export { defaultTopology, type Topology } from "./cluster/topology.ts";
export { type DoctorOptions, type DoctorReport, runDoctor } from "./doctor/doctor.ts";
export type { Examination, ExaminationProgress } from "./doctor/examine-folder.ts";
export { type FolderUse, folderUse } from "./doctor/folder-use.ts";
export { type InspectedItem, type InspectOptions, inspectFile } from "./inspect/inspect-file.ts";
export { BROKER_LIMITS } from "./limits.ts";
export { GATEWAYS_MAX, GatewayIds, gatewayOf } from "./link/gateway-ids.ts";
export { type Logger, type LogLevel, SILENT_LOGGER } from "./logger.ts";
export { BrokerNode, type NodeOptions, type NodeStatus } from "./node/broker-node.ts";
export type {
  ClusterStatus,
  GatewayLoad,
  NodeReport,
  ShardReport,
  UnreachedNode,
} from "./node/cluster-status.ts";
export { openDataFolder, readDataFolder } from "./node/data-folder.ts";
export { type FileSystem, fileSystemOf } from "./node/file-system.ts";
export type { GatewayHandler, SubscriptionConsumers } from "./node/gateway-handler.ts";
export { type CatalogWanted, type GatewayPort, SHARD_DOWN } from "./node/gateway-port.ts";
export type { SubscriptionPort } from "./node/subscription-port.ts";
export { diskLowBytesFor, measureVolume } from "./node/volume.ts";
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
export { claimNodeFile, type NodeFile, writeNodeFile } from "./supervisor/node-file.ts";
export { NodeLog } from "./supervisor/node-log.ts";
export { NODE_SETTINGS_VARIABLE, ownIdentity } from "./supervisor/node-process.ts";
export { Supervisor } from "./supervisor/supervisor.ts";
export type { NodeSettings, SupervisorOptions } from "./supervisor/supervisor-options.ts";
export { SYSTEM_ENTROPY } from "./system-clock.ts";
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
