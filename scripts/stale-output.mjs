// Deletes compiled files whose source is gone: tsc leaves them, and the tests among them would go on running.
import { existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";

const OUTPUT = /\.(?:d\.ts|js)(?:\.map)?$/;

/** `workspace` is a folder with dist/; dist/src/a.js stems from src/a.ts, and dist/threads is written anew by each build. */
export function deleteStaleOutput(workspace) {
  const dist = join(workspace, "dist");
  if (!existsSync(dist)) return;
  for (const name of readdirSync(dist, { recursive: true })) {
    if (name.startsWith("threads")) continue;
    const path = join(dist, name);
    if (!OUTPUT.test(name) || !statSync(path).isFile()) continue;
    if (!existsSync(join(workspace, name.replace(OUTPUT, ".ts")))) rmSync(path);
  }
}

/** The workspace's folders that are compiled. */
export function compiledFolders(root) {
  const children = (folder) => readdirSync(join(root, folder)).map((name) => join(root, folder, name));
  return [...children("packages"), ...children("examples"), join(root, "bench"), join(root, "test")].filter(
    (folder) => existsSync(join(folder, "tsconfig.json")),
  );
}
