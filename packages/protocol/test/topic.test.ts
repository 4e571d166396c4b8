import t from "tap";
import {
  DURABILITY,
  durabilityName,
  isDurability,
  isValidTopicName,
  LIMITS,
  parseTopicChanges,
  parseTopicConfig,
  topicNameProblem,
} from "../src/index.ts";

t.test("topic names are words joined by dots", async (t) => {
  for (const name of [
    "a",
    "flights",
    "a.b",
    "A-Z_0.9",
    "-",
    "_",
    "0",
    "x".repeat(LIMITS.topicNameBytesMax),
  ]) {
    t.ok(isValidTopicName(name), name);
    t.equal(topicNameProblem(name), undefined);
  }
  const refused: [unknown, RegExp][] = [
    ["", /at least one/],
    [".", /words/],
    ["a.", /words/],
    [".a", /words/],
    ["a..b", /words/],
    ["a b", /words/],
    ["a/b", /words/],
    ["a\n", /words/],
    ["é", /words/],
    ["a\u0000", /words/],
    ["$catalog", /broker's own/],
    ["x".repeat(LIMITS.topicNameBytesMax + 1), /249 bytes/],
    [undefined, /string/],
    [5, /string/],
  ];
  for (const [name, reason] of refused) {
    t.notOk(isValidTopicName(name), String(name));
    t.match(topicNameProblem(name), reason);
  }
});

t.test("topic settings are checked, and unknown ones refused", async (t) => {
  t.same(parseTopicConfig({}), {});
  const full = { partitions: 1024, retentionMs: null, retentionBytes: 2 ** 40, durability: "written" };
  t.same(parseTopicConfig(full), full);
  t.same(parseTopicConfig({ retentionMs: 1, retentionBytes: null }), {
    retentionMs: 1,
    retentionBytes: null,
  });
  for (const overflow of ["refuse", "dead-letter"]) {
    const acknowledged = { retention: "acknowledged", overflow };
    t.same(parseTopicConfig(acknowledged), acknowledged);
    t.throws(() => parseTopicConfig({ retention: "time", overflow }), {
      code: "INVALID_TOPIC_CONFIG",
      details: { setting: "overflow" },
    });
  }
  for (const [setting, value] of [
    ["partitions", 0],
    ["partitions", 1025],
    ["partitions", 1.5],
    ["partitions", "4"],
    ["partitions", null],
    ["retentionMs", 0],
    ["retentionMs", -1],
    ["retentionMs", "7d"],
    ["retentionBytes", 2 ** 53],
    ["retentionBytes", false],
    ["durability", "replicated"],
    ["durability", 3],
    ["durability", "toString"],
    ["retention", "forever"],
    ["retention", null],
    ["overflow", "drop"],
    ["overflow", "refuse"],
    ["compaction", true],
    ["__proto__", 1],
  ] as const) {
    const map = Object.fromEntries([[setting, value]]);
    t.throws(() => parseTopicConfig(map), { code: "INVALID_TOPIC_CONFIG", details: { setting } }, setting);
  }
});

t.test("changes are settings without the number of partitions", async (t) => {
  t.same(parseTopicChanges({}), {});
  const changes = { retentionMs: null, retentionBytes: 2 ** 40, durability: "memory" };
  t.same(parseTopicChanges(changes), changes);
  t.same(parseTopicChanges({ overflow: "dead-letter" }), { overflow: "dead-letter" });
  t.throws(() => parseTopicChanges({ retention: "time", overflow: "refuse" }), {
    code: "INVALID_TOPIC_CONFIG",
    details: { setting: "overflow" },
  });
  for (const partitions of [4, null, undefined]) {
    t.throws(() => parseTopicChanges({ retentionMs: 1, partitions }), { code: "PARTITIONS_FIXED" });
  }
  t.throws(() => parseTopicChanges({ retentionMs: 0 }), {
    code: "INVALID_TOPIC_CONFIG",
    details: { setting: "retentionMs" },
  });
  t.throws(() => parseTopicChanges({ compaction: true }), { code: "INVALID_TOPIC_CONFIG" });
});

t.test("a durability is a number in an ACK and a name elsewhere", async (t) => {
  for (const name of ["memory", "written", "fsynced"] as const) {
    t.equal(durabilityName(DURABILITY[name]), name);
    t.ok(isDurability(name));
  }
  t.equal(durabilityName(0), undefined);
  t.equal(durabilityName(9), undefined);
  t.notOk(isDurability("hasOwnProperty"));
  t.ok(DURABILITY.memory < DURABILITY.written && DURABILITY.written < DURABILITY.fsynced);
});
