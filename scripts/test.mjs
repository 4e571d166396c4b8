// Runs the compiled tests with tap. Arguments are passed on, so `npm test -- packages/core/dist/test/…` works. On a
// terminal tap reports as it likes; elsewhere, without a --reporter, its output is shortened to one line per file.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { TapDigest } from "./tap-digest.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const tap = join(root, "node_modules", "tap", "dist", "esm", "run.mjs");

/** Exit code of a run of tap; `onLine` undefined = it writes to our own output. */
async function run(args, onLine) {
  const stdio = ["inherit", onLine === undefined ? "inherit" : "pipe", "inherit"];
  const child = spawn(process.execPath, [tap, ...args], { cwd: root, stdio });
  const ended = new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve(code ?? 1));
  });
  if (onLine !== undefined) for await (const line of createInterface({ input: child.stdout })) onLine(line);
  return ended;
}

// tap compiles its plugin set once; .taprc leaves the TypeScript plugin out, which TypeScript 7 breaks.
if (!existsSync(join(root, ".tap", "plugins"))) {
  const code = await run(["build"]);
  if (code !== 0) process.exit(code);
}

const args = process.argv.slice(2);
if (process.stdout.isTTY === true || args.some((arg) => /^(--reporter|-R)/.test(arg))) {
  process.exitCode = await run(args);
} else {
  // Whoever reads our output may stop (`| head`); the exit code still tells.
  process.stdout.on("error", () => {});
  const digest = new TapDigest((line) => console.log(line));
  const code = await run(["--reporter=tap", ...args], (line) => digest.line(line));
  digest.end(code !== 0);
  process.exitCode = code;
}
