import type { Consumer } from "../driver/driver.ts";
import { LatencyRecorder } from "../measure/latency.ts";
import { delay, monotonicMs } from "../measure/system-clock.ts";
import { connectEach } from "./connect-each.ts";
import type { LoadContext } from "./load-context.ts";
import type { RoleResult, RoleWork } from "./load-role.ts";
import { stampOf } from "./value-stamp.ts";

/** In saturation one of so many records is timed, whatever the broker; at a rate each one is. */
const TIMED_EVERY = 16;
/** Nothing has come for so long: what was under way has arrived, or never will. */
const QUIET_MS = 300;
/** The same where it is known that something is missing. */
const QUIET_MISSING_MS = 2_000;
const QUIET_STEP_MS = 20;

/**
 * Consumes over all connections of a task. Each value is looked at, as an application would do: a client that makes values
 * only when they are asked for pays for it here, as the others do.
 */
export class Consuming implements RoleWork {
  readonly #context: LoadContext;
  readonly #endToEnd: LatencyRecorder = new LatencyRecorder();
  readonly #consumers: Consumer[] = [];
  readonly #timedEvery: number;
  /** Records until the next one that is timed. */
  #untilTimed = 1;
  #expected: number | undefined;

  constructor(context: LoadContext) {
    this.#context = context;
    this.#timedEvery = context.task.recordsPerSecond === null ? TIMED_EVERY : 1;
  }

  async connect(): Promise<void> {
    const { driver, failed, meter, task } = this.#context;
    const events = {
      received: task.settings.stamped ? this.#receivedStamped : this.#received,
      settled: (count: number) => {
        meter.settled += count;
      },
      failed,
    };
    await connectEach(task.connections, async () => {
      this.#consumers.push(await driver.connectConsumer(task.settings, events));
    });
  }

  start(): void {
    // Consumers have begun when they were connected.
  }

  stop(): void {
    // They go on until nothing comes any more.
  }

  abort(): void {
    // They send nothing.
  }

  async drained(signal: AbortSignal, records: number | undefined): Promise<void> {
    const { meter, task } = this.#context;
    this.#expected = records;
    const isLeased = task.settings.mode === "queue" || task.settings.mode === "keyed";
    const quietMs = records === undefined ? QUIET_MS : QUIET_MISSING_MS;
    let seen = -1;
    let quietSinceMs = monotonicMs();
    while (!signal.aborted) {
      const done = isLeased ? Math.min(meter.records, meter.settled) : meter.records;
      if (records !== undefined && done >= records) return;
      if (meter.records + meter.settled !== seen) quietSinceMs = monotonicMs();
      else if (monotonicMs() - quietSinceMs > quietMs) return;
      seen = meter.records + meter.settled;
      await delay(QUIET_STEP_MS, signal);
    }
  }

  missing(): number {
    return Math.max(0, (this.#expected ?? 0) - this.#context.meter.records);
  }

  async close(): Promise<void> {
    await Promise.all(this.#consumers.map((consumer) => consumer.close()));
  }

  result(): RoleResult {
    return {
      heldBack: 0,
      ...(this.#context.task.settings.stamped ? { endToEnd: this.#endToEnd.encode() } : {}),
    };
  }

  readonly #received = (count: number, valueAt: (index: number) => Uint8Array): void => {
    const { meter } = this.#context;
    let bytes = 0;
    for (let i = 0; i < count; i++) bytes += valueAt(i).byteLength;
    meter.records += count;
    meter.bytes += bytes;
  };

  readonly #receivedStamped = (count: number, valueAt: (index: number) => Uint8Array): void => {
    const { meter } = this.#context;
    const { windowStartMs, windowEndMs } = meter;
    let nowMs = 0;
    let bytes = 0;
    let untilTimed = this.#untilTimed;
    for (let i = 0; i < count; i++) {
      const value = valueAt(i);
      bytes += value.byteLength;
      untilTimed -= 1;
      if (untilTimed > 0) continue;
      untilTimed = this.#timedEvery;
      if (nowMs === 0) nowMs = monotonicMs();
      const sentMs = stampOf(value);
      if (sentMs >= windowStartMs && sentMs < windowEndMs) this.#endToEnd.record(nowMs - sentMs);
    }
    this.#untilTimed = untilTimed;
    meter.records += count;
    meter.bytes += bytes;
  };
}
