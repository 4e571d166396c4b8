import t from "tap";
import { parseNatsBench } from "../../src/peers/nats/nats-bench-output.ts";
import { parseRedisBenchmark } from "../../src/peers/redis/redis-benchmark-output.ts";

t.test("nats bench", async (t) => {
  t.same(
    parseNatsBench(
      "\nNATS Core NATS publisher stats: 2,406,144 msgs/sec ~ 229 MiB/sec ~ min: 0.05us ~ avg: 0.28us ~ max: 13,500.00us ~ P50: 500.00us ~ P90: 0.09us ~ P99: 750.00us ~ P99.9: 38.08us\n",
    ),
    { messagesPerSecond: 2_406_144, latency: { p50: 0.5, p99: 0.75, max: 13.5 } },
    "one client",
  );
  t.same(
    parseNatsBench(
      [
        "  [1] 4,752 msgs/sec ~ 464 KiB/sec ~ min: 54.24us ~ max: 16,267.96us ~ P50: 139.10us ~ P99: 1,825.28us (10,000 msgs)",
        "  [2] 4,667 msgs/sec ~ 456 KiB/sec ~ min: 53.86us ~ max: 16,209.13us ~ P50: 140.74us ~ P99: 1,826.27us (10,000 msgs)",
        "",
        " NATS Core NATS service requester aggregated stats: 9,335 msgs/sec ~ 912 KiB/sec",
        " message rates min 4,667 | avg 4,709 | max 4,752 | stddev 42 msgs",
        " latencies per operation min 53.86us | avg 212.12us | max 16,250.00us | stddev 446.92us | P50 125.00us | P90 292.54us | P99 1,750.00us",
      ].join("\n"),
    ),
    { messagesPerSecond: 9335, latency: { p50: 0.125, p99: 1.75, max: 16.25 } },
    "several clients: all of them together",
  );
  t.same(
    parseNatsBench("NATS Core NATS subscriber stats: 852,779 msgs/sec ~ 81 MiB/sec"),
    { messagesPerSecond: 852_779 },
    "no latency",
  );
  t.throws(() => parseNatsBench("nats: error: no responders"), { message: /no rate/ });
});

t.test("redis-benchmark", async (t) => {
  const head =
    '"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"';
  t.same(
    parseRedisBenchmark(
      `${head}\n"XADD s * v ""1"",x","455975.69","0.132","0.064","0.087","0.215","1.087","13.575"\n`,
    ),
    { requestsPerSecond: 455_975.69, latency: { p50: 0.087, p99: 1.087, max: 13.575 } },
    "whatever the command is",
  );
  t.throws(() => parseRedisBenchmark("Could not connect to Redis"), { message: /no rate/ });
});
