// Runs the compiled tests, two files at a time: all of them, and those that speak to a broker twice, against one process and
// against a cluster. Arguments are files or patterns, as in `npm test -- packages/core/dist/test/doorbell.test.js`; these run once,
// against MILLRACE_TEST_TARGET: `process`, by default, or `cluster`. Options: --jobs=N, and --timeout=SECONDS of a file. Prints a
// line for each file, before it all that it said if it failed, and in the end how many assertions passed and failed.
//
// A file is run with node alone: with tap's own runner each of them needs half a second more.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { clusterTests } from "./cluster-tests.mjs";
import { runTestFile } from "./test-file.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");

/** The slow ones first, so that none is left over when the others are done. */
const ALL = [
  "test/dist/src/**/*.integrity.js",
  "test/dist/src/**/*.test.js",
  "packages/*/dist/test/**/*.stress.js",
  "packages/*/dist/test/**/*.sim.js",
  "packages/*/dist/test/**/*.fuzz.js",
  "packages/*/dist/test/**/*.test.js",
  "bench/dist/test/**/*.test.js",
];

const options = { jobs: 2, timeout: 300 };
const patterns = [];
for (const arg of process.argv.slice(2)) {
  const [, name, value] = /^--(\w+)=(\d+)$/.exec(arg) ?? [];
  if (name in options && Number(value) > 0) options[name] = Number(value);
  else if (arg.startsWith("-")) throw new Error(`no such option: ${arg}`);
  else patterns.push(arg);
}

/** Paths from the root, in the order of the patterns. */
function filesOf(wanted) {
  const folders = ["test/dist/src", "bench/dist/test"];
  for (const name of readdirSync(join(root, "packages"))) folders.push(`packages/${name}/dist/test`);
  const known = folders
    .filter((folder) => existsSync(join(root, folder)))
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true }).map((file) => `${folder}/${file}`),
    )
    .map((path) => path.replaceAll("\\", "/"))
    .sort();
  const files = new Set();
  for (const pattern of wanted) {
    const isMatch = matcherOf(pattern);
    const matches = pattern.includes("*") ? known.filter((path) => isMatch.test(path)) : [pattern];
    for (const path of matches) if (existsSync(resolve(root, path))) files.add(path);
    if (matches.length === 0 || !matches.some((path) => existsSync(resolve(root, path))))
      throw new Error(`no test file: ${pattern}`);
  }
  return [...files];
}

/** Of a pattern with ** for folders and * for parts of names. */
function matcherOf(pattern) {
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replace(/\*\*\/|\*/g, (stars) => (stars === "*" ? "[^/]*" : "(?:.*/)?"));
  return new RegExp(`^${source}$`);
}

// tap puts its library together once; .taprc leaves the TypeScript plugin out, which TypeScript 7 breaks.
if (!existsSync(join(root, ".tap", "plugins"))) {
  const tap = join(root, "node_modules", "tap", "dist", "esm", "run.mjs");
  const { status } = spawnSync(process.execPath, [tap, "build"], { cwd: root, stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}

const queue = filesOf(patterns.length > 0 ? patterns : ALL).map((path) => ({ path, name: path, env: {} }));
if (patterns.length === 0) {
  const env = { MILLRACE_TEST_TARGET: "cluster" };
  queue.unshift(...clusterTests(root).map((path) => ({ path, name: `${path} (cluster)`, env })));
}

// Whoever reads our output may stop (`| head`); the exit code still tells.
process.stdout.on("error", () => {});
const since = performance.now();
const sum = { pass: 0, fail: 0, skip: 0 };
let done = 0;

async function work() {
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    const { path, name, env } = next;
    const result = await runTestFile(path, { cwd: root, env, timeoutSeconds: options.timeout });
    for (const count of Object.keys(sum)) sum[count] += result.counts[count];
    if (!result.passed) process.exitCode = 1;
    done += 1;
    for (const line of result.details) console.log(line);
    console.log(`${result.passed ? "ok" : "not ok"} ${done} - ${name} # time=${result.timeMs}ms`);
  }
}

await Promise.all(Array.from({ length: options.jobs }, work));
console.log(`\n# time=${Math.round(performance.now() - since)}ms`);
const { pass, fail, skip } = sum;
console.log(`${pass} passed, ${fail} failed${skip > 0 ? `, ${skip} skipped` : ""}`);
