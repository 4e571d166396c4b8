import type { MessagePort } from "node:worker_threads";
import type { LatencySummary } from "@millrace/load/internal";

/** How the two sides wait for each other. */
export type WaitingBy = "spin" | "yielding" | "back-off" | "doorbell" | "message-port";

export interface PingPongSpec {
  readonly by: WaitingBy;
  /** Between a reply and the next request; 0: none. Both sides have gone idle by then. */
  readonly gapMs: number;
  readonly warmUpMs: number;
  readonly durationMs: number;
}

/** Round trips in the measured window. */
export interface PingPongResult {
  readonly latency: LatencySummary;
}

/** Handed to the workers of a sample; what is not needed for `by` is there all the same, save the port. */
export interface PingPongSetup {
  readonly spec: PingPongSpec;
  readonly requests: SharedArrayBuffer;
  readonly replies: SharedArrayBuffer;
  /** Of the echo, rung by the one who asks. */
  readonly echoBell: SharedArrayBuffer;
  readonly askerBell: SharedArrayBuffer;
  readonly port?: MessagePort;
}

/** Follows the last request. */
export const END_SEQUENCE = -1;
