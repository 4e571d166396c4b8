import t from "tap";
import { logarithmicAxis, percentileAxis } from "../../src/report/charts/axis.ts";
import { percentileCurve } from "../../src/report/charts/percentile-curve.ts";
import { SubjectStyles } from "../../src/report/charts/subject-style.ts";
import { sampleDocument, sampleLatency, sampleRow, seeded } from "../sample-document.ts";

t.test("axes", async (t) => {
  const labels = (axis: { ticks: readonly { label: string }[] }): string[] =>
    axis.ticks.map(({ label }) => label);
  t.same(labels(logarithmicAxis("", 0.3, 4)), ["0.2", "0.5", "1", "2", "5"]);
  const decades = logarithmicAxis("", 0.01, 1000);
  t.same(
    labels(decades).filter((label) => label !== ""),
    ["0.01", "0.1", "1", "10", "100", "1000"],
  );
  t.ok(Math.abs(decades.position(1) - 0.4) < 1e-9);
  t.equal(decades.position(0), 0, "what cannot stand there stands at the edge");
  const percentiles = percentileAxis("", 4);
  t.same(labels(percentiles), ["0 %", "90 %", "99 %", "99.9 %", "99.99 %"]);
  t.ok(Math.abs(percentiles.position(0.99) - 0.5) < 1e-9, "each nine has the same room");
  t.equal(percentiles.position(1), 1);
});

t.test("a percentile curve puts repetitions together", async (t) => {
  const random = seeded(7);
  const latencies = [sampleLatency(1, 2000, random), sampleLatency(1.2, 2000, random)];
  const curve = percentileCurve(latencies);
  t.equal(curve.count, 4000);
  t.equal(curve.problem, undefined);
  const [, largest] = curve.points.at(-1)!;
  t.ok(Math.abs(largest / Math.max(...latencies.map(({ max }) => max)) - 1) < 0.002);
  const median = curve.points.find(([quantile]) => quantile >= 0.5)?.[1] ?? 0;
  t.ok(median > latencies[0]!.p50 * 0.99 && median < latencies[1]!.p50 * 1.1);
  const ms = curve.points.map(([, value]) => value);
  t.same(
    ms,
    [...ms].sort((a, b) => a - b),
    "never falls",
  );
});

t.test("a subject looks the same in every report", async (t) => {
  const { rows } = sampleDocument();
  const all = new SubjectStyles(sampleDocument());
  for (const subject of ["jetstream", "kafka", "rabbitmq-stream"]) {
    const row = rows.find((candidate) => candidate.subject === subject)!;
    t.same(new SubjectStyles({ ...sampleDocument(), rows: [row] }).of(row), all.of(row), subject);
  }
  const looks = new Set(rows.map((row) => JSON.stringify(all.of(row))));
  const subjects = new Set(rows.map(({ subject, client, kind }) => `${subject} ${client} ${kind}`));
  t.equal(looks.size, subjects.size, "and like no other");
  t.equal(all.of(sampleRow({ subject: "unheard of" })).label, "unheard of");
});
