import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BenchDocument, ResultRow } from "@millrace/load";
import t, { type Test } from "tap";
import { runCompare } from "../../src/compare/compare-command.ts";
import { sampleDocument, sampleRow } from "../sample-document.ts";

interface Outcome {
  readonly code: number;
  readonly text: string;
}

function compare(t: Test, before: unknown, after: unknown, ...options: string[]): Outcome {
  const folder = t.testdir();
  const files = [before, after].map((content, index) => {
    const path = join(folder, `${index}.json`);
    writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
    return path;
  });
  return run([...files, ...options]);
}

function run(args: readonly string[]): Outcome {
  let text = "";
  const add = (more: string): void => {
    text += more;
  };
  const code = runCompare(args, { say: add, complain: add });
  return { code, text };
}

function withRows(...rows: readonly ResultRow[]): BenchDocument {
  return { ...sampleDocument(), rows, verdicts: [] };
}

t.test("a document and itself", async (t) => {
  const { code, text } = compare(t, sampleDocument(), sampleDocument(), "--fail-below", "0.85");
  t.equal(code, 0);
  t.match(text, "0 better, 0 worse, 40 within noise");
  t.notMatch(text, /DIFFERENT|only in|NaN/);
  t.ok(
    Math.max(
      ...text
        .split("\n")
        .slice(2)
        .map((line) => line.length),
    ) <= 120,
  );
});

t.test("differences beside the spread of both", async (t) => {
  const before = withRows(sampleRow({}, { rate: 1e6 }), sampleRow({ subject: "kafka" }, { rate: 1e6 }));
  const after = withRows(sampleRow({}, { rate: 1.3e6 }), sampleRow({ subject: "kafka" }, { rate: 1.02e6 }));
  const { code, text } = compare(t, before, after);
  t.equal(code, 0);
  t.match(text, /records +1\.00 M\/s +[\d.]+ +1\.30 M\/s +[\d.]+ +1\.30x +better, beyond the spread/);
  t.match(text, /records .* 1\.02x +within noise/);
  t.match(text, "1 better, 0 worse, 1 within noise");
});

t.test("a single repetition has no spread", async (t) => {
  const one = (rate: number) => withRows(sampleRow({}, { rate, repetitions: 1 }));
  t.match(compare(t, one(1000), one(2000)).text, "one repetition: spread unknown");
});

t.test("--fail-below", async (t) => {
  const at = (rate: number, latencyMs: number) => withRows(sampleRow({}, { rate, latencyMs }));
  const slower = compare(t, at(1e6, 1), at(0.8e6, 1), "--fail-below", "0.85");
  t.equal(slower.code, 1);
  t.match(slower.text, /below 0\.85:\n {2}records of pinned-producer \| millrace.*0\.800x/);
  t.equal(compare(t, at(1e6, 1), at(0.9e6, 1), "--fail-below", "0.85").code, 0);
  const later = compare(t, at(1e6, 1), at(1e6, 1.5), "--fail-below=0.85");
  t.equal(later.code, 1);
  t.match(later.text, /p50 end to end of .*1\.50x/);
  t.equal(compare(t, at(1e6, 1), at(0.5e6, 9)).code, 0, "without it nothing fails");
  const none = compare(t, withRows(), withRows(), "--fail-below", "0.85");
  t.equal(none.code, 1, "nothing in common is no success");
});

t.test("what does not match is named", async (t) => {
  const skipped = sampleRow({ subject: "kafka", skipped: "no Java" });
  const before = withRows(sampleRow({}, { rate: 10 }), sampleRow({ subject: "kafka" }, { rate: 10 }));
  const after = withRows(
    skipped,
    sampleRow({ subject: "relay", version: "1" }, { rate: 10 }),
    sampleRow({ version: "0.2.0", client: "@millrace/client 0.2.0 (Node)" }, { rate: 10 }),
  );
  const { text } = compare(t, before, after);
  t.match(text, /only in the first: pinned-producer \| kafka .*no Java/);
  t.match(text, /only in the second: pinned-producer \| relay/);
  t.match(text, "millrace 0.1.0 is now 0.2.0", "another version is compared, and said");
  const other = { ...sampleRow({}, { rate: 10 }), parameters: { valueBytes: 16 } };
  t.match(compare(t, before, withRows(other)).text, "0 rows compared");
});

t.test("another machine is said loudly", async (t) => {
  const { machine } = sampleDocument();
  const after = { ...sampleDocument(), machine: { ...machine, cores: 8, node: "v24.0.0" } };
  const { text } = compare(t, sampleDocument(), after);
  t.match(text, "!!! DIFFERENT MACHINES");
  t.match(text, "!!! cores: 2 before, 8 after");
  t.match(text, "note: other Node.js");
});

t.test("bad files and arguments", async (t) => {
  const good = sampleDocument();
  const bad: readonly (readonly [unknown, RegExp])[] = [
    ["{", /JSON/],
    ["[]", /result document/],
    [{ ...good, format: "something" }, /something/],
    [{ ...good, version: 2 }, /version/],
    [{ ...good, rows: [{ ...good.rows[0], repetitions: 1 }] }, /rows\[0\]\.repetitions/],
    [{ ...good, rows: [{ ...good.rows[0], durability: "eternal" }] }, /rows\[0\]\.durability/],
    [{ ...good, verdicts: [{}] }, /verdicts\[0\]/],
    [{ ...good, machine: {} }, /machine/],
  ];
  for (const [content, message] of bad) {
    const { code, text } = compare(t, good, content);
    t.equal(code, 2);
    t.match(text, /1\.json/, "names the file");
    t.match(text, message);
  }
  t.match(run(["/nowhere.json", "/nowhere.json"]), { code: 2, text: "/nowhere.json" });
  t.match(run(["a.json"]), { code: 2, text: "Usage" });
  t.match(run(["a", "b", "--unknown"]), { code: 2, text: "--unknown" });
  t.match(compare(t, good, good, "--fail-below", "85"), { code: 2, text: "--fail-below" });
  t.match(run(["--help"]), { code: 0, text: "Usage" });
});
