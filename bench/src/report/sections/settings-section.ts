import type { ResultRow } from "@millrace/load";
import { html, type Markup } from "../html/markup.ts";

/** What every subject ran with; scenarios with the same settings stand together. */
export function settingsSection(rows: readonly ResultRow[]): Markup | undefined {
  const groups = new Map<string, { row: ResultRow; scenarios: Set<string> }>();
  for (const row of rows) {
    if (row.settings.length === 0) continue;
    const key = JSON.stringify([row.subject, row.version, row.client, row.settings]);
    const group = groups.get(key) ?? { row, scenarios: new Set<string>() };
    group.scenarios.add(row.scenario);
    groups.set(key, group);
  }
  if (groups.size === 0) return undefined;
  const sorted = [...groups.values()].sort((a, b) => (a.row.subject < b.row.subject ? -1 : 1));
  return html`<section id="settings"><h2>Settings</h2>
${sorted.map(
  ({
    row,
    scenarios,
  }) => html`<details><summary><strong>${row.subject}</strong> ${row.version}, ${row.client} <span>${[...scenarios].join(", ")}</span></summary>
<ul>${row.settings.map((setting) => html`<li><code>${setting}</code></li>`)}</ul></details>
`,
)}</section>
`;
}
