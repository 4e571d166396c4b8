export { type Logger, type LogLevel, SILENT_LOGGER } from "./logger.ts";
export type { NodeOptions, NodeStatus } from "./node/broker-node.ts";
export type { Durability, PartitionBounds, Topic, TopicChanges, TopicConfig } from "./topic.ts";
export { VERSION } from "./version.ts";
