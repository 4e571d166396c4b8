import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkDocument, describeMachine } from "@millrace/load";
import { ChildProcesses } from "@millrace/load/internal";
import t from "tap";
import type { SuiteContext } from "../../src/suite/run/subject-run.ts";
import { parseSuiteOptions } from "../../src/suite/run/suite-options.ts";
import { planOf } from "../../src/suite/run/suite-plan.ts";
import { OpenFleets, SuiteRun } from "../../src/suite/run/suite-run.ts";
import { endToEnd } from "../../src/suite/scenarios/end-to-end.ts";
import { millraceRaw } from "../../src/suite/subjects/millrace.ts";

t.test("a scenario is run from end to end", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-suite-"));
  const children = new ChildProcesses();
  const fleets = new OpenFleets();
  t.teardown(async () => {
    await fleets.closeAll();
    await children.endAll();
    rmSync(folder, { recursive: true, force: true });
  });
  const options = parseSuiteOptions(
    "--durability memory --batch 4096 --rounds 1 --duration 0.2 --warm-up 0.05".split(" "),
  );
  const context: SuiteContext = {
    children,
    folder,
    plan: planOf(options),
    prepareMachine: () => Promise.resolve(),
    openFleet: () => fleets.open(),
    say: () => undefined,
    onProgress: () => undefined,
  };
  const run = new SuiteRun(context, options, { rows: () => undefined, say: () => undefined });
  await run.run([endToEnd], [millraceRaw]);
  const { rows } = run;
  t.same(
    rows.map(({ subject, kind }) => `${subject} ${kind}`),
    ["millrace raw"],
  );
  for (const row of rows) {
    t.equal(row.skipped, undefined);
    const [repetition] = row.repetitions;
    t.type(repetition?.deliveriesPerSecond, "number", row.client);
    t.ok((repetition?.brokerRssBytes ?? 0) > 0);
    t.match(row.settings.join("\n"), /millrace serve/);
  }
  t.same(readdirSync(folder), [], "no data is left");
  t.doesNotThrow(() =>
    checkDocument({
      format: "millrace-bench",
      version: 1,
      startedAt: new Date(0).toISOString(),
      command: "a test",
      machine: describeMachine(),
      rows,
      verdicts: [],
    }),
  );
});
