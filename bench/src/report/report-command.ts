import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { readDocument } from "@millrace/load";
import type { CommandOutput } from "../results/command-output.ts";
import { renderReport } from "./report-page.ts";
import { terminalTable } from "./terminal-table.ts";

const USAGE = `Usage: pnpm bench:report A.json [--html FILE]

Shows a result document: as a table here, or with --html as one page that needs no network.

  --html FILE  write the page there
  --help       this text
`;

/** @returns the exit code: 0, or 2 for files that cannot be read or written and for wrong arguments */
export function runReport(args: readonly string[], output: CommandOutput): number {
  try {
    const { values, positionals } = parseArgs({
      args: args.filter((arg, index) => !(index === 0 && arg === "--")),
      options: { html: { type: "string" }, help: { type: "boolean", default: false } },
      allowPositionals: true,
    });
    if (values.help) {
      output.say(USAGE);
      return 0;
    }
    const [file] = positionals;
    if (file === undefined || positionals.length > 1)
      throw new RangeError(`one file is to be shown: got ${positionals.length}\n\n${USAGE}`);
    const document = readDocument(file);
    if (values.html === undefined) {
      output.say(terminalTable(document));
      return 0;
    }
    writeFileSync(values.html, renderReport(document));
    output.say(`${values.html}\n`);
    return 0;
  } catch (error) {
    output.complain(`${(error as Error).message}\n`);
    return 2;
  }
}
