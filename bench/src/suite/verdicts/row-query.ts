import { type Durability, type Repetition, type ResultRow, spreadOf } from "@millrace/load";

/** As it is called in the rows. */
export const MILLRACE: readonly string[] = ["millrace"];

/** A figure of a row that a verdict compares. */
export interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly better: "higher" | "lower";
  of(repetition: Repetition): number | undefined;
}

export interface RowQuery {
  readonly scenario: string;
  readonly subjects: readonly string[];
  readonly durability?: Durability;
  /** Only rows with exactly these. */
  readonly parameters?: Readonly<Record<string, number | string | boolean>>;
  /** Native tool and client by default: the raw driver has no client's cost, on neither side. */
  readonly kinds?: readonly ResultRow["kind"][];
}

/** A row with the median of the figure. */
export interface Found {
  readonly row: ResultRow;
  readonly value: number;
}

export const RECORDS: Figure = {
  name: "records/s",
  unit: "/s",
  better: "higher",
  of: ({ recordsPerSecond }) => recordsPerSecond,
};
/** What went through from end to end: the slower side of the two. */
export const THROUGH: Figure = {
  name: "records/s end to end",
  unit: "/s",
  better: "higher",
  of: ({ recordsPerSecond, deliveriesPerSecond }) =>
    deliveriesPerSecond === undefined ? recordsPerSecond : Math.min(recordsPerSecond, deliveriesPerSecond),
};
export const DELIVERIES: Figure = {
  name: "deliveries/s",
  unit: "/s",
  better: "higher",
  of: ({ deliveriesPerSecond }) => deliveriesPerSecond,
};

export function endToEndLatency(percentile: "p50" | "p99" | "p999"): Figure {
  return {
    name: `${percentile === "p999" ? "p99.9" : percentile} end to end`,
    unit: " ms",
    better: "lower",
    of: ({ endToEnd }) => endToEnd?.[percentile],
  };
}

export function ownFigure(name: string, unit: string): Figure {
  return { name, unit, better: "lower", of: ({ figures }) => figures?.[name] };
}

/** The best of the rows that match, by the median over their repetitions; undefined where none was measured. */
export function bestOf(rows: readonly ResultRow[], query: RowQuery, figure: Figure): Found | undefined {
  let best: Found | undefined;
  for (const row of rows) {
    if (!matches(row, query)) continue;
    const samples = row.repetitions.map(figure.of).filter((sample) => sample !== undefined);
    if (samples.length === 0) continue;
    const value = spreadOf(samples).median;
    const isBetter =
      best === undefined || (figure.better === "higher" ? value > best.value : value < best.value);
    if (isBetter) best = { row, value };
  }
  return best;
}

function matches(row: ResultRow, query: RowQuery): boolean {
  const { scenario, subjects, durability, parameters = {}, kinds = ["client", "native"] } = query;
  return (
    row.scenario === scenario &&
    subjects.includes(row.subject) &&
    kinds.includes(row.kind) &&
    (durability === undefined || row.durability === durability) &&
    Object.entries(parameters).every(([name, value]) => row.parameters[name] === value)
  );
}

/** `kafka, kafka-producer-perf-test (Java), written: 1.23 M/s` */
export function describeFound({ row, value }: Found, { unit, name }: Figure): string {
  const text =
    unit === "/s" && value >= 1e6
      ? `${(value / 1e6).toFixed(2)} M/s`
      : unit === "/s" && value >= 1e4
        ? `${(value / 1e3).toFixed(0)} k/s`
        : `${Number(value.toPrecision(3))}${unit}`;
  return `${row.subject} ${row.durability}, ${row.client}: ${text} ${unit === "/s" ? name.replace(/\/s/, "") : name}`.trimEnd();
}
