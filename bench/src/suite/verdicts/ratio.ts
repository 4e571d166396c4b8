import type { Durability, ResultRow, Verdict } from "@millrace/load";
import { columnTitle, DURABILITY_COLUMNS } from "../../results/durability-columns.ts";
import { bestOf, describeFound, type Figure, type Found, MILLRACE, type RowQuery } from "./row-query.ts";

/** A query, and whether a client batches, which is a number in the parameters. */
export interface Side extends RowQuery {
  readonly batched?: boolean;
  /** Only rows without a rate. */
  readonly saturated?: boolean;
}

export interface RatioSpec {
  readonly own: Side;
  readonly peer: Side;
  readonly figure: Figure;
  readonly target: number;
}

export function find(rows: readonly ResultRow[], side: Side, figure: Figure): Found | undefined {
  const { batched, saturated } = side;
  const fitting = rows.filter(({ parameters: { batchBytes, recordsPerSecond } }) => {
    if (saturated === true && recordsPerSecond !== undefined) return false;
    return batched === undefined || Number(batchBytes) > 0 === batched;
  });
  return bestOf(fitting, side, figure);
}

export function ratio(
  rows: readonly ResultRow[],
  name: string,
  description: string,
  spec: RatioSpec,
): Verdict {
  const { own, peer, figure, target } = spec;
  const ours = find(rows, own, figure);
  const theirs = find(rows, peer, figure);
  const raw = find(rows, { ...own, kinds: ["raw"] }, figure);
  return verdictOf(name, {
    description,
    value: ours && theirs && theirs.value > 0 ? ours.value / theirs.value : null,
    target,
    sense: figure.better === "higher" ? "at-least" : "at-most",
    columns: columnsOf(ours, theirs),
    basis: [
      ...described([ours, theirs], figure),
      ...(raw === undefined ? [] : [`beside, not counted: ${describeFound(raw, figure)}`]),
      ...(theirs === undefined ? [`not measured: ${peer.subjects.join(", ")}`] : []),
    ],
  });
}

/**
 * Each column that both have, and the least favourable of them. Where they have none in common, the peer's strongest column
 * against the next stronger one of Millrace.
 */
export function sameColumn(
  rows: readonly ResultRow[],
  name: string,
  description: string,
  spec: {
    scenario: string;
    parameters: RowQuery["parameters"] & object;
    saturated: boolean;
    peer: readonly string[];
    figure: Figure;
    target: number;
  },
): Verdict {
  const { scenario, parameters, saturated, peer, figure, target } = spec;
  const side = (subjects: readonly string[], durability: Durability): Side => ({
    scenario,
    parameters,
    saturated,
    subjects,
    durability,
  });
  const has = (subjects: readonly string[], durability: Durability): boolean =>
    find(rows, side(subjects, durability), figure) !== undefined;
  const common = DURABILITY_COLUMNS.filter(
    (durability) => has(peer, durability) && has(MILLRACE, durability),
  );
  const pairs: (readonly [Durability, Durability])[] = common.map((durability) => [durability, durability]);
  if (pairs.length === 0) {
    const theirs = DURABILITY_COLUMNS.filter((durability) => has(peer, durability)).at(-1) ?? "memory";
    const own =
      DURABILITY_COLUMNS.slice(DURABILITY_COLUMNS.indexOf(theirs)).find((durability) =>
        has(MILLRACE, durability),
      ) ?? "fsynced";
    pairs.push([own, theirs]);
  }
  const verdicts = pairs.map(([own, theirs]) =>
    ratio(rows, name, description, { own: side(MILLRACE, own), peer: side(peer, theirs), figure, target }),
  );
  const worst = verdicts.reduce((least, verdict) =>
    (verdict.ratio ?? 0) < (least.ratio ?? 0) ? verdict : least,
  );
  const others = verdicts.filter((verdict) => verdict !== worst);
  return {
    ...worst,
    basis: [
      ...worst.basis,
      ...others.map(
        (verdict) => `in another column ${(verdict.ratio ?? 0).toFixed(2)}: ${verdict.basis.join("; ")}`,
      ),
    ],
  };
}

function columnsOf(ours: Found | undefined, theirs: Found | undefined): string | undefined {
  if (ours === undefined || theirs === undefined || ours.row.durability === theirs.row.durability)
    return undefined;
  return `${columnTitle(ours.row.durability)} over ${theirs.row.subject}'s ${columnTitle(theirs.row.durability)}`;
}

export function described(found: readonly (Found | undefined)[], figure: Figure): string[] {
  return found.filter((each) => each !== undefined).map((each) => describeFound(each, figure));
}

export function verdictOf(
  name: string,
  of: {
    description: string;
    value: number | null;
    target: number;
    sense: Verdict["sense"];
    columns?: string | undefined;
    basis: readonly string[];
  },
): Verdict {
  const { description, value, target, sense, columns, basis } = of;
  const met = value === null ? null : sense === "at-least" ? value >= target : value <= target;
  return {
    name,
    description,
    ratio: value,
    target,
    sense,
    met,
    ...(columns === undefined ? {} : { columns }),
    basis,
  };
}
