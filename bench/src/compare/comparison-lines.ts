import { alignColumns, type Cell, fold, oneLine } from "../report/terminal-columns.ts";
import { formatFigure, formatRange, formatRatio, NO_FIGURE } from "../results/figure-format.ts";
import type { Metric } from "../results/metrics.ts";
import type { DocumentComparison, RowComparison, VerdictComparison } from "./document-comparison.ts";
import type { FigureComparison, FigureRange, Judgement } from "./figure-comparison.ts";

/** Characters. */
const WIDTH_MAX = 120;

/** What is different about the machines, loudly where it is the processor. */
export function machineLines({
  otherMachine,
  otherSurroundings,
}: Pick<DocumentComparison, "otherMachine" | "otherSurroundings">): string[] {
  const loud =
    otherMachine.length === 0
      ? []
      : [
          "!!! DIFFERENT MACHINES: the figures do not compare; at most the ratios within each run do.",
          ...otherMachine.map((fact) => `!!! ${oneLine(fact)}`),
          "",
        ];
  const quiet = otherSurroundings.map((fact) => `note: other ${oneLine(fact)}`);
  return [...loud, ...quiet, ...(quiet.length === 0 ? [] : [""])];
}

/** A block a row: figure, before, after, ratio, and whether the difference exceeds the spread of both. */
export function rowLines(rows: readonly RowComparison[]): string[] {
  const cells = rows.flatMap((row): (Cell[] | string)[] => [
    ...fold(oneLine(row.title), WIDTH_MAX, "  "),
    ...(row.versions === undefined ? [] : fold(oneLine(`  ${row.versions}`), WIDTH_MAX, "  ")),
    ...row.figures.map(figureCells),
    ...(row.figures.length === 0 ? ["  no figure that both have"] : []),
    "",
  ]);
  if (cells.length === 0) return [];
  const head: Cell[] = [
    { text: "" },
    { text: "before", right: true },
    { text: "range" },
    { text: "after", right: true },
    { text: "range" },
    { text: "after/before", right: true },
    { text: "" },
  ];
  return alignColumns([head, ...cells], WIDTH_MAX);
}

/** Targets whose ratio both runs have, or that are met in one of them only. */
export function verdictLines(verdicts: readonly VerdictComparison[]): string[] {
  if (verdicts.length === 0) return [];
  const cells = verdicts.map(({ before, after }): Cell[] => {
    const change =
      before.met === after.met
        ? metWord(after.met)
        : `${metWord(before.met)} before, now ${metWord(after.met)}`;
    return [
      { text: `  ${after.name}`, max: 50 },
      { text: formatRatio(before.ratio), right: true },
      { text: formatRatio(after.ratio), right: true },
      { text: `${after.sense === "at-least" ? ">=" : "<="} ${after.target}x` },
      { text: change },
    ];
  });
  const head = ["  verdict", "before", "after", "target"].map(
    (text, index): Cell => ({ text, right: index === 1 || index === 2 }),
  );
  return [...alignColumns([head, ...cells], WIDTH_MAX), ""];
}

/** `p99 end to end of end-to-end | millrace | …: 0.71x` */
export function fallenLine(title: string, { metric, ratio }: FigureComparison): string {
  return oneLine(`${metric.title} of ${title}: ${formatRatio(ratio)} of what it was`);
}

/** `3 rows compared by their first figure: 1 better, 0 worse, 2 within noise` */
export function summaryLine(rows: readonly RowComparison[]): string {
  const judged = rows.flatMap(({ figures }) => figures.slice(0, 1));
  const count = (judgement: Judgement): number =>
    judged.filter((figure) => figure.judgement === judgement).length;
  const unknown = count("unknown") === 0 ? "" : `, ${count("unknown")} of unknown spread`;
  return (
    `${rows.length} rows compared by their first figure: ${count("better")} better, ${count("worse")} worse, ` +
    `${count("within noise")} within noise${unknown}`
  );
}

const JUDGEMENTS: Readonly<Record<Judgement, string>> = {
  better: "better, beyond the spread",
  worse: "WORSE, beyond the spread",
  changed: "changed, beyond the spread",
  "within noise": "within noise",
  unknown: "one repetition: spread unknown",
};

function figureCells({ metric, before, after, ratio, judgement }: FigureComparison): Cell[] {
  return [
    { text: `  ${metric.title}` },
    { text: formatFigure(before.median, metric.unit), right: true },
    { text: rangeOf(before, metric) },
    { text: formatFigure(after.median, metric.unit), right: true },
    { text: rangeOf(after, metric) },
    { text: formatRatio(ratio), right: true },
    { text: JUDGEMENTS[judgement] },
  ];
}

function rangeOf({ median, min, max, repetitions }: FigureRange, { unit }: Metric): string {
  const samples = repetitions < 2 ? [median] : [min, max];
  return formatRange({ median, min, max, samples }, unit);
}

function metWord(met: boolean | null): string {
  if (met === null) return `not measured (${NO_FIGURE})`;
  return met ? "met" : "missed";
}
