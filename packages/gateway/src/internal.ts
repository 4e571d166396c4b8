export type { BrokerOptions } from "./broker-options.ts";
export type { Clock } from "./clock.ts";
export {
  type Broker,
  type BrokerParts,
  createBroker,
  createBrokerOf,
  type GatewayNode,
} from "./create-broker.ts";
export { type Cluster, type ClusterOptions, createCluster, createClusterOf } from "./create-cluster.ts";
export { GATEWAY_LIMITS } from "./limits.ts";
export { refuseOpenHost } from "./origin-policy.ts";
export { probePort } from "./port-probe.ts";
export { SYSTEM_CLOCK } from "./system-clock.ts";
export { checkTlsFiles } from "./tls-files.ts";
export { listenWithUws, requireNativeModule } from "./uws-listener.ts";
