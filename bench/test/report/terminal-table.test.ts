import t from "tap";
import { alignColumns, fold } from "../../src/report/terminal-columns.ts";
import { terminalTable } from "../../src/report/terminal-table.ts";
import { sampleDocument, sampleRow } from "../sample-document.ts";

t.test("a table of everything", async (t) => {
  const text = terminalTable(sampleDocument());
  const lines = text.split("\n");
  t.ok(Math.max(...lines.map((line) => line.length)) <= 120, "120 columns");
  t.match(text, /p50 ms +p99 +p99\.9 +CPU s\/M +RSS/);
  t.match(text, /millrace +@millrace\/client \(Node\) +2\.61 M\/s +2\.53\.\.2\.63/);
  t.match(text, "rabbitmq-quorum skipped: rabbitmq-server is not installed");
  t.match(text, /synced-vs-written +1\.21x +>= 1\.50x +missed +\(synced over peers' page cache\)/);
  t.match(text, "2 of 4 targets met, 1 missed, 1 not measured");
  t.equal(text.split("no acks: counted behind a PONG").length, 2, "a note is said once");
  t.notMatch(text, /NaN|undefined|Infinity/);
});

t.test("each kind of latency", async (t) => {
  const [repetition] = sampleRow({}, { rate: 10, latencyMs: 3, repetitions: 1 }).repetitions;
  const row = sampleRow({}, { rate: 10, latencyMs: 1, over: { ackLatency: repetition!.endToEnd! } });
  const text = terminalTable({ ...sampleDocument(), rows: [row], verdicts: [] });
  t.match(text, "latency end to end");
  t.match(text, /until acknowledged: p50 \d.*ms/);
});

t.test("nothing of a document steers the terminal", async (t) => {
  const row = sampleRow({ subject: "a\u001b[2J\nb", notes: ["c\u001bd"] }, { rate: 10 });
  const text = terminalTable({ ...sampleDocument(), rows: [row], verdicts: [] });
  t.notMatch(text, "\u001b");
  t.match(text, "a [2J b");
});

t.test("columns", async (t) => {
  const cells = (...texts: string[]) => texts.map((text, index) => ({ text, right: index === 1, max: 4 }));
  t.same(alignColumns([cells("a", "1", ""), "line", cells("bcdef", "22", "x")], 20), [
    "a      1",
    "line",
    "bcd…  22  x",
  ]);
  t.same(fold("one two three four", 9, "  "), ["one two", "  three", "  four"]);
});
