import { BatchReader, LIMITS } from "@millrace/protocol";
import t from "tap";
import { GATEWAY_LIMITS } from "../../src/limits.ts";
import { HttpCall, post } from "../support/http-caller.ts";
import { InMemoryGateway } from "../support/in-memory.ts";

const one = (value: unknown, more = {}) => ({ records: [{ value, ...more }] });

t.test("requests of one turn share a batch of their partition", async (t) => {
  const bench = new InMemoryGateway();
  bench.node.addTopic("t", { partitions: 2 });
  const calls = [
    post(bench, "t", {
      records: [
        { value: "a", partition: 0 },
        { value: "b", partition: 1 },
      ],
    }),
    post(bench, "t", one({ c: 3 }, { partition: 0, key: "k", headers: { h: "v" } })),
    post(bench, "t", one(null, { partition: 0 })),
  ];
  await bench.settle();
  t.same(
    bench.node.publishes.map(({ partition, count }) => [partition, count]),
    [
      [0, 3],
      [1, 1],
    ],
  );
  t.same(
    calls.map(({ reply }) => reply?.status),
    [200, 200, 200],
  );
  const durability = "fsynced";
  t.same(calls[0]?.body, {
    topic: "t",
    records: [
      { partition: 0, offset: 0, durability },
      { partition: 1, offset: 0, durability },
    ],
  });
  t.same(calls[1]?.body.records, [{ partition: 0, offset: 1, durability }]);
  t.same(calls[2]?.body.records, [{ partition: 0, offset: 2, durability }]);
});

t.test("what a body says is what is stored", async (t) => {
  const bench = new InMemoryGateway();
  const topic = bench.node.addTopic("t");
  post(bench, "t", {
    records: [{ value: "ü" }, { value: { a: [1] } }, { valueBase64: "AP8=" }, { valueBase64: "AP8" }],
  });
  const headers = { "millrace-key": "k", "millrace-header-a-b": "c", "millrace-partition": "0" };
  const raw = new HttpCall(bench, "/v1/topics/t/records", { headers });
  raw.send(Uint8Array.of(0)).send(Uint8Array.of(1, 2)).send(Uint8Array.of(), true);
  const text = new HttpCall(bench, "/v1/topics/%74/records", {
    headers: { "content-type": "Text/Plain; charset=UTF-8" },
  });
  text.send("text", true);
  await bench.settle();
  t.equal(text.reply?.status, 200);
  t.equal(raw.reply?.status, 200);
  const stored = bench.node.partition(topic, 0).entries.flatMap((entry) => {
    const reader = new BatchReader();
    reader.reset(entry.stored, 0, entry.stored.length);
    return [...reader].map(({ key, headers, value }) => [key, headers, value]);
  });
  const none = [undefined, undefined];
  t.same(stored, [
    [...none, "ü"],
    [...none, '{"a":[1]}'],
    [...none, Uint8Array.of(0, 255)],
    [...none, Uint8Array.of(0, 255)],
    ["k", { "a-b": "c" }, Uint8Array.of(0, 1, 2)],
    [...none, "text"],
  ]);
});

t.test("what is wrong with a request is refused before anything is published", async (t) => {
  const bench = new InMemoryGateway();
  bench.node.addTopic("t");
  const big = "x".repeat(LIMITS.recordBytesMax + 1);
  const refusals = [
    ["{", "INVALID_REQUEST", 400],
    ["[]", "INVALID_REQUEST", 400],
    ['{"records":{}}', "INVALID_REQUEST", 400],
    [{ records: [] }, "INVALID_REQUEST", 400],
    [{ records: [{ value: 1 }], acks: 1 }, "INVALID_REQUEST", 400],
    [{ records: [{ value: 1 }, 7] }, "INVALID_REQUEST", 400],
    [one(1, { extra: 1 }), "INVALID_REQUEST", 400],
    [one(undefined), "INVALID_REQUEST", 400],
    [one(1, { valueBase64: "AA==" }), "INVALID_REQUEST", 400],
    [{ records: [{ valueBase64: "A" }] }, "INVALID_REQUEST", 400],
    [{ records: [{ valueBase64: "AA-_" }] }, "INVALID_REQUEST", 400],
    [one(1, { key: 7 }), "INVALID_REQUEST", 400],
    [one(1, { headers: { a: 1 } }), "INVALID_REQUEST", 400],
    [one(1, { headers: { "millrace-x": "1" } }), "INVALID_REQUEST", 400],
    [one(1, { partition: -1 }), "INVALID_REQUEST", 400],
    [one(1, { partition: "1" }), "INVALID_REQUEST", 400],
    [Uint8Array.of(0xff), "INVALID_REQUEST", 400],
    [{ records: [{ value: "a" }, { value: "b", partition: 1 }] }, "UNKNOWN_PARTITION", 400],
    [{ records: [{ value: "a" }, { value: big }] }, "RECORD_TOO_LARGE", 413],
    [one("a", { key: "ü".repeat(LIMITS.keyBytesMax / 2 + 1) }), "RECORD_TOO_LARGE", 413],
    [one("a", { headers: { h: "x".repeat(LIMITS.headersBytesMax) } }), "RECORD_TOO_LARGE", 413],
    [{ records: new Array(GATEWAY_LIMITS.httpRecordsMax + 1).fill({ value: 1 }) }, "REQUEST_TOO_LARGE", 413],
  ] as const;
  for (const [body, error, status] of refusals) {
    const call = post(bench, "t", body);
    await bench.settle();
    t.match(call.reply, { status, body: { error, outcome: "not-stored", retriable: false } });
  }
  t.match(post(bench, "none", one(1)), {}, "an unknown topic");
  const fits = post(bench, "t", one("a", { key: "ü".repeat(LIMITS.keyBytesMax / 2) }));
  await bench.settle();
  t.equal(fits.reply?.status, 200);
  t.equal(bench.node.publishes.length, 1);
});

t.test("what the header of a request already says", async (t) => {
  const bench = new InMemoryGateway();
  bench.node.addTopic("t");
  const path = "/v1/topics/t/records";
  const json = { "content-type": "application/json" };
  const refusals = [
    [path, { headers: { "content-type": "text/html" } }, 415],
    [path, { headers: { ...json, "content-encoding": "gzip" } }, 415],
    [path, { headers: { "content-type": "text/plain; charset=latin1" } }, 415],
    [path, { headers: { ...json, "content-length": `${GATEWAY_LIMITS.httpBodyBytesMax + 1}` } }, 413],
    [path, { headers: { "millrace-partition": "x" } }, 400],
    [path, { headers: { "millrace-keys": "x" } }, 400],
    ["/v1/topics/%ff/records", { headers: json }, 400],
    ["/v1/topics/t", { headers: json }, 404],
    ["/v1/", { headers: json }, 404],
    [path, { method: "GET" }, 405],
    [path, { headers: json, origin: "http://evil.example" }, 403],
  ] as const;
  for (const [path, options, status] of refusals) {
    const { reply } = new HttpCall(bench, path, options);
    t.match(reply, { status, body: { error: String, number: Number, message: String } }, `${path} ${status}`);
  }
  const unknown = post(bench, "unknown", one(1));
  await bench.settle();
  t.match(unknown.reply, { status: 404, body: { error: "UNKNOWN_TOPIC" } });

  const origin = "http://127.0.0.1:7070";
  const asked = { "access-control-request-headers": "content-type,millrace-key" };
  const preflight = new HttpCall(bench, path, { method: "OPTIONS", headers: asked, origin });
  t.match(preflight.reply, {
    status: 204,
    body: undefined,
    headers: {
      "access-control-allow-origin": origin,
      "access-control-allow-headers": asked["access-control-request-headers"],
    },
  });
  const page = new HttpCall(bench, path, { headers: json, origin }).send(JSON.stringify(one(1)), true);
  await bench.settle();
  t.match(page.reply, { status: 200, headers: { "access-control-allow-origin": origin, vary: "origin" } });
});

t.test("errors of shards have their status, say when to try again and what is stored", async (t) => {
  const bench = new InMemoryGateway();
  const { node } = bench;
  node.addTopic("t", { partitions: 2 });
  const cases = [
    ["THROTTLED", 2100, 429, "3"],
    ["TOPIC_FULL", 0, 429, "1"],
    ["DISK_FULL", 500, 503, "1"],
    ["TOPIC_DELETED", 0, 404, undefined],
  ] as const;
  for (const [error, retryAfterMs, status, retryAfter] of cases) {
    node.refuse = () => ({ error, retryAfterMs });
    const call = post(bench, "t", one(1));
    await bench.settle();
    t.match(call.reply, { status, body: { error, outcome: "not-stored" } });
    t.equal(call.reply?.headers?.["retry-after"], retryAfter, error);
  }
  node.refuse = ({ partition }) => (partition === 1 ? { error: "DISK_FULL", retryAfterMs: 0 } : undefined);
  const half = post(bench, "t", {
    records: [
      { value: 1, partition: 0 },
      { value: 2, partition: 1 },
    ],
  });
  await bench.settle();
  t.match(half.reply, {
    status: 503,
    body: {
      error: "DISK_FULL",
      outcome: "partial",
      records: [
        { partition: 0, offset: 0 },
        { error: "DISK_FULL", number: 39, outcome: "not-stored" },
      ],
    },
  });
  node.refuse = undefined;
  const lost = post(bench, "t", one(1, { partition: 0 }));
  bench.clock.settle();
  node.kill(0);
  await bench.settle();
  t.match(lost.reply, { status: 503, body: { error: "SHARD_RESTARTED", outcome: "unknown" } });
  const down = post(bench, "t", one(1));
  await bench.settle();
  t.match(down.reply, { status: 503, body: { error: "SHARD_RESTARTED", outcome: "not-stored" } });
  node.revive(0);
  const again = post(bench, "t", one(1));
  await bench.settle();
  t.equal(again.reply?.status, 200);
});

t.test("what is not acknowledged in time may be stored, and the answer says so", async (t) => {
  const bench = new InMemoryGateway();
  bench.node.addTopic("t");
  const call = post(bench, "t", one(1));
  await Promise.resolve();
  bench.clock.settle();
  bench.clock.advance(GATEWAY_LIMITS.httpAckMsMax - 1);
  t.equal(call.reply, undefined);
  bench.clock.advance(2 * GATEWAY_LIMITS.httpCheckMs);
  t.match(call.reply, { status: 504, body: { error: "ACK_TIMEOUT", number: 76, outcome: "unknown" } });
  await bench.settle();
  t.equal(bench.node.publishes.length, 1, "a late acknowledgement is nobody's");
  const next = post(bench, "t", one(1));
  await bench.settle();
  t.match(next.body, { records: [{ offset: 1 }] });
});

t.test("without publish credit requests wait, and are refused when their time is over", async (t) => {
  const bench = new InMemoryGateway({ creditPoolBytes: 4_000 });
  bench.node.addTopic("t");
  const fits = post(bench, "t", one("x".repeat(3_000)));
  await bench.settle();
  t.equal(fits.reply?.status, 200);
  const never = post(bench, "t", one("x".repeat(10_000)));
  await bench.settle();
  t.equal(never.reply, undefined);
  bench.clock.advance(GATEWAY_LIMITS.httpAckMsMax + GATEWAY_LIMITS.httpCheckMs);
  t.match(never.reply, { status: 429, body: { error: "THROTTLED", outcome: "not-stored" } });
  t.equal(bench.node.publishes.length, 1);
});

t.test("bodies that do not come, or too many of them, are bounded", async (t) => {
  const bench = new InMemoryGateway();
  bench.node.addTopic("t");
  const path = "/v1/topics/t/records";
  const slow = new HttpCall(bench, path).send("a");
  bench.clock.advance(GATEWAY_LIMITS.httpBodyMsMax + GATEWAY_LIMITS.httpCheckMs);
  t.match(slow.reply, { status: 408, close: true, body: { error: "REQUEST_TIMEOUT" } });

  const endless = new HttpCall(bench, path);
  const part = new Uint8Array(1024 * 1024);
  for (let i = 0; i < 3; i += 1) endless.send(part);
  t.match(endless.reply, { status: 413, close: true });

  const many: HttpCall[] = [];
  for (let i = 0; i < GATEWAY_LIMITS.httpMemoryBytesMax / part.length; i += 1) {
    many.push(new HttpCall(bench, path).send(part));
  }
  const beyond = new HttpCall(bench, path).send(part);
  t.match(beyond.reply, { status: 429, headers: { "retry-after": "1" }, body: { error: "THROTTLED" } });
  for (const call of many) call.abort();
  const calls: HttpCall[] = [];
  for (let i = 0; i < GATEWAY_LIMITS.httpRequestsMax; i += 1) calls.push(new HttpCall(bench, path));
  t.match(new HttpCall(bench, path).reply, { status: 429, body: { error: "THROTTLED" } });
  for (const call of calls) call.abort();
  const after = new HttpCall(bench, path).send("fine", true);
  await bench.settle();
  t.equal(after.reply?.status, 200);
});

t.test("many records and turns: every one acknowledged with its own offset", async (t) => {
  const bench = new InMemoryGateway();
  bench.node.addTopic("t", { partitions: 3 });
  const calls: HttpCall[] = [];
  for (let turn = 0; turn < 20; turn += 1) {
    for (let i = 0; i < 10; i += 1) {
      const records = Array.from({ length: 30 }, (_, j) => ({ value: "v".repeat(j * 100), key: `${i * j}` }));
      calls.push(post(bench, "t", { records }));
    }
    await bench.settle();
  }
  const offsets = new Set<string>();
  for (const { reply, body } of calls) {
    t.equal(reply?.status, 200);
    for (const { partition, offset } of body.records as { partition: number; offset: number }[]) {
      offsets.add(`${partition}/${offset}`);
    }
  }
  t.equal(offsets.size, 20 * 10 * 30);
});

t.test("requests under way are answered when the broker drains", async (t) => {
  const bench = new InMemoryGateway();
  bench.node.addTopic("t");
  const under = post(bench, "t", one(1));
  await Promise.resolve();
  bench.clock.settle();
  const unsent = post(bench, "t", one(2));
  await Promise.resolve();
  bench.gateway.goAway();
  await bench.settle();
  t.equal(under.reply?.status, 200);
  t.match(unsent.reply, { status: 503, body: { error: "SERVER_DRAINING", outcome: "not-stored" } });
  t.match(post(bench, "t", one(3)).reply, { status: 503, body: { error: "SERVER_DRAINING" } });
  bench.node.addTopic("u");
});
