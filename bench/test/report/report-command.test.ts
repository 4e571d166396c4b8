import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { runReport } from "../../src/report/report-command.ts";
import { sampleDocument } from "../sample-document.ts";

t.test("a table, a page, a complaint", async (t) => {
  const folder = t.testdir();
  const [file, page] = [join(folder, "a.json"), join(folder, "a.html")];
  writeFileSync(file, JSON.stringify(sampleDocument()));
  const said: string[] = [];
  const complaints: string[] = [];
  const run = (...args: string[]): number =>
    runReport(args, { say: (text) => said.push(text), complain: (text) => complaints.push(text) });

  t.equal(run(file), 0);
  t.match(said.pop(), "2 of 4 targets met");
  t.equal(run(file, "--html", page), 0);
  t.match(readFileSync(page, "utf8"), /^<!doctype html>/);
  t.same(complaints, []);
  for (const args of [[], [page], [file, "--html", join(folder, "none", "a.html")], [file, "--pdf"]]) {
    t.equal(run(...args), 2);
    t.ok((complaints.pop() ?? "").length > 10);
  }
});
