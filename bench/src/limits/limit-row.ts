import type { BenchResult } from "../harness/result.ts";
import type { LimitContext } from "./limit-context.ts";

/** One line of the suite. */
export interface LimitRow {
  readonly name: string;
  readonly description: string;
  readonly target: number;
  readonly sense: BenchResult["sense"];
  run(context: LimitContext): Promise<RowOutcome>;
}

/** What a row has found out; the rest of its result is in its description. */
export interface RowOutcome {
  readonly ratio: number | null;
  /** false: the generator used too much of its core. The ratio is then a lower bound. */
  readonly counts: boolean;
  readonly raw: Readonly<Record<string, unknown>>;
  readonly details: readonly string[];
}

/** Payload of a record in all rows. */
export const VALUE_BYTES = 100;
export const BATCH_BYTES: number = 16 * 1024;
/** Anything above this share of its core, and the generator may be what is measured. */
export const GENERATOR_SHARE_MAX = 0.8;
