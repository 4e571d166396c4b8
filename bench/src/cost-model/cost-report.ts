import { type ResultRow, spreadOf } from "@millrace/load";
import { threeDigits } from "@millrace/load/internal";
import { columnTitle } from "../results/durability-columns.ts";
import { fitCost } from "./cost-fit.ts";

/** What a row's cost may grow with. */
const GROWING = ["topics", "partitions", "subscribers", "producers", "consumers"] as const;

interface Costs {
  readonly brokerUs: number;
  readonly clientUs: number;
}

/** Lines on what a record and a byte cost, and on how the cost grows; of rows of `subject` alone. */
export function costReport(rows: readonly ResultRow[], subject: string): string[] {
  const own = rows.filter((row) => row.subject === subject && row.repetitions.length > 0);
  return [
    ...section("CPU of a record and of a byte of its value (us and ns)", sizeLines(own)),
    ...GROWING.flatMap((name) =>
      section(`CPU of a record (us) over the number of ${name}`, growthLines(own, name)),
    ),
  ];
}

function sizeLines(rows: readonly ResultRow[]): string[] {
  return [...groupBy(rows, (row) => keyOf(row, "valueBytes"))].flatMap(([title, group]) => {
    const points = group.map((row) => ({ valueBytes: Number(row.parameters.valueBytes), ...costsOf(row) }));
    const broker = fitCost(points.map(({ valueBytes, brokerUs }) => ({ valueBytes, costUs: brokerUs })));
    const client = fitCost(points.map(({ valueBytes, clientUs }) => ({ valueBytes, costUs: clientUs })));
    if (broker === undefined || client === undefined) return [];
    const text = (name: string, fit: typeof broker): string =>
      `${name} ${threeDigits(fit.perRecordUs)} us + ${threeDigits(fit.perByteNs)} ns a byte ` +
      `(within ${(fit.worstError * 100).toFixed(0)} %)`;
    return [title, `    ${text("broker", broker)}; ${text("clients", client)}`];
  });
}

function growthLines(rows: readonly ResultRow[], name: (typeof GROWING)[number]): string[] {
  return [...groupBy(rows, (row) => keyOf(row, name))].flatMap(([title, group]) => {
    if (new Set(group.map((row) => row.parameters[name])).size < 2) return [];
    const sorted = [...group].sort((a, b) => Number(a.parameters[name]) - Number(b.parameters[name]));
    return [
      title,
      ...sorted.map((row) => {
        const { brokerUs, clientUs } = costsOf(row);
        const number = String(row.parameters[name]).padStart(8);
        return `    ${number}  broker ${threeDigits(brokerUs)}  clients ${threeDigits(clientUs)}`;
      }),
    ];
  });
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [title, ...lines.map((line) => `  ${line}`), ""];
}

function costsOf(row: ResultRow): Costs {
  const median = (figure: "brokerCpuSecondsPerMillion" | "clientCpuSecondsPerMillion"): number =>
    spreadOf(row.repetitions.map((repetition) => repetition[figure])).median;
  return { brokerUs: median("brokerCpuSecondsPerMillion"), clientUs: median("clientCpuSecondsPerMillion") };
}

/** Everything that rows have in common but for one parameter. */
function keyOf(row: ResultRow, varied: string): string {
  const fixed = Object.entries(row.parameters)
    .filter(([name]) => name !== varied)
    .map(([name, value]) => `${name} ${value}`)
    .sort();
  return `${row.scenario}, ${row.kind}, ${columnTitle(row.durability)}: ${fixed.join(", ")}`;
}

function groupBy<T>(items: readonly T[], key: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const name = key(item);
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [item]);
    else group.push(item);
  }
  return groups;
}
