/** `pnpm bench:cost A.json [B.json ...]`: what a record and a byte cost, and how that grows. See bench/README.md. */
import { parseArgs } from "node:util";
import { readDocument } from "@millrace/load";
import { costReport } from "./cost-report.ts";

const USAGE = "Usage: pnpm bench:cost A.json [B.json ...] [--subject NAME]\n";

process.stdout.on("error", () => {});
try {
  const { values, positionals } = parseArgs({
    args: process.argv.slice(2).filter((argument, index) => !(index === 0 && argument === "--")),
    options: { subject: { type: "string", default: "millrace" }, help: { type: "boolean", default: false } },
    allowPositionals: true,
  });
  if (values.help) process.stdout.write(USAGE);
  else if (positionals.length === 0) throw new Error("no result document was named");
  else {
    const rows = positionals.flatMap((path) => readDocument(path).rows);
    const lines = costReport(rows, values.subject);
    process.stdout.write(
      `${(lines.length > 0 ? lines : ["nothing was varied in these documents"]).join("\n")}\n`,
    );
  }
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n${USAGE}`);
  process.exitCode = 2;
}
