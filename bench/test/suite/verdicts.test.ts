import type { LatencyResult, ResultRow, Verdict } from "@millrace/load";
import t from "tap";
import { verdictsOf } from "../../src/suite/verdicts/verdicts.ts";
import { sampleRow } from "../sample-document.ts";

function row(
  over: Partial<ResultRow>,
  rate: number,
  more: Parameters<typeof sampleRow>[1] & object = { rate },
) {
  return sampleRow(over, { ...more, rate, repetitions: 1, over: { recordsPerSecond: rate, ...more.over } });
}

function named(rows: readonly ResultRow[], name: string): Verdict {
  const verdict = verdictsOf(rows).find((each) => each.name === name);
  if (verdict === undefined) throw new Error(`no verdict is called ${name}`);
  return verdict;
}

t.test("ingest", async (t) => {
  const rows = [
    row({ durability: "fsynced" }, 3e6),
    row({ durability: "fsynced", kind: "raw" }, 9e6),
    row({ subject: "kafka", client: "a client (Node)", durability: "written" }, 1e6),
    row({ subject: "kafka", client: "a tool (Java)", kind: "native", durability: "written" }, 2e6),
    row({ subject: "jetstream", durability: "fsynced" }, 1e5),
  ];
  const crossing = named(rows, "ingest-synced-over-page-cache");
  t.equal(crossing.ratio, 1.5, "the native tool counts, what is raw does not");
  t.equal(crossing.met, true);
  t.equal(crossing.columns, "synced to disk over kafka's page cache");
  t.match(crossing.basis.join("\n"), /a tool \(Java\)/);
  t.match(crossing.basis.join("\n"), /beside, not counted: .*9\.00 M\/s/);
  t.equal(named(rows, "ingest-synced").ratio, 30);
  t.equal(named(rows, "ingest-synced").columns, undefined);
  t.match(named(rows, "ingest-memory"), { ratio: null, met: null });
  t.same(verdictsOf([]), [], "nothing was run");
});

t.test(
  "end to end counts the slower side, in the least favourable of the columns that both have",
  async (t) => {
    const through = (over: Partial<ResultRow>, records: number, deliveries: number): ResultRow =>
      row({ scenario: "end-to-end", ...over }, records, {
        rate: records,
        over: { deliveriesPerSecond: deliveries },
      });
    const rows = [
      through({}, 4e6, 2e6),
      through({ durability: "written" }, 1e6, 1e6),
      through({ subject: "redis-streams" }, 1e5, 1e5),
      through({ subject: "redis-streams", durability: "written" }, 1e5, 1e5),
      through({ subject: "rabbitmq-quorum", durability: "fsynced" }, 1e4, 1e4),
      through({ subject: "nats-core", parameters: { valueBytes: 100, recordsPerSecond: 10 } }, 10, 10),
    ];
    const streams = named(rows, "end-to-end-redis-streams");
    t.equal(streams.ratio, 10);
    t.match(streams.basis.join("\n"), /in another column 20\.00/);
    t.equal(named(rows, "end-to-end-nats-core").ratio, null, "a row at a rate is no row of saturation");
    t.equal(
      named(rows, "end-to-end-rabbitmq-quorum").ratio,
      null,
      "a weaker column is not compared with a stronger one",
    );
  },
);

t.test("latency is compared with NATS core's plus a doorbell", async (t) => {
  const scenario = "unbatched-latency";
  const figures = { doorbellMs: 0.02 };
  const at = (over: Partial<ResultRow>, p50: number): ResultRow => {
    const whole = row({ scenario, ...over }, 1e4, { rate: 1e4, latencyMs: 1 });
    const repetitions = whole.repetitions.map((each) => ({
      ...each,
      endToEnd: { ...(each.endToEnd as LatencyResult), p50, p99: 2 * p50, p999: 8 * p50 },
    }));
    return { ...whole, repetitions };
  };
  const rows = [
    at({}, 0.11),
    at({ subject: "nats-core" }, 0.09),
    row({ scenario, subject: "doorbell", kind: "raw" }, 1e5, { rate: 1e5, over: { figures } }),
  ];
  t.ok(Math.abs((named(rows, "latency-memory-p50").ratio ?? 0) - 1) < 1e-9);
  t.match(named(rows, "latency-tail-memory"), { ratio: 4, met: false });
  t.equal(
    named(rows.slice(0, 2), "latency-memory-p50").ratio,
    null,
    "without the doorbell there is no verdict",
  );
});
