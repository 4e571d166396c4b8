import type { BenchRow, RowOutcome } from "../harness/bench-row.ts";
import { type CoreContext, takenOnce } from "./core-context.ts";
import {
  compareRates,
  compareWithRate,
  describeRate,
  type Rates,
  ratesOf,
  type SubjectSpec,
  sampleTransfers,
} from "./transfer-samples.ts";

type CoreRow = BenchRow<CoreContext>;
interface Targets {
  readonly ringbuf?: number;
  readonly postMessage?: number;
  readonly copy?: number;
}

const SIZES: readonly (readonly [name: string, bytes: number, targets: Targets])[] = [
  ["128", 128, { ringbuf: 3, postMessage: 20 }],
  ["1k", 1024, { ringbuf: 4.5 }],
  ["16k", 16 * 1024, { ringbuf: 6, copy: 0.6 }],
];

/** Ways to use ringbuf.js for records of bytes; the fastest one of the run is compared with. */
const RINGBUF_WAYS: readonly string[] = ["ringbuf.js", "ringbuf.js, batches", "ringbuf.js, callback"];

const SUBJECTS: Readonly<Record<string, SubjectSpec>> = {
  write: { carrier: "ring-write" },
  "ringbuf.js": { carrier: "ringbuf-record" },
  "ringbuf.js, batches": { carrier: "ringbuf-batch" },
  "ringbuf.js, callback": { carrier: "ringbuf-callback" },
  "ringbuf.js, float64": { carrier: "ringbuf-float64" },
  postMessage: { carrier: "post-message" },
  "copy loop": { carrier: "copy-loop" },
};

const SMALL_BYTES = 64;
const SMALL_SUBJECTS: Readonly<Record<string, SubjectSpec>> = {
  write: { carrier: "ring-write" },
  tryClaim: { carrier: "ring-claim" },
  "copy loop": { carrier: "copy-loop" },
};
const WRITE_PER_SECOND = 8e6;
const CLAIM_PER_SECOND = 12e6;

export const oneToOneRows: readonly CoreRow[] = [
  ...SIZES.flatMap(([name, bytes, targets]) => rowsOf(name, bytes, targets)),
  ...smallRows(),
];

function rowsOf(size: string, bytes: number, targets: Targets): CoreRow[] {
  const row = (
    against: string,
    target: number | undefined,
    compare: (rates: Rates) => RowOutcome,
  ): CoreRow => ({
    name: `one-to-one-${size}-${against}`,
    description: `records of ${bytes} B from thread to thread: write in batches against ${against}`,
    target: target ?? null,
    sense: "at-least",
    run: async (context) =>
      compare(await sample(context, bytes, { ...SUBJECTS, ...(await native(context)) })),
  });
  return [
    row("ringbuf", targets.ringbuf, compareWithBest),
    row("post-message", targets.postMessage, (rates) => compareRates(rates, "write", "postMessage")),
    row("copy-loop", targets.copy, (rates) => compareRates(rates, "write", "copy loop")),
    nativeRow(`one-to-one-${size}-rtrb`, bytes, SUBJECTS, "write", "rtrb"),
  ];
}

function smallRows(): CoreRow[] {
  const row = (
    name: string,
    description: string,
    target: number,
    compare: (rates: Rates) => RowOutcome,
  ): CoreRow => ({
    name: `batch-64-${name}`,
    description: `64 B in batches of 64: ${description}`,
    target,
    sense: "at-least",
    run: async (context) =>
      compare(await sample(context, SMALL_BYTES, { ...SMALL_SUBJECTS, ...(await nativeInPlace(context)) })),
  });
  return [
    row("write", "write, over 8 M/s", 1, (rates) => compareWithRate(rates, "write", WRITE_PER_SECOND)),
    row("claim", "tryClaim and filling in place, over 12 M/s", 1, (rates) =>
      compareWithRate(rates, "tryClaim", CLAIM_PER_SECOND),
    ),
    row("claim-copy-loop", "tryClaim against the copy loop", 0.8, (rates) =>
      compareRates(rates, "tryClaim", "copy loop"),
    ),
    nativeRow("batch-64-claim-rtrb", SMALL_BYTES, SMALL_SUBJECTS, "tryClaim", "rtrb"),
  ];
}

/** The ratio to the native peer: nothing to reach, the mark to chase. */
function nativeRow(
  name: string,
  bytes: number,
  subjects: Readonly<Record<string, SubjectSpec>>,
  ours: string,
  theirs: string,
): CoreRow {
  return {
    name,
    description: `records of ${bytes} B: ${ours} against rtrb, in Rust`,
    target: null,
    sense: "at-least",
    run: async (context) => {
      const missing = await context.native.missing();
      if (missing !== undefined)
        return { ratio: null, counts: false, raw: { reason: missing }, details: [missing] };
      const peer = ours === "tryClaim" ? await nativeInPlace(context) : await native(context);
      return compareRates(await sample(context, bytes, { ...subjects, ...peer }), ours, theirs);
    },
  };
}

function sample(
  context: CoreContext,
  bytes: number,
  subjects: Readonly<Record<string, SubjectSpec>>,
): Promise<Rates> {
  return takenOnce(context, `one-to-one/${bytes}`, () => sampleTransfers(context, bytes, subjects));
}

async function native({ native }: CoreContext): Promise<Record<string, SubjectSpec>> {
  return (await native.missing()) === undefined ? { rtrb: { carrier: "ring-write", native: true } } : {};
}

async function nativeInPlace({ native }: CoreContext): Promise<Record<string, SubjectSpec>> {
  return (await native.missing()) === undefined ? { rtrb: { carrier: "ring-claim", native: true } } : {};
}

function compareWithBest(rates: Rates): RowOutcome {
  const ways = RINGBUF_WAYS.map((name) => ratesOf(rates, name));
  const best = ways.reduce((a, b) => (b.recordsPerSecond.median > a.recordsPerSecond.median ? b : a));
  const outcome = compareRates(rates, "write", best.name);
  const numbers = ratesOf(rates, "ringbuf.js, float64");
  const others = ways.filter((way) => way !== best);
  const ratio = ratesOf(rates, "write").recordsPerSecond.median / numbers.recordsPerSecond.median;
  return {
    ...outcome,
    raw: { ...outcome.raw, others, numbers, ratioToNumbers: ratio },
    details: [
      ...outcome.details,
      `slower: ${others.map(describeRate).join(", ")}`,
      `elements of 8 bytes, which it could not fill with any bytes: ${describeRate(numbers)}, ratio ${ratio.toFixed(2)}`,
    ],
  };
}
