// What takes too long for `npm test`, or needs the network: the stress tests of core for minutes, its tests on the other versions of
// Node, and its check program on every runtime; brokers that are killed and stopped for minutes, and data that goes round many
// times. A runtime that cannot be had is skipped, with a message. Needs the build.
//
// MILLRACE_STRESS_SECONDS: how long a stress test file runs, 120 by default, 240 at most. MILLRACE_CHAOS_SECONDS: how long each kind of
// broker is ill-treated, 300 by default. MILLRACE_ROTATION_GB: how much is written while it expires, 2 by default. Arguments: only
// the lanes whose names contain one of them, as in `npm run test:nightly -- bun deno`.
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const tests = join(root, "packages", "core", "dist", "test");
const checkProgram = join(tests, "runtimes", "check.js");
const runner = join(root, "scripts", "test.mjs");

const FETCH_LIMIT_MS = 180_000;
const CHECK_LIMIT_MS = 120_000;
const TESTS_LIMIT_MS = 900_000;

const stressSeconds = Number(process.env.MILLRACE_STRESS_SECONDS ?? 120);
if (!(stressSeconds > 0 && stressSeconds <= 240)) {
  // tap ends a file after 300 s.
  throw new Error(
    `MILLRACE_STRESS_SECONDS must be above 0 and at most 240: ${process.env.MILLRACE_STRESS_SECONDS}`,
  );
}

const chaosSeconds = Number(process.env.MILLRACE_CHAOS_SECONDS ?? 300);
const rotationGigabytes = Number(process.env.MILLRACE_ROTATION_GB ?? 2);
/** What a test of brokers does besides the time that it is told to take. */
const INTEGRITY_EXTRA_SECONDS = 600;

/** A runtime as its package in the registry; `args` come before the file to run. */
const RUNTIMES = [
  { name: "node 20", spec: "node@20", args: [] },
  { name: "node 22", spec: "node@22", args: [] },
  { name: "node 24", spec: "node@24", args: [] },
  { name: "bun", spec: "bun@1.4.5", args: [] },
  { name: "deno", spec: "deno@2.9.6", args: ["run", "-A"] },
];

/** Ends with { code, output }; what is not over in time is killed with all its children and has code -1. */
function run(command, args, { limitMs, env = {}, show = false }) {
  return new Promise((resolve) => {
    const { MILLRACE_STRESS_SECONDS: _, ...inherited } = process.env;
    const posix = process.platform !== "win32";
    const child = spawn(command, args, {
      cwd: root,
      env: { ...inherited, NO_UPDATE_NOTIFIER: "1", ...env },
      stdio: ["ignore", "pipe", "pipe"],
      // A group of its own, so that npx and what it has started end together.
      detached: posix,
      shell: !posix,
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => {
        output += text;
        if (show) process.stdout.write(text);
      });
    }
    const end = () => (posix ? process.kill(-child.pid, "SIGKILL") : child.kill());
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      end();
    }, limitMs);
    const interrupted = () => {
      end();
      process.exit(1);
    };
    process.once("SIGINT", interrupted).once("SIGTERM", interrupted);
    const finish = (code, text) => {
      clearTimeout(timer);
      process.off("SIGINT", interrupted).off("SIGTERM", interrupted);
      resolve({ code, output: text });
    };
    child.once("error", (error) => finish(-1, String(error)));
    child.once("close", (code) => {
      if (late) finish(-1, `${output}\nended after ${limitMs} ms`);
      else finish(code ?? -1, output);
    });
  });
}

const npx = (spec, args, options) => run("npx", ["-y", spec, ...args], options);

function lastLine(output) {
  return output.trim().split("\n").at(-1) ?? "";
}

/** "skipped: …" when the registry or the machine does not have it, else undefined and its version is remembered. */
const versions = new Map();
async function missing({ name, spec }) {
  if (!versions.has(spec)) {
    const { code, output } = await npx(spec, ["--version"], { limitMs: FETCH_LIMIT_MS });
    // Deno says more than its own version, and npm may have something to say too.
    versions.set(spec, code === 0 ? /^(?:deno |v)?(\d+\.\d+\.\d+)/m.exec(output)?.[1] : undefined);
    if (code !== 0) console.log(output.trim());
  }
  return versions.get(spec) === undefined ? `skipped: npx cannot run ${spec} for ${name} here` : undefined;
}

async function stress() {
  const files = readdirSync(tests, { recursive: true }).filter((file) => file.endsWith(".stress.js"));
  const paths = files.map((file) => relative(root, join(tests, file)));
  const env = { MILLRACE_STRESS_SECONDS: String(stressSeconds) };
  // One file after the other: two that share the cores would hide each other's interleavings.
  const limitMs = paths.length * (stressSeconds * 2 + 60) * 1000;
  const { code, output } = await run(
    process.execPath,
    [runner, "--jobs=1", `--timeout=${stressSeconds * 2 + 60}`, ...paths],
    {
      limitMs,
      env,
      show: true,
    },
  );
  return code === 0 ? `passed: ${lastLine(output)}` : `failed: ${lastLine(output)}`;
}

/** Integrity tests whose file names match, one after the other, for as long as `env` says. */
async function integrity(pattern, seconds, env) {
  const folder = join(root, "test", "dist", "src", "integrity");
  const files = readdirSync(folder).filter((file) => pattern.test(file) && file.endsWith(".integrity.js"));
  const limitSeconds = seconds + INTEGRITY_EXTRA_SECONDS;
  const { code, output } = await run(
    process.execPath,
    [
      runner,
      "--jobs=1",
      `--timeout=${limitSeconds}`,
      ...files.map((file) => relative(root, join(folder, file))),
    ],
    { limitMs: files.length * limitSeconds * 1000, env, show: true },
  );
  return code === 0 ? `passed: ${lastLine(output)}` : `failed: ${lastLine(output)}`;
}

async function coreTests(runtime) {
  const skipped = await missing(runtime);
  if (skipped !== undefined) return skipped;
  const kinds = ["test", "fuzz", "stress"].map((kind) => `packages/core/dist/test/**/*.${kind}.js`);
  const { code, output } = await npx(runtime.spec, [runner, ...kinds], {
    limitMs: TESTS_LIMIT_MS,
    show: true,
  });
  return `${code === 0 ? "passed" : "failed"} (${versions.get(runtime.spec)}): ${lastLine(output)}`;
}

async function check(runtime) {
  const skipped = await missing(runtime);
  if (skipped !== undefined) return skipped;
  const args = [...runtime.args, checkProgram];
  const { code, output } = await npx(runtime.spec, args, { limitMs: CHECK_LIMIT_MS, show: true });
  const passed = code === 0 && output.includes("check passed");
  return `${passed ? "passed" : "failed"} (${versions.get(runtime.spec)})`;
}

const lanes = [
  { name: `stress, ${stressSeconds} s a file, node ${process.versions.node}`, run: stress },
  {
    name: `chaos, ${chaosSeconds} s a file`,
    run: () => integrity(/^chaos-/, chaosSeconds, { MILLRACE_CHAOS_SECONDS: String(chaosSeconds) }),
  },
  {
    name: `rotation, ${rotationGigabytes} GB`,
    run: () =>
      integrity(/^rotation/, rotationGigabytes * 180, { MILLRACE_ROTATION_GB: String(rotationGigabytes) }),
  },
  ...RUNTIMES.filter(({ name }) => name === "node 22" || name === "node 24").map((runtime) => ({
    name: `tests of core, ${runtime.name}`,
    run: () => coreTests(runtime),
  })),
  ...RUNTIMES.map((runtime) => ({ name: `check program, ${runtime.name}`, run: () => check(runtime) })),
];

const wanted = process.argv.slice(2);
const results = [];
let failed = false;
for (const lane of lanes) {
  if (wanted.length > 0 && !wanted.some((word) => lane.name.includes(word))) continue;
  console.log(`\n== ${lane.name}`);
  const result = await lane.run();
  console.log(`-- ${result}`);
  failed ||= result.startsWith("failed");
  results.push(`${lane.name.padEnd(40)} ${result}`);
}
console.log(`\n${results.join("\n")}`);
process.exit(results.length === 0 || failed ? 1 : 0);
