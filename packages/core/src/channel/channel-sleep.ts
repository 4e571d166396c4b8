import { CORE_LIMITS } from "../limits.ts";
import { nowMs } from "../system-clock.ts";
import type { ChannelEnd } from "./channel-end.ts";

/** A channel's end on a thread that may block: asleep on its doorbell, and now and then looking whether the peer's thread lives. */
export class ChannelSleep {
  private readonly end: ChannelEnd;
  /** When to look next whether the peer's thread is still there; 0: a while after the next look into the ring. */
  private probeAtMs = 0;
  private probeMs: number = CORE_LIMITS.channelProbeMsMin;

  constructor(end: ChannelEnd) {
    this.end = end;
  }

  /**
   * Sleeps until there is a record or, where `bytes` are given, until as many are free; until the end of the channel or the timeout.
   *
   * @returns whether there is what it slept for.
   */
  sleep(timeoutMs: number, bytes: number): boolean {
    if (Number.isNaN(timeoutMs)) throw new RangeError("timeoutMs must be a number: timeoutMs=NaN");
    const end = this.end;
    if (end.finished) return false;
    end.flush();
    for (let spin = 0; spin < CORE_LIMITS.channelSpins; spin++) {
      if (end.isReady(bytes)) return bytes === 0 || end.open;
    }
    const endMs = nowMs() + timeoutMs;
    try {
      while (!this.isAwaited(bytes)) {
        if (end.finished || (bytes !== 0 && !end.open)) return false;
        const now = nowMs();
        if (this.probeAtMs === 0) this.probeAtMs = now + this.probeMs;
        if (now >= this.probeAtMs && this.isPeerGone(now)) continue;
        if (now >= endMs) return false;
        end.bell.wait(Math.min(endMs, this.probeAtMs) - now);
      }
    } finally {
      end.bell.cancelSleep();
      if (bytes !== 0) end.wantSpace(0);
    }
    this.probeAtMs = 0;
    this.probeMs = CORE_LIMITS.channelProbeMsMin;
    return true;
  }

  /** Announces sleep, and looks once more. */
  private isAwaited(bytes: number): boolean {
    const end = this.end;
    end.bell.prepareSleep();
    if (bytes !== 0) end.wantSpace(bytes);
    end.checkEnd();
    if (end.finished || (bytes !== 0 && !end.open)) return false;
    return end.isReady(bytes);
  }

  private isPeerGone(now: number): boolean {
    this.probeMs = Math.min(2 * this.probeMs, CORE_LIMITS.channelProbeMsMax);
    this.probeAtMs = now + this.probeMs;
    if (!this.end.link.isGone()) return false;
    this.end.lose();
    return true;
  }
}
