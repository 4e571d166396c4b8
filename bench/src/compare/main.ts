/** `pnpm bench:compare`: what has changed between two runs. See bench/README.md. */
import { standardOutput } from "../results/command-output.ts";
import { runCompare } from "./compare-command.ts";

process.exitCode = runCompare(process.argv.slice(2), standardOutput());
