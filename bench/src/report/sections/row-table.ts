import type { Machine, ResultRow, Spread } from "@millrace/load";
import { type Case, type Column, wasMeasured, whyMissing } from "../../results/cases.ts";
import { columnTitle } from "../../results/durability-columns.ts";
import { formatFigure, formatRange, formatRatio, NO_FIGURE } from "../../results/figure-format.ts";
import {
  BROKER_CPU,
  BROKER_RSS,
  CLIENT_CPU,
  DELIVERY_RATE,
  latencyKindsOf,
  latencyMetric,
  type Metric,
  mainRate,
  ownMetricsOf,
  RECORD_RATE,
  spreadOfMetric,
} from "../../results/metrics.ts";
import { flagsOf, remarksOf } from "../../results/row-flags.ts";
import { RATE_PARAMETER } from "../../results/row-identity.ts";
import { type SubjectStyles, swatch } from "../charts/subject-style.ts";
import { decimal, html, type Markup } from "../html/markup.ts";

/** What all rows of a table share. */
interface TableContext {
  readonly machine: Machine;
  readonly styles: SubjectStyles;
  readonly metrics: readonly Metric[];
  /** Rows have a rate; where the same rate was offered to all, what they reached is no comparison. */
  readonly rates: "none" | "offered" | "reached";
}

/** All rows of a case, each durability under a heading of its own. */
export function rowTable(of: Case, machine: Machine, styles: SubjectStyles): Markup {
  const rows = of.columns.flatMap((column) => column.rows);
  const hasRate = rows.some((row) => mainRate(row) !== undefined);
  const context: TableContext = {
    machine,
    styles,
    metrics: metricsOf(rows),
    rates: !hasRate ? "none" : of.parameters[RATE_PARAMETER] === undefined ? "reached" : "offered",
  };
  return html`<div class="scroll"><table class="rows">
${tableHead(context)}
${of.columns.map((column) => columnBody(column, context))}
</table></div>
`;
}

/** Metrics with a common group share a cell above their own. */
function tableHead({ rates, metrics }: TableContext): Markup {
  const groups: { title: string; metrics: Metric[] }[] = [];
  for (const metric of metrics) {
    const last = groups.at(-1);
    if (metric.part !== undefined && metric.part.group === last?.title) last.metrics.push(metric);
    else groups.push({ title: metric.part?.group ?? metric.title, metrics: [metric] });
  }
  const alone = (title: string, detail: string, kind: string): Markup =>
    html`<th scope="col" rowspan="2" class="${kind}">${title}<small>${detail}</small></th>`;
  return html`<thead><tr>${alone("Subject", "client, kind", "")}${
    rates === "none" ? undefined : alone("Rate", "median, smallest..largest", "")
  }${rates === "reached" ? alone("Millrace", "over this", "number") : undefined}${groups.map((group) =>
    group.metrics[0]?.part === undefined
      ? alone(group.title, "", "number")
      : html`<th scope="colgroup" colspan="${group.metrics.length}" class="group">${group.title}</th>`,
  )}</tr>
<tr>${metrics.map(({ part }) =>
    part === undefined ? undefined : html`<th scope="col" class="number">${part.title}</th>`,
  )}</tr></thead>`;
}

function columnBody({ durability, rows }: Column, context: TableContext): Markup {
  const most = rows.reduce((top, row) => Math.max(top, mainRate(row)?.max ?? 0), 0);
  const reference = referenceOf(rows);
  return html`<tbody>
<tr class="column"><th scope="colgroup" colspan="${width(context)}">${columnTitle(durability)}</th></tr>
${rows.map((row) => (wasMeasured(row) ? measuredRow(row, context, most, reference) : missingRow(row, context)))}
</tbody>
`;
}

function measuredRow(
  row: ResultRow,
  context: TableContext,
  most: number,
  reference: Spread | undefined,
): Markup {
  const rate = mainRate(row);
  const ratio = reference === undefined || rate === undefined ? undefined : reference.median / rate.median;
  const notes = remarksOf(row, context.machine);
  return html`<tr>
${subjectCell(row, context)}
${context.rates === "none" ? undefined : rateCell(row, context, most)}
${
  context.rates === "reached"
    ? html`<td class="number">${row.subject === "millrace" && ratio === 1 ? "" : formatRatio(ratio)}</td>`
    : undefined
}
${context.metrics.map((metric) => figureCell(row, metric))}
</tr>
${
  notes.length === 0
    ? undefined
    : html`<tr class="notes"><td colspan="${width(context)}"><ul>${notes.map((note) => html`<li>${note}</li>`)}</ul></td></tr>
`
}`;
}

function missingRow(row: ResultRow, context: TableContext): Markup {
  return html`<tr class="missing">
${subjectCell(row, context)}
<td colspan="${width(context) - 1}"><span class="pill not-measured">skipped</span> ${whyMissing(row)}</td>
</tr>
`;
}

function subjectCell(row: ResultRow, { machine, styles }: TableContext): Markup {
  return html`<th scope="row" class="subject">${swatch(styles.of(row))} <strong>${row.subject}</strong> ${row.version}<small>${row.client}${
    row.client === "" ? "" : ", "
  }${row.kind}</small>${flagsOf(row, machine).map(
    ({ title, meaning }) => html`<span class="flag" title="${meaning}">${title}</span> `,
  )}</th>`;
}

function rateCell(row: ResultRow, { styles }: TableContext, most: number): Markup {
  const spread = mainRate(row);
  if (spread === undefined) return html`<td>${NO_FIGURE}</td>`;
  const part = (value: number): string => decimal(most === 0 ? 0 : (value / most) * 100);
  const records = spreadOfMetric(row, RECORD_RATE);
  const deliveries = spreadOfMetric(row, DELIVERY_RATE) !== undefined;
  const beside = !deliveries
    ? ""
    : `deliveries${records === undefined ? "" : `; ${formatFigure(records.median, "per-second")} published`}`;
  return html`<td class="rate"><svg class="bar ${styles.of(row).colourClass}" width="100%" height="12" aria-hidden="true"><rect width="${part(spread.median)}%" height="8" y="2" rx="2"/>${
    spread.samples.length > 1
      ? html`<line x1="${part(spread.min)}%" x2="${part(spread.max)}%" y1="6" y2="6"/>`
      : undefined
  }</svg><strong>${formatFigure(spread.median, "per-second")}</strong> ${formatRange(spread, "per-second")}<small>${beside}</small></td>`;
}

function figureCell(row: ResultRow, metric: Metric): Markup {
  const spread = spreadOfMetric(row, metric);
  if (spread === undefined) return html`<td class="number none">${NO_FIGURE}</td>`;
  const text = formatFigure(spread.median, metric.unit).replace(/ (?:ms|s\/M)$/, "");
  return html`<td class="number">${text}<small>${formatRange(spread, metric.unit)}</small></td>`;
}

/** What Millrace's own client reaches in this column; other kinds only where that was not measured. */
function referenceOf(rows: readonly ResultRow[]): Spread | undefined {
  const own = rows.filter((row) => row.subject === "millrace" && mainRate(row) !== undefined);
  const row = own.find(({ kind }) => kind === "client") ?? own[0];
  return row === undefined ? undefined : mainRate(row);
}

function metricsOf(rows: readonly ResultRow[]): Metric[] {
  const latencies = latencyKindsOf(rows).flatMap((kind) =>
    (["p50", "p99", "p999"] as const).map((percentile) => latencyMetric(kind, percentile)),
  );
  const all = [...ownMetricsOf(rows), ...latencies, BROKER_CPU, CLIENT_CPU, BROKER_RSS];
  return all.filter((metric) => rows.some((row) => spreadOfMetric(row, metric) !== undefined));
}

function width({ rates, metrics }: TableContext): number {
  return 1 + metrics.length + (rates === "none" ? 0 : rates === "offered" ? 1 : 2);
}
