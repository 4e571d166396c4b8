import type { ResultRow } from "@millrace/load";
import { columnTitle } from "./durability-columns.ts";

/** The parameter that an open-loop row is offered; rows that differ in it alone make a line over the rate. */
export const RATE_PARAMETER = "recordsPerSecond";

/** What a row is of, without its figures. */
export type RowIdentity = Pick<
  ResultRow,
  "scenario" | "subject" | "client" | "kind" | "durability" | "parameters"
>;

/**
 * What makes two rows of different runs the same measurement: scenario, subject, client, durability and parameters.
 * The versions of subject and client are left out: they are what a comparison is often about.
 */
export function rowKey(row: RowIdentity): string {
  return JSON.stringify([
    row.scenario,
    row.subject,
    row.kind,
    withoutVersion(row.client),
    row.durability,
    sortedParameters(row),
  ]);
}

/** Rows with the same key may be compared side by side within one run, whatever their subject. */
export function caseKey(row: ResultRow, leaveOut: readonly string[] = []): string {
  return JSON.stringify(sortedParameters(row).filter(([name]) => !leaveOut.includes(name)));
}

/** `nats.js 3.4.0 (Node)` becomes `nats.js (Node)`. */
export function withoutVersion(client: string): string {
  return client.replace(/(?:^|\s+)v?\d+(?:\.\d+)+[-+.\w]*/g, "").trim();
}

/** `end-to-end  millrace  @millrace/client (Node)  synced to disk  100 B, batches of 16 KiB` on one line. */
export function describeRow(row: RowIdentity): string {
  const parameters = describeParameters(row.parameters);
  return [row.scenario, row.subject, row.client, columnTitle(row.durability), parameters]
    .filter((part) => part !== "")
    .join(" | ");
}

/** `100 B values, batches of 16 KiB, linger 1 ms, 1 producer, 2 consumers`; other parameters as `name value`. */
export function describeParameters(parameters: ResultRow["parameters"]): string {
  return Object.entries(parameters)
    .sort(([a], [b]) => rank(a) - rank(b) || (a < b ? -1 : 1))
    .map(([name, value]) => describeParameter(name, value))
    .filter((text) => text !== "")
    .join(", ");
}

type Value = number | string | boolean;

const DESCRIPTIONS: Readonly<Record<string, (value: Value) => string>> = {
  valueBytes: (value) => `${size(value)} values`,
  batchBytes: (value) => (value === 0 ? "one record a frame" : `batches of ${size(value)}`),
  lingerMs: (value) => `linger ${value} ms`,
  recordsPerSecond: (value) => `${grouped(value)} records/s offered`,
  producers: (value) => counted(value, "producer"),
  consumers: (value) => counted(value, "consumer"),
  subscribers: (value) => counted(value, "subscriber"),
  partitions: (value) => counted(value, "partition"),
  topics: (value) => counted(value, "topic"),
  connections: (value) => counted(value, "connection"),
  keys: (value) => counted(value, "key"),
};
const ORDER = Object.keys(DESCRIPTIONS);

function rank(name: string): number {
  const index = ORDER.indexOf(name);
  return index < 0 ? ORDER.length : index;
}

function describeParameter(name: string, value: Value): string {
  const describe = Object.hasOwn(DESCRIPTIONS, name) ? DESCRIPTIONS[name] : undefined;
  return describe === undefined ? `${name} ${String(value)}` : describe(value);
}

function counted(value: Value, noun: string): string {
  return `${grouped(value)} ${noun}${value === 1 ? "" : "s"}`;
}

function size(value: Value): string {
  if (typeof value !== "number") return String(value);
  if (value >= 1024 ** 2 && value % 1024 ** 2 === 0) return `${value / 1024 ** 2} MiB`;
  return value >= 1024 && value % 1024 === 0 ? `${value / 1024} KiB` : `${grouped(value)} B`;
}

function grouped(value: Value): string {
  return typeof value === "number" ? value.toLocaleString("en-US") : String(value);
}

function sortedParameters(row: RowIdentity): [string, Value][] {
  return Object.entries(row.parameters).sort(([a], [b]) => (a < b ? -1 : 1));
}
