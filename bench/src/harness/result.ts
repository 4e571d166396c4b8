/** One row of a bench, as it is printed and written to `--json`. */
export interface BenchResult {
  readonly name: string;
  /** What is compared with what, in words. */
  readonly description: string;
  /** null when the row could not be measured; `raw.reason` says why. */
  readonly ratio: number | null;
  /** null: there is nothing to reach. */
  readonly target: number | null;
  /** "at-least": met when ratio >= target; "at-most": met when ratio <= target. */
  readonly sense: "at-least" | "at-most";
  /** false also for a row that could not be measured; null where there is no target. */
  readonly met: boolean | null;
  readonly raw: Readonly<Record<string, unknown>>;
  /** Lines for the terminal: absolute figures, spreads, CPU. */
  readonly details: readonly string[];
}

export function isMet(ratio: number, target: number, sense: BenchResult["sense"]): boolean {
  return sense === "at-least" ? ratio >= target : ratio <= target;
}
