import type { ReceivedRecord } from "@millrace/client";
import t from "tap";
import { recordOfJson, recordOfLine } from "../../src/input/record-line.ts";
import { recordToJson } from "../../src/output/record-json.ts";

const BINARY = Uint8Array.of(0xff, 0x00, 0xfe);

t.test("a line is a value: text where it is UTF-8, bytes where it is not", async (t) => {
  t.same(recordOfLine(Buffer.from("grüße"), { key: "k", partition: 3 }), {
    key: "k",
    partition: 3,
    value: "grüße",
  });
  t.equal(recordOfLine(BINARY, {}).value, BINARY);
  t.equal(recordOfLine(new Uint8Array(0), {}).value, "");
});

t.test("a JSON object gives value, key, headers and partition, defaults the rest", async (t) => {
  const defaults = { key: "default", headers: { a: "1", b: "2" }, partition: 7 };
  t.match(recordOfJson('{"value":"v"}', "line 1", defaults), { ...defaults, value: "v" });
  t.match(
    recordOfJson('{"value":{"n":[1,null]},"key":"k","headers":{"b":"3"},"partition":0}', "line 1", defaults),
    {
      key: "k",
      headers: { a: "1", b: "3" },
      partition: 0,
      value: { n: [1, null] },
    },
  );
  t.equal(recordOfJson('{"value":null,"key":null}', "line 1", {}).value, null);
  t.equal(recordOfJson('{"value":null,"key":null}', "line 1", {}).key, undefined);
});

t.test("what is wrong is told with its place", async (t) => {
  const wrong: Record<string, RegExp> = {
    "not json": /^line 9 is not JSON/,
    "[]": /^line 9 is not a JSON object/,
    null: /^line 9 is not a JSON object/,
    "{}": /^line 9 has neither value nor valueBase64/,
    '{"value":1,"key":5}': /^line 9 key must be a string/,
    '{"value":1,"partition":-1}': /^line 9 partition must be an integer/,
    '{"value":1,"partition":"0"}': /^line 9 partition must be an integer/,
    '{"value":1,"headers":[]}': /^line 9 headers must be an object of strings/,
    '{"value":1,"headers":{"a":1}}': /^line 9 headers must be an object of strings/,
    '{"valueBase64":"*"}': /^line 9 valueBase64 is not base64/,
    '{"valueBase64":5}': /^line 9 valueBase64 must be a string/,
    '{"value":1,"headersBase64":{"a":"x"}}': /^line 9 headersBase64\.a is not base64/,
  };
  for (const [text, message] of Object.entries(wrong)) {
    t.throws(() => recordOfJson(text, "line 9", {}), { code: "INVALID_RECORD", message }, text);
  }
});

t.test("what sub --json prints is what pub --ndjson reads", async (t) => {
  const records: Partial<ReceivedRecord>[] = [
    { value: "text", key: "k", headers: { a: "b" } },
    { value: BINARY, key: BINARY, headers: { plain: "x", binary: BINARY } },
    { value: { nested: [1, "two", null, true] }, key: undefined, headers: undefined },
    { value: "", key: "", headers: {} },
    { value: 42 },
    { value: null },
  ];
  for (const partial of records) {
    const record = {
      topic: "t",
      partition: 2,
      offset: 17,
      timestamp: 1_700_000_000_000,
      key: undefined,
      headers: undefined,
      value: undefined,
      ...partial,
    };
    const read = recordOfJson(recordToJson(record), "line 1", {});
    t.equal(read.partition, 2);
    t.same(asPlain(read.value), asPlain(record.value));
    t.same(asPlain(read.key), asPlain(record.key));
    t.same(asPlain(read.headers ?? {}), asPlain(record.headers ?? {}));
  }
});

/** Buffers and Uint8Arrays of the same bytes compare equal. */
function asPlain(value: unknown): unknown {
  if (value instanceof Uint8Array) return `bytes ${Buffer.from(value).toString("hex")}`;
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, asPlain(member)]));
}
