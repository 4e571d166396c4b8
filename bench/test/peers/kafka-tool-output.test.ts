import t from "tap";
import {
  readConsumerPerformance,
  readConsumerProgress,
  readEndToEndLatency,
  readProducerPerformance,
} from "../../src/peers/kafka/kafka-tool-output.ts";

const SUMMARY =
  "9000000 records sent, 564404.866424 records/sec (53.83 MB/sec), 275.36 ms avg latency, 892.00 ms max latency, 244 ms 50th, 736 ms 95th, 832 ms 99th, 889 ms 99.9th.";
const STEADY =
  "6000000 steady state records sent, 625260.525219 records/sec (59.63 MB/sec), 158.38 ms avg latency, 670.00 ms max latency, 42 ms 50th, 491 ms 95th, 576 ms 99th, 659 ms 99.9th.";
const INTERVAL =
  "1829121 records sent, 364657.3 records/sec (34.78 MB/sec), 388.6 ms avg latency, 789.0 ms max latency.";
const TITLES = "data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec";
const TIMES = "rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec";

t.test("the producer's summary", async (t) => {
  t.match(
    readProducerPerformance([INTERVAL, SUMMARY]),
    { records: 9_000_000, recordsPerSecond: 564_404.866424, latency: { p50: 244, p99: 832, max: 892 } },
    "without a warm-up",
  );
  t.match(
    readProducerPerformance(["In steady state.", INTERVAL, SUMMARY, STEADY]),
    { records: 6_000_000, recordsPerSecond: 625_260.525219, latency: { p50: 42, p99: 576, max: 670 } },
    "what is behind the warm-up counts",
  );
  t.throws(() => readProducerPerformance([INTERVAL, "Error"]), /no summary/);
});

t.test("the consumer's summary leaves out the time to join its group", async (t) => {
  const lines = [
    `start.time, end.time, ${TITLES}, ${TIMES}`,
    "2026-11-23 03:55:21:769, 2026-11-23 03:55:25:406, 476.8467, 131.1, 5000100, 1374786.9, 750, 2500, 165.1, 1731936.2",
  ];
  t.same(readConsumerPerformance(lines), { records: 5_000_100, recordsPerSecond: 2_000_040, seconds: 2.5 });
  t.throws(() => readConsumerPerformance(lines.slice(0, 1)), /no summary/);
  t.throws(() => readConsumerPerformance([]), /no summary/);
});

t.test("the consumer's progress counts behind the warm-up", async (t) => {
  const line = (time: string, records: number): string =>
    `2026-11-23 ${time}, 0, 36.0924, 27.4253, ${records}, 287574.9526, 0, 527, 27.4253, 287574.9526`;
  const titles = `time, threadId, ${TITLES}, ${TIMES}`;
  const lines = [
    titles,
    line("04:44:22:000", 1_000),
    line("04:44:22:500", 100_000),
    line("04:44:23:500", 400_000),
  ];
  t.equal(readConsumerProgress(lines, 50_000), 300_000);
  t.equal(
    readConsumerProgress([titles, line("23:59:59:500", 0), line("00:00:00:500", 7_000)], 0),
    7_000,
    "over midnight",
  );
  t.throws(() => readConsumerProgress(lines, 200_000), /behind its warm-up/);
  t.throws(() => readConsumerProgress([], 0), /behind its warm-up/);
});

t.test("latencies of single records", async (t) => {
  const lines = [
    "2000\t22.449330999999997",
    "Avg latency: 14.3362 ms",
    "Percentiles: 50th = 10, 99th = 58, 99.9th = 82",
  ];
  t.same(readEndToEndLatency(lines), { p50: 10, p99: 58, p999: 82 });
  t.throws(() => readEndToEndLatency(lines.slice(0, 2)), /no latencies/);
});
