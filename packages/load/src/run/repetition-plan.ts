import type { Fleet } from "../fleet/fleet.ts";
import type { LoadTask } from "../generator/load-task.ts";
import type { MeasuredProcess } from "../measure/cpu-accounting.ts";

/** One measured window against a broker that is running. */
export interface RepetitionPlan {
  /** One generator each. */
  readonly tasks: readonly LoadTask[];
  readonly fleet: Fleet;
  readonly broker: { readonly processes: readonly MeasuredProcess[] };
  /** Load before the window. */
  readonly warmUpMs: number;
  readonly durationMs: number;
  /** Longest that is waited for what is under way at the end. */
  readonly drainMs: number;
  readonly onProgress?: (progress: RunProgress) => void;
}

/** What goes on, four times a second. */
export interface RunProgress {
  readonly phase: "connecting" | "warm-up" | "measuring" | "draining";
  /** Since the load began. */
  readonly elapsedMs: number;
  /** Of warm-up and window together. */
  readonly totalMs: number;
  /** In the last quarter of a second, all generators of the role together. */
  readonly publishedPerSecond: number;
  readonly receivedPerSecond: number;
  readonly answeredPerSecond: number;
}
