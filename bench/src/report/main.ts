/** `pnpm bench:report`: a result document as a table or a page. See bench/README.md. */
import { standardOutput } from "../results/command-output.ts";
import { runReport } from "./report-command.ts";

process.exitCode = runReport(process.argv.slice(2), standardOutput());
