export { type Broker, type BrokerOptions, createBroker } from "./create-broker.ts";
