import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BenchDocument, ResultRow } from "@millrace/load";
import t from "tap";
import { runBaseline } from "../../src/baselines/baseline-command.ts";
import { baselinePath } from "../../src/baselines/baseline-file.ts";
import { sampleDocument, sampleRow } from "../sample-document.ts";

/** A folder of baselines, and the command on documents. */
class Bench {
  readonly folder: string;
  readonly #file: string;

  constructor(folder: string) {
    this.folder = join(folder, "baselines");
    this.#file = join(folder, "a.json");
  }

  run(document: BenchDocument, ...options: string[]): { code: number; text: string } {
    writeFileSync(this.#file, JSON.stringify(document));
    let text = "";
    const add = (more: string): void => {
      text += more;
    };
    const args = [this.#file, "--folder", this.folder, ...options];
    const code = runBaseline(args, { say: add, complain: add });
    return { code, text };
  }
}

const SAMPLE = sampleDocument();
const withRows = (...rows: readonly ResultRow[]): BenchDocument => ({ ...SAMPLE, rows, verdicts: [] });

t.test("no baseline, then one", async (t) => {
  const bench = new Bench(t.testdir());
  t.match(bench.run(SAMPLE), { code: 0, text: "There is no baseline for Example(R) Processor" });
  t.match(bench.run(SAMPLE, "--store"), { code: 0, text: "11 rows and 3 verdicts stored" });
  const [name = "", ...more] = readdirSync(bench.folder);
  t.equal(name, "example-processor-8-2-50ghz-2c.json");
  t.same(more, []);
  const path = join(bench.folder, name);
  const text = readFileSync(path, "utf8");
  t.ok(statSync(path).size < 15_000, "small");
  t.notMatch(text, /histogram|kafka|series/, "no histograms, no peers");
  t.match(text, /"recordsPerSecond": \{ "median": \d+, "min": \d+, "max": \d+, "repetitions": 3 \}/);
  const same = bench.run(SAMPLE);
  t.match(same, { code: 0, text: "ok: nothing fell below 0.85" });
  t.notMatch(same.text, /WORSE|not in|NaN/);
});

t.test("a fall", async (t) => {
  const bench = new Bench(t.testdir());
  bench.run(SAMPLE, "--store");
  const slow = sampleRow({}, { rate: 2.6e6 * 0.7 });
  const fallen = bench.run({ ...SAMPLE, rows: [slow, ...SAMPLE.rows.slice(1)] });
  t.match(fallen, { code: 1, text: /below 0\.85:\n {2}records of pinned-producer \| millrace/ });
  t.equal(bench.run({ ...SAMPLE, rows: [slow, ...SAMPLE.rows.slice(1)] }, "--fail-below", "0.5").code, 0);
  const slowPeers = SAMPLE.rows.map((row) =>
    row.subject === "kafka" ? sampleRow({ ...row, repetitions: [] }, { rate: 1 }) : row,
  );
  t.equal(bench.run({ ...SAMPLE, rows: slowPeers }).code, 0, "peers have no baseline");

  const ratio = (name: string, value: number) => ({
    ...SAMPLE,
    verdicts: SAMPLE.verdicts.map((verdict) =>
      verdict.name === name ? { ...verdict, ratio: value } : verdict,
    ),
  });
  t.match(bench.run(ratio("ingest-memory-vs-nats", 1.9)), { code: 1, text: "verdict ingest-memory-vs-nats" });
  t.equal(bench.run(ratio("ingest-memory-vs-nats", 4)).code, 0);
  t.equal(bench.run(ratio("idle-connection", 1.3)).code, 1, "at most: more is worse");
  t.equal(bench.run(ratio("idle-connection", 0.5)).code, 0);
});

t.test("what is missing", async (t) => {
  const bench = new Bench(t.testdir());
  const row = sampleRow({}, { rate: 1000 });
  const other = sampleRow({ scenario: "queue" }, { rate: 1000 });
  bench.run(withRows(row, other), "--store");
  const { code, text } = bench.run(withRows(row, sampleRow({ scenario: "new" }, { rate: 1 })));
  t.equal(code, 0);
  t.match(text, "not in this run: queue | millrace");
  t.match(text, "not in the baseline: new | millrace");
  t.match(bench.run(withRows(row, { ...other, repetitions: [], skipped: "no time" })).text, "no time");
  t.match(bench.run(withRows()), { code: 1, text: "nothing in common" });
});

t.test("storing a part keeps the rest", async (t) => {
  const bench = new Bench(t.testdir());
  const queue = (rate: number): ResultRow => sampleRow({ scenario: "queue" }, { rate });
  bench.run(withRows(sampleRow({}, { rate: 1000 }), queue(1000)), "--store");
  t.match(bench.run(withRows(queue(5000)), "--store").text, "1 older rows kept");
  t.equal(bench.run(withRows(sampleRow({}, { rate: 1000 }), queue(5000))).code, 0);
  t.equal(bench.run(withRows(sampleRow({}, { rate: 1000 }), queue(1000))).code, 1);
  t.match(bench.run(withRows(sampleRow({ subject: "kafka" }, { rate: 1 })), "--store"), {
    code: 2,
    text: "nothing to store",
  });
});

t.test("bad baselines and arguments", async (t) => {
  const bench = new Bench(t.testdir());
  bench.run(SAMPLE, "--store");
  const path = baselinePath(bench.folder, SAMPLE.machine);
  for (const content of ["{", "{}", '{"format":"millrace-baseline","version":1,"rows":[{}],"verdicts":[]}']) {
    writeFileSync(path, content);
    t.match(bench.run(SAMPLE), { code: 2, text: path });
  }
  const silent = (args: readonly string[]): number =>
    runBaseline(args, { say: () => {}, complain: () => {} });
  t.equal(silent([]), 2);
  t.equal(silent(["/nowhere.json"]), 2);
  t.equal(silent(["--help"]), 0);
});

t.test("a name for a processor", async (t) => {
  const name = (cpu: string, cores: number): string => baselinePath("", { ...SAMPLE.machine, cpu, cores });
  t.equal(name("Intel(R) Xeon(R) CPU @ 2.20GHz", 4), "intel-xeon-cpu-2-20ghz-4c.json");
  t.equal(name("AMD EPYC 7B13", 2), "amd-epyc-7b13-2c.json");
  t.equal(name("../../etc", 1), "etc-1c.json");
  t.equal(name("", 1), "unknown-1c.json");
});
