import type { LatencyResult, Repetition, ResultRow } from "@millrace/load";
import { type Spread, spreadOf } from "@millrace/load";
import { type FigureUnit, titleOfName, unitOfName } from "./figure-format.ts";

/** A figure that every repetition of a row may have. */
export interface Metric {
  readonly name: string;
  readonly title: string;
  /** Title below that of a group, where metrics stand side by side. */
  readonly part?: { readonly group: string; readonly title: string };
  readonly unit: FigureUnit;
  /** Which way is better; "none" = a fact that is neither. */
  readonly better: "higher" | "lower" | "none";
  of(repetition: Repetition): number | undefined;
}

/** Where a latency is taken. The clock starts when a record was to be sent, not when it was. */
export type LatencyKind = "endToEnd" | "ackLatency" | "roundTrip";
export const LATENCY_KINDS: readonly LatencyKind[] = ["endToEnd", "ackLatency", "roundTrip"];
const LATENCY_TITLES: Readonly<Record<LatencyKind, string>> = {
  endToEnd: "end to end",
  ackLatency: "until acknowledged",
  roundTrip: "round trip",
};

export type Percentile = "p50" | "p90" | "p99" | "p999" | "max";
const PERCENTILE_TITLES: Readonly<Record<Percentile, string>> = {
  p50: "p50",
  p90: "p90",
  p99: "p99",
  p999: "p99.9",
  max: "max",
};

export const RECORD_RATE: Metric = {
  name: "recordsPerSecond",
  title: "records",
  unit: "per-second",
  better: "higher",
  of: ({ recordsPerSecond }) => recordsPerSecond,
};
export const DELIVERY_RATE: Metric = {
  name: "deliveriesPerSecond",
  title: "deliveries",
  unit: "per-second",
  better: "higher",
  of: ({ deliveriesPerSecond }) => deliveriesPerSecond,
};
export const BROKER_CPU: Metric = {
  name: "brokerCpuSecondsPerMillion",
  title: "broker CPU",
  part: { group: "CPU, s per M records", title: "broker" },
  unit: "seconds-per-million",
  better: "lower",
  of: (repetition) => repetition.brokerCpuSecondsPerMillion,
};
export const CLIENT_CPU: Metric = {
  name: "clientCpuSecondsPerMillion",
  title: "client CPU",
  part: { group: "CPU, s per M records", title: "client" },
  unit: "seconds-per-million",
  better: "lower",
  of: (repetition) => repetition.clientCpuSecondsPerMillion,
};
export const BROKER_RSS: Metric = {
  name: "brokerPeakRssBytes",
  title: "broker RSS, peak",
  part: { group: "broker", title: "RSS peak" },
  unit: "bytes",
  better: "lower",
  of: (repetition) => repetition.brokerPeakRssBytes,
};

export function latencyTitle(kind: LatencyKind): string {
  return LATENCY_TITLES[kind];
}

export function percentileTitle(percentile: Percentile): string {
  return PERCENTILE_TITLES[percentile];
}

export function latencyMetric(kind: LatencyKind, percentile: Percentile): Metric {
  return {
    name: `${kind}.${percentile}`,
    title: `${percentileTitle(percentile)} ${latencyTitle(kind)}`,
    part: { group: `latency ${latencyTitle(kind)}, ms`, title: percentileTitle(percentile) },
    unit: "ms",
    better: "lower",
    of: (repetition) => (repetition[kind] as LatencyResult | undefined)?.[percentile],
  };
}

const OWN_PREFIX = "figures.";

/** A figure that the scenario itself has defined. Names say whether more is better: rates are, the others are not. */
export function ownMetric(name: string): Metric {
  const unit = unitOfName(name);
  return {
    name: OWN_PREFIX + name,
    title: titleOfName(name),
    unit,
    better: unit === "per-second" ? "higher" : unit === "plain" ? "none" : "lower",
    of: (repetition) => repetition.figures?.[name],
  };
}

/** The scenario's own metrics that any of the rows has, by name. */
export function ownMetricsOf(rows: readonly ResultRow[]): Metric[] {
  const names = new Set(
    rows.flatMap((row) => row.repetitions.flatMap((repetition) => Object.keys(repetition.figures ?? {}))),
  );
  return [...names].sort().map(ownMetric);
}

/** The kinds of latency that any of the rows has. */
export function latencyKindsOf(rows: readonly ResultRow[]): LatencyKind[] {
  return LATENCY_KINDS.filter((kind) =>
    rows.some(({ repetitions }) => repetitions.some((repetition) => repetition[kind] !== undefined)),
  );
}

/**
 * Median and range over the repetitions that have the figure; undefined where none has. Nought means that there was
 * nothing to measure (the rate of connections that idle, the CPU per record of those), but for a scenario's own figures.
 */
export function spreadOfMetric(row: ResultRow, metric: Metric): Spread | undefined {
  const samples = row.repetitions
    .map((repetition) => metric.of(repetition))
    .filter((sample): sample is number => typeof sample === "number" && Number.isFinite(sample));
  if (samples.length === 0) return undefined;
  const spread = spreadOf(samples);
  return spread.max > 0 || metric.name.startsWith(OWN_PREFIX) ? spread : undefined;
}

/** Deliveries where one record goes to several consumers, else records. Undefined where the row has no rate. */
export function mainRate(row: ResultRow): Spread | undefined {
  return spreadOfMetric(row, DELIVERY_RATE) ?? spreadOfMetric(row, RECORD_RATE);
}

/** All metrics of a row, most telling first; those without a figure as well. */
export function metricsOf(row: ResultRow): Metric[] {
  const latencies = latencyKindsOf([row]).flatMap((kind) =>
    (["p50", "p99", "p999"] as const).map((percentile) => latencyMetric(kind, percentile)),
  );
  return [
    RECORD_RATE,
    DELIVERY_RATE,
    ...ownMetricsOf([row]),
    ...latencies,
    BROKER_CPU,
    CLIENT_CPU,
    BROKER_RSS,
  ];
}

/** The metric of that name, as `Metric.name` has it. */
export function metricNamed(name: string): Metric | undefined {
  const [head = "", tail = ""] = name.split(/\.(.*)/s);
  if (`${head}.` === OWN_PREFIX && tail !== "") return ownMetric(tail);
  const kind = LATENCY_KINDS.find((known) => known === head);
  if (kind !== undefined && Object.hasOwn(PERCENTILE_TITLES, tail))
    return latencyMetric(kind, tail as Percentile);
  return [RECORD_RATE, DELIVERY_RATE, BROKER_CPU, CLIENT_CPU, BROKER_RSS].find(
    (metric) => metric.name === name,
  );
}
