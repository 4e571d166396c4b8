import { deepStrictEqual } from "node:assert/strict";
import fc from "fast-check";
import { unpack } from "msgpackr";
import t from "tap";
import {
  decodeFrame,
  decodeHello,
  encodeFrame,
  errorFrameOf,
  FRAME_TYPE,
  type Frame,
  FrameReader,
  type FrameTypeName,
  FrameWriter,
  frameTypeName,
  LIMITS,
  MALFORMED,
  MillraceError,
  readFrameType,
  SETTLE_ACTION,
  SUBSCRIPTION_BYTES_MAX,
  type SubscriptionInfo,
  TOPIC_BYTES_MAX,
  type TopicInfo,
  writeAckHead,
  writeAckRange,
} from "../src/index.ts";
import { frameOf } from "./frame-arbitraries.ts";

const NAMES = Object.keys(FRAME_TYPE) as FrameTypeName[];

/** With bytes before and after it, so that a codec that ignores its bounds is noticed. */
function encode(frame: Frame): { bytes: Uint8Array; start: number; end: number } {
  const writer = new FrameWriter(4);
  writer.raw(new Uint8Array(7).fill(0xc1));
  encodeFrame(writer, frame);
  const end = writer.byteLength;
  writer.raw(new Uint8Array(9).fill(0xc1));
  return { bytes: writer.take(), start: 7, end };
}

for (const name of NAMES) {
  t.test(`${name} is decoded to what was encoded`, async () => {
    const reader = new FrameReader();
    fc.assert(
      fc.property(frameOf(name), (frame) => {
        const { bytes, start, end } = encode(frame);
        deepStrictEqual(readFrameType(bytes, start, end), FRAME_TYPE[name]);
        deepStrictEqual(decodeFrame(reader, bytes, start, end), frame);
      }),
      { numRuns: 150 },
    );
  });

  t.test(`${name} is an array that starts with its type, to any MessagePack library`, async () => {
    fc.assert(
      fc.property(frameOf(name), (frame) => {
        const { bytes, start, end } = encode(frame);
        const array = unpack(bytes.subarray(start, end)) as unknown[];
        deepStrictEqual(array[0], FRAME_TYPE[name]);
      }),
      { numRuns: 30 },
    );
  });

  t.test(`${name} may have elements of a newer peer at its end`, async () => {
    const reader = new FrameReader();
    fc.assert(
      fc.property(frameOf(name), (frame) => {
        const { bytes, start, end } = encode(frame);
        const longer = new Uint8Array([...bytes.subarray(start, end), 0x93, 1, 0xa1, 0x61, 0xc0, 0x80]);
        longer[0] = (longer[0] as number) + 2;
        deepStrictEqual(decodeFrame(reader, longer, 0, longer.length), frame);
      }),
      { numRuns: 30 },
    );
  });
}

function decodeHex(hex: string): Frame {
  const bytes = Buffer.from(hex.replaceAll(" ", ""), "hex");
  return decodeFrame(new FrameReader(), bytes, 0, bytes.length);
}

t.test("missing elements take their default", async (t) => {
  t.same(decodeHex("93 01 01 02"), {
    name: "HELLO",
    value: { versionMin: 1, versionMax: 2, clientName: "", features: [], auth: null, extensions: {} },
  });
  t.same(decodeHex("91 04"), { name: "PING", value: { nonce: 0 } });
  t.same(decodeHex("93 24 01 02"), {
    name: "PROGRESS",
    value: { streamId: 1, nextOffset: 2, reason: "gap" },
  });
  t.same(decodeHex("92 35 09"), { name: "LIST_TOPICS", value: { requestId: 9, after: undefined } });
  t.same(decodeHex("93 36 09 90"), { name: "TOPICS", value: { requestId: 9, topics: [], more: false } });
  t.throws(() => decodeHex("92 01 01"), { code: "MALFORMED_FRAME", message: /versionMax is missing/ });
});

t.test("numbers of any width are accepted, a float without fraction too", async (t) => {
  for (const nonce of ["07", "cc07", "cd0007", "ce00000007", "cf0000000000000007", "d007", "d10007"]) {
    t.same(decodeHex(`92 04 ${nonce}`).value, { nonce: 7 }, nonce);
  }
  for (const nonce of ["d200000007", "d30000000000000007", "cb401c000000000000", "ca40e00000"]) {
    t.same(decodeHex(`92 04 ${nonce}`).value, { nonce: 7 }, nonce);
  }
  for (const nonce of [
    "ff",
    "d0ff",
    "cf0020000000000000",
    "cb3ff8000000000000",
    "a131",
    "c0",
    "c3",
    "cfffffffffffffffff",
  ]) {
    t.throws(() => decodeHex(`92 04 ${nonce}`), { code: "MALFORMED_FRAME" }, nonce);
  }
});

t.test("an unknown type, an unknown start and bytes after the frame have their codes", async (t) => {
  t.throws(() => decodeHex("91 63"), { code: "UNKNOWN_FRAME_TYPE", details: { type: 99 } });
  t.throws(() => decodeHex("99 20 01 02 a174 c0 91 a3666f6f 05 a6 73747265616d 80"), {
    code: "INVALID_FROM",
  });
  t.throws(() => decodeHex("92 04 07 00"), { code: "MALFORMED_FRAME", message: /1 bytes follow/ });
  t.throws(() => decodeHex("90"), { code: "MALFORMED_FRAME" });
  t.throws(() => decodeHex("a161"), { code: "MALFORMED_FRAME" });
  t.throws(() => decodeFrame(new FrameReader(), new Uint8Array(0), 0, 0), { code: "MALFORMED_FRAME" });
});

t.test("readFrameType does not throw", async (t) => {
  const type = (hex: string): number => readFrameType(Buffer.from(hex, "hex"), 0, hex.length / 2);
  t.equal(type("9104"), FRAME_TYPE.PING);
  t.equal(type("dc000104"), FRAME_TYPE.PING);
  t.equal(type("dd00000001cc63"), 99);
  for (const hex of ["", "90", "91", "dc00", "dd000000", "91a161", "91ff", "80", "c0", "04"]) {
    t.equal(type(hex), MALFORMED, hex);
  }
  t.equal(frameTypeName(34), "DELIVER");
  t.equal(frameTypeName(99), undefined);
});

t.test("lists are bounded", async (t) => {
  const writer = new FrameWriter();
  const frame = { versionMin: 1, versionMax: 1, clientName: "x", features: [] as string[], extensions: {} };
  const refused = (value: typeof frame): void => {
    writer.reset();
    encodeFrame(writer, { name: "HELLO", value });
    t.throws(() => decodeFrame(new FrameReader(), writer.bytes(), 0, writer.byteLength), {
      code: "MALFORMED_FRAME",
    });
  };
  refused({ ...frame, features: new Array(LIMITS.featuresMax + 1).fill("f") });
  refused({ ...frame, clientName: "n".repeat(LIMITS.clientNameBytesMax + 1) });
  refused({ ...frame, extensions: { list: new Array(LIMITS.frameValuesMax).fill(0) } });
  writer.reset();
  const partitions = new Array(LIMITS.partitionsMax + 1).fill(1);
  const value = { requestId: 1, subscriptionId: 1, topic: "t", partitions, creditLimit: 0, mode: "stream" };
  encodeFrame(writer, { name: "SUBSCRIBE", value: { ...value, from: { kind: "latest" }, extensions: {} } });
  t.throws(() => decodeFrame(new FrameReader(), writer.bytes(), 0, writer.byteLength), {
    code: "MALFORMED_FRAME",
  });
});

t.test("lists of consumers' frames are bounded", async (t) => {
  const writer = new FrameWriter();
  const refused = (frame: Frame): void => {
    writer.reset();
    encodeFrame(writer, frame);
    t.throws(() => decodeFrame(new FrameReader(), writer.bytes(), 0, writer.byteLength), {
      code: "MALFORMED_FRAME",
    });
  };
  const many = <T>(value: T, max: number): T[] => new Array(max + 1).fill(value);
  const held = { partition: 0, assignmentEpoch: 0 };
  const lease = { settleId: 1, partition: 0, leaseEpoch: 0, leaseCounter: 0, firstOffset: 0, count: 1 };
  const row = { ...lease, action: SETTLE_ACTION.ACK };
  const dead = { partition: 0, offset: 0, subscription: "s" };
  refused({ name: "RELEASE", value: { consumerId: 1, partitions: many(held, LIMITS.partitionsMax) } });
  refused({ name: "SETTLE", value: { consumerId: 1, rows: many(row, LIMITS.settlesPerFrameMax) } });
  const reason = "r".repeat(LIMITS.deadLetterReasonBytesMax + 1);
  const reasoned = { ...lease, action: SETTLE_ACTION.DEAD_LETTER, argument: reason };
  refused({ name: "SETTLE", value: { consumerId: 1, rows: [reasoned] } });
  refused({
    name: "REDRIVE",
    value: { requestId: 1, topic: "t", rows: many(dead, LIMITS.redriveRecordsMax) },
  });
});

t.test("the largest page of topics fits a frame and can be read", async (t) => {
  const widest = Number.MAX_SAFE_INTEGER;
  const topics = Array.from({ length: LIMITS.topicsPerPageMax }, (_, i): TopicInfo => {
    return {
      name: `${i}`.padStart(LIMITS.topicNameBytesMax, "x"),
      topicId: widest,
      partitions: widest,
      retentionMs: widest,
      retentionBytes: widest,
      durability: "fsynced",
      createdMs: widest,
      catalogPosition: widest,
      retention: "acknowledged",
      overflow: "dead-letter",
      deadLetterOf: widest,
      partitionInfo: undefined,
      owners: undefined,
    };
  });
  const frame: Frame = { name: "TOPICS", value: { requestId: 0xffff_ffff, topics, more: true } };
  const { bytes, start, end } = encode(frame);
  const around = 1 + 1 + 5 + 3 + 1;
  t.equal(end - start, around + LIMITS.topicsPerPageMax * TOPIC_BYTES_MAX);
  t.ok(end - start < LIMITS.frameBytesMax);
  deepStrictEqual(decodeFrame(new FrameReader(), bytes, start, end), frame);
});

t.test("the largest page of subscriptions fits a frame and can be read", async (t) => {
  const widest = Number.MAX_SAFE_INTEGER;
  const longest = "x".repeat(LIMITS.subscriptionNameBytesMax);
  const subscription: SubscriptionInfo = {
    name: longest,
    topic: longest,
    topicId: widest,
    subscriptionId: widest,
    mode: "stream",
    leaseMs: widest,
    maxDeliveries: widest,
    backoffMinMs: widest,
    backoffMaxMs: widest,
    paused: true,
    createdMs: widest,
    deadLetterTopic: longest,
    snapshots: new Array(LIMITS.snapshotsMax).fill(longest),
    state: undefined,
  };
  const subscriptions = new Array(LIMITS.subscriptionsPerPageMax).fill(subscription);
  const frame: Frame = { name: "SUBSCRIPTIONS", value: { requestId: 0xffff_ffff, subscriptions } };
  const { bytes, start, end } = encode(frame);
  const around = 1 + 1 + 5 + 3;
  t.equal(end - start, around + LIMITS.subscriptionsPerPageMax * SUBSCRIPTION_BYTES_MAX);
  t.ok(end - start < LIMITS.frameBytesMax);
  deepStrictEqual(decodeFrame(new FrameReader(), bytes, start, end), frame);
});

t.test("nesting is bounded on both sides", async (t) => {
  let deep: unknown = 1;
  for (let i = 0; i < LIMITS.nestingMax; i += 1) deep = [deep];
  const writer = new FrameWriter();
  writer.any(deep);
  const reader = new FrameReader();
  reader.reset(writer.bytes(), 0, writer.byteLength);
  t.same(reader.any(), deep);
  t.throws(() => writer.any([deep]), RangeError);
  const circle: Record<string, unknown> = {};
  circle.self = circle;
  t.throws(() => writer.any(circle), RangeError);

  const bomb = new Uint8Array(100_000).fill(0x91);
  reader.reset(bomb, 0, bomb.length);
  t.throws(() => reader.any(), { code: "MALFORMED_FRAME", message: /deeply/ });
  const mapBomb = new Uint8Array(100_000);
  for (let i = 0; i < mapBomb.length; i += 2) mapBomb.set([0x81, 0x01], i);
  reader.reset(mapBomb, 0, mapBomb.length);
  t.throws(() => reader.any(), { code: "MALFORMED_FRAME", message: /deeply/ });
});

t.test("a map cannot reach a prototype", async (t) => {
  const writer = new FrameWriter();
  writer.mapHeader(1);
  writer.str("__proto__");
  writer.any({ polluted: true });
  const reader = new FrameReader();
  reader.reset(writer.bytes(), 0, writer.byteLength);
  const map = reader.map();
  t.equal(Object.getPrototypeOf(map), Object.prototype);
  t.same(Object.keys(map), ["__proto__"]);
  t.equal(map.polluted, undefined);
});

t.test("an ack is written range by range as encodeAck writes it", async (t) => {
  const range = { topicId: 1, partition: 2, producerId: 2 ** 50, firstSequence: 3, count: 4 };
  const full = { ...range, baseOffset: 5, logEpoch: 6, durability: 3 };
  const whole = new FrameWriter();
  encodeFrame(whole, { name: "ACK", value: { publishCreditLimit: 9, ranges: [full, full] } });
  const parts = new FrameWriter();
  writeAckHead(parts, 9, 2);
  for (let i = 0; i < 2; i += 1) writeAckRange(parts, 1, 2, 2 ** 50, 3, 4, 5, 6, 3);
  t.same(parts.take(), whole.take());
});

t.test("an error survives the wire", async (t) => {
  const error = new MillraceError("THROTTLED", "the shard is full", { details: { retryAfterMs: 20 } });
  const writer = new FrameWriter();
  encodeFrame(writer, { name: "ERROR", value: errorFrameOf(error, 7) });
  const frame = decodeFrame(new FrameReader(), writer.bytes(), 0, writer.byteLength);
  if (frame.name !== "ERROR") throw new Error(frame.name);
  t.equal(frame.value.requestId, 7);
  const received = MillraceError.fromWire(frame.value);
  t.match(received, { code: "THROTTLED", number: 38, retriable: true, message: "the shard is full" });
  t.same(received.details, { retryAfterMs: 20 });
});

t.test("a decoder may be called by itself once the reader is open", async (t) => {
  const reader = new FrameReader();
  const bytes = Buffer.from("93010102", "hex");
  t.equal(reader.open(bytes, 0, bytes.length), FRAME_TYPE.HELLO);
  t.equal(decodeHello(reader).versionMax, 2);
});
