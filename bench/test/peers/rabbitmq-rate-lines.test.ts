import t from "tap";
import { meanRate, readRateLines } from "../../src/peers/rabbitmq/rate-lines.ts";

t.test("lines of PerfTest", async (t) => {
  const read = readRateLines([
    "id: test-1, starting producer #0, channel #0",
    "id: test-1, time 1.000 s, sent: 11949 msg/s, confirmed: 10000 msg/s, nacked: 0 msg/s, received: 9000 msg/s, min/median/75th/95th/99th consumer latency: 2/50/85/134/145 ms, confirm latency: 1/36/76/117/137 ms",
    "id: test-1, time 3.000 s, sent: 16989 msg/s, returned: 0 msg/s, confirmed: 40000 msg/s, nacked: 0 msg/s, received: 39000 msg/s, min/median/75th/95th/99th consumer latency: 20/70/94/134/146 ms, confirm latency: 14/72/94/130/144 ms",
    "test stopped (Reached time limit)",
    "id: test-1, receiving rate avg: 25882 msg/s",
    "id: test-1, consumer latency min/median/75th/95th/99th 10/56/86/147/259 ms",
  ]);
  t.same(read[1], {
    seconds: 3,
    lengthSeconds: 2,
    confirmedPerSecond: 40_000,
    receivedPerSecond: 39_000,
    consumerLatency: { p50: 70, p99: 146 },
    confirmLatency: { p50: 72, p99: 144 },
  });
  t.equal(read.length, 2, "the summary is left out");
  t.equal(
    meanRate(read, ({ confirmedPerSecond }) => confirmedPerSecond),
    30_000,
    "weighted by length",
  );
});

t.test("without consumers, and without latencies", async (t) => {
  const [line] = readRateLines([
    "id: t, time 1.0 s, sent: 5 msg/s, confirmed: 4 msg/s, confirm latency: 1/2/3/4/5 ms",
  ]);
  t.match(line, { confirmedPerSecond: 4, receivedPerSecond: undefined, consumerLatency: undefined });
  const [stream] = readRateLines(["time 5.051 s, confirmed: 172932 msg/s, received: 172931 msg/s"]);
  t.match(stream, { seconds: 5.051, confirmedPerSecond: 172_932, receivedPerSecond: 172_931 });
  t.throws(() => meanRate([], ({ confirmedPerSecond }) => confirmedPerSecond), /no rates/);
});
