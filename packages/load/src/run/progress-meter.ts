import type { Generator } from "../fleet/fleet.ts";
import type { LoadProgress, LoadRole } from "../generator/load-task.ts";
import { SERIES_STEP_MS } from "../limits.ts";
import { monotonicMs } from "../measure/system-clock.ts";
import type { RunProgress } from "./repetition-plan.ts";

/** Asks the generators four times a second how far they are, for a live display. */
export class ProgressMeter {
  readonly #generators: readonly Generator[];
  readonly #totalMs: number;
  readonly #listener: ((progress: RunProgress) => void) | undefined;
  #before: readonly LoadProgress[] | undefined;
  #elapsedMs = 0;

  constructor(
    generators: readonly Generator[],
    totalMs: number,
    listener: ((progress: RunProgress) => void) | undefined,
  ) {
    this.#generators = generators;
    this.#totalMs = totalMs;
    this.#listener = listener;
  }

  /** A phase without rates. */
  say(phase: RunProgress["phase"]): void {
    const nothing = { publishedPerSecond: 0, receivedPerSecond: 0, answeredPerSecond: 0 };
    this.#listener?.({ phase, elapsedMs: this.#elapsedMs, totalMs: this.#totalMs, ...nothing });
  }

  /** Tells the listener until the returned function is called. */
  watch(startAtMs: number, windowStartMs: number): () => void {
    if (this.#listener === undefined) return () => undefined;
    let isAsking = false;
    let isOver = false;
    const ask = async (): Promise<void> => {
      if (isAsking) return;
      isAsking = true;
      const now = await Promise.all(this.#generators.map((generator) => generator.progress()));
      isAsking = false;
      if (!isOver) this.#tell(now, startAtMs, windowStartMs);
    };
    // A generator that fails ends the run by itself.
    const timer = setInterval(() => void ask().catch(() => undefined), SERIES_STEP_MS);
    return () => {
      isOver = true;
      clearInterval(timer);
    };
  }

  #tell(now: readonly LoadProgress[], startAtMs: number, windowStartMs: number): void {
    const before = this.#before;
    this.#before = now;
    const timeMs = monotonicMs();
    this.#elapsedMs = Math.max(0, timeMs - startAtMs);
    const rate = (role: LoadRole): number =>
      this.#generators.reduce((sum, { task }, index) => {
        const from = before?.[index];
        const to = now[index];
        if (task.role !== role || from === undefined || to === undefined) return sum;
        const seconds = (to.timeMs - from.timeMs) / 1000;
        return seconds > 0 ? sum + (to.records - from.records) / seconds : sum;
      }, 0);
    this.#listener?.({
      phase: timeMs < windowStartMs ? "warm-up" : "measuring",
      elapsedMs: this.#elapsedMs,
      totalMs: this.#totalMs,
      publishedPerSecond: rate("publish"),
      receivedPerSecond: rate("consume"),
      answeredPerSecond: rate("request"),
    });
  }
}
