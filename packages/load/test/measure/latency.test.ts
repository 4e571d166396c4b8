import { build } from "hdr-histogram-js";
import t from "tap";
import { LatencyRecorder, mergeLatencies } from "../../src/measure/latency.ts";

t.test("counts into the cells of an hdr histogram", async (t) => {
  const recorder = new LatencyRecorder();
  const reference = build({
    bitBucketSize: 64,
    lowestDiscernibleValue: 1,
    highestTrackableValue: 600_000_000,
    numberOfSignificantValueDigits: 3,
  });
  // Over all magnitudes, and both sides of each power of two.
  for (let steps = 1; steps < 600_000_000; steps = Math.ceil(steps * 1.01)) {
    recorder.record(steps / 1000);
    reference.recordValue(steps);
  }
  for (let bit = 1; bit < 29; bit++) {
    for (const steps of [2 ** bit - 1, 2 ** bit, 2 ** bit + 1]) {
      recorder.recordMany(steps / 1000, 3);
      reference.recordValueWithCount(steps, 3);
    }
  }
  const summary = recorder.summary();
  t.equal(summary.count, reference.totalCount);
  for (const [name, percentile] of [
    ["p50", 50],
    ["p90", 90],
    ["p99", 99],
    ["p999", 99.9],
  ] as const) {
    t.equal(summary[name], reference.getValueAtPercentile(percentile) / 1000, name);
  }
  t.same(mergeLatencies([recorder.encode()]).summary, summary, "encoded and decoded it is the same");
});

t.test("what is out of range counts at its end", async (t) => {
  const recorder = new LatencyRecorder();
  recorder.record(-1);
  recorder.record(0);
  recorder.record(1e9);
  const { count, p50, max } = recorder.summary();
  t.match({ count, p50 }, { count: 3, p50: 0.001 });
  t.ok(max > 599_000 && max < 601_000);
  recorder.reset();
  t.match(recorder.summary(), { count: 0, p99: 0, max: 0 });
});

t.test("histograms of several generators are one", async (t) => {
  const fast = new LatencyRecorder();
  const slow = new LatencyRecorder();
  fast.recordMany(1, 99);
  slow.recordMany(100, 1);
  const { summary } = mergeLatencies([fast.encode(), slow.encode()]);
  t.equal(summary.count, 100);
  t.equal(summary.p50, 1);
  t.ok(summary.max >= 100 && summary.max < 100.2);
});
