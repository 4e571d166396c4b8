import { type LatencyResult, type Repetition, type ResultRow, spreadOf } from "@millrace/load";
import { threeDigits } from "@millrace/load/internal";
import { textTable } from "../output/text-table.ts";
import { rateText } from "./rate-text.ts";

interface Column {
  readonly title: string;
  value(repetition: Repetition): number | undefined;
  text(value: number): string;
}

const LATENCIES: readonly (readonly [string, (repetition: Repetition) => LatencyResult | undefined])[] = [
  ["end to end", ({ endToEnd }) => endToEnd],
  ["to the ack", ({ ackLatency }) => ackLatency],
  ["round trip", ({ roundTrip }) => roundTrip],
];

const COLUMNS: readonly Column[] = [
  { title: "records", value: ({ recordsPerSecond }) => recordsPerSecond, text: rateText },
  { title: "MB/s", value: ({ bytesPerSecond }) => bytesPerSecond / 1e6, text: threeDigits },
  { title: "deliveries", value: ({ deliveriesPerSecond }) => deliveriesPerSecond, text: rateText },
  { title: "settled", value: ({ figures }) => figures?.settledPerSecond, text: rateText },
  ...LATENCIES.flatMap(([name, latency]): Column[] => [
    { title: `${name} p50`, value: (repetition) => latency(repetition)?.p50, text: milliseconds },
    { title: "p99", value: (repetition) => latency(repetition)?.p99, text: milliseconds },
    { title: "p99.9", value: (repetition) => latency(repetition)?.p999, text: milliseconds },
  ]),
  {
    title: "client CPU",
    value: ({ clientCpuSecondsPerMillion }) => clientCpuSecondsPerMillion,
    text: (value) => `${threeDigits(value)} us`,
  },
];

/** The rounds of a bench and their median, column by column; latencies in ms, CPU of the generators in us a record. */
export function benchReport(row: ResultRow): string[] {
  const { repetitions } = row;
  const columns = COLUMNS.filter((column) => repetitions.some((round) => column.value(round) !== undefined));
  const cells = (values: (column: Column) => number | undefined): string[] =>
    columns.map((column) => {
      const value = values(column);
      return value === undefined ? "-" : column.text(value);
    });
  const rounds = repetitions.map((round, index) => [
    `${index + 1}`,
    ...cells((column) => column.value(round)),
  ]);
  const median = ["median", ...cells((column) => medianOf(repetitions, column))];
  const table = textTable(["round", ...columns.map(({ title }) => title)], [...rounds, median]);
  return [...table, ...row.notes.map((note) => `note: ${note}`)];
}

function medianOf(repetitions: readonly Repetition[], column: Column): number | undefined {
  const values = repetitions.flatMap((repetition) => column.value(repetition) ?? []);
  return values.length === 0 ? undefined : spreadOf(values).median;
}

function milliseconds(value: number): string {
  return `${threeDigits(value)} ms`;
}
