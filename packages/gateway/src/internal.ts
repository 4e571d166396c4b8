export type { Clock } from "./clock.ts";
export {
  type Broker,
  type BrokerOptions,
  type BrokerParts,
  createBroker,
  createBrokerOf,
  type GatewayNode,
} from "./create-broker.ts";
export { GATEWAY_LIMITS } from "./limits.ts";
export { SYSTEM_CLOCK } from "./system-clock.ts";
export { listenWithUws } from "./uws-listener.ts";
