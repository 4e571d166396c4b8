// Runs every linter, also when an earlier one has found something. Needs the build: types, and packages as packed.
import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const bin = (name) => join(root, "node_modules", ".bin", name);
// Biome takes CI=true for a terminal with colours.
const colors = process.stdout.isTTY === true ? [] : ["--colors=off"];
const LINTERS = [
  { name: "biome", command: bin("biome"), args: ["ci", ...colors, "."] },
  { name: "oxlint", command: bin("oxlint"), args: ["--type-aware", "--deny-warnings"] },
  { name: "knip", command: bin("knip"), args: [] },
  { name: "publint", command: process.execPath, args: [join(root, "scripts", "lint-packages.mjs")] },
];

const failed = [];
for (const { name, command, args } of LINTERS) {
  const shell = process.platform === "win32" && command !== process.execPath;
  const result = spawnSync(command, args, { cwd: root, stdio: "inherit", shell });
  if (result.error) throw result.error;
  if (result.status !== 0) failed.push(name);
}
console.log(failed.length === 0 ? "lint: ok" : `lint: ${failed.join(", ")} failed`);
process.exit(failed.length === 0 ? 0 : 1);
