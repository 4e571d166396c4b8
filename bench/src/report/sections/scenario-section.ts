import type { Machine } from "@millrace/load";
import { type Case, type Column, rateLaddersOf, type ScenarioResults } from "../../results/cases.ts";
import { columnTitle } from "../../results/durability-columns.ts";
import { percentileCharts } from "../charts/latency-charts.ts";
import { rateCharts } from "../charts/rate-charts.ts";
import { rateOverTime } from "../charts/rate-over-time.ts";
import type { SubjectStyles } from "../charts/subject-style.ts";
import { html, type Markup } from "../html/markup.ts";
import { rowTable } from "./row-table.ts";

/** Tables and charts of one scenario. Charts never put two durability columns into one picture. */
export function scenarioSection(
  scenario: ScenarioResults,
  id: string,
  machine: Machine,
  styles: SubjectStyles,
): Markup {
  return html`<section id="${id}"><h2>${scenario.name}</h2>
${scenario.cases.map(
  (of) => html`<h3>${of.title === "" ? "No parameters" : of.title}</h3>
${rowTable(of, machine, styles)}
${charts(of, (column, heading) => percentileCharts(column.rows, styles, heading))}
${charts(of, (column, heading) => [rateOverTime(column.rows, styles, heading)], "charts stacked")}`,
)}
${rateLaddersOf(scenario).map((of) => {
  const pictures = charts(of, (column, heading) => rateCharts(column.rows, styles, heading));
  return pictures === undefined ? undefined : html`<h3>Against the rate: ${of.title}</h3>\n${pictures}`;
})}
</section>
`;
}

function charts(
  of: Case,
  draw: (column: Column, heading: string) => readonly (Markup | undefined)[],
  layout = "charts",
): Markup | undefined {
  const drawn = of.columns.flatMap((column) => draw(column, columnTitle(column.durability)));
  const pictures = drawn.filter((picture) => picture !== undefined);
  return pictures.length === 0 ? undefined : html`<div class="${layout}">\n${pictures}</div>`;
}
