import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's root, seen from test/dist/src/harness. */
export const REPOSITORY: string = fileURLToPath(new URL("../../../../", import.meta.url));

/** The `millrace` command, as npm links it. */
export const MILLRACE_BIN: string = join(REPOSITORY, "packages", "cli", "bin", "millrace.js");
