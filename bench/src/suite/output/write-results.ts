import { writeFileSync } from "node:fs";
import { type BenchDocument, writeDocument } from "@millrace/load";
import { renderReport } from "../../report/report-page.ts";
import { terminalTable } from "../../report/terminal-table.ts";
import type { SuiteOptions } from "../run/suite-options.ts";

/** Prints the table and writes the files that were asked for. */
export function writeResults(
  document: BenchDocument,
  { json, html }: SuiteOptions,
  print: (text: string) => void,
): void {
  if (document.rows.length > 0) print(`\n${terminalTable(document)}`);
  if (json !== undefined) writeDocument(json, document);
  if (html !== undefined) writeFileSync(html, renderReport(document));
}
