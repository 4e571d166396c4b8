import type { BenchDocument, Machine, ResultRow, Verdict } from "@millrace/load";
import { wasMeasured, whyMissing } from "../results/cases.ts";
import { describeRow, rowKey } from "../results/row-identity.ts";
import { compareFigures, type FigureComparison, figuresOf } from "./figure-comparison.ts";

/** Two runs side by side. */
export interface DocumentComparison {
  /** Facts without which figures do not compare at all: processor, cores. */
  readonly otherMachine: readonly string[];
  /** Facts that may explain a difference: kernel, Node, memory. */
  readonly otherSurroundings: readonly string[];
  readonly rows: readonly RowComparison[];
  /** Rows that only one of the two has measured, and why. */
  readonly unmatched: readonly string[];
  readonly verdicts: readonly VerdictComparison[];
}

export interface RowComparison {
  readonly title: string;
  /** "subject 2.14.0 is now 2.15.2" */
  readonly versions: string | undefined;
  readonly figures: readonly FigureComparison[];
}

export interface VerdictComparison {
  readonly before: Verdict;
  readonly after: Verdict;
}

export function compareDocuments(before: BenchDocument, after: BenchDocument): DocumentComparison {
  const others = rowsByKey(after.rows);
  const rows: RowComparison[] = [];
  const unmatched: string[] = [];
  for (const row of before.rows) {
    const other = others.get(rowKey(row))?.shift();
    if (other !== undefined && wasMeasured(row) && wasMeasured(other)) rows.push(compareRows(row, other));
    else if (wasMeasured(row)) unmatched.push(`only in the first: ${describeRow(row)}${reason(other)}`);
    else if (other !== undefined && wasMeasured(other))
      unmatched.push(`only in the second: ${describeRow(other)}${reason(row)}`);
  }
  for (const row of [...others.values()].flat())
    if (wasMeasured(row)) unmatched.push(`only in the second: ${describeRow(row)}`);
  return {
    ...compareMachines(before.machine, after.machine),
    rows,
    unmatched,
    verdicts: after.verdicts.flatMap((verdict) => {
      const earlier = before.verdicts.find(({ name }) => name === verdict.name);
      return earlier === undefined ? [] : [{ before: earlier, after: verdict }];
    }),
  };
}

export function compareMachines(
  before: Machine,
  after: Machine,
): Pick<DocumentComparison, "otherMachine" | "otherSurroundings"> {
  const differences = (facts: readonly (readonly [string, unknown, unknown])[]): string[] =>
    facts
      .filter(([, a, b]) => a !== b)
      .map(([name, a, b]) => `${name}: ${String(a)} before, ${String(b)} after`);
  const gibibytes = ({ memoryBytes }: Machine): string => `${(memoryBytes / 1024 ** 3).toFixed(0)} GiB`;
  return {
    otherMachine: differences([
      ["processor", before.cpu, after.cpu],
      ["cores", before.cores, after.cores],
    ]),
    otherSurroundings: differences([
      ["memory", gibibytes(before), gibibytes(after)],
      ["kernel", before.kernel, after.kernel],
      ["Node.js", before.node, after.node],
    ]),
  };
}

function compareRows(before: ResultRow, after: ResultRow): RowComparison {
  const changes = [
    ...(before.version === after.version
      ? []
      : [`${after.subject} ${before.version} is now ${after.version}`]),
    ...(before.client === after.client ? [] : [`${before.client} is now ${after.client}`]),
  ];
  return {
    title: describeRow(after),
    versions: changes.length === 0 ? undefined : changes.join("; "),
    figures: compareFigures(figuresOf(before), figuresOf(after)),
  };
}

function rowsByKey(rows: readonly ResultRow[]): Map<string, ResultRow[]> {
  const byKey = new Map<string, ResultRow[]>();
  for (const row of rows) byKey.set(rowKey(row), [...(byKey.get(rowKey(row)) ?? []), row]);
  return byKey;
}

function reason(row: ResultRow | undefined): string {
  return row === undefined ? "" : ` (in the other: ${whyMissing(row)})`;
}
