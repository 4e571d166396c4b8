import type { Durability, ResultRow, Verdict } from "@millrace/load";
import { columnTitle } from "../../results/durability-columns.ts";
import { described, find, ratio, type Side, sameColumn, verdictOf } from "./ratio.ts";
import {
  bestOf,
  DELIVERIES,
  endToEndLatency,
  type Figure,
  MILLRACE,
  ownFigure,
  RECORDS,
  THROUGH,
} from "./row-query.ts";

const NATS_CORE = ["nats-core"];
const KAFKA = ["kafka"];
/** With each of its publishing protocols. */
const JETSTREAM = ["jetstream", "jetstream-fast"];
/** Everything that is no yardstick of the suite itself. */
const STORING_PEERS = [
  "redis-streams",
  "jetstream",
  "jetstream-fast",
  "rabbitmq-classic",
  "rabbitmq-quorum",
  "rabbitmq-stream",
  "kafka",
  "mosquitto",
];
const VALUE_BYTES = 100;
const KIB = 1024;
const MIB = 1024 * KIB;

/** The scenario that each group of verdicts is about. */
const GROUPS: readonly (readonly [string, (rows: readonly ResultRow[]) => Verdict[]])[] = [
  ["pinned-producer", ingest],
  ["end-to-end", endToEnd],
  ["unbatched-latency", latency],
  ["fan-out", fanOut],
  ["queue", queues],
  ["idle-connections", idleConnections],
  ["many-topics", idleTopics],
];

/**
 * What Millrace is to reach, computed from the rows of one run: of the scenarios that were run. Where a row is missing there is
 * no verdict, and it says so.
 */
export function verdictsOf(rows: readonly ResultRow[]): Verdict[] {
  const scenarios = new Set(rows.map(({ scenario }) => scenario));
  return GROUPS.flatMap(([scenario, verdicts]) => (scenarios.has(scenario) ? verdicts(rows) : []));
}

function ingest(rows: readonly ResultRow[]): Verdict[] {
  const at = { scenario: "pinned-producer", parameters: { valueBytes: VALUE_BYTES } };
  const batched = { ...at, batched: true };
  const own = (durability: Durability): Side => ({ ...batched, subjects: MILLRACE, durability });
  const peers = (durability: Durability): Side => ({ ...batched, subjects: STORING_PEERS, durability });
  return [
    ratio(
      rows,
      "ingest-synced-over-page-cache",
      "synced ingest over the best peer's page-cache ingest, 100 B",
      {
        own: own("fsynced"),
        peer: peers("written"),
        figure: RECORDS,
        target: 1.5,
      },
    ),
    ratio(rows, "ingest-synced", "synced ingest over the best peer's synced ingest, 100 B", {
      own: own("fsynced"),
      peer: peers("fsynced"),
      figure: RECORDS,
      target: 5,
    }),
    ratio(rows, "ingest-memory", "ingest in memory over NATS core's publish rate, 100 B", {
      own: own("memory"),
      peer: { ...at, subjects: NATS_CORE },
      figure: RECORDS,
      target: 2,
    }),
  ];
}

function endToEnd(rows: readonly ResultRow[]): Verdict[] {
  const against = (peer: string, target: number): Verdict => {
    const side = {
      scenario: "end-to-end",
      parameters: { valueBytes: VALUE_BYTES },
      saturated: true,
      figure: THROUGH,
    };
    return sameColumn(
      rows,
      `end-to-end-${peer}`,
      `end to end over ${peer}, 100 B, one producer, one consumer`,
      {
        ...side,
        peer: [peer],
        target,
      },
    );
  };
  return [
    against("nats-core", 2),
    against("kafka", 2),
    against("redis-streams", 5),
    against("rabbitmq-quorum", 10),
  ];
}

function latency(rows: readonly ResultRow[]): Verdict[] {
  const scenario = "unbatched-latency";
  const doorbell = bestOf(
    rows,
    { scenario, subjects: ["doorbell"], kinds: ["raw"] },
    ownFigure("doorbellMs", " ms"),
  );
  const verdicts: Verdict[] = [];
  for (const percentile of ["p50", "p99"] as const) {
    const figure = endToEndLatency(percentile);
    const own = bestOf(rows, { scenario, subjects: MILLRACE, durability: "memory" }, figure);
    const nats = bestOf(rows, { scenario, subjects: NATS_CORE }, figure);
    verdicts.push(
      verdictOf(`latency-memory-${percentile}`, {
        description: `${figure.name} at 10,000 records/s in memory, over NATS core's plus a doorbell round trip`,
        value: own && nats && doorbell ? own.value / (nats.value + doorbell.value) : null,
        target: 1,
        sense: "at-most",
        basis: [
          ...described([own, nats], figure),
          doorbell === undefined
            ? "the doorbell was not measured"
            : `doorbell round trip ${(doorbell.value * 1000).toFixed(0)} us`,
        ],
      }),
    );
  }
  for (const column of ["fsynced", "written"] as const) {
    for (const percentile of ["p50", "p99"] as const) {
      const figure = endToEndLatency(percentile);
      verdicts.push(
        ratio(
          rows,
          `latency-synced-${percentile}${column === "written" ? "-over-page-cache" : ""}`,
          `${figure.name} at 10,000 records/s synced, over Kafka's with acks=all`,
          {
            own: { scenario, subjects: MILLRACE, durability: "fsynced" },
            peer: { scenario, subjects: KAFKA, durability: column },
            figure,
            target: 1,
          },
        ),
      );
    }
  }
  for (const durability of ["memory", "fsynced"] as const) {
    const query = { scenario, subjects: MILLRACE, durability };
    const p999 = bestOf(rows, query, endToEndLatency("p999"));
    const p99 = bestOf(rows, query, endToEndLatency("p99"));
    verdicts.push(
      verdictOf(`latency-tail-${durability}`, {
        description: `p99.9 over p99, ${columnTitle(durability)}`,
        value: p999 && p99 ? p999.value / p99.value : null,
        target: 3,
        sense: "at-most",
        basis: [...described([p999], endToEndLatency("p999")), ...described([p99], endToEndLatency("p99"))],
      }),
    );
  }
  return verdicts;
}

function fanOut(rows: readonly ResultRow[]): Verdict[] {
  const side = (subjects: readonly string[], isBatched: boolean): Side => ({
    scenario: "fan-out",
    subjects,
    parameters: { valueBytes: VALUE_BYTES, subscribers: 1_000 },
    batched: isBatched,
  });
  const verdicts: Verdict[] = [];
  for (const isBatched of [false, true]) {
    const suffix = isBatched ? "batched" : "unbatched";
    for (const peer of ["redis-pubsub", "nats-core"]) {
      verdicts.push(
        ratio(
          rows,
          `fan-out-${peer}-${suffix}`,
          `deliveries of 1 -> 1,000 over ${peer}, ${isBatched ? "batched" : "one record a frame"}`,
          {
            own: side(MILLRACE, isBatched),
            peer: side([peer], isBatched),
            figure: DELIVERIES,
            target: 1,
          },
        ),
      );
    }
    const figure = ownFigure("pingP99Ms", " ms");
    const pings = find(rows, side(MILLRACE, isBatched), figure);
    verdicts.push(
      verdictOf(`fan-out-ping-${suffix}`, {
        description: `p99 of an unrelated session's ping during 1 -> 1,000, ${isBatched ? "batched" : "one record a frame"}, over 2 ms`,
        value: pings === undefined ? null : pings.value / 2,
        target: 1,
        sense: "at-most",
        basis: described([pings], figure),
      }),
    );
  }
  return verdicts;
}

function queues(rows: readonly ResultRow[]): Verdict[] {
  const shape = {
    scenario: "queue",
    parameters: { valueBytes: VALUE_BYTES },
    saturated: true,
    figure: THROUGH,
  };
  return [
    sameColumn(rows, "queue-rabbitmq-classic", "queue with acks over RabbitMQ classic", {
      ...shape,
      peer: ["rabbitmq-classic"],
      target: 3,
    }),
    sameColumn(rows, "queue-jetstream", "queue with acks over JetStream's work queue", {
      ...shape,
      peer: JETSTREAM,
      target: 2,
    }),
  ];
}

function idleConnections(rows: readonly ResultRow[]): Verdict[] {
  const idle = (tls: boolean, bytes: number): Verdict => {
    const figure = ownFigure("bytesPerConnection", " B");
    const query = {
      scenario: "idle-connections",
      subjects: MILLRACE,
      kinds: ["raw", "client"] as const,
      parameters: { tls },
    };
    const found = bestOf(rows, query, figure);
    return verdictOf(`idle-connection-${tls ? "tls" : "plain"}`, {
      description: `resident memory of an idle connection, ${tls ? "TLS" : "plain"}, over ${bytes / KIB} KiB`,
      value: found === undefined ? null : found.value / bytes,
      target: 1,
      sense: "at-most",
      basis: [
        ...described([found], figure),
        ...described([bestOf(rows, query, KERNEL)], KERNEL),
        ...(found === undefined ? [] : [`${found.row.parameters.connections} connections`]),
      ],
    });
  };
  return [idle(false, 4 * KIB), idle(true, 8 * KIB)];
}

function idleTopics(rows: readonly ResultRow[]): Verdict[] {
  const added = ownFigure("addedRssBytes", " B");
  const kinds = ["raw", "client"] as const;
  const parameters = { topics: 10_000 };
  const topics = bestOf(rows, { scenario: "many-topics", subjects: MILLRACE, kinds, parameters }, added);
  return [
    verdictOf("idle-topics", {
      description: "resident memory that 10,000 idle topics add, over 20 MiB",
      value: topics === undefined ? null : topics.value / (20 * MIB),
      target: 1,
      sense: "at-most",
      basis: described([topics], added),
    }),
  ];
}

const KERNEL: Figure = ownFigure("kernelBytesPerConnection", " B");
