import t from "tap";
import { NOW_MS, runCommand } from "./command-run.ts";
import { MemoryBroker } from "./memory-client.ts";

t.test("help and version are answers, not errors", async (t) => {
  for (const command of [
    [],
    ["serve"],
    ["topic"],
    ["topic", "create"],
    ["topic", "alter"],
    ["topic", "truncate"],
    ["pub"],
    ["sub"],
  ]) {
    const { exitCode, stdout } = await runCommand([...command, "--help"]);
    t.equal(exitCode, 0, command.join(" "));
    t.match(stdout, `Usage: ${["millrace", ...command].join(" ")} `);
  }
  t.match(await runCommand(["--version"]), { exitCode: 0, stdout: /^\d+\.\d+\.\d+\n$/ });
});

t.test("what is wrong with the command line ends with 2", async (t) => {
  const wrong = [
    [],
    ["nonsense"],
    ["serve", "--port", "70000"],
    ["serve", "--log-format", "xml"],
    ["serve", "extra"],
    ["topic"],
    ["topic", "create"],
    ["topic", "create", "a", "--partitions", "0"],
    ["topic", "create", "a", "--durability", "maybe"],
    ["topic", "alter", "a"],
    ["topic", "alter", "a", "--partitions", "2"],
    ["topic", "alter", "a", "--retention", "none"],
    ["topic", "truncate", "a"],
    ["topic", "truncate", "a", "--before", "earliest"],
    ["topic", "truncate", "a", "--before", "1", "--partition", "x"],
    ["pub"],
    ["pub", "a", "b", "--header", "nonsense"],
    ["pub", "a", "b", "--url", "http://127.0.0.1"],
    ["sub", "a", "--from", "nowhere"],
    ["sub", "a", "--count", "0"],
    ["sub", "a", "b"],
    ["sub", "a", "--nonsense"],
  ];
  for (const args of wrong) {
    const { exitCode, stdout, stderr } = await runCommand(args);
    t.equal(exitCode, 2, args.join(" "));
    t.equal(stdout, "");
    t.match(stderr, /^(error USAGE: |Usage: )/);
  }
});

t.test("what the broker refuses ends with 1 and its code", async (t) => {
  t.match(await runCommand(["sub", "nothing", "--until-end"]), {
    exitCode: 1,
    stdout: "",
    stderr: "error UNKNOWN_TOPIC: there is no topic nothing\n",
  });
  t.match(await runCommand(["topic", "list"], { refuseConnection: true }), {
    exitCode: 1,
    stderr: "error CONNECT_FAILED: nobody listens on ws://127.0.0.1:7070\n",
  });
});

t.test("topics: create, list, describe, delete", async (t) => {
  const broker = new MemoryBroker();
  const create = [
    "topic",
    "create",
    "flights",
    "--partitions",
    "4",
    "--retention",
    "12h",
    "--retention-bytes",
    "1GiB",
  ];
  t.match(await runCommand([...create, "--durability", "written", "--json"], { broker }), { exitCode: 0 });
  t.match(broker.find("flights").topic, {
    partitions: 4,
    retentionMs: 43_200_000,
    retentionBytes: 1024 ** 3,
    durability: "written",
  });
  t.match(await runCommand(create, { broker }), { exitCode: 1, stderr: /^error TOPIC_EXISTS: / });
  const again = await runCommand([...create, "--if-not-exists", "--json"], { broker });
  t.equal(again.exitCode, 0);
  t.match(JSON.parse(again.stdout), { name: "flights", durability: "written" });

  broker.create("arrivals");
  const list = await runCommand(["topic", "list", "--json"], { broker });
  t.same(
    list.stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line).name),
    ["arrivals", "flights"],
  );
  t.match(await runCommand(["topic", "list"], { broker }), {
    stdout: /^TOPIC .*\narrivals .*\nflights .*\n$/,
  });

  const described = await runCommand(["topic", "describe", "flights", "--json"], { broker });
  t.match(JSON.parse(described.stdout), {
    name: "flights",
    partitionInfo: [{ partition: 0, highWatermark: 0 }],
  });
  t.match(await runCommand(["topic", "describe", "flights"], { broker }), { stdout: /^topic {12}flights\n/ });

  t.match(await runCommand(["topic", "delete", "flights", "--json"], { broker }), {
    exitCode: 0,
    stdout: '{"name":"flights","deleted":true}\n',
  });
  t.match(await runCommand(["topic", "delete", "flights"], { broker }), { exitCode: 1 });
  t.equal(broker.clientsClosed, 9, "every command closed its client, the refused ones too");
});

t.test("topic alter changes what is mentioned", async (t) => {
  const broker = new MemoryBroker();
  broker.create("a", { retentionMs: 1000, retentionBytes: 5, durability: "written" });
  const altered = await runCommand(["topic", "alter", "a", "--retention", "2d", "--json"], { broker });
  t.match(JSON.parse(altered.stdout), {
    name: "a",
    retentionMs: 172_800_000,
    retentionBytes: 5,
    durability: "written",
  });
  const bounds = ["--retention", "forever", "--retention-bytes", "unlimited", "--durability", "memory"];
  t.match(await runCommand(["topic", "alter", "a", ...bounds], { broker }), {
    exitCode: 0,
    stdout: /^TOPIC .*\na +1 +forever +unlimited +memory\n$/,
  });
  t.match(broker.find("a").topic, { retentionMs: null, retentionBytes: null, durability: "memory" });
  t.match(await runCommand(["topic", "alter", "b", ...bounds], { broker }), {
    exitCode: 1,
    stderr: /^error UNKNOWN_TOPIC: /,
  });
  t.match(await runCommand(["topic", "alter", "a"], { broker }), {
    exitCode: 2,
    stderr: /^error USAGE: nothing to change/,
  });
});

t.test("topic truncate says how far, and prints what is left", async (t) => {
  const broker = new MemoryBroker();
  broker.create("a");
  for (let i = 0; i < 9; i += 1) broker.publish("a", { value: `${i}` });
  const truncate = (...args: string[]) => runCommand(["topic", "truncate", "a", ...args], { broker });
  t.match(await truncate("--before", "offset:4"), {
    exitCode: 0,
    stdout: /^PARTITION +LOG START .*\n +0 +4 +9 +5\n$/,
  });
  const json = await truncate("--before", "latest", "--partition", "0", "2", "--partition", "5", "--json");
  t.same(
    json.stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line)),
    [0, 2, 5].map((partition) => ({ topic: "a", partition, logStartOffset: 9, highWatermark: 9 })),
  );
  await truncate("--before", "time:2026-11-22");
  await truncate("--before", "3h");
  const [, , day, ago] = broker.truncations;
  t.same(day, { before: { time: Date.UTC(2026, 10, 22) }, partitions: undefined });
  t.same(ago, { before: { time: NOW_MS - 3 * 3_600_000 }, partitions: undefined });
  t.match(await runCommand(["topic", "truncate", "b", "--before", "1"], { broker }), { exitCode: 1 });
});
