// Runs the compiled tests with tap. Arguments are passed on, so `npm test -- packages/core/...` works.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const tap = join(root, "node_modules", "tap", "dist", "esm", "run.mjs");

function run(args) {
  const result = spawnSync(process.execPath, [tap, ...args], { cwd: root, stdio: "inherit" });
  if (result.error) throw result.error;
  return result.status ?? 1;
}

// tap compiles its plugin set once; .taprc leaves the TypeScript plugin out, which TypeScript 7 breaks.
if (!existsSync(join(root, ".tap", "plugins"))) {
  const status = run(["build"]);
  if (status !== 0) process.exit(status);
}
process.exit(run(process.argv.slice(2)));
