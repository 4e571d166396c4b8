import { deepStrictEqual } from "node:assert/strict";
import fc from "fast-check";
import t from "tap";
import {
  BatchBuilder,
  BatchReader,
  DeliverReader,
  decodeFrame,
  encodeFrame,
  type Frame,
  FrameReader,
  FrameWriter,
  LeasedReader,
  MillraceError,
  PARSED,
  PublishHead,
  parseSubscriptionChanges,
  parseSubscriptionConfig,
  parseTopicConfig,
  RecordWalker,
  readFrameType,
  readRecordHeaders,
  readRecordKey,
  recordWithHeaders,
  type SubscriptionInfo,
  TopicPattern,
  walkRecords,
} from "../src/internal.ts";
import { anyFrame } from "./frame-arbitraries.ts";

const frameReader = new FrameReader();
const publishHead = new PublishHead();
const deliverReader = new DeliverReader();
const leasedReader = new LeasedReader();
const batchReader = new BatchReader();
const walker = new RecordWalker();

/** What a decoder made of its input: a value, or the code that it refused it with. Anything else is a failure. */
function outcome(decode: () => unknown): unknown {
  try {
    return { value: decode() };
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error;
    return { code: error.code };
  }
}

function readBatch(bytes: Uint8Array, start: number, end: number): unknown {
  batchReader.reset(bytes, start, end);
  const records: unknown[] = [batchReader.verifyChecksum()];
  for (let i = 0; i < batchReader.count; i += 1) {
    records.push(outcome(() => batchReader.valueAt(i)));
    records.push(outcome(() => batchReader.recordAt(i)));
  }
  return records;
}

/** What a shard looks at in a stored batch. Positions are relative to `start`. */
function walkBatch(bytes: Uint8Array, start: number, end: number): unknown {
  const parsed = walker.reset(bytes, start, end);
  const records: unknown[] = [parsed];
  for (let i = 0; walker.seek(i); i += 1) {
    const { recordStart, contentStart, contentEnd } = walker;
    records.push([recordStart - start, contentStart - start, contentEnd - start, walker.keyHash()]);
    records.push(outcome(() => readRecordKey(bytes, contentStart, contentEnd)));
    records.push(outcome(() => readRecordHeaders(bytes, contentStart, contentEnd)));
    records.push(outcome(() => recordWithHeaders(bytes, contentStart, contentEnd, { a: "b" })));
  }
  return records;
}

/** Everything that anyone does with a received frame. */
function readAll(bytes: Uint8Array, start: number, end: number): unknown {
  const decoded = outcome(() => {
    const frame = decodeFrame(frameReader, bytes, start, end);
    if (frame.name === "CREATE_TOPIC") parseTopicConfig(frame.value.config);
    if (frame.name === "CREATE_SUBSCRIPTION") parseSubscriptionConfig(frame.value.config);
    if (frame.name === "ALTER_SUBSCRIPTION") parseSubscriptionChanges(frame.value.changes);
    if (frame.name === "WATCH_TOPICS") TopicPattern.parse(frame.value.pattern).matches("orders.eu");
    return frame;
  });
  const parsed = publishHead.parse(bytes, start, end);
  const head = parsed === PARSED ? { ...publishHead } : undefined;
  const walked = parsed === PARSED && walkRecords(bytes, publishHead.recordsStart, publishHead.recordsEnd);
  const published =
    parsed === PARSED && outcome(() => readBatch(bytes, publishHead.batchStart, publishHead.frameEnd));
  const stored = parsed === PARSED && walkBatch(bytes, publishHead.batchStart, publishHead.frameEnd);
  const delivered = outcome(() => {
    deliverReader.reset(bytes, start, end);
    const batches: unknown[] = [];
    while (deliverReader.next()) {
      const { batchStart, entryEnd } = deliverReader;
      batches.push(outcome(() => readBatch(bytes, batchStart, entryEnd)));
    }
    return batches;
  });
  const leased = outcome(() => {
    leasedReader.reset(bytes, start, end);
    const batches: unknown[] = [];
    while (leasedReader.next()) {
      const { batchStart, rowEnd } = leasedReader;
      batches.push(outcome(() => readBatch(bytes, batchStart, rowEnd)));
      batches.push(walkBatch(bytes, batchStart, rowEnd));
    }
    return batches;
  });
  const relative = head && {
    ...head,
    batchStart: 0,
    batchEnd: 0,
    recordsStart: 0,
    recordsEnd: 0,
    frameEnd: 0,
  };
  const type = readFrameType(bytes, start, end);
  return { type, decoded, parsed, relative, walked, published, stored, delivered, leased };
}

/** Reads `frame` alone and between two kinds of other bytes: a decoder that looks beyond its bounds sees a difference. */
function check(frame: Uint8Array): void {
  const alone = readAll(frame, 0, frame.length);
  for (const around of [0x00, 0xc4, 0x91]) {
    const padded = new Uint8Array(frame.length + 40).fill(around);
    padded.set(frame, 20);
    deepStrictEqual(readAll(padded, 20, 20 + frame.length), alone);
  }
}

function encode(frame: Frame): Uint8Array {
  const writer = new FrameWriter();
  encodeFrame(writer, frame);
  return writer.take();
}

/** One frame of every kind of content, short, so that each of its bytes can take many values. */
function samples(): Uint8Array[] {
  const builder = new BatchBuilder(1000);
  builder.appendValue("hello");
  builder.append({ key: "k", headers: { a: "b" }, value: { n: [1, null] }, timestamp: 1, groupKey: "g" });
  const publish = builder.finishPublish(1, 2, 2 ** 40, 0, 300).slice();
  const batch = builder.finish().slice(0, -5);
  const entry = { baseOffset: 1, count: 2, appendTimeMs: 3, batch, checksum: 4 };
  const restores = [[1, 300]] as const;
  const position = { partition: 0, offset: 1, logEpoch: 2, restores };
  const info = { partition: 0, shard: 1, logStartOffset: 0, highWatermark: 9, logEpoch: 1, retainedBytes: 0 };
  const topic = { name: "t", topicId: 1, partitions: 1, retentionMs: null, retentionBytes: 5 };
  const ids = { requestId: 1, subscriptionId: 2 };
  return [
    publish,
    encode({ name: "DELIVER", value: { streamId: 1, nextOffset: 3, entries: [entry, entry] } }),
    encode({
      name: "HELLO",
      value: {
        versionMin: 1,
        versionMax: 1,
        clientName: "c",
        features: ["f"],
        extensions: { a: { b: 1.5 } },
      },
    }),
    encode({
      name: "SUBSCRIBE",
      value: {
        ...ids,
        topic: "t",
        partitions: [0, 1],
        from: { kind: "resume", topicId: 1, positions: [position] },
        creditLimit: 1000,
        mode: "stream",
        extensions: {},
      },
    }),
    encode({
      name: "SUBSCRIBED",
      value: { ...ids, topicId: 1, streams: [{ ...info, streamId: 1, startOffset: 0, restores }] },
    }),
    encode({
      name: "TOPIC",
      value: {
        requestId: 1,
        topic: { ...topic, durability: "fsynced", createdMs: 1, catalogPosition: 2, partitionInfo: [info] },
      },
    }),
    encode({
      name: "CREATE_TOPIC",
      value: { requestId: 1, name: "t", config: { partitions: 4, durability: "written" } },
    }),
    encode({
      name: "TRUNCATE_TOPIC",
      value: { requestId: 1, topic: "t", partitions: [0, 300], before: { kind: "offset", offset: 70_000 } },
    }),
    encode({ name: "TRUNCATED", value: { requestId: 1, topicId: 2, partitions: [info, info] } }),
    encode({
      name: "ERROR",
      value: {
        requestId: 1,
        code: 2,
        name: "N",
        retriable: true,
        message: "m",
        details: { d: new Uint8Array(2) },
      },
    }),
    encode({ name: "LEASED", value: { consumerId: 1, rows: [{ ...LEASE, ...entry }] } }),
    encode({
      name: "SETTLE",
      value: {
        consumerId: 1,
        rows: [
          { ...LEASE, settleId: 1, action: 0, firstOffset: 1, count: 2 },
          { ...LEASE, settleId: 300, action: 3, firstOffset: 5, count: 1, argument: "reason" },
          { ...LEASE, settleId: 301, action: 1, firstOffset: 6, count: 1, argument: 70_000 },
        ],
      },
    }),
    encode({
      name: "CONSUME",
      value: {
        requestId: 1,
        topic: "t",
        subscription: "s",
        mode: "queue",
        slots: 300,
        creditLimit: 70_000,
        create: { mode: "queue", from: ["earliest"] },
        extensions: {},
      },
    }),
    encode({
      name: "ASSIGNED",
      value: {
        consumerId: 1,
        partitions: [{ ...info, assignmentEpoch: 1, streamId: 1, startOffset: 0, restores }],
      },
    }),
    encode({
      name: "COMMIT",
      value: { requestId: 1, consumerId: 1, positions: [{ ...position, assignmentEpoch: 300 }] },
    }),
    encode({
      name: "CREATE_SUBSCRIPTION",
      value: {
        requestId: 1,
        topic: "t",
        name: "s",
        config: { mode: "queue", from: ["offsets", [[0, 300]]] },
      },
    }),
    encode({
      name: "SEEK_SUBSCRIPTION",
      value: { requestId: 1, topic: "t", name: "s", from: { kind: "offsets", offsets: [[0, 300]] } },
    }),
    encode({ name: "SUBSCRIPTION", value: { requestId: 1, subscription: SUBSCRIPTION } }),
    encode({
      name: "REDRIVE",
      value: { requestId: 1, topic: "t", rows: [{ partition: 0, offset: 300, subscription: "s" }] },
    }),
    encode({ name: "WATCH_TOPICS", value: { requestId: 1, watchId: 1, pattern: "a.*.>" } }),
    encode({ name: "ACK", value: { publishCreditLimit: 70_000, ranges: [{ ...ACK_RANGE }] } }),
  ];
}

const LEASE = { topicId: 1, partition: 0, deliveryCount: 1, leaseEpoch: 300, leaseCounter: 2 ** 40 };

const SUBSCRIPTION: SubscriptionInfo = {
  name: "s",
  topic: "t",
  topicId: 1,
  subscriptionId: 2,
  mode: "keyed",
  leaseMs: 30_000,
  maxDeliveries: 5,
  backoffMinMs: 1,
  backoffMaxMs: 300,
  paused: false,
  createdMs: 1,
  deadLetterTopic: "d",
  snapshots: ["p"],
  state: {
    consumers: 1,
    available: 2,
    leased: 3,
    waiting: 4,
    redelivered: 5,
    dead: 6,
    lag: 7,
    oldestAgeMs: 300,
    blockedByKey: new Uint8Array(2),
    partitions: [
      {
        partition: 0,
        offset: 1,
        logStartOffset: 0,
        highWatermark: 300,
        available: 1,
        leased: 1,
        waiting: 1,
        consumerName: "c",
      },
    ],
  },
};

const ACK_RANGE = {
  topicId: 1,
  partition: 0,
  producerId: 2 ** 50,
  firstSequence: 0,
  count: 1,
  baseOffset: 0,
  logEpoch: 1,
  durability: 3,
};

t.test("frames cut at every byte", async (t) => {
  for (const frame of samples()) {
    for (let end = 0; end < frame.length; end += 1) {
      check(frame.slice(0, end));
      const { decoded } = readAll(frame, 0, end) as { decoded: { code?: string } };
      deepStrictEqual(decoded.code, "MALFORMED_FRAME", "a cut frame is never a frame");
    }
  }
  t.pass();
});

/** Each bit, all of them, and the first bytes of what lengths, counts and containers look like. */
const MUTATIONS = [1, 2, 4, 8, 16, 32, 64, 128, 255];
const FIRST_BYTES = [
  0x00, 0x7f, 0x8f, 0x9f, 0xbf, 0xc0, 0xc1, 0xc4, 0xc6, 0xcb, 0xcf, 0xd3, 0xdb, 0xdd, 0xdf, 0xff,
];

t.test("frames with every byte changed", async (t) => {
  for (const frame of samples()) {
    const changed = frame.slice();
    for (let at = 0; at < frame.length; at += 1) {
      const original = frame[at] as number;
      for (const mask of MUTATIONS) {
        changed[at] = original ^ mask;
        check(changed);
      }
      for (const byte of FIRST_BYTES) {
        changed[at] = byte;
        check(changed);
      }
      changed[at] = original;
    }
  }
  t.pass();
});

t.test("frames with a length or count that lies, up to 2^32-1, at every place", async (t) => {
  const lies = ["7fffffff", "80000000", "80000001", "fffffffe", "ffffffff"];
  for (const frame of samples()) {
    for (let at = 1; at + 5 <= frame.length; at += 1) {
      for (const first of [0xc6, 0xc9, 0xdb, 0xdd, 0xdf]) {
        for (const lie of lies) {
          const changed = frame.slice();
          changed[at] = first;
          changed.set(Buffer.from(lie, "hex"), at + 1);
          readAll(changed, 0, changed.length);
        }
      }
    }
  }
  t.pass();
});

t.test("random bytes, and random frames with random damage", async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => check(bytes)),
    { numRuns: 2000 },
  );
  fc.assert(
    fc.property(
      anyFrame,
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      (frame, damage) => {
        const bytes = encode(frame);
        for (const [place, byte] of damage) bytes[place % bytes.length] = byte;
        check(bytes);
      },
    ),
    { numRuns: 1000 },
  );
});

t.test("large frames that nest or count without end are refused at once", async (t) => {
  const size = 2 * 1024 * 1024;
  for (const pattern of [
    "91",
    "9f",
    "81a16b",
    "dc0001",
    "dd00000001",
    "82",
    "8f",
    "01",
    "a0",
    "c400",
    "ddffffffff",
  ]) {
    const unit = Buffer.from(pattern, "hex");
    const bytes = new Uint8Array(Buffer.alloc(size, unit));
    const frames = [
      Buffer.concat([Buffer.from("9701010261780090", "hex").subarray(0, 3), bytes]),
      Buffer.concat([Buffer.from("97030702a14ec2a16d", "hex"), bytes]),
      Buffer.concat([Buffer.from("930143", "hex"), bytes]),
      Buffer.concat([Buffer.from("96220103", "hex"), bytes]),
      Buffer.concat([Buffer.from("934701", "hex"), bytes]),
      Buffer.concat([Buffer.from("935101", "hex"), bytes]),
      bytes,
    ];
    for (const frame of frames) {
      const started = process.hrtime.bigint();
      readAll(frame, 0, frame.length);
      const ms = Number(process.hrtime.bigint() - started) / 1e6;
      t.ok(ms < 5000, `${pattern}: ${ms} ms`);
    }
  }
});
