import type { Durability, ResultRow } from "@millrace/load";
import { DURABILITY_COLUMNS } from "./durability-columns.ts";
import { mainRate, ownMetricsOf, spreadOfMetric } from "./metrics.ts";
import { caseKey, describeParameters, RATE_PARAMETER } from "./row-identity.ts";

/** The rows of one scenario. */
export interface ScenarioResults {
  readonly name: string;
  readonly rows: readonly ResultRow[];
  /** In the order of the document. */
  readonly cases: readonly Case[];
}

/** Rows with the same parameters: what may be compared. */
export interface Case {
  readonly title: string;
  readonly parameters: ResultRow["parameters"];
  readonly columns: readonly Column[];
}

/** Rows that promise the same, fastest first; what was not measured stands last. */
export interface Column {
  readonly durability: Durability;
  readonly rows: readonly ResultRow[];
}

/** Scenarios in the order in which the document names them first. */
export function scenariosOf(rows: readonly ResultRow[]): ScenarioResults[] {
  return [...groupBy(rows, (row) => row.scenario)].map(([name, ofScenario]) => ({
    name,
    rows: ofScenario,
    cases: [...groupBy(ofScenario, (row) => caseKey(row)).values()].map(caseOf),
  }));
}

/** Cases of a scenario that differ in the offered rate alone, column by column. */
export function rateLaddersOf(scenario: ScenarioResults): Case[] {
  const offered = scenario.rows.filter((row) => typeof row.parameters[RATE_PARAMETER] === "number");
  return [...groupBy(offered, (row) => caseKey(row, [RATE_PARAMETER])).values()].map((rows) => {
    const { [RATE_PARAMETER]: _offered, ...parameters } = rows[0]?.parameters ?? {};
    return { ...caseOf(rows), title: describeParameters(parameters), parameters };
  });
}

export function wasMeasured(row: ResultRow): boolean {
  return row.skipped === undefined && row.repetitions.length > 0;
}

/** Why a row has no figures. */
export function whyMissing(row: ResultRow): string {
  return row.skipped ?? "no repetition was recorded";
}

function caseOf(rows: readonly ResultRow[]): Case {
  const parameters = rows[0]?.parameters ?? {};
  const known = DURABILITY_COLUMNS.map((durability) => ({
    durability,
    rows: sorted(rows.filter((row) => row.durability === durability)),
  }));
  return {
    title: describeParameters(parameters),
    parameters,
    columns: known.filter((column) => column.rows.length > 0),
  };
}

function sorted(rows: readonly ResultRow[]): ResultRow[] {
  const [own] = ownMetricsOf(rows);
  const ownFigure = (row: ResultRow): number =>
    own === undefined ? 0 : (spreadOfMetric(row, own)?.median ?? Number.POSITIVE_INFINITY);
  const rate = (row: ResultRow): number => mainRate(row)?.median ?? 0;
  return [...rows].sort((a, b) => {
    if (wasMeasured(a) !== wasMeasured(b)) return wasMeasured(a) ? -1 : 1;
    const byRate = rate(b) - rate(a);
    return byRate !== 0 ? byRate : Math.sign(ownFigure(a) - ownFigure(b)) || (a.subject < b.subject ? -1 : 1);
  });
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return groups;
}
