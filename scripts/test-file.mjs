// One compiled test file: a program that prints TAP. Runs it, and says what came of it.
import { spawn } from "node:child_process";
import { once } from "node:events";

/** After SIGTERM a test says what it was waiting for, and ends what it has started. */
const LAST_WORDS_MS = 20_000;
const SUMMARY =
  /^# \{ total: (\d+)(?:, pass: (\d+))?(?:, fail: (\d+))?(?:, todo: (\d+))?(?:, skip: (\d+))? \}/;
/** What is left out of the output of a file that failed. */
const PASSED = /^\s*(ok \d+|1\.\.\d+|TAP version)/;

const running = new Set();

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => {
    for (const child of running) child.kill(signal);
    process.exit(signal === "SIGINT" ? 130 : 143);
  });
}

/**
 * Runs a file. Resolves with `{ passed, counts: { pass, fail, skip }, timeMs, details }`: `details` are the lines to show when it
 * failed. It never rejects.
 */
export async function runTestFile(path, { cwd, env, timeoutSeconds }) {
  const since = performance.now();
  const child = spawn(process.execPath, ["--enable-source-maps", path], {
    cwd,
    env: { ...process.env, ...env, TAP: "1", TAP_TIMEOUT: String(timeoutSeconds) },
    stdio: ["ignore", "pipe", "pipe"],
  });
  running.add(child);
  const chunks = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => chunks.push(chunk));
  let late = false;
  let kill;
  const timer = setTimeout(() => {
    late = true;
    child.kill("SIGTERM");
    kill = setTimeout(() => child.kill("SIGKILL"), LAST_WORDS_MS);
  }, timeoutSeconds * 1000);
  const [code, signal] = await once(child, "close").catch((error) => [-1, String(error)]);
  clearTimeout(timer);
  clearTimeout(kill);
  running.delete(child);
  const lines = Buffer.concat(chunks).toString("utf8").trimEnd().split("\n");
  if (late) lines.push(`ended after ${timeoutSeconds} s`);
  else if (code !== 0) lines.push(`ended with ${signal ?? `code ${code}`}`);
  const counts = countsOf(lines);
  const passed = code === 0 && !late && counts !== undefined && counts.fail === 0;
  return {
    passed,
    counts: failingCounts(counts, passed),
    timeMs: Math.round(performance.now() - since),
    details: passed ? [] : lines.filter((line) => !PASSED.test(line)),
  };
}

/** What the closing line of the output says; undefined when it broke off. */
function countsOf(lines) {
  const summary = lines.map((line) => SUMMARY.exec(line)).findLast((match) => match !== null);
  if (summary === undefined) return undefined;
  const [pass = 0, fail = 0, todo = 0, skip = 0] = summary.slice(2).map((digits) => Number(digits ?? 0));
  return { pass, fail, skip: skip + todo };
}

/** A file that failed counts as one failure at least, whatever it said itself. */
function failingCounts(counts = { pass: 0, fail: 0, skip: 0 }, passed) {
  return passed || counts.fail > 0 ? counts : { ...counts, fail: 1 };
}
