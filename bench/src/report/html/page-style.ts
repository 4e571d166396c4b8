/** The looks of a report: light and dark by the reader's system, from 360 px wide up, and on paper. */
export const PAGE_STYLE = `
:root {
  color-scheme: light dark;
  --bg: #ffffff; --fg: #1b1f24; --muted: #59636e; --line: #d5dae0; --soft: #f4f6f8; --grid: #e4e8ec;
  --good: #116329; --good-bg: #dcf5e2; --bad: #a40e26; --bad-bg: #ffe3e3; --warn: #7a4b00; --warn-bg: #fff1cf;
  --good-bar: #2f9e52; --bad-bar: #d1373f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --bg: #11151a; --fg: #e4e9ef; --muted: #9aa5b1; --line: #333c46; --soft: #1a2027; --grid: #28313a;
    --good: #6fdc8c; --good-bg: #12351d; --bad: #ff9a94; --bad-bg: #47171a; --warn: #f2c45a; --warn-bg: #3d2d0c;
    --good-bar: #3fb364; --bad-bar: #e5575c;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body {
  margin: 0; background: var(--bg); color: var(--fg);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main { max-width: 1240px; margin: 0 auto; padding: 24px 20px 64px; }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 16px; letter-spacing: -0.01em; }
h2 { font-size: 21px; line-height: 1.3; margin: 48px 0 8px; padding-top: 12px; border-top: 2px solid var(--line); }
h3 { font-size: 15px; font-weight: 600; color: var(--muted); margin: 24px 0 8px; }
p { margin: 8px 0 12px; max-width: 80ch; }
small { display: block; font-size: 12px; line-height: 1.35; font-weight: 400; color: var(--muted); }
code { font: 13px/1.4 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 340px), 1fr)); gap: 2px 32px; margin: 0; }
.facts div { display: grid; grid-template-columns: 92px 1fr; }
.facts div:nth-last-child(-n + 2) { grid-column: 1 / -1; }
dt { color: var(--muted); }
dd { margin: 0; overflow-wrap: anywhere; }
details { margin: 12px 0; }
summary { cursor: pointer; }
summary span { color: var(--muted); }
.method ul, section > details ul { margin: 8px 0; padding-left: 22px; max-width: 90ch; }
nav { display: flex; flex-wrap: wrap; gap: 6px; margin: 20px 0 0; }
nav a { padding: 3px 10px; border: 1px solid var(--line); border-radius: 999px; color: inherit; text-decoration: none; font-size: 13px; }
nav a:hover, nav a:focus-visible { background: var(--soft); border-color: var(--muted); }

.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; font-variant-numeric: tabular-nums; }
th, td { padding: 7px 10px; text-align: left; vertical-align: top; }
thead th { font-size: 12.5px; color: var(--muted); background: var(--soft); white-space: nowrap; vertical-align: bottom; }
tbody th { font-weight: 400; }
tbody tr + tr > * { border-top: 1px solid var(--grid); }
tr.notes > td { border-top: 0; padding-top: 0; }
tr.notes ul, .basis { margin: 0; padding-left: 16px; color: var(--muted); font-size: 12px; line-height: 1.4; }
tr.notes ul { max-width: min(130ch, calc(100vw - 58px)); position: sticky; left: 11px; }
tr.column > th { font-weight: 600; background: var(--soft); border-top: 1px solid var(--line); padding: 5px 12px; }
tr.missing td { color: var(--muted); }
.number { text-align: right; white-space: nowrap; }
thead .group { text-align: center; box-shadow: inset 0 -1px 0 var(--line); }
.none { color: var(--muted); }
.subject { min-width: 190px; background: var(--bg); }
.subject .swatch { margin-right: 4px; }
.rate { min-width: 175px; white-space: nowrap; }
.verdicts tbody th { min-width: 210px; }
.verdicts td small { margin-top: 3px; white-space: nowrap; font-size: 12.5px; }
.verdicts td small strong { color: var(--fg); font-size: 13.5px; }
.verdicts tbody td:last-child { min-width: 260px; }
.pill { display: inline-block; padding: 1px 9px; border-radius: 999px; font-size: 12px; font-weight: 600; white-space: nowrap; }
.pill.met { color: var(--good); background: var(--good-bg); }
.pill.missed { color: var(--bad); background: var(--bad-bg); }
.pill.not-measured { color: var(--muted); background: var(--soft); box-shadow: inset 0 0 0 1px var(--line); }
.flag { display: inline-block; margin: 3px 4px 0 0; padding: 0 6px; border-radius: 4px; font-size: 11.5px; color: var(--warn); background: var(--warn-bg); white-space: nowrap; }
.flag.across { white-space: normal; }
.bad { color: var(--bad); }

svg { display: block; }
.swatch { display: inline-block; vertical-align: middle; }
.swatch line { stroke: var(--c); stroke-width: 3; }
.bar { margin: 1px 0 2px; overflow: visible; }
.bar rect { fill: var(--c); opacity: 0.75; }
.bar line { stroke: var(--fg); stroke-width: 1.5; }
.progress rect { fill: var(--bad-bar); }
.progress.met rect { fill: var(--good-bar); }
.progress rect.track { fill: var(--grid); }
.progress line { stroke: var(--fg); stroke-width: 1.5; }

.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 520px), 1fr)); gap: 20px; margin: 20px 0; }
.charts.stacked { grid-template-columns: minmax(0, 1fr); }
.chart { margin: 0; padding: 14px 16px; border: 1px solid var(--line); border-radius: 8px; min-width: 0; }
figcaption { font-size: 12.5px; line-height: 1.4; margin-bottom: 10px; color: var(--muted); }
figcaption strong { display: block; font-size: 14px; color: var(--fg); }
.plot { position: relative; margin: 4px 12px 22px 46px; }
.axis-title { font-size: 12px; line-height: 1.2; margin-bottom: 12px; color: var(--muted); }
.axis-title.x { text-align: right; margin-bottom: 0; }
svg.lines { overflow: visible; }
svg.lines text { font-size: 11.5px; fill: var(--muted); }
svg.lines text.y { text-anchor: end; }
svg.lines text.x { text-anchor: middle; }
.grid { stroke: var(--grid); stroke-width: 1; }
svg.lines path { fill: none; stroke: var(--c); stroke-width: 2.25; stroke-linejoin: round; vector-effect: non-scaling-stroke; }
svg.lines path.thin { stroke-width: 1.25; opacity: 0.8; }
svg.lines circle { fill: var(--c); }
.ends { display: none; }
.ends span { position: absolute; left: 0; transform: translateY(-50%); font-size: 12px; line-height: 1; color: var(--c); white-space: nowrap; overflow: hidden; text-overflow: ellipsis; max-width: 128px; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 16px; margin: 8px 0 0; padding: 0; list-style: none; font-size: 12.5px; }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(140px, 1fr)); gap: 14px 18px; }
.panel-title { font-size: 12.5px; margin-bottom: 4px; }
.panel-note { font-size: 12px; color: var(--muted); margin-top: 4px; }
@media (min-width: 700px) {
  .plot { margin-right: 140px; }
  .axis-title.x { padding-right: 140px; }
  .panels { grid-template-columns: repeat(auto-fill, minmax(210px, 1fr)); }
  .ends { display: block; position: absolute; left: 100%; top: 0; bottom: 0; margin-left: 8px; }
  .subject { position: sticky; left: 0; }
}
@media (max-width: 699px) {
  main { padding: 16px 12px 48px; }
  h1 { font-size: 24px; }
  .subject { min-width: 150px; }
  .rate { min-width: 180px; }
  th, td { padding: 6px 8px; }
  .chart { padding: 12px 10px; }
}
@media print { main { max-width: none; } .chart, tr { break-inside: avoid; } nav { display: none; } }
`;
