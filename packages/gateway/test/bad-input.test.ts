import { connect as connectTcp } from "node:net";
import { FRAME_TYPE, FrameWriter, LIMITS } from "@millrace/protocol";
import t from "tap";
import { publishFrame } from "./support/batches.ts";
import { serve } from "./support/served.ts";
import { WireClient } from "./support/wire-client.ts";

// What breaks the protocol ends in an ERROR frame and the close of that connection alone.

function frameOf(write: (writer: FrameWriter) => void): Uint8Array {
  const writer = new FrameWriter();
  write(writer);
  return writer.take();
}

/** An array of one type and these raw values. */
function rawFrame(type: number, ...values: unknown[]): Uint8Array {
  return frameOf((writer) => {
    writer.arrayHeader(values.length + 1);
    writer.uint(type);
    for (const value of values) writer.any(value);
  });
}

const deep = Uint8Array.of(0x92, FRAME_TYPE.PING, ...new Array<number>(100_000).fill(0x91), 0x00);
const deepMap = frameOf((writer) => {
  writer.arrayHeader(4);
  writer.uint(FRAME_TYPE.CREATE_TOPIC);
  writer.uint(1);
  writer.str("deep");
  writer.raw(Uint8Array.of(...new Array<number>(5_000).fill(0).flatMap(() => [0x81, 0xa1, 0x61]), 0xc0));
});

const violations: readonly (readonly [string, string, number, Uint8Array])[] = [
  ["empty message", "MALFORMED_FRAME", 1002, new Uint8Array()],
  ["no array", "MALFORMED_FRAME", 1002, Uint8Array.of(0x81, 0x01, 0x02)],
  ["reserved byte", "MALFORMED_FRAME", 1002, Uint8Array.of(0xc1)],
  ["type is no integer", "MALFORMED_FRAME", 1002, Uint8Array.of(0x91, 0xa1, 0x61)],
  ["array that claims too much", "MALFORMED_FRAME", 1002, Uint8Array.of(0xdd, 0xff, 0xff, 0xff, 0xff, 0x04)],
  ["unknown type", "UNKNOWN_FRAME_TYPE", 1002, rawFrame(99)],
  ["a type of the server's", "UNKNOWN_FRAME_TYPE", 1002, rawFrame(FRAME_TYPE.DELIVER, 1, 2, [])],
  ["a huge type", "UNKNOWN_FRAME_TYPE", 1002, rawFrame(Number.MAX_SAFE_INTEGER)],
  ["a second HELLO", "MALFORMED_FRAME", 1002, rawFrame(FRAME_TYPE.HELLO, 1, 1, "x", [], null, {})],
  ["PING with a string", "MALFORMED_FRAME", 1002, rawFrame(FRAME_TYPE.PING, "x")],
  ["PING with a negative number", "MALFORMED_FRAME", 1002, rawFrame(FRAME_TYPE.PING, -1)],
  ["bytes after the frame", "MALFORMED_FRAME", 1002, Uint8Array.of(...rawFrame(FRAME_TYPE.PING, 1), 0)],
  ["deeply nested", "MALFORMED_FRAME", 1002, deep],
  ["deeply nested map", "MALFORMED_FRAME", 1002, deepMap],
  ["SUBSCRIBE without its elements", "MALFORMED_FRAME", 1002, rawFrame(FRAME_TYPE.SUBSCRIBE, 1, 2)],
  [
    "SUBSCRIBE to a number",
    "MALFORMED_FRAME",
    1002,
    rawFrame(FRAME_TYPE.SUBSCRIBE, 1, 2, 3, null, ["latest"], 1),
  ],
  [
    "SUBSCRIBE from an offset that is a string",
    "MALFORMED_FRAME",
    1002,
    rawFrame(FRAME_TYPE.SUBSCRIBE, 1, 2, "t", null, ["offset", "x"], 1),
  ],
  ["CREATE_TOPIC with a list", "MALFORMED_FRAME", 1002, rawFrame(FRAME_TYPE.CREATE_TOPIC, 1, "t", [])],
  ["LIST_TOPICS without an id", "MALFORMED_FRAME", 1002, rawFrame(FRAME_TYPE.LIST_TOPICS)],
  ["CREDIT_RETURNED beyond the limit", "CREDIT_EXCEEDED", 1008, rawFrame(FRAME_TYPE.CREDIT_RETURNED, 1e9)],
  ["a frame past the limit", "FRAME_TOO_LARGE", 1009, new Uint8Array(LIMITS.frameBytesMax + 1).fill(0xc0)],
  ["a publish past the credit", "CREDIT_EXCEEDED", 1008, publishFrame(1, 0, 0, ["x".repeat(20_000)])],
];

t.test("violations after HELLO", async (t) => {
  const { broker, node } = await serve((close) => t.teardown(close));
  node.addTopic("flights");
  const bystander = await WireClient.connect(broker.url);
  for (const [what, name, code, bytes] of violations) {
    const client = await WireClient.connect(broker.url);
    client.sendBytes(bytes);
    t.match(await client.next("ERROR"), { name, requestId: undefined }, what);
    t.match(await client.closed, { code, reason: name }, what);
  }
  const text = await WireClient.connect(broker.url);
  text.socket.send("hello");
  t.match(await text.next("ERROR"), { name: "TEXT_FRAME" });
  t.match(await text.closed, { code: 1003 });
  await bystander.roundTrip();
  t.equal(bystander.frames.length, 0, "nobody else noticed");
});

t.test("every cut of every request ends the session with an error", async (t) => {
  const { broker, node } = await serve((close) => t.teardown(close));
  node.addTopic("t");
  const frames = [
    rawFrame(FRAME_TYPE.SUBSCRIBE, 1, 2, "t", [0], ["resume", 1, [[0, 0, 0]]], 1000, "stream", {}),
    rawFrame(FRAME_TYPE.CREATE_TOPIC, 1, "name", { partitions: 2, durability: "memory" }),
    rawFrame(FRAME_TYPE.FLOW, 1, 70_000),
  ];
  for (const frame of frames) {
    for (let length = 0; length < frame.length; length += 1) {
      const client = await WireClient.connect(broker.url);
      client.sendBytes(frame.subarray(0, length));
      t.equal((await client.closed).code, 1002, `${frame[1]} cut at ${length}`);
    }
  }
});

t.test("before HELLO only HELLO is taken", async (t) => {
  const { broker } = await serve((close) => t.teardown(close));
  const cases: readonly [string, number, Uint8Array][] = [
    ["HELLO_EXPECTED", 1002, rawFrame(FRAME_TYPE.PING, 1)],
    ["HELLO_EXPECTED", 1002, publishFrame(1, 0, 0, ["x"])],
    ["HELLO_EXPECTED", 1002, Uint8Array.of(0xc1)],
    ["UNSUPPORTED_VERSION", 1008, rawFrame(FRAME_TYPE.HELLO, 2, 9, "x", [], null, {})],
    ["UNSUPPORTED_VERSION", 1008, rawFrame(FRAME_TYPE.HELLO, 1, 0, "x", [], null, {})],
    ["UNSUPPORTED_FEATURE", 1008, rawFrame(FRAME_TYPE.HELLO, 1, 1, "x", ["queues"], null, {})],
    ["UNSUPPORTED_FEATURE", 1008, rawFrame(FRAME_TYPE.HELLO, 1, 1, "x", [], "secret", {})],
    ["UNSUPPORTED_FEATURE", 1008, rawFrame(FRAME_TYPE.HELLO, 1, 1, "x", [], null, { zip: true })],
    ["MALFORMED_FRAME", 1002, rawFrame(FRAME_TYPE.HELLO, 1, 1, "x".repeat(LIMITS.clientNameBytesMax + 1))],
    ["MALFORMED_FRAME", 1002, rawFrame(FRAME_TYPE.HELLO, "1", 1)],
  ];
  for (const [name, code, bytes] of cases) {
    const client = await WireClient.connect(broker.url, { hello: false });
    client.sendBytes(bytes);
    t.match(await client.next("ERROR"), { name });
    t.match(await client.closed, { code, reason: name });
  }
  const newer = await WireClient.connect(broker.url, { hello: false });
  newer.hello({ versionMin: 1, versionMax: 7 });
  t.match(await newer.next("WELCOME"), { version: 1, limits: { ...LIMITS }, publishCredit: 16_384 });
  const bare = await WireClient.connect(broker.url, { hello: false });
  bare.sendBytes(rawFrame(FRAME_TYPE.HELLO, 1, 1));
  t.match(await bare.next("WELCOME"), { sessionId: Number, serverName: /^millrace\//, serverTimeMs: Number });
});

t.test("past twice the frame limit, and for text that is no UTF-8, the socket is cut", async (t) => {
  const { broker } = await serve((close) => t.teardown(close));
  const large = await WireClient.connect(broker.url);
  large.sendBytes(new Uint8Array(2 * LIMITS.frameBytesMax + 1));
  t.equal((await large.closed).code, 1006);
  const text = await WireClient.connect(broker.url);
  text.socket.send(Buffer.of(0xff, 0xfe), { binary: false });
  t.equal((await text.closed).code, 1006);
  await (await WireClient.connect(broker.url)).roundTrip();
});

t.test("garbage on the port does not hurt", async (t) => {
  const { broker } = await serve((close) => t.teardown(close));
  for (const bytes of [
    "\u0000\u0001\u0002",
    "GET / HTTP/9.9\r\n\r\n",
    `GET / HTTP/1.1\r\n${"a".repeat(70_000)}`,
  ]) {
    await new Promise<void>((resolve) => {
      const socket = connectTcp(broker.port, broker.host, () => socket.end(bytes, "latin1"));
      socket.on("close", () => resolve());
      socket.on("error", () => resolve());
      socket.resume();
    });
  }
  await (await WireClient.connect(broker.url)).roundTrip();
});

t.test("an ERROR frame of a client is noted", async (t) => {
  const { broker, logged } = await serve((close) => t.teardown(close));
  const client = await WireClient.connect(broker.url);
  client.send({
    name: "ERROR",
    value: { code: 1, name: "OOPS", retriable: false, message: "no", details: {} },
  });
  await client.roundTrip();
  t.match(
    logged.find(({ event }) => event === "client-error"),
    { fields: { name: "OOPS", message: "no" } },
  );
});
