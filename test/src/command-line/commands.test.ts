import t, { type Test } from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import {
  type CommandResult,
  jsonOutput,
  runCommand,
  runCommandProcess,
  startCommand,
} from "../harness/millrace-command.ts";
import { OwnedProcess } from "../harness/owned-process.ts";
import { MILLRACE_BIN } from "../harness/repository.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { inTime } from "../harness/waiting.ts";

const broker = await BrokerProcess.start(t, { dataDir: temporaryFolder(t) });

/** Arguments with this broker's address. */
function at(...args: string[]): string[] {
  return [...args, "--url", broker.url];
}

function run(t: Test, ...args: string[]): Promise<CommandResult> {
  return runCommand(t, at(...args));
}

function json(t: Test, ...args: string[]): Promise<Record<string, unknown>[]> {
  return jsonOutput(t, at(...args, "--json"));
}

async function makeTopic(t: Test, name: string, ...options: string[]): Promise<void> {
  t.match(await run(t, "topic", "create", name, ...options), { code: 0, stderr: "" });
}

function lines(text: string): string[] {
  return text.split("\n").slice(0, -1);
}

function isRefused(t: Test, result: CommandResult, code: string, exitCode: number = 1): void {
  t.equal(result.code, exitCode);
  t.equal(result.stdout, "");
  t.match(result.stderr, new RegExp(`^error ${code}: [^\\n]+\\n$`));
}

t.test("the command as a process: its streams, and how it ends", async (t) => {
  await makeTopic(t, "process");
  const published = await runCommandProcess(t, at("pub", "process"), "one\ntwo\n");
  t.match(published, { code: 0, signal: null, stdout: "", stderr: /^published 2 records .*\n$/ });
  const read = at("sub", "process", "--from", "earliest", "--until-end");
  const values = { code: 0, signal: null, stdout: "one\ntwo\n", stderr: "" };
  t.same(await runCommandProcess(t, read), values);
  t.same(await runCommand(t, read), values, "as in this process, where most of the tests run them");
  isRefused(t, await runCommandProcess(t, at("topic", "create", "process")), "TOPIC_EXISTS");
  isRefused(t, await runCommandProcess(t, ["topic", "create"]), "USAGE", 2);
  t.match(await runCommandProcess(t, ["--help"]), { code: 0, stdout: /^Usage: millrace /, stderr: "" });
  t.match(await run(t, "topic", "delete", "process"), { code: 0 });
});

t.test("topic create, list, describe and delete", async (t) => {
  const options = ["--partitions", "3", "--retention", "12h", "--retention-bytes", "1GiB"];
  const [created] = await json(t, "topic", "create", "shop.orders", ...options, "--durability", "written");
  t.match(created, {
    name: "shop.orders",
    partitions: 3,
    retentionMs: 12 * 3_600_000,
    retentionBytes: 2 ** 30,
    durability: "written",
  });
  t.same(
    Object.keys(created ?? {}).sort(),
    [
      "catalogPosition",
      "createdMs",
      "durability",
      "name",
      "partitions",
      "retentionBytes",
      "retentionMs",
      "topicId",
    ],
    "the members that the reference names",
  );
  isRefused(t, await run(t, "topic", "create", "shop.orders"), "TOPIC_EXISTS");
  t.same(await json(t, "topic", "create", "shop.orders", "--if-not-exists"), [created], "as it is");
  t.match(
    await json(
      t,
      "topic",
      "create",
      "plain",
      ...["--retention", "forever", "--retention-bytes", "unlimited"],
    ),
    [{ partitions: 1, retentionMs: null, retentionBytes: null, durability: "fsynced" }],
  );

  t.same(
    (await json(t, "topic", "list")).map(({ name }) => name),
    ["plain", "shop.orders"],
  );
  const list = await run(t, "topic", "list");
  t.match(list.stdout, /^TOPIC +PARTITIONS .*\nplain +1 .*\nshop\.orders +3 +12h +1GiB +written\n$/);

  await run(t, "pub", "shop.orders", "one", "two", "--partition", "1");
  const [described] = await json(t, "topic", "describe", "shop.orders");
  t.match(described, created ?? {});
  t.match(
    described?.partitionInfo,
    [0, 2, 0].map((highWatermark, partition) => ({
      partition,
      shard: Number,
      logStartOffset: 0,
      highWatermark,
      logEpoch: Number,
    })),
  );
  t.match((await run(t, "topic", "describe", "shop.orders")).stdout, /^topic +shop\.orders\n(.*\n)+ +1 .*\n/);

  t.match(await run(t, "topic", "delete", "plain"), { code: 0, stdout: "deleted plain\n" });
  t.same(await json(t, "topic", "delete", "shop.orders"), [{ name: "shop.orders", deleted: true }]);
  t.same(await json(t, "topic", "list"), []);
  for (const [command, topic] of [
    ["describe", "plain"],
    ["delete", "plain"],
  ] as const)
    isRefused(t, await run(t, "topic", command, topic), "UNKNOWN_TOPIC");
});

t.test("status", async (t) => {
  await makeTopic(t, "status");
  const [status] = await json(t, "status");
  t.match(status, {
    nodes: [{ ready: true, conditions: [], eventLoopDelayMs: { p50: Number, p99: Number, max: Number } }],
    coordinator: Number,
    disk: { low: false },
  });
  const { nodes, shards } = status as { nodes: { nodeId: number; rssBytes: number }[]; shards: object[] };
  t.ok(nodes.every(({ rssBytes }) => rssBytes > 1_000_000));
  t.ok(shards.length > 1);
  for (const shard of shards) t.match(shard, { state: "up", refusing: null, inboundFill: Number });
  const text = await run(t, "status");
  t.match(text, { code: 0, stderr: "" });
  t.match(text.stdout, /^NODE .*\n.* up /m);
});

t.test("topic alter and truncate", async (t) => {
  await makeTopic(t, "kept", "--partitions", "2", "--retention", "12h");
  t.match(await json(t, "topic", "alter", "kept", "--retention-bytes", "1GiB", "--durability", "written"), [
    {
      name: "kept",
      partitions: 2,
      retentionMs: 12 * 3_600_000,
      retentionBytes: 2 ** 30,
      durability: "written",
    },
  ]);
  t.match(
    (await run(t, "topic", "alter", "kept", "--retention", "forever")).stdout,
    /\nkept +2 +forever +1GiB +written\n$/,
  );
  isRefused(t, await run(t, "topic", "alter", "kept"), "USAGE", 2);
  isRefused(t, await run(t, "topic", "alter", "nothing", "--retention", "1d"), "UNKNOWN_TOPIC");

  await run(t, "pub", "kept", "one", "two", "three", "--partition", "1");
  t.same(await json(t, "topic", "truncate", "kept", "--before", "offset:1", "--partition", "1"), [
    { topic: "kept", partition: 1, logStartOffset: 1, highWatermark: 3 },
  ]);
  isRefused(t, await run(t, "topic", "truncate", "kept", "--before", "2"), "OFFSET_OUT_OF_RANGE");
  t.match((await run(t, "topic", "truncate", "kept", "--before", "time:2h")).stdout, /\n +1 +1 +3 +2\n$/);
  const rest = await run(t, "sub", "kept", "--from", "earliest", "--until-end");
  t.equal(rest.stdout, "two\nthree\n");
  t.same(
    (await json(t, "topic", "truncate", "kept", "--before", "latest")).map(
      ({ logStartOffset }) => logStartOffset,
    ),
    [0, 3],
  );
  isRefused(t, await run(t, "topic", "truncate", "nothing", "--before", "latest"), "UNKNOWN_TOPIC");
  await run(t, "topic", "delete", "kept");
});

t.test("pub of values, with key, headers and partition; sub shows all of it", async (t) => {
  await makeTopic(t, "values", "--partitions", "3");
  t.equal(
    (await run(t, "pub", "values", "a", "b", "--partition", "2")).stdout,
    "values partition 2 offset 0 fsynced\nvalues partition 2 offset 1 fsynced\n",
  );
  t.same(await json(t, "pub", "values", "c", "--partition", "2"), [
    { topic: "values", partition: 2, offset: 2, durability: "fsynced" },
  ]);
  const keyed = ["--key", "k1", "--header", "colour=blue", "--header", "eq=a=b"];
  const acks = await json(t, "pub", "values", "d", "é", ...keyed);
  const partition = acks[0]?.partition;
  t.equal(acks[1]?.partition, partition, "the same key, the same partition");
  t.equal(Number(acks[1]?.offset), Number(acks[0]?.offset) + 1);

  const all = await json(t, "sub", "values", "--from", "earliest", "--until-end");
  t.equal(all.length, 5);
  const first = all.find(({ value }) => value === "a");
  t.match(first, { topic: "values", partition: 2, offset: 0, timestamp: Number, headers: {}, value: "a" });
  t.match(
    all.filter(({ key }) => key === "k1"),
    ["d", "é"].map((value) => ({ partition, headers: { colour: "blue", eq: "a=b" }, value })),
  );
  const text = await run(t, "sub", "values", "--from", "earliest", "--until-end", "--partition", "2");
  t.equal(text.stdout.split("\n").slice(0, 3).join(), "a,b,c", "without --json the values");
});

t.test("pub of lines, and of JSON objects", async (t) => {
  await makeTopic(t, "lines");
  const result = await runCommand(t, at("pub", "lines"), "one\r\n\ntwo words\nno newline");
  t.match(result, { code: 0, stdout: "", stderr: /^published 4 records .*\n$/ });
  const acks = await jsonOutput(t, at("pub", "lines", "--json"), "five\nsix\n");
  t.same(
    acks,
    [4, 5].map((offset) => ({ topic: "lines", partition: 0, offset, durability: "fsynced" })),
  );
  const stored = await json(t, "sub", "lines", "--from", "earliest", "--count", "6");
  t.same(
    stored.map(({ value }) => value),
    ["one\r", "", "two words", "no newline", "five", "six"],
    "bytes are kept",
  );

  await makeTopic(t, "objects", "--partitions", "2");
  const objects = [
    { key: "k", headers: { h: "1" }, value: { nested: [1, true, null] }, partition: 1 },
    { value: "text", partition: 1, key: null },
    { valueBase64: "/wA=", keyBase64: "/w==", partition: 1, headersBase64: { raw: "/g==" } },
  ];
  const input = `${objects.map((object) => JSON.stringify(object)).join("\n")}\n`;
  t.equal((await jsonOutput(t, at("pub", "objects", "--ndjson", "--json"), input)).length, 3);
  t.match(await json(t, "pub", "objects", '{"value":7}', "--ndjson", "--partition", "1"), [{ offset: 3 }]);
  const back = await run(t, "sub", "objects", "--from", "earliest", "--until-end", "--json");
  const read = lines(back.stdout).map((line) => JSON.parse(line) as Record<string, unknown>);
  t.match(read, [...objects, { value: 7 }]);
  t.match(
    await jsonOutput(t, at("pub", "objects", "--ndjson", "--json"), back.stdout),
    [4, 5, 6, 7].map((offset) => ({ partition: 1, offset })),
    "pub --ndjson reads what sub --json prints",
  );
  isRefused(
    t,
    await runCommand(t, at("pub", "objects", "--ndjson"), '{"value":1}\nnonsense\n'),
    "INVALID_RECORD",
  );
});

t.test("an ack states the durability that was reached", async (t) => {
  const levels = ["memory", "written", "fsynced"];
  const publish = async (durability: string): Promise<void> => {
    await makeTopic(t, `kept.${durability}`, "--durability", durability);
    const [ack] = await json(t, "pub", `kept.${durability}`, "x");
    t.ok(levels.indexOf(String(ack?.durability)) >= levels.indexOf(durability), String(ack?.durability));
  };
  await Promise.all(levels.map(publish));
});

t.test("sub from everywhere", async (t) => {
  await makeTopic(t, "places", "--partitions", "2");
  for (const value of ["v0", "v1", "v2"]) await run(t, "pub", "places", value, "--partition", "0");
  await run(t, "pub", "places", "w0", "--partition", "1");
  const all = await json(t, "sub", "places", "--from", "earliest", "--until-end", "--partition", "0");
  const values = async (...options: string[]): Promise<unknown[]> =>
    (await json(t, "sub", "places", ...options)).map(({ value }) => value);
  t.same(
    all.map(({ value, offset, partition }) => [value, offset, partition]),
    ["v0", "v1", "v2"].map((value, offset) => [value, offset, 0]),
  );
  t.same((await values("--from", "earliest", "--until-end")).sort(), ["v0", "v1", "v2", "w0"]);
  t.same(await values("--from", "earliest", "--count", "1", "--partition", "1"), ["w0"]);
  t.same(await values("--from", "offset:1", "--until-end", "--partition", "0"), ["v1", "v2"]);
  t.same(await values("--from", "latest", "--until-end"), []);
  const time = new Date(Number(all[1]?.timestamp)).toISOString();
  const since = all.filter(({ timestamp }) => Number(timestamp) >= Number(all[1]?.timestamp));
  t.same(
    await values("--from", `time:${time}`, "--until-end", "--partition", "0"),
    since.map(({ value }) => value),
  );
});

t.test("a sub waits for what is new; interrupted it ends with 0, or 130 if it had a goal", async (t) => {
  await makeTopic(t, "live");
  await run(t, "pub", "live", "old");
  const endless = startCommand(t, at("sub", "live", "--from", "earliest"));
  const counted = startCommand(t, at("sub", "live", "--from", "earliest", "--count", "9"));
  const both = [endless, counted];
  for (const sub of both) await sub.printed(() => sub.stdout === "old\n", "the first record");
  await run(t, "pub", "live", "new");
  for (const sub of both) await sub.printed(() => sub.stdout === "old\nnew\n", "the second record");
  t.match(await endless.kill("SIGINT"), { code: 0 });
  t.match(await counted.kill("SIGINT"), { code: 130 });
  for (const sub of both) t.equal(sub.stderr, "");
});

t.test("a pub that is interrupted waits for its acks and ends with 130", async (t) => {
  await makeTopic(t, "unfinished");
  const pub = startCommand(t, at("pub", "unfinished", "--json"));
  pub.stdin.write("one\ntwo\n");
  await pub.printed(() => pub.lines.length === 2, "two acks");
  t.match(await pub.kill("SIGINT"), { code: 130 });
  t.equal((await run(t, "sub", "unfinished", "--from", "earliest", "--until-end")).stdout, "one\ntwo\n");
});

t.test("a reader that goes away is a normal end", async (t) => {
  await makeTopic(t, "long");
  // More than a pipe holds.
  const text = Array.from({ length: 2000 }, (_, i) => `${i} ${"x".repeat(200)}\n`).join("");
  t.match(await runCommand(t, at("pub", "long"), text), { code: 0 });
  const piped = new OwnedProcess(t, "sh", [
    ...["-c", '{ "$@"; echo "ended with $?" >&2; } | head -n 1', "sh"],
    ...[process.execPath, MILLRACE_BIN, ...at("sub", "long", "--from", "earliest")],
  ]);
  t.match(await inTime(piped.exited, "the pipe to end"), { code: 0 });
  t.match(piped.stdout, /^0 x{200}\n$/);
  t.equal(piped.stderr, "ended with 0\n");

  for (const args of [["--help"], ["sub", "--help"], ["--version"], at("topic", "list")]) {
    const command = startCommand(t, args, { collectOutput: false });
    command.stdoutPipe.destroy();
    const exit = await inTime(command.exited, `${args.join(" ")} to end`);
    t.match({ ...exit, stderr: command.stderr }, { code: 0, stderr: "" }, args.join(" "));
  }
  const unheard = new OwnedProcess(t, "sh", [
    ...["-c", '{ { sleep 0.2; "$@" 2>&1 >&3; echo "ended with $?" >&3; } | true; } 3>&1', "sh"],
    ...[process.execPath, MILLRACE_BIN, "nonsense"],
  ]);
  await inTime(unheard.exited, "the command that nobody hears to end");
  t.equal(unheard.stdout, "ended with 2\n", "nor do messages that nobody reads change the exit code");
  const pub = startCommand(t, at("pub", "long", "--json"), { collectOutput: false });
  pub.stdoutPipe.destroy();
  pub.stdin.end("a\nb\n");
  t.match({ ...(await inTime(pub.exited, "pub to end")), stderr: pub.stderr }, { code: 0, stderr: "" });
  t.match((await json(t, "topic", "describe", "long"))[0]?.partitionInfo, [{ highWatermark: 2002 }]);
});

t.test("what the broker refuses ends with 1, what is no command line with 2", async (t) => {
  await makeTopic(t, "refusals");
  const refused: [string, string[]][] = [
    ["UNKNOWN_TOPIC", ["pub", "absent", "x"]],
    ["UNKNOWN_TOPIC", ["sub", "absent", "--from", "earliest"]],
    ["UNKNOWN_PARTITION", ["pub", "refusals", "x", "--partition", "1"]],
    ["UNKNOWN_PARTITION", ["sub", "refusals", "--partition", "1"]],
    ["INVALID_TOPIC_NAME", ["topic", "create", "no spaces"]],
  ];
  await Promise.all(refused.map(async ([code, args]) => isRefused(t, await run(t, ...args), code)));
  const wrong = [
    ["nonsense"],
    ["topic", "create"],
    ["topic", "create", "x", "--partitions", "1025"],
    ["topic", "create", "x", "--durability", "eternal"],
    ["topic", "create", "x", "--retention", "long"],
    ["pub", "refusals", "x", "--header", "nameless"],
    ["pub", "refusals", "x", "--partition", "-1"],
    ["sub", "refusals", "--from", "yesterday"],
    ["sub", "refusals", "--count", "0"],
    ["sub", "refusals", "--unknown"],
    ["topic", "list", "--url", "http://127.0.0.1:1"],
  ];
  await Promise.all(wrong.map(async (args) => isRefused(t, await runCommand(t, args), "USAGE", 2)));
});

t.test("a broker that cannot be reached is told at once, with 1", async (t) => {
  const gone = await BrokerProcess.start(t, { dataDir: temporaryFolder(t) });
  await gone.stop();
  for (const args of [
    ["topic", "list"],
    ["pub", "x", "v"],
    ["sub", "x", "--from", "earliest"],
  ])
    isRefused(t, await runCommand(t, [...args, "--url", gone.url]), "CONNECT_FAILED");
});

t.test("each command explains itself", async (t) => {
  const commands = ["", "serve", "pub", "sub", "topic"];
  for (const action of ["create", "list", "describe", "delete"]) commands.push(`topic ${action}`);
  const explain = async (command: string): Promise<void> => {
    const help = await runCommand(t, [...command.split(" ").filter((word) => word !== ""), "--help"]);
    t.match(help, { code: 0, stderr: "" });
    t.ok(help.stdout.startsWith(`Usage: ${`millrace ${command}`.trim()} `), command);
  };
  await Promise.all(commands.map(explain));
  t.match(await runCommand(t, ["--version"]), { code: 0, stdout: /^\d+\.\d+\.\d+\S*\n$/, stderr: "" });
});
