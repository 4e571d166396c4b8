// Checks each publishable package as it would be packed: entry points, types, files, licence. Needs the build.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const publint = join(root, "node_modules", "publint", "src", "cli.js");
let failed = false;

for (const name of readdirSync(join(root, "packages")).sort()) {
  const folder = join(root, "packages", name);
  if (JSON.parse(readFileSync(join(folder, "package.json"), "utf8")).private === true) continue;
  const result = spawnSync(process.execPath, [publint, "run", folder, "--pack", "npm", "--strict"], {
    encoding: "utf8",
  });
  if (result.error) throw result.error;
  const output = `${result.stdout}${result.stderr}`;
  // A finding of --strict exits with 1; the rest of the output is only worth reading then.
  if (result.status === 0) console.log(`publint ${name}: ok`);
  else {
    failed = true;
    console.log(output);
  }
}
process.exit(failed ? 1 : 0);
