export { type Agent, AgentRunner } from "./agent/agent-runner.ts";
export { copyBytes } from "./copy-bytes.ts";
export { Doorbell } from "./doorbell/doorbell.ts";
export { OneToOneRingBuffer } from "./ring/one-to-one-ring-buffer.ts";
export {
  ControlledAction,
  type ControlledMessageHandler,
  INSUFFICIENT_CAPACITY,
  type MessageHandler,
  type RingBuffer,
} from "./ring/ring-buffer.ts";
