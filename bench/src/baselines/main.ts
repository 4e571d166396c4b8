/** `pnpm bench:baseline`: has Millrace become slower on this processor? See bench/README.md. */
import { standardOutput } from "../results/command-output.ts";
import { runBaseline } from "./baseline-command.ts";

process.exitCode = runBaseline(process.argv.slice(2), standardOutput());
