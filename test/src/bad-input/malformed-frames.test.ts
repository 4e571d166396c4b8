import { type Frame, LIMITS } from "@millrace/protocol";
import { pack } from "msgpackr";
import t, { type Test } from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { frameBytes, publishFrame, RawClient } from "../harness/raw-client.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { Witness } from "../harness/witness.ts";

const broker = await BrokerProcess.start(t, { dataDir: temporaryFolder(t) });
const witness = await Witness.start(t, broker);
const maker = await RawClient.connect(t, broker.url);
const { topicId } = await maker.createTopic("target", { partitions: 2 });

/** Sends the bytes in a session of their own, which must end with that error. */
async function refused(
  t: Test,
  bytes: Uint8Array,
  code: string,
  closeCode: number,
  title: string,
): Promise<void> {
  const client = await RawClient.connect(t, broker.url);
  client.sendBytes(bytes);
  const { error, closed } = await client.refusal();
  t.same([error.name, error.requestId, closed.code], [code, undefined, closeCode], title);
}

const malformed = (t: Test, bytes: Uint8Array, title: string): Promise<void> =>
  refused(t, bytes, "MALFORMED_FRAME", 1002, title);

function bytesOf(...parts: (number | readonly number[] | Uint8Array)[]): Uint8Array {
  return Buffer.concat(parts.map((part) => Uint8Array.from(typeof part === "number" ? [part] : part)));
}

const valid: readonly Frame[] = [
  { name: "PING", value: { nonce: 70_000 } },
  { name: "PONG", value: { nonce: 1 } },
  { name: "CREDIT_REQUEST", value: { bytes: 1000 } },
  { name: "FLOW", value: { subscriptionId: 1, creditLimit: 2 ** 40 } },
  { name: "UNSUBSCRIBE", value: { requestId: 1, subscriptionId: 1 } },
  { name: "CREATE_TOPIC", value: { requestId: 1, name: "never", config: { partitions: 3 } } },
  { name: "DESCRIBE_TOPIC", value: { requestId: 1, topic: "target" } },
  { name: "DELETE_TOPIC", value: { requestId: 1, topic: "never" } },
  { name: "LIST_TOPICS", value: { requestId: 300 } },
  {
    name: "SUBSCRIBE",
    value: {
      requestId: 1,
      subscriptionId: 1,
      topic: "target",
      partitions: [0, 1],
      from: { kind: "resume", topicId, positions: [{ partition: 0, offset: 1, logEpoch: 0 }] },
      creditLimit: 100_000,
      mode: "stream",
      extensions: {},
    },
  },
];

t.test("frames that are cut off anywhere", async (t) => {
  for (const { name, value } of valid) {
    const whole = frameBytes(name, value as never);
    const cuts = Array.from({ length: whole.length - 1 }, (_, i) => i + 1);
    const results = await Promise.all(
      cuts.map(async (cut) => {
        const client = await RawClient.connect(t, broker.url);
        client.sendBytes(whole.subarray(0, cut));
        const { error, closed } = await client.refusal();
        return `${error.name} ${closed.code}`;
      }),
    );
    t.same(new Set(results), new Set(["MALFORMED_FRAME 1002"]), `${name}, ${cuts.length} cuts`);
  }
  const publish = publishFrame({ topicId, producerId: 2 ** 40, records: [{ value: "abc", key: "k" }] });
  // The last five bytes are the checksum, whose head may be missing as a whole only.
  for (let cut = 1; cut < publish.length; cut += 1) {
    await malformed(t, publish.subarray(0, cut), `PUBLISH cut at ${cut} of ${publish.length}`);
  }
});

t.test("what is no frame", async (t) => {
  const cases: Record<string, Uint8Array> = {
    nothing: new Uint8Array(0),
    nil: bytesOf(0xc0),
    "a map": pack({ a: 1 }),
    "an integer": bytesOf(4),
    "a string": pack("PING"),
    "an empty array": bytesOf(0x90),
    "a type that is nil": bytesOf(0x92, 0xc0, 1),
    "a type that is text": pack(["PING", 1]),
    "a negative type": pack([-4, 1]),
    "a type with a fraction": pack([4.5, 1]),
    "the byte that MessagePack never uses": bytesOf(0xc1),
    "bytes behind the frame": bytesOf(frameBytes("PING", { nonce: 1 }), 0xc0),
    "two frames in one message": bytesOf(frameBytes("PING", { nonce: 1 }), frameBytes("PING", { nonce: 2 })),
    "an array of 2^32-1": bytesOf([0xdd, 0xff, 0xff, 0xff, 0xff], 4, 1),
    "an array of 65535": bytesOf([0xdc, 0xff, 0xff], 4, 1),
  };
  for (const [title, bytes] of Object.entries(cases)) await malformed(t, bytes, title);
});

t.test("elements of a wrong type or range", async (t) => {
  const cases: Record<string, Uint8Array> = {
    "a nonce that is text": pack([4, "x"]),
    "a requestId that is missing": pack([53]),
    "a nonce below zero": pack([4, -1]),
    "a nonce of 2^64-1": bytesOf(0x92, 4, 0xcf, new Array<number>(8).fill(0xff)),
    "a nonce of 2^53": bytesOf(0x92, 4, 0xcf, [0, 0x20, 0, 0, 0, 0, 0, 0]),
    "a nonce that is not a number": bytesOf(0x92, 4, 0xcb, [0x7f, 0xf8, 0, 0, 0, 0, 0, 0]),
    "a topic that is a number": pack([50, 1, 7]),
    "a topic of 4 GiB": bytesOf(0x93, 50, 1, 0xdb, [0xff, 0xff, 0xff, 0xff], 0x61),
    "a config that is an array": pack([48, 1, "x", [1, 2]]),
    "a config of 2^32-1 pairs": bytesOf(0x94, 48, 1, 0xa1, 0x78, 0xdf, [0xff, 0xff, 0xff, 0xff]),
    "partitions that are text": pack([32, 1, 1, "target", "all", ["earliest"], 1000]),
    "a partition below zero": pack([32, 1, 1, "target", [-1], ["earliest"], 1000]),
    "a start that is text": pack([32, 1, 1, "target", null, "earliest", 1000]),
    "a start that is empty": pack([32, 1, 1, "target", null, [], 1000]),
    "an offset that is missing": pack([32, 1, 1, "target", null, ["offset"], 1000]),
    "credit below zero": pack([32, 1, 1, "target", null, ["earliest"], -1]),
    "a mode that is a number": pack([32, 1, 1, "target", null, ["earliest"], 1000, 5]),
    "a publish to a topic of a name": pack([16, "target", 0, 0, 0, 0, null]),
    "a publish without a batch": pack([16, topicId, 0, 0, 0, 0]),
    "a publish with a nil batch": pack([16, topicId, 0, 0, 0, 0, null]),
    "a publish of a negative sequence": pack([16, topicId, 0, 0, 0, -1, [1, 0, 0, 0, 0, 0, Buffer.alloc(0)]]),
  };
  for (const [title, bytes] of Object.entries(cases)) await malformed(t, bytes, title);
});

t.test("arrays in arrays in arrays", async (t) => {
  const deep = (levels: number, open: number): Uint8Array =>
    Buffer.concat([Buffer.alloc(levels, open), Buffer.from([0xc0])]);
  for (const levels of [LIMITS.nestingMax + 1, 1000, 1_000_000]) {
    await malformed(t, deep(levels, 0x91), `${levels} arrays`);
    await malformed(
      t,
      bytesOf(0x94, 48, 1, 0xa1, 0x78, 0x81, 0xa1, 0x61, deep(levels, 0x91)),
      `${levels} in a config`,
    );
    await harmless(t, bytesOf(0x93, 4, 1, deep(levels, 0x91)), `${levels} in an element that nobody knows`);
  }
  const maps = Buffer.concat(new Array<Uint8Array>(100_000).fill(bytesOf(0x81, 0xa1, 0x61)));
  await malformed(t, bytesOf(0x94, 48, 1, 0xa1, 0x78, maps, 0xc0), "100,000 maps");
  const many = Buffer.concat([
    bytesOf(0x93, 4, 1, 0xdd, [0, 0x1e, 0x84, 0x80]),
    Buffer.alloc(2_000_000, 0x90),
  ]);
  await harmless(t, many, "two million empty arrays side by side");
});

/** A PING with more to it than anybody needs: it is answered or refused. */
async function harmless(t: Test, bytes: Uint8Array, title: string): Promise<void> {
  const client = await RawClient.connect(t, broker.url);
  client.sendBytes(bytes);
  await Promise.race([client.next("PONG"), client.next("ERROR")]);
  t.pass(title);
  client.terminate();
}

t.test("types that a client cannot send", async (t) => {
  for (const type of [0, 2, 6, 7, 17, 18, 20, 33, 34, 35, 36, 49, 54, 99, 255, 65_536, 2 ** 40]) {
    await refused(t, pack([type, 1, 2, 3]), "UNKNOWN_FRAME_TYPE", 1002, `type ${type}`);
  }
});

t.test("frames above the limit", async (t) => {
  const { frameBytesMax } = LIMITS;
  const padded = (bytes: number): Uint8Array => {
    const head = bytesOf(0x93, 4, 1, 0xc6, [0, 0, 0, 0]);
    Buffer.from(head.buffer, head.byteOffset).writeUInt32BE(bytes - head.length, 4);
    return Buffer.concat([head, Buffer.alloc(bytes - head.length)]);
  };
  const client = await RawClient.connect(t, broker.url);
  client.sendBytes(padded(frameBytesMax));
  t.same(await client.next("PONG"), { nonce: 1 }, "the largest frame is taken");
  await refused(t, padded(frameBytesMax + 1), "FRAME_TOO_LARGE", 1009, "a byte more");
  await refused(t, padded(2 * frameBytesMax), "FRAME_TOO_LARGE", 1009, "twice as much");
  const beyond = await RawClient.connect(t, broker.url);
  beyond.sendBytes(padded(2 * frameBytesMax + 1));
  t.equal((await beyond.closed).code, 1006, "more than twice as much");
});

t.test("text in the middle of a session", async (t) => {
  const client = await RawClient.connect(t, broker.url);
  client.sendText("[4, 1]");
  const { error, closed } = await client.refusal();
  t.same([error.name, closed.code], ["TEXT_FRAME", 1003]);
});

t.test("elements that a newer client might add are ignored", async (t) => {
  const client = await RawClient.connect(t, broker.url);
  client.sendBytes(pack([4, 17, "new", { deep: [1, { x: null }] }, 1.5]));
  t.same(await client.next("PONG"), { nonce: 17 });
  client.sendBytes(bytesOf(0x92, 4, 0xcb, [0x40, 0x31, 0, 0, 0, 0, 0, 0]));
  t.same(await client.next("PONG"), { nonce: 17 }, "and a float without a fraction is an integer");
});

t.test("the others have noticed nothing of all that", (t) => witness.check(t, "after malformed frames"));
