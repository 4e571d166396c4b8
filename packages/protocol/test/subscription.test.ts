import { deepStrictEqual } from "node:assert/strict";
import fc from "fast-check";
import t from "tap";
import {
  isSubscriptionMode,
  isValidSubscriptionName,
  LIMITS,
  parseSubscriptionChanges,
  parseSubscriptionConfig,
  parseSubscriptionFrom,
  SUBSCRIPTION_DEFAULTS,
  subscriptionFromData,
  subscriptionNameProblem,
} from "../src/index.ts";
import { frameValues } from "./frame-arbitraries.ts";

t.test("a subscription's name is words joined by dots", async (t) => {
  for (const name of ["a", "billing", "a.b", "A-Z_0.9", "x".repeat(LIMITS.subscriptionNameBytesMax)]) {
    t.ok(isValidSubscriptionName(name), name);
  }
  for (const name of ["", "a.", "a b", "é", "$own", "a*", "x".repeat(250), undefined, 5]) {
    t.notOk(isValidSubscriptionName(name), String(name));
    t.type(subscriptionNameProblem(name), "string");
  }
});

t.test("settings are checked, and unknown ones refused", async (t) => {
  t.same(parseSubscriptionConfig({ mode: "queue" }), { mode: "queue" });
  const numbers = { leaseMs: 43_200_000, maxDeliveries: 0, backoffMinMs: 0, backoffMaxMs: 3_600_000 };
  t.same(parseSubscriptionConfig({ ...numbers, mode: "keyed", from: ["time", 5] }), {
    ...numbers,
    mode: "keyed",
    from: { kind: "time", timeMs: 5 },
  });
  t.same(parseSubscriptionConfig({ mode: "stream", from: undefined, leaseMs: undefined }), {
    mode: "stream",
  });
  t.same(parseSubscriptionConfig({ mode: "queue", ...SUBSCRIPTION_DEFAULTS }), {
    mode: "queue",
    ...SUBSCRIPTION_DEFAULTS,
  });
  for (const [setting, value] of [
    ["mode", "live"],
    ["mode", undefined],
    ["mode", "toString"],
    ["leaseMs", 999],
    ["leaseMs", 43_200_001],
    ["leaseMs", 1500.5],
    ["leaseMs", "30s"],
    ["leaseMs", null],
    ["maxDeliveries", -1],
    ["maxDeliveries", 1001],
    ["backoffMinMs", -1],
    ["backoffMinMs", 60_001],
    ["backoffMaxMs", 3_600_001],
    ["from", "earliest"],
    ["from", ["snapshot", "s"]],
    ["from", ["resume", 1, []]],
    ["from", null],
    ["paused", true],
    ["hasOwnProperty", 1],
    ["__proto__", 1],
  ] as const) {
    const map = Object.fromEntries([
      ["mode", "queue"],
      [setting, value],
    ]);
    t.throws(
      () => parseSubscriptionConfig(map),
      { code: "INVALID_SUBSCRIPTION_CONFIG", details: { setting } },
      `${setting} ${value}`,
    );
  }
  t.throws(() => parseSubscriptionConfig({}), {
    code: "INVALID_SUBSCRIPTION_CONFIG",
    details: { setting: "mode" },
  });
});

t.test("changes are settings without mode and start, and paused", async (t) => {
  t.same(parseSubscriptionChanges({}), {});
  const changes = { leaseMs: 1000, maxDeliveries: 1, backoffMinMs: 5, backoffMaxMs: 5, paused: false };
  t.same(parseSubscriptionChanges(changes), changes);
  t.same(parseSubscriptionChanges({ paused: true }), { paused: true });
  t.same(parseSubscriptionChanges({ backoffMinMs: 3_600_000 }), { backoffMinMs: 3_600_000 });
  for (const [setting, map] of [
    ["mode", { mode: "queue" }],
    ["from", { from: ["latest"] }],
    ["paused", { paused: 1 }],
    ["paused", { paused: null }],
    ["leaseMs", { leaseMs: 0 }],
    ["backoffMinMs", { backoffMinMs: 6, backoffMaxMs: 5 }],
    ["name", { name: "other" }],
  ] as const) {
    t.throws(() => parseSubscriptionChanges(map), {
      code: "INVALID_SUBSCRIPTION_CONFIG",
      details: { setting },
    });
  }
});

t.test("a start is the same after its way through plain data", async (t) => {
  fc.assert(
    fc.property(frameValues.SEEK_SUBSCRIPTION, ({ from }) => {
      const data = subscriptionFromData(from);
      deepStrictEqual(parseSubscriptionFrom(data), from);
      deepStrictEqual(parseSubscriptionFrom([...data, "of a newer peer"])?.kind, from.kind);
    }),
  );
  for (const data of [
    undefined,
    null,
    "latest",
    {},
    [],
    ["newest"],
    ["time"],
    ["time", -1],
    ["time", "now"],
    ["offset", 1.5],
    ["snapshot", 5],
    ["offsets"],
    ["offsets", 5],
    ["offsets", [5]],
    ["offsets", [[0]]],
    ["offsets", [[0, -1]]],
    ["offsets", new Array(LIMITS.partitionsMax + 1).fill([0, 0])],
  ]) {
    t.equal(parseSubscriptionFrom(data), undefined, JSON.stringify(data)?.slice(0, 40));
  }
});

t.test("modes", async (t) => {
  for (const mode of ["stream", "queue", "keyed"]) t.ok(isSubscriptionMode(mode));
  for (const mode of ["live", "", 5, undefined, "toString"]) t.notOk(isSubscriptionMode(mode));
});
