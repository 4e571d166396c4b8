import t from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { jsonOutput, runCommand, startCommand } from "../harness/millrace-command.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { until } from "../harness/waiting.ts";

const QUICK = ["--duration", "300ms", "--warm-up", "50ms", "--rounds", "1"];

interface Row {
  readonly scenario: string;
  readonly repetitions: readonly Record<string, unknown>[];
}

t.test("millrace bench against a broker", async (t) => {
  const broker = await BrokerProcess.start(t, { dataDir: temporaryFolder(t) });
  const at = ["--url", broker.url, ...QUICK];
  const rowOf = async (...args: readonly string[]): Promise<Row> => {
    const [document = {}] = await jsonOutput(t, ["bench", ...args, "--json"]);
    t.match(document, { format: "millrace-bench", version: 1, verdicts: [] });
    return (document.rows as Row[])[0] as Row;
  };
  const topics = async (): Promise<number> =>
    (await jsonOutput(t, ["topic", "list", "--url", broker.url, "--json"])).length;

  await t.test("e2e at a rate: every record arrives, and its latency is measured", async (t) => {
    const { repetitions } = await rowOf(
      "e2e",
      ...at,
      "--rate",
      "2000",
      "--durability",
      "memory",
      "--consumers",
      "2",
    );
    const [round] = repetitions;
    t.match(round, { endToEnd: { unit: "ms" }, ackLatency: { unit: "ms" } });
    t.notOk(round?.errors, "nothing was lost");
  });

  await t.test("sub reads all of a topic, once for each consumer", async (t) => {
    const options = ["--fill", "20000", "--consumers", "2", "--rounds", "1", "--value", "10"];
    const { repetitions } = await rowOf("sub", "--url", broker.url, ...options);
    const { seconds, bytesPerSecond } = repetitions[0] as { seconds: number; bytesPerSecond: number };
    t.equal(Math.round(seconds * bytesPerSecond), 20_000 * 10 * 2);
  });

  for (const kind of ["pub", "queue", "keyed", "rpc"]) {
    await t.test(kind, async (t) => {
      const { scenario, repetitions } = await rowOf(kind, ...at, "--rate", "500");
      t.equal(scenario, kind);
      // All that was due in the window is timed, also where it is answered later.
      t.match(
        repetitions[0],
        kind === "rpc" ? { roundTrip: { unit: "ms" } } : { ackLatency: { unit: "ms" } },
      );
      t.notOk(repetitions[0]?.errors, "nothing is missing");
    });
  }

  await t.test("its topics are gone, and that of --topic stays", async (t) => {
    t.equal(await topics(), 0);
    const { code, stdout } = await runCommand(t, ["bench", "pub", "--topic", "kept", "--rate", "100", ...at]);
    t.equal(code, 0);
    t.match(stdout, /^pub on ws:.*\nround +records/);
    t.match(stdout, /^median /m);
    t.equal(await topics(), 1);
  });

  await t.test("interrupted it ends, and leaves no topic", async (t) => {
    const before = await topics();
    const bench = startCommand(t, ["bench", "pub", "--url", broker.url, "--duration", "1h"]);
    await until(async () => (await topics()) > before, "the bench to make its topic");
    t.match(await bench.kill("SIGINT"), { code: 130 });
    t.equal(await topics(), before);
  });

  await t.test("without a broker it says so", async (t) => {
    const { code, stderr } = await runCommand(t, ["bench", "pub", "--url", "ws://127.0.0.1:1", ...QUICK]);
    t.equal(code, 1);
    t.match(stderr, /^error [A-Z_]+: /);
  });
});
