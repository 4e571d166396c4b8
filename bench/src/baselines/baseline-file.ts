import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { BenchDocument, Machine, ResultRow, Verdict } from "@millrace/load";
import { type Figure, type FigureRange, figuresOf } from "../compare/figure-comparison.ts";
import { wasMeasured } from "../results/cases.ts";
import { metricNamed } from "../results/metrics.ts";
import { rowKey } from "../results/row-identity.ts";

/** What Millrace has reached on machines with one processor. Kept beside the code, so small: no histograms, no peers. */
export interface Baseline {
  readonly format: "millrace-baseline";
  readonly version: 1;
  /** The one that was measured last. */
  readonly machine: Machine;
  readonly rows: readonly BaselineRow[];
  readonly verdicts: readonly BaselineVerdict[];
}

type Identity = Pick<
  ResultRow,
  "scenario" | "subject" | "version" | "client" | "kind" | "durability" | "parameters"
>;

export interface BaselineRow extends Identity {
  /** ISO 8601: each row is of the last stored run that had it. */
  readonly measuredAt: string;
  /** By name of the metric. */
  readonly figures: Readonly<Record<string, FigureRange>>;
}

export interface BaselineVerdict extends Pick<Verdict, "name" | "sense" | "target"> {
  readonly measuredAt: string;
  readonly ratio: number;
}

/** The folder in the repository. */
export const BASELINE_FOLDER: string = fileURLToPath(new URL("../../../baselines", import.meta.url));

/** `Intel(R) Xeon(R) CPU @ 2.20GHz` with 4 cores: `intel-xeon-cpu-2-20ghz-4c.json`. */
export function baselinePath(folder: string, { cpu, cores }: Machine): string {
  const slug = cpu
    .toLowerCase()
    .replaceAll(/\((?:r|tm|c)\)/g, " ")
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replaceAll(/^-+|-+$/g, "");
  return join(folder, `${slug === "" ? "unknown" : slug}-${cores}c.json`);
}

/** What of a run is worth keeping: our own rows and the ratios of the verdicts. */
export function baselineOf(document: BenchDocument): Baseline {
  const measuredAt = document.startedAt;
  return {
    format: "millrace-baseline",
    version: 1,
    machine: document.machine,
    rows: document.rows
      .filter((row) => isOurs(row) && wasMeasured(row))
      .map((row) => baselineRow(row, measuredAt)),
    verdicts: document.verdicts.flatMap(({ name, sense, target, ratio }) =>
      ratio === null ? [] : [{ name, sense, target, ratio, measuredAt }],
    ),
  };
}

/** The newer one, and of the older one what the newer has not measured. */
export function mergeBaselines(older: Baseline, newer: Baseline): Baseline {
  const keys = new Set(newer.rows.map(rowKey));
  const names = new Set(newer.verdicts.map(({ name }) => name));
  return {
    ...newer,
    rows: [...newer.rows, ...older.rows.filter((row) => !keys.has(rowKey(row)))].sort(byKey),
    verdicts: [...newer.verdicts, ...older.verdicts.filter(({ name }) => !names.has(name))].sort((a, b) =>
      a.name < b.name ? -1 : 1,
    ),
  };
}

export function isOurs({ subject }: Pick<ResultRow, "subject">): boolean {
  return subject === "millrace";
}

/** The figures of a stored row; those whose metric is not known any more are left out. */
export function storedFigures(row: BaselineRow): Figure[] {
  return Object.entries(row.figures).flatMap(([name, range]) => {
    const metric = metricNamed(name);
    return metric === undefined ? [] : [{ metric, range }];
  });
}

export function writeBaseline(path: string, baseline: Baseline): void {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.tmp`;
  writeFileSync(temporary, `${oneLineFigures(JSON.stringify(baseline, null, 2))}\n`);
  renameSync(temporary, path);
}

/** @returns undefined when there is none. @throws Error naming the file when it is no baseline */
export function readBaseline(path: string): Baseline | undefined {
  if (!existsSync(path)) return undefined;
  let baseline: Partial<Baseline>;
  try {
    baseline = JSON.parse(readFileSync(path, "utf8")) as Partial<Baseline>;
  } catch (error) {
    throw new Error(`${path}: is not JSON: ${(error as Error).message}`, { cause: error });
  }
  if (baseline?.format !== "millrace-baseline" || baseline.version !== 1)
    throw new Error(`${path}: is not a baseline of version 1`);
  const rows: unknown = baseline.rows;
  const verdicts: unknown = baseline.verdicts;
  const damaged = !Array.isArray(rows) || !Array.isArray(verdicts) || !rows.every(isBaselineRow);
  if (damaged || typeof baseline.machine?.cpu !== "string") throw new Error(`${path}: is a damaged baseline`);
  return baseline as Baseline;
}

/** A line a figure: a change of a baseline is to be read in a diff. */
function oneLineFigures(json: string): string {
  return json.replaceAll(
    /\{\s+("median"[^{}]*?)\s+\}/g,
    (_, figure: string) => `{ ${figure.replaceAll(/\s+/g, " ")} }`,
  );
}

function isBaselineRow(row: unknown): boolean {
  const { scenario, client, parameters, figures } = (row ?? {}) as Partial<
    Record<keyof BaselineRow, unknown>
  >;
  const objects = [parameters, figures].every((value) => typeof value === "object" && value !== null);
  return objects && typeof scenario === "string" && typeof client === "string";
}

function baselineRow(row: ResultRow, measuredAt: string): BaselineRow {
  const { scenario, subject, version, client, kind, durability, parameters } = row;
  const figures = figuresOf(row).map(({ metric, range }) => [metric.name, short(range)] as const);
  return {
    scenario,
    subject,
    version,
    client,
    kind,
    durability,
    parameters,
    measuredAt,
    figures: Object.fromEntries(figures),
  };
}

/** Four digits: more would only make every update differ. */
function short({ median, min, max, repetitions }: FigureRange): FigureRange {
  const digits = (value: number): number => Number(value.toPrecision(4));
  return { median: digits(median), min: digits(min), max: digits(max), repetitions };
}

function byKey(a: BaselineRow, b: BaselineRow): number {
  return rowKey(a) < rowKey(b) ? -1 : 1;
}
