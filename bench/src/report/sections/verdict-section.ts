import type { Verdict } from "@millrace/load";
import { threeDigits } from "@millrace/load/internal";
import { formatRatio } from "../../results/figure-format.ts";
import { decimal, html, type Markup } from "../html/markup.ts";

/** The targets, and how far each was reached. */
export function verdictSection(verdicts: readonly Verdict[]): Markup {
  if (verdicts.length === 0)
    return html`<section id="verdicts"><h2>Verdicts</h2><p>This run has no targets.</p></section>`;
  const measured = verdicts.filter((verdict) => verdictWord(verdict) !== "not measured");
  const missing = verdicts.filter((verdict) => verdictWord(verdict) === "not measured");
  return html`<section id="verdicts"><h2>Verdicts</h2>
<p>${summary(verdicts)} A ratio is that of medians of the same run; a bar that reaches the tick has met its target.</p>
${measured.length === 0 ? undefined : verdictTable(measured)}
${
  missing.length === 0
    ? undefined
    : html`<details class="missing"><summary>${missing.length} not measured</summary>${verdictTable(missing)}</details>`
}
</section>
`;
}

function verdictTable(verdicts: readonly Verdict[]): Markup {
  return html`<div class="scroll"><table class="verdicts">
<thead><tr><th scope="col">Target</th><th scope="col">Verdict</th><th scope="col">Reached</th><th scope="col">Rests on</th></tr></thead>
<tbody>
${verdicts.map(verdictRow)}
</tbody></table></div>`;
}

export function verdictWord({ met, ratio }: Verdict): "met" | "missed" | "not measured" {
  if (ratio === null || met === null) return "not measured";
  return met ? "met" : "missed";
}

function verdictRow(verdict: Verdict): Markup {
  const word = verdictWord(verdict);
  const sign = verdict.sense === "at-least" ? "≥" : "≤";
  return html`<tr>
<th scope="row"><strong>${verdict.name}</strong><small>${verdict.description}</small>${
    verdict.columns === undefined
      ? undefined
      : html`<span class="flag across">across columns: ${verdict.columns}</span>`
  }</th>
<td><span class="pill ${word.replace(" ", "-")}">${word}</span><small>${verdict.ratio === null ? undefined : html`<strong>${formatRatio(verdict.ratio)}</strong> `}wanted ${sign} ${threeDigits(verdict.target)}x</small></td>
<td>${progress(verdict)}</td>
<td><ul class="basis">${verdict.basis.map((line) => html`<li>${line}</li>`)}</ul></td>
</tr>
`;
}

/** How much of the target is reached, up to twice. */
function progress({ ratio, target, sense, met }: Verdict): Markup | undefined {
  if (ratio === null || !(ratio > 0) || !(target > 0)) return undefined;
  const share = sense === "at-least" ? ratio / target : target / ratio;
  const width = decimal(Math.min(2, share) * 50);
  return html`<svg class="progress ${met === true ? "met" : "missed"}" width="120" height="14" role="img" aria-label="${decimal(share * 100)} % of the target"><rect class="track" width="100%" height="8" y="3" rx="2"/><rect width="${width}%" height="8" y="3" rx="2"/><line x1="50%" x2="50%" y1="0" y2="14"/></svg>`;
}

function summary(verdicts: readonly Verdict[]): string {
  const count = (word: string): number => verdicts.filter((verdict) => verdictWord(verdict) === word).length;
  const missing = count("not measured");
  const rest = missing === 0 ? "" : `, ${missing} not measured`;
  return `${count("met")} of ${verdicts.length} targets met, ${count("missed")} missed${rest}.`;
}
