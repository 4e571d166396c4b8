import t from "tap";
import { runCommand } from "../command-run.ts";
import { MemoryBroker } from "../memory-client.ts";

function brokerWithRecords(count: number): MemoryBroker {
  const broker = new MemoryBroker();
  broker.create("t");
  for (let i = 0; i < count; i++) broker.publish("t", { key: `k${i}`, value: `v${i}` });
  return broker;
}

t.test("prints values, as they are, to the end", async (t) => {
  const run = await runCommand(["sub", "t", "--from", "earliest", "--until-end"], {
    broker: brokerWithRecords(3),
  });
  t.match(run, { exitCode: 0, stdout: "v0\nv1\nv2\n", stderr: "" });
});

t.test("--json and --count", async (t) => {
  const broker = brokerWithRecords(250);
  const run = await runCommand(["sub", "t", "--from", "earliest", "--count", "120", "--json"], { broker });
  t.equal(run.exitCode, 0);
  const lines = run.stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  t.equal(lines.length, 120);
  t.same(lines[119], {
    topic: "t",
    partition: 0,
    offset: 119,
    timestamp: 1_700_000_000_000,
    key: "k119",
    headers: {},
    value: "v119",
  });
});

t.test("--from and --partition reach the subscription", async (t) => {
  const broker = brokerWithRecords(0);
  await runCommand(["sub", "t", "--from", "offset:5", "--partition", "2", "--until-end"], { broker });
  await runCommand(["sub", "t", "--from", "time:1970-01-01T00:00:01Z", "--until-end"], { broker });
  await runCommand(["sub", "t", "--until-end"], { broker });
  t.match(broker.subscriptions, [
    { from: { offset: 5 }, partitions: [2] },
    { from: { time: 1000 }, partitions: undefined },
    { from: "latest" },
  ]);
});

t.test("a reader that goes away ends it with 0", async (t) => {
  const broker = brokerWithRecords(250);
  const run = await runCommand(["sub", "t", "--from", "earliest"], { broker, stdoutClosesAfter: 1 });
  t.match(run, { exitCode: 0, stderr: "" });
});

t.test("interrupted: 0 without an end to reach, else 130; the client is closed", async (t) => {
  for (const [args, exitCode] of [
    [[], 0],
    [["--count", "9"], 130],
  ] as const) {
    const broker = brokerWithRecords(3);
    const run = await runCommand(["sub", "t", "--from", "earliest", ...args], {
      broker,
      onStdout: (_text, signal) => setImmediate(() => signal("SIGINT")),
    });
    t.match(run, { exitCode, stdout: "v0\nv1\nv2\n", stderr: "" });
    t.equal(broker.clientsClosed, 1);
  }
});
