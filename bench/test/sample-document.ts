import type { BenchDocument, LatencyResult, Repetition, ResultRow } from "@millrace/load";
import { build, encodeIntoCompressedBase64 } from "hdr-histogram-js";

/** Numbers from 0 to 1 that are the same in every run of a test. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Latencies around `p50Ms` with a long tail. */
export function sampleLatency(p50Ms: number, count: number, random: () => number): LatencyResult {
  const histogram = build({
    bitBucketSize: 64,
    lowestDiscernibleValue: 1,
    highestTrackableValue: 600_000_000,
    numberOfSignificantValueDigits: 3,
  });
  for (let index = 0; index < count; index++) {
    const spread = Math.exp((random() + random() + random() - 1.5) * 0.8);
    const stall = random() < 0.004 ? 8 + random() * 20 : 1;
    histogram.recordValue(Math.max(1, Math.round(p50Ms * 1000 * spread * stall)));
  }
  const at = (percentile: number): number => histogram.getValueAtPercentile(percentile) / 1000;
  return {
    unit: "ms",
    count,
    p50: at(50),
    p90: at(90),
    p99: at(99),
    p999: at(99.9),
    max: histogram.maxValue / 1000,
    histogram: encodeIntoCompressedBase64(histogram),
  };
}

export interface SampleFigures {
  readonly rate: number;
  readonly latencyMs?: number;
  readonly repetitions?: number;
  /** Share of the rate that is left at the end. */
  readonly end?: number;
  readonly over?: Partial<Repetition>;
}

const PARAMETERS = {
  valueBytes: 100,
  batchBytes: 16384,
  lingerMs: 1,
  producers: 1,
  consumers: 1,
  partitions: 1,
};
const BASE: ResultRow = {
  scenario: "pinned-producer",
  subject: "millrace",
  version: "0.1.0",
  client: "@millrace/client 0.1.0 (Node)",
  kind: "client",
  durability: "memory",
  parameters: PARAMETERS,
  settings: ["shards=1", "durability as the topic says"],
  notes: [],
  repetitions: [],
};

/** A row with repetitions that differ by a few percent. */
export function sampleRow(over: Partial<ResultRow>, figures?: SampleFigures, seed = 1): ResultRow {
  const row = { ...BASE, ...over };
  if (figures === undefined) return row;
  const random = seeded(seed);
  const repetitions = Array.from({ length: figures.repetitions ?? 3 }, () => repetition(figures, random));
  return { ...row, repetitions };
}

function repetition(figures: SampleFigures, random: () => number): Repetition {
  const rate = figures.rate * (0.95 + random() * 0.1);
  const end = figures.end ?? 1;
  const latency =
    figures.latencyMs === undefined ? undefined : sampleLatency(figures.latencyMs, 4000, random);
  return {
    seconds: 10,
    recordsPerSecond: rate,
    bytesPerSecond: rate * 100,
    series: Array.from({ length: 40 }, (_, slice) => {
      const left = slice < 24 ? 1 : 1 - ((slice - 24) / 15) * (1 - end);
      return Math.round((rate / 4) * left * (0.9 + random() * 0.2));
    }),
    brokerCpuSecondsPerMillion: rate === 0 ? 0 : 1e6 / rate,
    clientCpuSecondsPerMillion: rate === 0 ? 0 : 0.8e6 / rate,
    brokerCores: 1,
    clientCores: 0.8,
    busyThreads: 1.8,
    brokerRssBytes: 110 * 1024 * 1024,
    brokerPeakRssBytes: 128 * 1024 * 1024,
    generatorSaturated: false,
    disturbance: { elsewhereCores: 0.02, stolenCores: 0 },
    ...(latency === undefined ? {} : { endToEnd: latency }),
    ...figures.over,
  };
}

const PEERS: readonly (readonly [
  subject: string,
  version: string,
  client: string,
  rate: number,
  ms: number,
])[] = [
  ["nats-core", "2.15.2", "nats.js 3.4.0 (Node)", 1.1e6, 0.31],
  ["jetstream", "2.15.2", "nats.js 3.4.0 (Node)", 210e3, 0.9],
  ["redis-pubsub", "7.0.15", "ioredis 5.4.1 (Node)", 480e3, 0.42],
  ["redis-streams", "7.0.15", "ioredis 5.4.1 (Node)", 150e3, 1.2],
  ["rabbitmq-classic", "3.10.8", "amqplib 0.10.4 (Node)", 62e3, 2.7],
  ["rabbitmq-quorum", "3.10.8", "amqplib 0.10.4 (Node)", 31e3, 6.1],
  ["rabbitmq-stream", "3.10.8", "rabbitmq-stream 0.6 (Node)", 240e3, 3.4],
  ["kafka", "4.1.1", "kafka-clients 4.1.1 (Java)", 640e3, 2.2],
  ["mosquitto", "2.0.11", "mqtt.js 5.16.0 (Node)", 88e3, 0.7],
  ["relay", "uWebSockets.js 20", "raw WebSocket", 1.9e6, 0.12],
];

/** Something of everything that a report can show. */
export function sampleDocument(): BenchDocument {
  sample ??= makeDocument();
  return sample;
}

let sample: BenchDocument | undefined;

function makeDocument(): BenchDocument {
  return {
    format: "millrace-bench",
    version: 1,
    startedAt: "2026-11-23T04:10:00.000Z",
    command: "pnpm bench --scenario pinned-producer --json a.json",
    machine: {
      cpu: "Example(R) Processor <8> @ 2.50GHz",
      cores: 2,
      memoryBytes: 8 * 1024 ** 3,
      kernel: "linux 6.1.0",
      node: "v20.20.2",
    },
    rows: [...producerRows(), ...endToEndRows(), ...ladderRows(), ...fanOutRows(), ...figureRows()],
    verdicts: VERDICTS,
  };
}

function producerRows(): ResultRow[] {
  const own = [
    sampleRow({}, { rate: 2.6e6 }),
    sampleRow({ client: "encoded blocks", kind: "raw" }, { rate: 4.9e6, over: { busyThreads: 3.2 } }, 2),
    sampleRow({ durability: "written" }, { rate: 2.3e6, end: 0.4 }, 3),
    sampleRow({ durability: "fsynced" }, { rate: 1.9e6 }, 4),
  ];
  const peers = PEERS.map(([subject, version, client, rate], index) => {
    const row = {
      subject,
      version,
      client,
      settings: ["defaults"],
      notes: ["no acks: counted behind a PONG"],
    };
    return sampleRow(row, { rate, over: { generatorSaturated: index === 0 } }, 10 + index);
  });
  const native = sampleRow(
    { subject: "nats-core", version: "2.15.2", client: "nats bench 2.15.2 (Go)", kind: "native" },
    { rate: 3.2e6, over: { series: [] } },
    30,
  );
  const kafka = sampleRow(
    { subject: "kafka", version: "4.1.1", client: "kafka-clients 4.1.1 (Java)", durability: "fsynced" },
    { rate: 220e3 },
    31,
  );
  const skipped = sampleRow({
    subject: "rabbitmq-quorum",
    version: "",
    client: "amqplib 0.10.4 (Node)",
    durability: "fsynced",
    skipped: "rabbitmq-server is not installed <run setup.sh>",
  });
  return [...own, ...peers, native, kafka, skipped];
}

function endToEndRows(): ResultRow[] {
  const scenario = "end-to-end";
  const peers = PEERS.map(([subject, version, client, rate, latencyMs], index) =>
    sampleRow({ scenario, subject, version, client }, { rate: rate * 0.7, latencyMs }, 40 + index),
  );
  return [sampleRow({ scenario }, { rate: 2.2e6, latencyMs: 0.24 }, 39), ...peers];
}

function ladderRows(): ResultRow[] {
  const scenario = "unbatched-latency";
  const rates = [1000, 10_000, 50_000, 100_000];
  const row = (subject: string, client: string, recordsPerSecond: number, limit: number, ms: number) => {
    const rate = Math.min(recordsPerSecond, limit);
    const parameters = { ...PARAMETERS, batchBytes: 0, lingerMs: 0, recordsPerSecond };
    const latencyMs = recordsPerSecond > limit ? 800 : ms / (1.02 - rate / limit);
    return sampleRow({ scenario, subject, client, parameters }, { rate, latencyMs }, recordsPerSecond);
  };
  return rates.flatMap((rate) => [
    row("millrace", "@millrace/client 0.1.0 (Node)", rate, 140_000, 0.2),
    row("nats-core", "nats.js 3.4.0 (Node)", rate, 90_000, 0.15),
  ]);
}

function fanOutRows(): ResultRow[] {
  const scenario = "fan-out";
  const parameters = { ...PARAMETERS, subscribers: 1000 };
  const rows = [PEERS[0], PEERS[2]] as const;
  return [
    sampleRow({ scenario, parameters }, { rate: 4000, over: { deliveriesPerSecond: 4e6 } }),
    ...rows.map((peer) => {
      const [subject, version, client] = peer ?? ["", "", ""];
      const figures = { rate: 2500, over: { deliveriesPerSecond: 2.5e6 } };
      return sampleRow({ scenario, parameters, subject, version, client }, figures);
    }),
  ];
}

function figureRows(): ResultRow[] {
  const scenario = "idle-connections";
  const parameters = { connections: 10_000 };
  const none = { rate: 0, over: { series: [], figures: { bytesPerConnection: 3900 } } };
  return [
    sampleRow({ scenario, parameters }, none),
    sampleRow({ scenario, parameters, subject: "mosquitto", version: "2.0.11", client: "raw sockets" }, none),
  ];
}

const VERDICTS: BenchDocument["verdicts"] = [
  {
    name: "ingest-memory-vs-nats",
    description: "publish rate in memory over NATS core's",
    ratio: 2.36,
    target: 2,
    sense: "at-least",
    met: true,
    basis: ["millrace 2.60 M/s (2.51..2.70)", "nats-core, nats.js 1.10 M/s (1.06..1.14)"],
  },
  {
    name: "ingest-synced-vs-written",
    description: "synced publish rate over the best peer's in the page cache",
    ratio: 1.21,
    target: 1.5,
    sense: "at-least",
    met: false,
    columns: "synced over peers' page cache",
    basis: ["millrace 1.90 M/s (1.83..1.97)"],
  },
  {
    name: "idle-connection",
    description: "bytes of an idle connection over 4 KiB",
    ratio: 0.95,
    target: 1,
    sense: "at-most",
    met: true,
    basis: ["3900 B"],
  },
  {
    name: "queue-vs-rabbitmq",
    description: "queue with acks over RabbitMQ classic",
    ratio: null,
    target: 3,
    sense: "at-least",
    met: null,
    basis: ["rabbitmq-classic: skipped"],
  },
];
