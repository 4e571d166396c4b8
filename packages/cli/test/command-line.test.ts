import t from "tap";
import { runCommand } from "./command-run.ts";
import { MemoryBroker } from "./memory-client.ts";

t.test("help and version are answers, not errors", async (t) => {
  for (const command of [[], ["serve"], ["topic"], ["topic", "create"], ["pub"], ["sub"]]) {
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
