import t from "tap";
import { createBrokerLog } from "../../src/output/broker-log.ts";
import { ProgressBar, progressText } from "../../src/output/progress-bar.ts";
import { ackToJson, ackToText, recordToJson, valueToOutput } from "../../src/output/record-json.ts";
import { textTable } from "../../src/output/text-table.ts";
import { topicDescriptionText, topicListText } from "../../src/output/topic-text.ts";
import { roundedSizeText } from "../../src/output/unit-text.ts";

const RECORD = {
  topic: "flights",
  partition: 1,
  offset: 42,
  timestamp: 1_700_000_000_000,
  key: undefined,
  headers: undefined,
};

t.test("records as JSON", async (t) => {
  t.equal(
    recordToJson({ ...RECORD, key: "ATL", headers: { a: "b" }, value: "v" }),
    '{"topic":"flights","partition":1,"offset":42,"timestamp":1700000000000,"key":"ATL","headers":{"a":"b"},"value":"v"}',
  );
  t.equal(
    recordToJson({ ...RECORD, value: Buffer.from("grüße") }),
    '{"topic":"flights","partition":1,"offset":42,"timestamp":1700000000000,"key":null,"headers":{},"value":"grüße"}',
    "bytes that are UTF-8 are shown as text",
  );
  t.equal(
    recordToJson({
      ...RECORD,
      key: Uint8Array.of(0xff),
      headers: { h: Uint8Array.of(0xfe) },
      value: Uint8Array.of(0x80),
    }),
    '{"topic":"flights","partition":1,"offset":42,"timestamp":1700000000000,"keyBase64":"/w==","headers":{},' +
      '"headersBase64":{"h":"/g=="},"valueBase64":"gA=="}',
  );
  const structured = {
    wide: 2n ** 60n,
    bytes: Buffer.from("ab"),
    map: new Map([["k", 1]]),
    date: new Date(0),
  };
  t.same(JSON.parse(recordToJson({ ...RECORD, value: structured })).value, {
    wide: "1152921504606846976",
    bytes: "YWI=",
    map: { k: 1 },
    date: "1970-01-01T00:00:00.000Z",
  });
});

t.test("values and acknowledgements as text", async (t) => {
  const bytes = Uint8Array.of(0xff, 1);
  t.equal(valueToOutput(bytes), bytes);
  t.equal(valueToOutput("text"), "text");
  t.equal(valueToOutput({ a: 1 }), '{"a":1}');
  t.equal(valueToOutput(null), "null");
  const ack = {
    topic: "flights",
    topicId: 3,
    partition: 1,
    offset: 9,
    logEpoch: 0,
    durability: "fsynced",
  } as const;
  t.equal(ackToJson(ack), '{"topic":"flights","partition":1,"offset":9,"durability":"fsynced"}');
  t.equal(ackToText(ack), "flights partition 1 offset 9 fsynced");
});

t.test("tables", async (t) => {
  t.same(
    textTable(
      ["NAME", "N"],
      [
        ["a", 1],
        ["longer", 1000],
      ],
    ),
    ["NAME       N", "a          1", "longer  1000"],
  );
  t.same(textTable(["NAME"], []), ["NAME"]);
  const topic = {
    name: "flights",
    topicId: 7,
    partitions: 2,
    retentionMs: 604_800_000,
    retentionBytes: null,
    durability: "fsynced",
    createdMs: 0,
    catalogPosition: 1,
  } as const;
  t.same(topicListText([topic]), [
    "TOPIC    PARTITIONS  RETENTION  RETENTION BYTES  DURABILITY",
    "flights           2  7d         unlimited        fsynced",
  ]);
  const bounds = { logStartOffset: 10, highWatermark: 250, logEpoch: 0, retainedBytes: 1536 };
  const info = { partition: 0, shard: 1, ...bounds };
  const described = topicDescriptionText({ ...topic, partitionInfo: [info] });
  t.equal(described[0], "topic            flights");
  t.equal(described.at(-1), "        0      1         10             250      240  1.5 KiB           0");
});

t.test("sizes for people", async (t) => {
  t.equal(roundedSizeText(0), "0 B");
  t.equal(roundedSizeText(1023), "1023 B");
  t.equal(roundedSizeText(1536), "1.5 KiB");
  t.equal(roundedSizeText(19_084_083), "18.2 MiB");
});

t.test("the progress bar", async (t) => {
  t.equal(
    progressText(500, 1024, 2048, 1000),
    `[${"#".repeat(12)}${"-".repeat(12)}]  50%  500 records, 1.0 KiB, 500 records/s`,
  );
  t.equal(progressText(500, 1024, undefined, 1000), "500 records, 1.0 KiB, 500 records/s");
  t.match(progressText(0, 0, 10, 0), /^\[-+\] {3}0%/);

  const written: string[] = [];
  let nowMs = 0;
  const clock = { wallMs: () => 0, monotonicMs: () => nowMs };
  const terminal = { isTTY: true, columns: 40, write: (text: string) => written.push(text) };
  const bar = new ProgressBar(terminal, clock, 100);
  for (nowMs = 0; nowMs <= 1000; nowMs += 10) bar.update(nowMs, nowMs / 10);
  t.equal(written.length, 6, "from half a second on, ten times a second");
  t.ok(written.every((text) => text.startsWith("\r\u001b[K") && text.length <= 4 + 39));
  bar.clear();
  bar.clear();
  t.equal(written.length, 7, "cleared once");

  const piped = new ProgressBar({ write: (text: string) => written.push(text) }, clock, 100);
  nowMs = 1e6;
  piped.update(1, 1);
  piped.clear();
  t.equal(written.length, 7, "nothing where there is no terminal");
});

t.test("the broker's log", async (t) => {
  const lines: string[] = [];
  const clock = { wallMs: () => Date.UTC(2026, 0, 2, 3, 4, 5, 6), monotonicMs: () => 0 };
  const json = createBrokerLog((line) => lines.push(line), "json", clock);
  json.log("info", "listening", { url: "ws://127.0.0.1:7070" });
  json.log("debug", "noise");
  json.log("error", "start-failed", {
    error: Object.assign(new Error("taken"), { code: "PORT_IN_USE" }),
    n: 1n,
  });
  t.equal(
    lines[0],
    '{"time":"2026-01-02T03:04:05.006Z","level":"info","event":"listening","url":"ws://127.0.0.1:7070"}',
  );
  t.match(JSON.parse(lines[1] ?? ""), {
    event: "start-failed",
    n: "1",
    error: { code: "PORT_IN_USE", message: "taken" },
  });
  t.equal(lines.length, 2, "debug is left out");

  lines.length = 0;
  const pretty = createBrokerLog((line) => lines.push(line), "pretty", clock, true);
  pretty.log("warn", "slow", { path: "/a b", shard: 3, error: new Error("x y"), none: undefined });
  pretty.log("debug", "noise");
  t.same(lines, ['03:04:05.006 warn  slow path="/a b" shard=3 error="x y"', "03:04:05.006 debug noise"]);
});
