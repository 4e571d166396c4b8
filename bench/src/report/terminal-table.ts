import type { BenchDocument, Machine, ResultRow, Verdict } from "@millrace/load";
import { threeDigits } from "@millrace/load/internal";
import { type Case, scenariosOf, wasMeasured, whyMissing } from "../results/cases.ts";
import { columnTitle } from "../results/durability-columns.ts";
import { formatFigure, formatRange, formatRatio } from "../results/figure-format.ts";
import {
  BROKER_CPU,
  BROKER_RSS,
  CLIENT_CPU,
  DELIVERY_RATE,
  type LatencyKind,
  latencyKindsOf,
  latencyMetric,
  latencyTitle,
  type Metric,
  mainRate,
  ownMetricsOf,
  spreadOfMetric,
} from "../results/metrics.ts";
import { remarksOf } from "../results/row-flags.ts";
import { withoutVersion } from "../results/row-identity.ts";
import { verdictWord } from "./sections/verdict-section.ts";
import { alignColumns, type Cell, fold, oneLine } from "./terminal-columns.ts";

/** Characters. */
const WIDTH_MAX = 120;
const SUBJECT_WIDTH_MAX = 21;
const CLIENT_WIDTH_MAX = 24;
/** A scenario's own figures that have room. */
const OWN_METRICS_MAX = 3;
const LEGEND =
  "Medians of the repetitions, and their range. CPU s/M: seconds of CPU per million records, broker + load generators. " +
  "RSS: the broker's highest.";

/** All results of a run as plain text of at most 120 columns: a table a case and durability, then the verdicts. */
export function terminalTable(document: BenchDocument): string {
  const notes = new Notes();
  const blocks = scenariosOf(document.rows).flatMap(({ name, cases }) =>
    cases.flatMap((of) => [...caseBlock(name, of, document.machine, notes), ""]),
  );
  const legend = blocks.length === 0 ? [] : [...fold(LEGEND, WIDTH_MAX, ""), ""];
  return [...blocks, ...legend, ...notes.lines(), ...verdictLines(document.verdicts)].join("\n");
}

/** Notes are said once and referred to by number. */
class Notes {
  readonly #numbers = new Map<string, number>();

  numberOf(note: string): number {
    const number = this.#numbers.get(note) ?? this.#numbers.size + 1;
    this.#numbers.set(note, number);
    return number;
  }

  lines(): string[] {
    const lines = [...this.#numbers].flatMap(([note, number]) =>
      fold(`[${number}] ${oneLine(note)}`, WIDTH_MAX, "    "),
    );
    return lines.length === 0 ? [] : [...lines, ""];
  }
}

function caseBlock(scenario: string, of: Case, machine: Machine, notes: Notes): string[] {
  const title = of.title === "" ? scenario : `${scenario}: ${of.title}`;
  const measured = of.columns.flatMap(({ rows }) => rows.filter(wasMeasured));
  const layout: Layout = {
    rates: measured.some((row) => mainRate(row) !== undefined),
    deliveries: measured.some((row) => spreadOfMetric(row, DELIVERY_RATE) !== undefined),
    own: ownMetricsOf(measured).slice(0, OWN_METRICS_MAX),
    latencies: latencyKindsOf(measured),
  };
  const lines = of.columns.flatMap(({ durability, rows }) => [
    `  ${columnTitle(durability)}`,
    ...rows.flatMap((row) =>
      wasMeasured(row)
        ? measuredLines(row, layout, marksOf(row, machine, notes))
        : fold(oneLine(`    ${row.subject} skipped: ${whyMissing(row)}`), WIDTH_MAX, "      "),
    ),
  ]);
  const [latency] = layout.latencies;
  const head: (Cell[] | string)[] = measured.length === 0 ? [] : [headOf(layout)];
  if (latency !== undefined) head.unshift(`  latency ${latencyTitle(latency)}`);
  return [...fold(oneLine(title), WIDTH_MAX, "  "), ...alignColumns([...head, ...lines], WIDTH_MAX)];
}

/** The columns that the rows of a case have. */
interface Layout {
  readonly rates: boolean;
  readonly deliveries: boolean;
  readonly own: readonly Metric[];
  /** Only the first kind has room for columns; each other one gets a line below its row. */
  readonly latencies: readonly LatencyKind[];
}

function headOf({ rates, deliveries, own, latencies: [latency] }: Layout): Cell[] {
  return [
    { text: "" },
    { text: "client" },
    ...(rates ? [{ text: deliveries ? "deliveries" : "records", right: true }, { text: "range" }] : []),
    ...own.map((metric) => ({ text: metric.title, right: true })),
    ...(latency === undefined
      ? []
      : latencyMetrics(latency).map((metric, index) => ({
          text: `${metric.part?.title ?? ""}${index === 0 ? " ms" : ""}`,
          right: true,
        }))),
    { text: "CPU s/M", right: true },
    { text: "RSS", right: true },
    { text: "" },
  ];
}

function measuredLines(row: ResultRow, layout: Layout, marks: string): (Cell[] | string)[] {
  const { rates, own, latencies } = layout;
  const [first, ...others] = latencies;
  const rate = mainRate(row);
  const cells: Cell[] = [
    { text: `    ${row.subject}`, max: SUBJECT_WIDTH_MAX },
    { text: clientOf(row), max: CLIENT_WIDTH_MAX },
    ...(rates
      ? [
          { text: formatFigure(rate?.median, "per-second"), right: true },
          { text: formatRange(rate, "per-second") },
        ]
      : []),
    ...own.map((metric) => figure(row, metric)),
    ...(first === undefined ? [] : latencyMetrics(first)).map((metric) => figure(row, metric)),
    { text: `${figure(row, BROKER_CPU).text}+${figure(row, CLIENT_CPU).text}`, right: true },
    figure(row, BROKER_RSS),
    { text: marks },
  ];
  const further = others.filter((kind) => spreadOfMetric(row, latencyMetric(kind, "p50")) !== undefined);
  return [cells, ...further.map((kind) => latencyLine(row, kind))];
}

function clientOf({ kind, client }: ResultRow): string {
  return kind === "client" ? withoutVersion(client) : `${kind}: ${withoutVersion(client)}`;
}

function latencyLine(row: ResultRow, kind: LatencyKind): string {
  const figures = latencyMetrics(kind).map(
    (metric) => `${metric.part?.title ?? ""} ${figure(row, metric).text}`,
  );
  return `      ${latencyTitle(kind)}: ${figures.join(", ")} ms`;
}

function latencyMetrics(kind: LatencyKind): Metric[] {
  return (["p50", "p99", "p999"] as const).map((percentile) => latencyMetric(kind, percentile));
}

function figure(row: ResultRow, metric: Metric): Cell {
  const spread = spreadOfMetric(row, metric);
  const text = formatFigure(spread?.median, metric.unit).replace(/ (?:ms|s\/M)$/, "");
  return { text, right: true };
}

function marksOf(row: ResultRow, machine: Machine, notes: Notes): string {
  const numbers = remarksOf(row, machine).map((note) => notes.numberOf(note));
  return numbers.length === 0 ? "" : `[${numbers.join(" ")}]`;
}

function verdictLines(verdicts: readonly Verdict[]): string[] {
  if (verdicts.length === 0) return [];
  const of = (word: string): readonly Verdict[] =>
    verdicts.filter((verdict) => verdictWord(verdict) === word);
  const missing = of("not measured");
  const cells = [...of("missed"), ...of("met")].map((verdict): Cell[] => [
    { text: `  ${verdict.name}`, max: 44 },
    { text: formatRatio(verdict.ratio), right: true },
    { text: `${verdict.sense === "at-least" ? ">=" : "<="} ${threeDigits(verdict.target)}x` },
    { text: verdictWord(verdict) },
    { text: verdict.columns === undefined ? "" : `(${verdict.columns})` },
  ]);
  const names = missing.map(({ name }) => name).join(", ");
  return [
    "verdicts",
    ...alignColumns(cells, WIDTH_MAX),
    ...(missing.length === 0 ? [] : fold(oneLine(`  not measured: ${names}`), WIDTH_MAX, "    ")),
    "",
    `${of("met").length} of ${verdicts.length} targets met, ${of("missed").length} missed, ${missing.length} not measured`,
    "",
  ];
}
