export { type Agent, AgentRunner } from "./agent/agent-runner.ts";
export { copyBytes } from "./copy-bytes.ts";
export { Doorbell } from "./doorbell/doorbell.ts";
export { INSUFFICIENT_CAPACITY, OneToOneRingBuffer } from "./ring/one-to-one-ring-buffer.ts";
