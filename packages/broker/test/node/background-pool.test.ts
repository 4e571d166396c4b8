import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import type { BackgroundJob } from "@millrace/journal";
import { MillraceError } from "@millrace/protocol";
import t, { type Test } from "tap";
import { BackgroundPool } from "../../src/node/background-pool.ts";
import { errorOfJob, jobErrorOf } from "../../src/thread/job-outcome.ts";
import { POOL_EXEC_ARGV } from "../../src/thread/pool-exec-argv.ts";

function openPool(t: Test): { pool: BackgroundPool; directory: string } {
  const pool = new BackgroundPool();
  t.teardown(() => pool.close());
  const directory = `${t.testdir()}/0003`;
  mkdirSync(directory);
  return { pool, directory };
}

t.test("a job writes, answers, or says what went wrong", async (t) => {
  const { pool, directory } = openPool(t);
  const path = `${directory}/prepared`;
  t.same(await pool.run({ kind: "prepare-segment", path, sizeBytes: 4_096 }), {});
  t.same(readFileSync(path), Buffer.alloc(4_096));
  t.match(await pool.run({ kind: "prepare-segment", path: `${directory}/no/such`, sizeBytes: 8 }), {
    error: { code: "ENOENT", message: String },
  });
  const plan = {
    kind: "plan-retention",
    directory,
    shardId: 3,
    files: [],
    nowMs: 1,
    dropThrough: 0,
  } as const;
  const outcome = await pool.run({ ...plan, partitions: Float64Array.of(1, 2, 3, 4, 5) });
  const none = new Float64Array(0);
  t.same(outcome, { result: { kind: "retention-plan", moves: none, files: none, freed: none } });
  const unlink: BackgroundJob = { kind: "unlink", directory, paths: [path], epoch: 1 };
  const details = { reason: "fenced", epoch: 1, directory };
  t.match(await pool.run(unlink), { error: { code: "JOURNAL_FAILED", details } }, "details cross threads");
  t.same(readdirSync(directory), ["prepared"]);
});

t.test("an error is the same on the other side", async (t) => {
  const details = { file: "/d/f", position: 7 };
  const ours = errorOfJob(
    structuredClone(jobErrorOf(new MillraceError("JOURNAL_DAMAGED", "bad", { details }))),
  );
  t.ok(ours instanceof MillraceError);
  t.match(ours, { code: "JOURNAL_DAMAGED", message: "bad", details });
  const system = errorOfJob(
    structuredClone(jobErrorOf(Object.assign(new Error("full"), { code: "ENOSPC" }))),
  );
  t.notOk(system instanceof MillraceError);
  t.match(system, { code: "ENOSPC", message: "full" });
  t.match(errorOfJob(jobErrorOf("text")), { message: "text" });
});

t.test(
  "a pool's thread cannot require an ES module: to be ended meanwhile would abort the process",
  async (t) => {
    const file = fileURLToPath(new URL("../../src/thread/background-worker.js", import.meta.url));
    const source = `require("node:worker_threads").parentPort.postMessage((() => {
    try { require(${JSON.stringify(file)}); return "loaded"; } catch (error) { return error.code; }
  })())`;
    const worker = new Worker(source, { eval: true, execArgv: [...POOL_EXEC_ARGV] });
    const [said] = await once(worker, "message");
    t.equal(said, "ERR_REQUIRE_ESM");
  },
);
