export type { GatewayHandler } from "./node/gateway-handler.ts";
export type { GatewayPort } from "./node/gateway-port.ts";
export { SHARD_DOWN } from "./node/gateway-port.ts";
export type { Durability, PartitionBounds, Topic, TopicConfig } from "./topic.ts";
export {
  DURABILITIES,
  DURABILITY_FSYNCED,
  DURABILITY_MEMORY,
  DURABILITY_WRITTEN,
} from "./topic.ts";
