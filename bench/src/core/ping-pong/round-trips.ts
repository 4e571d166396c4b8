import { LatencyRecorder, monotonicMs } from "@millrace/load/internal";
import type { PingPongResult, PingPongSpec } from "./ping-pong-spec.ts";

const NANOSECONDS = 1e6;

/** Round trips behind the warm-up. Closed loop: the next request waits for the reply, so nothing is corrected. */
export class RoundTrips {
  readonly #latency: LatencyRecorder = new LatencyRecorder(NANOSECONDS);
  readonly #fromMs: number;
  readonly #untilMs: number;

  constructor({ warmUpMs, durationMs }: PingPongSpec) {
    this.#fromMs = monotonicMs() + warmUpMs;
    this.#untilMs = this.#fromMs + durationMs;
  }

  /** @returns false once the window is over */
  record(sentMs: number, receivedMs: number): boolean {
    if (sentMs >= this.#fromMs) this.#latency.record(receivedMs - sentMs);
    return receivedMs < this.#untilMs;
  }

  result(): PingPongResult {
    return { latency: this.#latency.summary() };
  }
}
