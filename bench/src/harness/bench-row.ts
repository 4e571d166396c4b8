import type { ChildProcesses } from "@millrace/load/internal";
import type { BenchResult } from "./result.ts";
import type { SamplingPlan } from "./sampling.ts";
import type { Progress } from "./terminal.ts";

/** What every row of every suite works with. */
export interface RunContext {
  readonly children: ChildProcesses;
  /** Temporary; removed when the suite ends. */
  readonly folder: string;
  readonly plan: SamplingPlan;
  readonly progress: Progress;
  readonly quick: boolean;
}

/** One line of a suite. */
export interface BenchRow<C extends RunContext> {
  readonly name: string;
  readonly description: string;
  /** null: a figure that is printed and has nothing to reach. */
  readonly target: number | null;
  readonly sense: BenchResult["sense"];
  run(context: C): Promise<RowOutcome>;
}

/** What a row has found out; the rest of its result is in its description. */
export interface RowOutcome {
  readonly ratio: number | null;
  /** false: the generator used too much of its core. The ratio is then a lower bound. */
  readonly counts: boolean;
  readonly raw: Readonly<Record<string, unknown>>;
  readonly details: readonly string[];
}

/** Payload of a record, unless a row says otherwise. */
export const VALUE_BYTES = 100;
export const BATCH_BYTES: number = 16 * 1024;
/** Anything above this share of its core, and the generator may be what is measured. */
export const GENERATOR_SHARE_MAX = 0.8;
