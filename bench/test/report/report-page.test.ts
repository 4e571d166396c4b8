import type { BenchDocument } from "@millrace/load";
import t from "tap";
import { renderReport } from "../../src/report/report-page.ts";
import { sampleDocument, sampleRow } from "../sample-document.ts";
import { externalReferences, findMarkupProblem } from "../well-formed.ts";

const EVIL = `<script>alert("1")</script> & 'quoted' "text" \u0000\u001b[31m`;

t.test("a page of everything", async (t) => {
  const page = renderReport(sampleDocument());
  t.equal(findMarkupProblem(page), undefined, "well-formed");
  t.same(externalReferences(page), [], "nothing is fetched");
  t.match(page, "Content-Security-Policy");
  t.notMatch(page, /\b(?:NaN|undefined|Infinity|\[object)/);
  for (const column of ["memory", "page cache", "synced to disk"]) t.match(page, `>${column}</th>`);
  t.match(page, "rabbitmq-server is not installed &lt;run setup.sh&gt;", "why a row was skipped");
  t.match(page, "across columns: synced over peers&#39; page cache");
  t.match(page, /1\.21x<\/strong> wanted ≥ 1\.50x/);
  t.match(page, /fell to \d+ % of its first quarter/, "a collapse is pointed out");
  t.match(page, "threads &gt; cores");
  t.match(page, "generator saturated");
  t.match(page, "99.9 %</text>", "percentile axis");
  t.match(page, "Rate reached, memory", "a line over the rate");
  t.match(page, "p99 end to end against rate, memory");
});

t.test("rows of a column are ordered by rate", async (t) => {
  const rows = [100, 3000, 200].map((rate) => sampleRow({ subject: `s${rate}` }, { rate, repetitions: 1 }));
  const page = renderReport({ ...sampleDocument(), rows });
  const order = Array.from(page.matchAll(/<\/svg> <strong>(s\d+)<\/strong>/g), ([, name]) => name);
  t.same(order, ["s3000", "s200", "s100"]);
});

t.test("every text is escaped", async (t) => {
  const { machine } = sampleDocument();
  const row = sampleRow(
    {
      scenario: EVIL,
      subject: EVIL,
      version: EVIL,
      client: EVIL,
      parameters: { [EVIL]: EVIL, valueBytes: EVIL },
      settings: [EVIL],
      notes: [EVIL],
    },
    { rate: 1000, latencyMs: 1, over: { figures: { [EVIL]: 1 } } },
  );
  const document: BenchDocument = {
    ...sampleDocument(),
    startedAt: EVIL,
    command: EVIL,
    machine: { ...machine, cpu: EVIL, kernel: EVIL, node: EVIL },
    rows: [row, { ...row, skipped: EVIL, repetitions: [] }],
    verdicts: [
      {
        name: EVIL,
        description: EVIL,
        ratio: 1,
        target: 1,
        sense: "at-least",
        met: true,
        columns: EVIL,
        basis: [EVIL],
      },
    ],
  };
  const page = renderReport(document);
  t.equal(findMarkupProblem(page), undefined);
  t.notMatch(page, /<script/i);
  t.notMatch(page, "\u0000");
  t.notMatch(page, "\u001b");
});

t.test("missing data", async (t) => {
  const empty = renderReport({ ...sampleDocument(), rows: [], verdicts: [] });
  t.equal(findMarkupProblem(empty), undefined);
  t.match(empty, "This run has no rows");
  t.match(empty, "no targets");

  const [latency] = sampleRow({}, { rate: 1000, latencyMs: 1, repetitions: 1 }).repetitions;
  const endToEnd = { ...latency!.endToEnd!, histogram: "not a histogram" };
  const rows = [
    sampleRow({ subject: "a" }, { rate: 1000, over: { endToEnd } }),
    sampleRow({ subject: "b" }),
    sampleRow({ subject: "c" }, { rate: Number.NaN, over: { series: [], busyThreads: Number.NaN } }),
  ];
  const page = renderReport({ ...sampleDocument(), rows });
  t.equal(findMarkupProblem(page), undefined);
  t.match(page, "histogram unreadable");
  t.match(page, "no repetition was recorded");
  t.notMatch(page, "NaN");
});
