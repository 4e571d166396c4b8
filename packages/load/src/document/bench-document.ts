import type { Durability } from "../driver/driver.ts";
import type { Disturbance } from "../measure/cpu-accounting.ts";
import type { Machine } from "../measure/machine.ts";

/** All results of one command, as they are written to a file. */
export interface BenchDocument {
  readonly format: "millrace-bench";
  readonly version: 1;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly command: string;
  readonly machine: Machine;
  readonly rows: readonly ResultRow[];
  readonly verdicts: readonly Verdict[];
}

/** How a subject was loaded. `raw`: bytes encoded beforehand over a socket, without a client's cost. */
export type LoadKind = "client" | "native" | "raw";

/** One scenario with one subject and one set of parameters. */
export interface ResultRow {
  readonly scenario: string;
  /** "millrace", "nats-core", "jetstream", "redis-pubsub", "redis-streams", "rabbitmq-classic", "kafka", … */
  readonly subject: string;
  readonly version: string;
  /** The client library or native tool, with its version and language. */
  readonly client: string;
  readonly kind: LoadKind;
  readonly durability: Durability;
  /** valueBytes, batchBytes, lingerMs, producers, consumers, partitions, recordsPerSecond, subscribers, … */
  readonly parameters: Readonly<Record<string, number | string | boolean>>;
  /** The broker's and the client's settings, in words. */
  readonly settings: readonly string[];
  /** What a reader has to know: more busy threads than cores, a saturated generator, what an ack means here, … */
  readonly notes: readonly string[];
  /** Why there are no repetitions. */
  readonly skipped?: string;
  readonly repetitions: readonly Repetition[];
}

/** What one measured window found. */
export interface Repetition {
  readonly seconds: number;
  /** Published and acknowledged; where nobody publishes, received, settled or answered. */
  readonly recordsPerSecond: number;
  /** Of values. */
  readonly bytesPerSecond: number;
  /** Received by all consumers together. */
  readonly deliveriesPerSecond?: number;
  readonly endToEnd?: LatencyResult;
  readonly ackLatency?: LatencyResult;
  readonly roundTrip?: LatencyResult;
  /** Records of each quarter of a second. */
  readonly series: readonly number[];
  readonly brokerCpuSecondsPerMillion: number;
  readonly clientCpuSecondsPerMillion: number;
  /** CPU seconds a second. */
  readonly brokerCores: number;
  readonly clientCores: number;
  /** Threads of broker and generators that ran or wanted to run, on average. More than there are cores: they waited for each other. */
  readonly busyThreads: number;
  readonly brokerRssBytes: number;
  readonly brokerPeakRssBytes: number;
  /** How late the schedule was kept, p99 of the worst generator. */
  readonly generatorLateMs?: number;
  /** The generator was at its limit: the figures are as much its own as the broker's. */
  readonly generatorSaturated: boolean;
  /** The scenario's own: bytesPerConnection, recoveryMs, … */
  readonly figures?: Readonly<Record<string, number>>;
  /** What went wrong without ending it, such as records that are missing. */
  readonly errors?: readonly string[];
  /** What else the machine did. */
  readonly disturbance: Disturbance;
}

/** Latencies, with the whole distribution. */
export interface LatencyResult {
  readonly unit: "ms";
  readonly count: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
  /** hdr histogram in microseconds, V2 compressed, base64. */
  readonly histogram: string;
}

/** Whether a target was met. */
export interface Verdict {
  readonly name: string;
  readonly description: string;
  /** null: could not be measured. */
  readonly ratio: number | null;
  readonly target: number;
  readonly sense: "at-least" | "at-most";
  /** null: could not be measured. */
  readonly met: boolean | null;
  /** "fsynced over peers' written": the ratio crosses durability columns. */
  readonly columns?: string;
  /** The rows and figures that it rests on, in words. */
  readonly basis: readonly string[];
}
