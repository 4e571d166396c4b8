import { parseArgs } from "node:util";
import { type BenchDocument, readDocument } from "@millrace/load";
import { machineLines, rowLines, summaryLine } from "../compare/comparison-lines.ts";
import { FAIL_BELOW, parseShare } from "../compare/fail-below.ts";
import type { CommandOutput } from "../results/command-output.ts";
import { checkBaseline } from "./baseline-check.ts";
import {
  BASELINE_FOLDER,
  type Baseline,
  baselineOf,
  baselinePath,
  mergeBaselines,
  readBaseline,
  writeBaseline,
} from "./baseline-file.ts";

const USAGE = `Usage: pnpm bench:baseline A.json [--store] [--fail-below SHARE]

Checks Millrace's own rows and the ratios of the verdicts against the baseline of the processor that A.json
was measured on, or stores them as that.

  --store             write the baseline; rows that A.json does not have stay as they are
  --fail-below SHARE  what has to be left of a figure (default ${FAIL_BELOW})
  --folder DIR        where baselines are (default bench/baselines)
  --help              this text

Exit code: 0, also where there is no baseline for the processor; 1 where a rate or a verdict's ratio fell below
that share, or a p50 or p99 rose above its inverse and beyond the noise; 2 for files that cannot be read and
for wrong arguments.
`;

/** @returns the exit code */
export function runBaseline(args: readonly string[], output: CommandOutput): number {
  try {
    const { values, positionals } = parseArgs({
      args: args.filter((arg, index) => !(index === 0 && arg === "--")),
      options: {
        store: { type: "boolean", default: false },
        "fail-below": { type: "string" },
        folder: { type: "string", default: BASELINE_FOLDER },
        help: { type: "boolean", default: false },
      },
      allowPositionals: true,
    });
    if (values.help) {
      output.say(USAGE);
      return 0;
    }
    const [file] = positionals;
    if (file === undefined || positionals.length > 1)
      throw new RangeError(`one file is to be checked or stored: got ${positionals.length}\n\n${USAGE}`);
    const share = parseShare(values["fail-below"]) ?? FAIL_BELOW;
    const document = readDocument(file);
    const path = baselinePath(values.folder, document.machine);
    const baseline = readBaseline(path);
    if (values.store) return store(path, baseline, document, output);
    if (baseline !== undefined) return check(path, baseline, document, share, output);
    const { cpu, cores } = document.machine;
    output.say(
      `There is no baseline for ${cpu} with ${cores} cores: nothing to check against.\n--store makes one: ${path}\n`,
    );
    return 0;
  } catch (error) {
    output.complain(`${(error as Error).message}\n`);
    return 2;
  }
}

function store(
  path: string,
  older: Baseline | undefined,
  document: BenchDocument,
  output: CommandOutput,
): number {
  const newer = baselineOf(document);
  if (newer.rows.length === 0)
    throw new RangeError("there is nothing to store: no row of millrace was measured");
  const merged = mergeBaselines(older ?? { ...newer, rows: [], verdicts: [] }, newer);
  writeBaseline(path, merged);
  output.say(
    `${path}: ${newer.rows.length} rows and ${newer.verdicts.length} verdicts stored, ` +
      `${merged.rows.length - newer.rows.length} older rows kept\n`,
  );
  return 0;
}

function check(
  path: string,
  baseline: Baseline,
  document: BenchDocument,
  share: number,
  output: CommandOutput,
): number {
  const result = checkBaseline(baseline, document, share);
  const nothing = result.rows.length + result.verdicts.length === 0;
  const fallen = nothing ? ["the run has nothing in common with the baseline"] : result.fallen;
  const lines = [
    `baseline: ${path}`,
    "",
    ...machineLines(result),
    ...rowLines(result.rows),
    ...result.verdicts,
    ...result.missing,
    summaryLine(result.rows),
    "",
    ...(fallen.length === 0
      ? [`ok: nothing fell below ${share}`]
      : [`below ${share}:`, ...fallen.map((line) => `  ${line}`)]),
  ];
  output.say(`${lines.join("\n")}\n`);
  return fallen.length === 0 ? 0 : 1;
}
