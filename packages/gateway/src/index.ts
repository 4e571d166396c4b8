export type { BrokerOptions } from "./broker-options.ts";
export { type Broker, createBroker } from "./create-broker.ts";
export type { TlsFiles } from "./tls-files.ts";
