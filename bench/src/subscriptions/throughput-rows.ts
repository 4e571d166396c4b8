import type { CommandedChild } from "@millrace/load/internal";
import { BATCH_BYTES, type BenchRow, type RowOutcome, VALUE_BYTES } from "../harness/bench-row.ts";
import { compare } from "../harness/comparison.ts";
import { type LimitContext, type RowBroker, withBroker } from "../limits/limit-context.ts";
import type { LoadCommands, LoadMode } from "./generators/raw-load.ts";
import { LoadSubject } from "./load-subject.ts";

const GENERATORS = {
  raw: new URL("./generators/raw-load.js", import.meta.url),
  client: new URL("./generators/client-load.js", import.meta.url),
} as const;

interface ThroughputRow {
  readonly name: string;
  readonly description: string;
  readonly target: number;
  readonly generator: keyof typeof GENERATORS;
  readonly durability: "memory" | "fsynced";
  /** The ratio is the second one's records per second over the first one's. */
  readonly modes: readonly [LoadMode, LoadMode];
  readonly keys?: number;
}

/** Recent enough that all of it is in memory, as for consumers that keep up. */
const WINDOW_RECORDS = 50_000;
const KEYS = 1_000;

const ROWS: readonly ThroughputRow[] = [
  {
    name: "queue-vs-stream",
    description: "queue over stream, raw consumer, leases acked as ranges, fsynced",
    target: 0.3,
    generator: "raw",
    durability: "fsynced",
    modes: ["stream", "queue"],
  },
  {
    name: "queue-vs-stream-client",
    description: "queue over stream, consume() of the client with a handler that returns at once, fsynced",
    target: 0.3,
    generator: "client",
    durability: "fsynced",
    modes: ["stream", "queue"],
  },
  {
    name: "keyed-vs-queue",
    description: "keyed over queue, 1,000 keys, raw consumer, leases acked as ranges, fsynced",
    target: 0.5,
    generator: "raw",
    durability: "fsynced",
    modes: ["queue", "keyed"],
    keys: KEYS,
  },
  {
    name: "keyed-vs-queue-client",
    description: "keyed over queue, 1,000 keys, consume() of the client, fsynced",
    target: 0.5,
    generator: "client",
    durability: "fsynced",
    modes: ["queue", "keyed"],
    keys: KEYS,
  },
];

export const throughputRows: readonly BenchRow<LimitContext>[] = ROWS.map((row) => ({
  name: row.name,
  description: row.description,
  target: row.target,
  sense: "at-least",
  run: (context) => withBroker(context, row.name, (broker) => runRow(context, row, broker)),
}));

async function runRow(context: LimitContext, row: ThroughputRow, broker: RowBroker): Promise<RowOutcome> {
  const { children } = context;
  const loads: CommandedChild<LoadCommands>[] = [];
  try {
    for (const mode of row.modes) {
      const load = await children.fork<LoadCommands>(GENERATORS[row.generator]);
      loads.push(load);
      const spec = {
        url: broker.process.url,
        topics: [`bench-${mode}`],
        durability: row.durability,
        valueBytes: VALUE_BYTES,
        batchBytes: BATCH_BYTES,
        keys: row.keys,
        windowRecords: WINDOW_RECORDS,
      };
      await load.call("connect", { spec, mode });
    }
    const measured = broker.process.measured();
    const [yardstick, subject] = row.modes.map(
      (mode, i) => new LoadSubject(mode, measured, loads[i] as CommandedChild<LoadCommands>),
    ) as [LoadSubject, LoadSubject];
    const outcome = await compare(context, yardstick, subject, { unit: "records", generatorsAt: "broker" });
    const figures = await Promise.all(loads.map((load) => load.call("figures", null)));
    return {
      ...outcome,
      raw: { ...outcome.raw, figures },
      details: [...outcome.details, ...row.modes.flatMap((mode, i) => leaseLine(mode, figures[i] ?? {}))],
    };
  } finally {
    for (const load of loads) await children.end(load.pid);
  }
}

function leaseLine(mode: string, { records = 0, leases = 0, frames = 0 }: Record<string, number>): string[] {
  if (leases === 0) return [];
  const perLease = (records / leases).toFixed(1);
  return [`${mode}: ${perLease} records a lease, ${(leases / frames).toFixed(1)} leases a frame`];
}
