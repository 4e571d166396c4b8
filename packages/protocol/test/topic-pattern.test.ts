import { deepStrictEqual } from "node:assert/strict";
import fc from "fast-check";
import t from "tap";
import { LIMITS, TopicPattern } from "../src/index.ts";

t.test("the examples of the reference", async (t) => {
  const examples: [string, string[], string[]][] = [
    ["orders.*", ["orders.eu"], ["orders", "orders.eu.north", "order.eu", "ordersx.eu", "orders."]],
    ["orders.*.north", ["orders.eu.north"], ["orders.north", "orders.eu.south", "orders.eu.north.x"]],
    ["orders.>", ["orders.eu", "orders.eu.north"], ["orders", "order.eu", "orders."]],
    [">", ["a", "a.b", "a.b.c"], [""]],
    ["*", ["a"], ["a.b", ""]],
    ["*.>", ["a.b", "a.b.c"], ["a"]],
    ["orders", ["orders"], ["orders.eu", "order", "orders2"]],
  ];
  for (const [text, matching, others] of examples) {
    const pattern = TopicPattern.parse(text);
    t.equal(pattern.text, text);
    t.equal(pattern.hasWildcard, text !== "orders");
    for (const name of matching) t.ok(pattern.matches(name), `${text} ${name}`);
    for (const name of others) t.notOk(pattern.matches(name), `${text} ${name}`);
  }
});

t.test("it matches as the same pattern over arrays of words does", async () => {
  const word = fc.constantFrom("a", "b", "aa", "orders");
  const name = fc.array(word, { minLength: 1, maxLength: 5 });
  const pattern = fc.tuple(
    fc.array(fc.oneof(word, fc.constant("*")), { minLength: 1, maxLength: 4 }),
    fc.boolean(),
  );
  fc.assert(
    fc.property(name, pattern, (words, [wanted, open]) => {
      const text = [...wanted, ...(open ? [">"] : [])].join(".");
      const fits = open ? words.length > wanted.length : words.length === wanted.length;
      const expected = fits && wanted.every((w, i) => w === "*" || w === words[i]);
      deepStrictEqual(TopicPattern.parse(text).matches(words.join(".")), expected);
    }),
    { numRuns: 2000 },
  );
});

t.test("what is no pattern is refused", async (t) => {
  const long = "x".repeat(LIMITS.topicNameBytesMax);
  t.ok(TopicPattern.parse(long).matches(long));
  for (const text of [
    "",
    ".",
    "a.",
    ".a",
    "a..b",
    "a.>.b",
    ">.a",
    "a>",
    "a*",
    "*a.b",
    "**",
    "a.**",
    "a b",
    "é",
    "$catalog",
    "a\n",
    `${long}x`,
    undefined,
    5,
  ]) {
    t.throws(() => TopicPattern.parse(text), { code: "INVALID_PATTERN" }, String(text));
  }
});
