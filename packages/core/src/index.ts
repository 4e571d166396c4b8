export { type Agent, AgentRunner } from "./agent-runner.ts";
export { copyBytes } from "./copy-bytes.ts";
export { Doorbell } from "./doorbell.ts";
export { INSUFFICIENT_CAPACITY, OneToOneRingBuffer } from "./one-to-one-ring-buffer.ts";
