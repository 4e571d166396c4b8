import type { BenchDocument } from "@millrace/load";
import { wasMeasured } from "../../results/cases.ts";
import { columnPromise, columnTitle, DURABILITY_COLUMNS } from "../../results/durability-columns.ts";
import { formatFigure } from "../../results/figure-format.ts";
import { html, type Markup } from "../html/markup.ts";

/** What was measured, on what, and how: the top of the page. */
export function machineSection(document: BenchDocument): Markup {
  const { machine, rows } = document;
  const measured = rows.filter(wasMeasured);
  const facts: readonly (readonly [string, string])[] = [
    ["Started", document.startedAt.replace("T", " ").replace(/\.\d+Z$/, " UTC")],
    ["Processor", `${machine.cpu}, ${machine.cores} cores`],
    ["Memory", formatFigure(machine.memoryBytes, "bytes")],
    ["System", `${machine.kernel}, Node.js ${machine.node}`],
    [
      "Measured",
      `${measured.length} rows; ${rows.length - measured.length} skipped; ${repetitions(document)}`,
    ],
    ["Command", document.command],
    [
      "Subjects",
      [...new Set(measured.map(({ subject, version }) => `${subject} ${version}`.trim()))].join(", "),
    ],
  ];
  return html`<header>
<h1>Benchmark report</h1>
<dl class="facts">${facts.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
<details class="method"><summary>How to read it</summary>
<ul>
<li>A figure is the median of the repetitions; the smallest and the largest one stand below it. Subjects were measured in turn, round after round, on one machine that broker and load generators share: ratios say more than rates.</li>
<li>Figures of different durability columns promise different things and do not compare: ${DURABILITY_COLUMNS.map(
    (durability, index) =>
      html`${index > 0 ? "; " : ""}<strong>${columnTitle(durability)}</strong>: ${columnPromise(durability)}`,
  )}. Where a verdict does cross columns it says so.</li>
<li>Latencies count from the moment at which a record was to be sent by the schedule, so a stalled broker cannot hide its stall.</li>
<li><strong>client</strong>: through the client library named; <strong>native</strong>: with the broker's own load tool; <strong>raw</strong>: bytes encoded beforehand over a socket, without any client's cost.</li>
<li>CPU is seconds of all threads per million records, of the broker and of the load generators. RSS is the highest resident memory of the broker's processes.</li>
</ul></details>
</header>
`;
}

function repetitions({ rows }: BenchDocument): string {
  const counts = rows.filter(wasMeasured).map((row) => row.repetitions.length);
  const seconds = rows.flatMap((row) => row.repetitions.map((repetition) => Math.round(repetition.seconds)));
  return `${range(counts)} repetitions of ${range(seconds)} s each`;
}

function range(values: readonly number[]): string {
  if (values.length === 0) return "0";
  const least = values.reduce((a, b) => Math.min(a, b));
  const most = values.reduce((a, b) => Math.max(a, b));
  return least === most ? String(least) : `${least} to ${most}`;
}
