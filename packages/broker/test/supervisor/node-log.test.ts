import {
  appendFileSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { LogFollower } from "../../src/supervisor/log-follower.ts";
import { NodeLog } from "../../src/supervisor/node-log.ts";
import { NodeLogs } from "../../src/supervisor/node-logs.ts";
import { nodeLogPath, nodeOutputPath } from "../../src/supervisor/node-process.ts";
import { SYSTEM_CLOCK } from "../../src/system-clock.ts";

/** Looks when it is told to. */
const LIMITS = { logPollMs: 10_000, logBytesMax: 500 };

function folder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), "millrace-node-log-"));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

t.test("a node's log is JSON lines in a file that is begun anew when it has grown", async (t) => {
  const dataDir = folder(t);
  const log = new NodeLog(dataDir, 7, SYSTEM_CLOCK, 500);
  log.log("debug", "not-written");
  log.log("error", "failed", { error: Object.assign(new Error("no"), { code: "NO" }), big: 1n });
  const [line] = readFileSync(nodeLogPath(dataDir, 7), "utf8").trim().split("\n");
  t.match(JSON.parse(line!), { level: "error", event: "failed", error: { code: "NO" }, big: "1" });
  for (let i = 0; i < 50; i += 1) log.log("info", "again", { i });
  t.same(readdirSync(join(dataDir, "logs")).sort(), ["node-7.log", "node-7.log.1"]);
  t.ok(readFileSync(nodeLogPath(dataDir, 7)).length < 700);
  new NodeLog(dataDir, 7, SYSTEM_CLOCK, 500).log("info", "the next run");
  t.match(
    readFileSync(nodeLogPath(dataDir, 7), "utf8"),
    /"again"[\s\S]*"the next run"/,
    "goes on in the same file",
  );
});

t.test("a log that cannot be written ends nothing", async (t) => {
  const dataDir = folder(t);
  const log = new NodeLog(dataDir, 0, SYSTEM_CLOCK);
  rmSync(join(dataDir, "logs"), { recursive: true });
  log.log("info", "nowhere");
});

t.test("a follower sees every line once, across chunks, characters and files", async (t) => {
  const path = join(folder(t), "log");
  writeFileSync(path, "before\n");
  const lines: string[] = [];
  const follower = new LogFollower(path, (line) => lines.push(line));
  t.teardown(() => follower.close());
  const euro = Buffer.from("€\n");
  appendFileSync(path, euro.subarray(0, 2));
  follower.look();
  appendFileSync(path, euro.subarray(2));
  follower.look();
  appendFileSync(path, "last of this\n");
  renameSync(path, `${path}.1`);
  writeFileSync(path, `first of that\n${"x".repeat(200_000)}\n`);
  follower.look();
  t.same(
    lines.map((line) => line.slice(0, 20)),
    ["€", "last of this", "first of that", "x".repeat(20)],
  );
});

t.test("what nodes log is passed on under their number", async (t) => {
  const dataDir = folder(t);
  const passed: unknown[] = [];
  const logs = new NodeLogs(dataDir, { log: (...entry) => void passed.push(entry) }, LIMITS);
  logs.follow(2);
  new NodeLog(dataDir, 2, SYSTEM_CLOCK).log("warn", "low", { freeBytes: 1 });
  appendFileSync(nodeLogPath(dataDir, 2), "not json\n");
  logs.close();
  t.same(passed, [
    ["warn", "low", { node: 2, freeBytes: 1 }],
    ["warn", "node-output", { node: 2, text: "not json" }],
  ]);
});

t.test("what a process prints has a bound while it runs", async (t) => {
  const dataDir = folder(t);
  mkdirSync(join(dataDir, "logs"));
  const path = nodeOutputPath(dataDir, 2);
  const fd = openSync(path, "a");
  t.teardown(() => closeSync(fd));
  const texts: unknown[] = [];
  const logger = { log: (_level: string, _event: string, fields = {}) => void texts.push({ ...fields }) };
  const logs = new NodeLogs(dataDir, logger, LIMITS);
  logs.follow(2);
  for (let i = 0; i < 30; i += 1) {
    writeSync(fd, `${i} ${"x".repeat(95)}\n`);
    logs.look();
    t.ok(statSync(path).size < 600);
  }
  logs.close();
  t.same(readdirSync(join(dataDir, "logs")).sort(), ["node-2.out", "node-2.out.1"]);
  t.same(
    texts.map((fields) => Number.parseInt((fields as { text: string }).text, 10)),
    Array.from({ length: 30 }, (_, i) => i),
    "and every line is passed on once",
  );
});
