import type { BenchRow, RowOutcome } from "../harness/bench-row.ts";
import type { CoreContext } from "./core-context.ts";
import type { CopyVariant } from "./transfer/transfer-spec.ts";
import { compareRates, describeRate, type SubjectSpec, sampleTransfers } from "./transfer-samples.ts";

/**
 * What three properties of the layout cost, each shown by one bench. The first two are variants of the copy loop, since the
 * ring itself has no such choice any more.
 */
interface CostRow {
  readonly name: string;
  readonly description: string;
  readonly recordBytes: number;
  /** The row's ratio is that of the first two. */
  readonly subjects: Readonly<Record<string, SubjectSpec>>;
}

const APART: CopyVariant = { lines: "apart", caches: true, kernel: "straight", shiftBytes: 0 };
const BATCHES = [64, 1, 8, 512] as const;

const ROWS: readonly CostRow[] = [
  {
    name: "cost-false-sharing",
    description:
      "64 B, each published alone: head and tail on lines of their own over both on one (copy loop)",
    recordBytes: 64,
    subjects: {
      apart: copy({}, 1),
      "on one line": copy({ lines: "adjacent" }, 1),
      "apart, positions not cached": copy({ caches: false }, 1),
      "on one line, positions not cached": copy({ lines: "adjacent", caches: false }, 1),
      "apart, batches of 64": copy({}, 64),
      "on one line, batches of 64": copy({ lines: "adjacent" }, 64),
    },
  },
  {
    name: "cost-alignment",
    description:
      "1 KiB from an aligned source over the same from an odd address, by TypedArray.set (copy loop)",
    recordBytes: 1024,
    subjects: {
      "set, aligned": copy({ kernel: "set" }, 64),
      "set, odd address": copy({ kernel: "set", shiftBytes: 1 }, 64),
      "fill, aligned": copy({ kernel: "fill" }, 64),
      "fill, odd address": copy({ kernel: "fill", shiftBytes: 1 }, 64),
    },
  },
  {
    name: "cost-batch",
    description: "64 B by write: published every 64 records over every record",
    recordBytes: 64,
    subjects: Object.fromEntries(
      BATCHES.map((records) => [`every ${records}`, { carrier: "ring-write", batchRecords: records }]),
    ),
  },
];

export const costRows: readonly BenchRow<CoreContext>[] = ROWS.map((row) => ({
  name: row.name,
  description: row.description,
  target: null,
  sense: "at-least",
  run: (context) => runCostRow(context, row),
}));

function copy(variant: Partial<CopyVariant>, batchRecords: number): SubjectSpec {
  return { carrier: "copy-loop", batchRecords, copy: { ...APART, ...variant } };
}

async function runCostRow(context: CoreContext, row: CostRow): Promise<RowOutcome> {
  const rates = await sampleTransfers(context, row.recordBytes, row.subjects);
  const [first, second, ...others] = [...rates.values()];
  if (first === undefined || second === undefined) throw new Error(`nothing to compare: row=${row.name}`);
  const outcome = compareRates(rates, first.name, second.name);
  return {
    ...outcome,
    raw: { ...outcome.raw, others },
    details: [...outcome.details, ...others.map(describeRate)],
  };
}
