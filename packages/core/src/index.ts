export { type Agent, ROUND_FAILED } from "./agent/agent.ts";
export { AgentInvoker } from "./agent/agent-invoker.ts";
export { AgentRunner } from "./agent/agent-runner.ts";
export { BackoffIdleStrategy, type BackoffOptions } from "./agent/backoff-idle-strategy.ts";
export { BusySpinIdleStrategy } from "./agent/busy-spin-idle-strategy.ts";
export { DoorbellIdleStrategy } from "./agent/doorbell-idle-strategy.ts";
export { EventLoopRunner, type EventLoopRunnerOptions, type PokePort } from "./agent/event-loop-runner.ts";
export type { IdleStrategy } from "./agent/idle-strategy.ts";
export { YieldingIdleStrategy } from "./agent/yielding-idle-strategy.ts";
export { BroadcastReceiver } from "./broadcast/broadcast-receiver.ts";
export { BroadcastTransmitter } from "./broadcast/broadcast-transmitter.ts";
export { type BroadcastHandler, CopyBroadcastReceiver } from "./broadcast/copy-broadcast-receiver.ts";
export { CHANNEL_CLOSED, Channel } from "./channel/channel.ts";
export type { ChannelDescriptor, ChannelOptions, ChannelPort } from "./channel/channel-descriptor.ts";
export type { RecordsOptions } from "./channel/channel-loop.ts";
export type { CloseReason } from "./channel/channel-promises.ts";
export { copyBytes } from "./copy-bytes.ts";
export { Doorbell } from "./doorbell/doorbell.ts";
export { ManyToOneRingBuffer } from "./ring/many-to-one-ring-buffer.ts";
export { OneToOneRingBuffer } from "./ring/one-to-one-ring-buffer.ts";
export {
  ControlledAction,
  type ControlledMessageHandler,
  INSUFFICIENT_CAPACITY,
  type MessageHandler,
  type RingBuffer,
} from "./ring/ring-buffer.ts";
