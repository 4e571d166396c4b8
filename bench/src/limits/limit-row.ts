import type { BenchRow } from "../harness/bench-row.ts";
import type { LimitContext } from "./limit-context.ts";

/** One line of the suite. */
export type LimitRow = BenchRow<LimitContext>;
