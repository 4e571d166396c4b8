import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { runCommand } from "../command-run.ts";
import { MemoryBroker } from "../memory-client.ts";

function brokerWithTopic(): MemoryBroker {
  const broker = new MemoryBroker();
  broker.create("t");
  return broker;
}

t.test("values as arguments, with key, headers and partition", async (t) => {
  const broker = brokerWithTopic();
  const options = ["--key", "k", "--header", "a=b", "--header", "c=d=e", "--partition", "0"];
  t.match(await runCommand(["pub", "t", "one", "two", ...options], { broker }), {
    exitCode: 0,
    stdout: "t partition 0 offset 0 fsynced\nt partition 0 offset 1 fsynced\n",
    stderr: "",
  });
  const shared = { key: "k", headers: { a: "b", c: "d=e" }, partition: 0 };
  t.same(broker.find("t").records, [
    { ...shared, value: "one" },
    { ...shared, value: "two" },
  ]);
  t.match(await runCommand(["pub", "t", "--json", "--", "-5"], { broker }), {
    stdout: '{"topic":"t","partition":0,"offset":2,"durability":"fsynced"}\n',
  });
  t.equal(broker.find("t").records[2]?.value, "-5");
});

t.test("standard input, a record a line", async (t) => {
  const broker = brokerWithTopic();
  const run = await runCommand(["pub", "t"], { broker, stdin: ["one\ntw", "o\n\nlast"] });
  t.match(run, { exitCode: 0, stdout: "", stderr: "published 4 records (13 B) in 0.0 s\n" });
  t.same(
    broker.find("t").records.map((record) => record.value),
    ["one", "two", "", "last"],
  );
});

t.test("standard input as JSON objects, an acknowledgement a record", async (t) => {
  const broker = brokerWithTopic();
  const stdin = ['{"value":"v","key":"own"}\n\n{"valueBase64":"/w=="}\n'];
  const run = await runCommand(["pub", "t", "--ndjson", "--json", "--key", "default"], { broker, stdin });
  t.equal(run.exitCode, 0);
  t.same(
    run.stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line).offset),
    [0, 1],
  );
  t.match(broker.find("t").records, [{ key: "own", value: "v" }, { key: "default" }]);
  t.same(broker.find("t").records[1]?.value, Buffer.from([0xff]));
});

t.test("input that is no record ends with its line", async (t) => {
  const broker = brokerWithTopic();
  for (const json of [[], ["--json"]]) {
    const stdin = ['{"value":1}\n{"value":2}\n{"valu":3}\n'];
    t.match(await runCommand(["pub", "t", "--ndjson", ...json], { broker, stdin }), {
      exitCode: 1,
      stderr: "error INVALID_RECORD: line 3 has neither value nor valueBase64\n",
    });
  }
  const long = ["short\n", "x".repeat(3_000_000)];
  t.match(await runCommand(["pub", "t"], { broker, stdin: long }), {
    exitCode: 1,
    stderr: /^error INVALID_RECORD: line 2 is longer than 2097152 bytes/,
  });
  const broken = (async function* () {
    yield "one\n";
    throw new Error("read EIO");
  })();
  t.match(await runCommand(["pub", "t"], { broker, stdin: broken }), {
    exitCode: 1,
    stderr: /^error INPUT_FAILED: read EIO/,
  });
});

t.test("a refused record ends the command", async (t) => {
  for (const json of [[], ["--json"]]) {
    const broker = brokerWithTopic();
    broker.refusedValue = "bad";
    const stdin = (async function* () {
      yield "good\nbad\n";
      for (;;) {
        await sleep(5);
        yield "more\n";
      }
    })();
    t.match(await runCommand(["pub", "t", ...json], { broker, stdin }), {
      exitCode: 1,
      stderr: "error RECORD_TOO_LARGE: refused by the test\n",
    });
  }
});

t.test("an unknown topic is told before anything is read", async (t) => {
  let asked = false;
  const stdin = (async function* () {
    asked = true;
    yield "one\n";
  })();
  t.match(await runCommand(["pub", "nothing"], { stdin }), { exitCode: 1, stderr: /^error UNKNOWN_TOPIC: / });
  t.equal(asked, false);
});

t.test("an interruption stops the reading, and what was read is published", async (t) => {
  const broker = brokerWithTopic();
  const stdin = (async function* () {
    for (let i = 0; ; i++) {
      yield `${i}\n`;
      await sleep(5);
    }
  })();
  const run = await runCommand(["pub", "t", "--json"], {
    broker,
    stdin,
    onStdout: (text, signal) => {
      if (text.includes('"offset":2,')) signal("SIGINT");
    },
  });
  t.equal(run.exitCode, 130);
  t.equal(run.stdout.trimEnd().split("\n").length, broker.find("t").records.length);
});
