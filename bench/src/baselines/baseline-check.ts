import type { BenchDocument } from "@millrace/load";
import { fallenLine } from "../compare/comparison-lines.ts";
import {
  compareMachines,
  type DocumentComparison,
  type RowComparison,
} from "../compare/document-comparison.ts";
import { compareFigures, figuresOf, hasFallen } from "../compare/figure-comparison.ts";
import { wasMeasured, whyMissing } from "../results/cases.ts";
import { formatRatio } from "../results/figure-format.ts";
import { describeRow, rowKey } from "../results/row-identity.ts";
import { type Baseline, isOurs, storedFigures } from "./baseline-file.ts";

/** A run beside the baseline of its processor. */
export interface BaselineCheck extends Pick<DocumentComparison, "otherMachine" | "otherSurroundings"> {
  readonly rows: readonly RowComparison[];
  /** What fell below the share, in words. */
  readonly fallen: readonly string[];
  /** What the baseline has and the run has not, and the other way round. */
  readonly missing: readonly string[];
  /** Verdict ratios that both have. */
  readonly verdicts: readonly string[];
}

export function checkBaseline(baseline: Baseline, document: BenchDocument, share: number): BaselineCheck {
  const ours = document.rows.filter(isOurs);
  const rows: RowComparison[] = [];
  const missing: string[] = [];
  for (const stored of baseline.rows) {
    const now = ours.find((row) => rowKey(row) === rowKey(stored));
    if (now === undefined) missing.push(`not in this run: ${describeRow(stored)}`);
    else if (!wasMeasured(now)) missing.push(`not measured: ${describeRow(now)}: ${whyMissing(now)}`);
    else
      rows.push({
        title: describeRow(now),
        versions: now.version === stored.version ? undefined : `${stored.version} is now ${now.version}`,
        figures: compareFigures(storedFigures(stored), figuresOf(now)),
      });
  }
  const stored = new Set(baseline.rows.map(rowKey));
  for (const row of ours)
    if (wasMeasured(row) && !stored.has(rowKey(row)))
      missing.push(`not in the baseline: ${describeRow(row)}`);
  const fallenRows = rows.flatMap(({ title, figures }) =>
    figures.filter((figure) => hasFallen(figure, share)).map((figure) => fallenLine(title, figure)),
  );
  const verdicts = checkVerdicts(baseline, document, share);
  return {
    ...compareMachines(baseline.machine, document.machine),
    rows,
    fallen: [...fallenRows, ...verdicts.fallen],
    missing: [...missing, ...verdicts.missing],
    verdicts: verdicts.lines,
  };
}

function checkVerdicts(
  baseline: Baseline,
  document: BenchDocument,
  share: number,
): { lines: string[]; fallen: string[]; missing: string[] } {
  const lines: string[] = [];
  const fallen: string[] = [];
  const missing: string[] = [];
  for (const { name, ratio: before, sense } of baseline.verdicts) {
    const now = document.verdicts.find((verdict) => verdict.name === name)?.ratio ?? null;
    if (now === null) {
      missing.push(`verdict not measured: ${name}`);
      continue;
    }
    const kept = sense === "at-least" ? now / before : before / now;
    lines.push(`verdict ${name}: ${formatRatio(before)} before, ${formatRatio(now)} now`);
    if (kept < share) fallen.push(`verdict ${name}: ${formatRatio(before)} before, ${formatRatio(now)} now`);
  }
  return { lines, fallen, missing };
}
