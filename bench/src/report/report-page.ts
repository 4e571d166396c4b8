import type { BenchDocument } from "@millrace/load";
import { scenariosOf, wasMeasured } from "../results/cases.ts";
import { SubjectStyles, subjectColours } from "./charts/subject-style.ts";
import { html, type Markup, stylesheet } from "./html/markup.ts";
import { PAGE_STYLE } from "./html/page-style.ts";
import { machineSection } from "./sections/machine-section.ts";
import { scenarioSection } from "./sections/scenario-section.ts";
import { settingsSection } from "./sections/settings-section.ts";
import { verdictSection } from "./sections/verdict-section.ts";

/**
 * A document as one HTML page that needs nothing else: no scripts, no fonts, no network, which its content security
 * policy also forbids. Every text of the document is escaped.
 */
export function renderReport(document: BenchDocument): string {
  const styles = new SubjectStyles(document);
  const scenarios = scenariosOf(document.rows).map((scenario, index) => ({
    scenario,
    id: `scenario-${index + 1}`,
  }));
  const page = html`<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Benchmark report, ${document.startedAt.slice(0, 10)}, ${document.machine.cpu}</title>
${stylesheet(PAGE_STYLE + subjectColours())}
</head>
<body>
<main>
${machineSection(document)}
${contents(scenarios.map(({ scenario, id }) => ({ id, name: scenario.name, measured: scenario.rows.some(wasMeasured) })))}
${verdictSection(document.verdicts)}
${
  scenarios.length === 0
    ? html`<p>This run has no rows.</p>`
    : scenarios.map(({ scenario, id }) => scenarioSection(scenario, id, document.machine, styles))
}
${settingsSection(document.rows)}
</main>
</body>
</html>
`;
  return `<!doctype html>\n${page.text}`;
}

interface ContentsEntry {
  readonly id: string;
  readonly name: string;
  readonly measured: boolean;
}

function contents(entries: readonly ContentsEntry[]): Markup {
  return html`<nav aria-label="Contents"><a href="#verdicts">Verdicts</a>${entries.map(
    ({ id, name, measured }) => html` <a href="#${id}">${name}${measured ? "" : " (skipped)"}</a>`,
  )}</nav>
`;
}
