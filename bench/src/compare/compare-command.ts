import { parseArgs } from "node:util";
import { readDocument } from "@millrace/load";
import type { CommandOutput } from "../results/command-output.ts";
import { fallenLine, machineLines, rowLines, summaryLine, verdictLines } from "./comparison-lines.ts";
import { compareDocuments } from "./document-comparison.ts";
import { parseShare } from "./fail-below.ts";
import { hasFallen } from "./figure-comparison.ts";

const USAGE = `Usage: pnpm bench:compare A.json B.json [--fail-below SHARE]

Puts two result documents side by side, row by row: medians, ratio, the spread of both, and whether the
difference exceeds it.

  --fail-below SHARE  exit with 1 where a rate of B is below that share of A's (0.85, say), or a p50 or p99
                      is above its inverse and beyond the noise
  --help              this text

Exit code: 0; 1 as above; 2 for files that cannot be read and for wrong arguments.
`;

/** @returns the exit code */
export function runCompare(args: readonly string[], output: CommandOutput): number {
  try {
    const { values, positionals } = parseArgs({
      args: args.filter((arg, index) => !(index === 0 && arg === "--")),
      options: { "fail-below": { type: "string" }, help: { type: "boolean", default: false } },
      allowPositionals: true,
    });
    if (values.help) {
      output.say(USAGE);
      return 0;
    }
    const [a, b, ...more] = positionals;
    if (a === undefined || b === undefined || more.length > 0)
      throw new RangeError(`two files are to be compared: got ${positionals.length}\n\n${USAGE}`);
    return compareFiles(a, b, parseShare(values["fail-below"]), output);
  } catch (error) {
    output.complain(`${(error as Error).message}\n`);
    return 2;
  }
}

function compareFiles(a: string, b: string, share: number | undefined, output: CommandOutput): number {
  const before = readDocument(a);
  const after = readDocument(b);
  const comparison = compareDocuments(before, after);
  const lines = [
    `before: ${a}, ${before.startedAt}, ${before.command}`,
    `after:  ${b}, ${after.startedAt}, ${after.command}`,
    "",
    ...machineLines(comparison),
    ...rowLines(comparison.rows),
    ...verdictLines(comparison.verdicts),
    ...comparison.unmatched,
    summaryLine(comparison.rows),
  ];
  const fallen = comparison.rows.flatMap(({ title, figures }) =>
    share === undefined
      ? []
      : figures.filter((figure) => hasFallen(figure, share)).map((figure) => fallenLine(title, figure)),
  );
  if (share !== undefined && comparison.rows.length === 0) fallen.push("the two have no row in common");
  if (fallen.length > 0) lines.push("", `below ${share}:`, ...fallen.map((line) => `  ${line}`));
  output.say(`${lines.join("\n")}\n`);
  return fallen.length > 0 ? 1 : 0;
}
