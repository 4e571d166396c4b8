// Makes a fresh clone ready to run: installs the locked dependencies when they are not there yet, then
// builds. Needs Node and npm only; everything else comes from the lockfile.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { compiledFolders, deleteStaleOutput } from "./stale-output.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const stampFile = join(root, "node_modules", ".millrace-setup");
const packageJson = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

function run(command, args) {
  const result = spawnSync(command, args, {
    cwd: root,
    stdio: "inherit",
    // npm.cmd and npx.cmd need a shell on Windows.
    shell: process.platform === "win32",
    env: { ...process.env, NO_UPDATE_NOTIFIER: "1" },
  });
  if (result.error) throw result.error;
  if (result.status !== 0) {
    console.error(`setup: "${command} ${args.join(" ")}" failed with exit code ${result.status}`);
    process.exit(result.status ?? 1);
  }
}

// The stamp also names the Node ABI: native packages are chosen for it.
const wanted = createHash("sha256")
  .update(readFileSync(join(root, "pnpm-lock.yaml")))
  .update(process.versions.modules)
  .digest("hex");
const installed = existsSync(stampFile) ? readFileSync(stampFile, "utf8") : "";
if (installed !== wanted) {
  run("npx", ["--yes", packageJson.packageManager, "install", "--frozen-lockfile"]);
  writeFileSync(stampFile, wanted);
}
for (const folder of compiledFolders(root)) deleteStaleOutput(folder);
run(process.execPath, [join(root, "node_modules", "typescript", "bin", "tsc"), "-b"]);
run(process.execPath, [join(root, "scripts", "bundle-threads.mjs")]);
