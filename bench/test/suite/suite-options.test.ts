import t from "tap";
import { parseSuiteOptions, type UsageText } from "../../src/suite/run/suite-options.ts";
import { planOf } from "../../src/suite/run/suite-plan.ts";
import { ALL_SCENARIOS } from "../../src/suite/scenarios/all-scenarios.ts";

t.test("options", async (t) => {
  const options = parseSuiteOptions([
    "--",
    "--quick",
    "--value",
    "16,100",
    "--value",
    "1024",
    "--duration",
    "0.5",
  ]);
  t.equal(options.mode, "quick");
  t.same(options.valueBytes, [16, 100, 1024]);
  t.equal(options.durationMs, 500);
  t.same(parseSuiteOptions(["--durability", "memory,fsynced"]).durabilities, ["memory", "fsynced"]);

  const complaint = (...args: string[]): UsageText => {
    try {
      parseSuiteOptions(args);
    } catch (error) {
      return error as UsageText;
    }
    throw new Error(`nothing is wrong with ${args.join(" ")}`);
  };
  t.match(complaint("--durability", "durable"), { exitCode: 2, message: /--durability is one of/ });
  t.match(complaint("--batch", "1.5"), { exitCode: 2, message: /--batch takes a whole number: got 1.5/ });
  t.match(complaint("--rounds", "0"), { exitCode: 2 });
  t.match(complaint("--value", "4"), { message: /--value takes a number of 8 or more/ });
  t.match(complaint("--quick", "--full"), { exitCode: 2 });
  t.match(complaint("--scenario", "nonsense"), { message: /no scenario is called nonsense/ });
  t.match(complaint("--help"), { exitCode: 0, message: /Usage: pnpm bench/ });
});

t.test("a stated duration is not stretched", async (t) => {
  t.ok(planOf(parseSuiteOptions(["--full"])).steadyMs);
  t.equal(planOf(parseSuiteOptions(["--full", "--duration", "1"])).steadyMs, undefined);
});

t.test("each scenario has cases, and no two of them are the same", async (t) => {
  for (const mode of ["--quick", "--full"]) {
    const options = parseSuiteOptions([mode]);
    for (const scenario of ALL_SCENARIOS) {
      const keys = scenario
        .cases(options)
        .map(({ durability, parameters }) => JSON.stringify([durability, parameters]));
      t.ok(keys.length > 0, scenario.name);
      t.equal(new Set(keys).size, keys.length, scenario.name);
    }
  }
});
