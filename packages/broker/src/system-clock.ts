import { randomInt } from "node:crypto";
import type { Clock } from "./shard/clock.ts";

export const SYSTEM_CLOCK: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
};

/** Randomness, injected: the simulator's is seeded. */
export const SYSTEM_ENTROPY: { uint32(): number } = {
  uint32: () => randomInt(0x1_0000_0000),
};

/** Timers that keep the process alive: somebody waits. */
export const SYSTEM_TIMER: {
  monotonicMs(): number;
  after(ms: number, run: () => void): () => void;
} = {
  monotonicMs: () => performance.now(),
  after: (ms, run) => {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};
