import type { ResultRow } from "@millrace/load";
import { columnTitle } from "../../results/durability-columns.ts";
import { formatSpread } from "../../results/figure-format.ts";
import {
  latencyKindsOf,
  latencyMetric,
  type Metric,
  mainRate,
  ownMetricsOf,
  spreadOfMetric,
} from "../../results/metrics.ts";
import { describeParameters } from "../../results/row-identity.ts";

/** The rows of one case, a line each, while the run goes on; the table with everything comes at its end. */
export function formatRows(scenario: string, rows: readonly ResultRow[]): string {
  const [first] = rows;
  if (first === undefined) return "";
  const head = [scenario, columnTitle(first.durability), describeParameters(first.parameters)];
  return [head.filter((text) => text !== "").join(", "), ...rows.map(formatRow)].join("\n");
}

function formatRow(row: ResultRow): string {
  const name = `    ${`${row.subject} ${row.kind}`.padEnd(26)}`;
  if (row.skipped !== undefined) return `${name} skipped: ${row.skipped.split("\n", 1)[0]}`;
  const rate = mainRate(row);
  const [kind] = latencyKindsOf([row]);
  const latencies = kind === undefined ? [] : [latencyMetric(kind, "p50"), latencyMetric(kind, "p99")];
  const figures = [
    rate === undefined ? "" : formatSpread(rate, "per-second"),
    ...[...latencies, ...ownMetricsOf([row])].map((metric) => figureOf(row, metric)),
  ];
  return `${name} ${figures.filter((text) => text !== "").join(", ")}`;
}

function figureOf(row: ResultRow, metric: Metric): string {
  const spread = spreadOfMetric(row, metric);
  return spread === undefined ? "" : `${metric.title} ${formatSpread(spread, metric.unit)}`;
}
