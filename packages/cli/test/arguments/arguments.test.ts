import t from "tap";
import { beforeArgument } from "../../src/arguments/before-argument.ts";
import { fromArgument } from "../../src/arguments/from-argument.ts";
import { headerArgument } from "../../src/arguments/header-argument.ts";
import { byteSizeArgument, durationArgument, integerArgument } from "../../src/arguments/numeric-argument.ts";
import { seekArgument } from "../../src/arguments/seek-argument.ts";
import { urlArgument } from "../../src/arguments/url-argument.ts";
import { byteLimitText, durationText } from "../../src/output/unit-text.ts";

const INVALID = { code: "commander.invalidArgument" };

t.test("integers within their bounds", async (t) => {
  const port = integerArgument(0, 65_535);
  t.equal(port("0"), 0);
  t.equal(port("65535"), 65_535);
  for (const text of ["", "-1", "65536", "1.5", "1e3", "0x10", " 1", "NaN", "99999999999999999999"]) {
    t.throws(() => port(text), INVALID, JSON.stringify(text));
  }
});

t.test("durations", async (t) => {
  const milliseconds = {
    "7d": 604_800_000,
    "12h": 43_200_000,
    "30m": 1_800_000,
    "45s": 45_000,
    "500ms": 500,
  };
  for (const [text, expected] of Object.entries(milliseconds)) {
    t.equal(durationArgument(text), expected, text);
    t.equal(durationArgument(durationText(expected)), expected, `${text} survives printing`);
  }
  t.equal(durationArgument("2w"), 14 * 86_400_000);
  t.equal(durationArgument("forever"), "forever");
  t.equal(durationText(null), "forever");
  t.equal(durationText(90 * 60_000), "90m");
  for (const text of ["", "7", "0d", "-1d", "1.5h", "7 d", "7D", "999999999999999w"]) {
    t.throws(() => durationArgument(text), INVALID, JSON.stringify(text));
  }
});

t.test("sizes", async (t) => {
  const bytes = { "1048576": 1_048_576, "1500B": 1_500, "10MiB": 10_485_760, "2GB": 2e9, "1TiB": 1024 ** 4 };
  for (const [text, expected] of Object.entries(bytes)) {
    t.equal(byteSizeArgument(text), expected, text);
    t.equal(byteSizeArgument(byteLimitText(expected)), expected, `${text} survives printing`);
  }
  t.equal(byteSizeArgument("unlimited"), "unlimited");
  t.equal(byteLimitText(null), "unlimited");
  for (const text of ["", "0", "-1", "10mb", "10 MiB", "1.5GiB", "9999999999999999TiB"]) {
    t.throws(() => byteSizeArgument(text), INVALID, JSON.stringify(text));
  }
});

t.test("where a subscription begins", async (t) => {
  t.equal(fromArgument("earliest"), "earliest");
  t.equal(fromArgument("latest"), "latest");
  t.same(fromArgument("offset:0"), { offset: 0 });
  t.same(fromArgument("offset:123456789012"), { offset: 123_456_789_012 });
  t.same(fromArgument("time:2026-11-22T10:00:00Z"), { time: Date.UTC(2026, 10, 22, 10) });
  t.same(fromArgument("time:2026-11-22T10:00:00.250+01:00"), { time: Date.UTC(2026, 10, 22, 9, 0, 0, 250) });
  t.same(fromArgument("time:2026-11-22"), { time: Date.UTC(2026, 10, 22) });
  for (const text of ["", "first", "offset:", "offset:-1", "offset:1.5", "offset:9999999999999999"]) {
    t.throws(() => fromArgument(text), INVALID, JSON.stringify(text));
  }
  for (const text of ["time:", "time:yesterday", "time:1700000000", "time:2026-13-01", "time:2026"]) {
    t.throws(() => fromArgument(text), INVALID, JSON.stringify(text));
  }
});

t.test("where a subscription is moved to", async (t) => {
  t.equal(seekArgument("earliest"), "earliest");
  t.same(seekArgument("offset:7"), { offset: 7 });
  t.same(seekArgument("snapshot:half"), { snapshot: "half" });
  t.throws(() => seekArgument("half"), { ...INVALID, message: /or snapshot:NAME/ });
  for (const text of ["", "snapshot:", "earliest ", "time:2h", "offset:-1"]) {
    t.throws(() => seekArgument(text), INVALID, JSON.stringify(text));
  }
});

t.test("how far a truncation goes", async (t) => {
  t.equal(beforeArgument("latest"), "latest");
  for (const prefix of ["", "offset:"]) t.same(beforeArgument(`${prefix}2026`), { offset: 2026 });
  for (const prefix of ["", "time:"]) {
    t.same(beforeArgument(`${prefix}2026-11-22T10:00:00Z`), { time: Date.UTC(2026, 10, 22, 10) });
    t.same(beforeArgument(`${prefix}2026-11-22`), { time: Date.UTC(2026, 10, 22) });
    t.same(beforeArgument(`${prefix}2h`), { agoMs: 7_200_000 });
  }
  for (const text of [
    "",
    "earliest",
    "offset:",
    "offset:2h",
    "time:5",
    "time:",
    "-1",
    "forever",
    "1.5",
    "\n1",
  ]) {
    t.throws(() => beforeArgument(text), INVALID, JSON.stringify(text));
  }
});

t.test("headers", async (t) => {
  t.same(headerArgument("a=b", undefined), { a: "b" });
  t.same(headerArgument("c==d=", { a: "b" }), { a: "b", c: "=d=" });
  t.same(headerArgument("a=", { a: "b" }), { a: "" });
  for (const text of ["", "a", "=b"]) t.throws(() => headerArgument(text, undefined), INVALID, text);
});

t.test("urls", async (t) => {
  t.equal(urlArgument("ws://127.0.0.1:7070"), "ws://127.0.0.1:7070");
  t.equal(urlArgument("wss://broker.example/path"), "wss://broker.example/path");
  for (const text of ["", "127.0.0.1:7070", "http://127.0.0.1:7070", "ws://"]) {
    t.throws(() => urlArgument(text), INVALID, JSON.stringify(text));
  }
});
