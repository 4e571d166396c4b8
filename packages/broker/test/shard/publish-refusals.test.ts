import { LIMITS } from "@millrace/protocol";
import t, { type Test } from "tap";
import { DURABILITY_FSYNCED } from "../../src/topic.ts";
import { batchOf } from "../harness/batches.ts";
import type { Publish } from "../harness/recording-gateway.ts";
import { ShardRig } from "../harness/shard-rig.ts";

const TOPIC = 5;

function rigOf(): ShardRig {
  return ShardRig.started([[TOPIC, 0, DURABILITY_FSYNCED]], {
    inboundBytes: 1 << 24,
    outboundBytes: 1 << 20,
    segmentSizeBytes: 1 << 23,
  });
}

function batch(values: readonly string[], more: Partial<Publish> = {}): Publish {
  return { topicId: TOPIC, count: values.length, stored: batchOf(values), ...more };
}

/** The shard's answers to one publish, as [name of the error or "ack", first offset]. */
function answersTo(rig: ShardRig, publish: Publish): unknown[] {
  rig.gateway.publish(publish);
  rig.settle();
  const answers = rig.gateway.events.splice(0);
  return answers.map((event) =>
    event.kind === "ack" ? ["ack", event.baseOffset] : event.kind === "publish-error" ? event.error : event,
  );
}

/** Refuses, changes nothing, and goes on. */
function refused(t: Test, rig: ShardRig, publish: Publish, error: string): void {
  const before = rig.journal.stagedPosition;
  t.same(answersTo(rig, publish), [error]);
  t.equal(rig.journal.stagedPosition, before, "nothing was appended");
}

t.test("an error says what it is about", async (t) => {
  const rig = rigOf();
  rig.gateway.publish(
    batch(["a", "b"], { sessionId: 3, partition: 9, producerId: 2 ** 53 - 1, baseSequence: 2 ** 40 }),
  );
  rig.settle();
  t.same(rig.gateway.events, [
    {
      kind: "publish-error",
      sessionId: 3,
      topicId: TOPIC,
      partition: 9,
      producerId: 2 ** 53 - 1,
      firstSequence: 2 ** 40,
      count: 2,
      error: "UNKNOWN_PARTITION",
      retryAfterMs: 0,
    },
  ]);
});

t.test("a wrong checksum is refused, whichever byte is wrong", async (t) => {
  const rig = rigOf();
  const good = batchOf(["some value"]);
  refused(t, rig, { ...batch(["some value"]), checksum: 12345 }, "CHECKSUM_MISMATCH");
  for (let at = good.length - 12; at < good.length - 5; at += 1) {
    const stored = good.slice();
    stored[at] = (stored[at] as number) ^ 0x10;
    const trailer = new DataView(good.buffer, good.byteOffset + good.length - 4).getUint32(0);
    refused(t, rig, { topicId: TOPIC, count: 1, stored, checksum: trailer }, "CHECKSUM_MISMATCH");
  }
  t.same(answersTo(rig, batch(["some value"])), [["ack", 0]]);
});

t.test("a count that is not that of the records is refused", async (t) => {
  const rig = rigOf();
  refused(t, rig, { ...batch(["a", "b"]), count: 3 }, "COUNT_MISMATCH");
  refused(t, rig, { ...batch(["a", "b"]), count: 1 }, "COUNT_MISMATCH");
  // The batch's own head lies, and the frame's head agrees with it.
  for (const count of [0, 1, 3, 0xffff_ffff]) {
    const stored = batchOf(["a", "b"]);
    new DataView(stored.buffer, stored.byteOffset).setUint32(5, count);
    refused(t, rig, { topicId: TOPIC, count, stored }, "COUNT_MISMATCH");
  }
});

t.test("an empty batch is refused", async (t) => {
  const rig = rigOf();
  refused(t, rig, batch([]), "COUNT_MISMATCH");
});

t.test("lengths that lie are refused", async (t) => {
  const rig = rigOf();
  const lie = (change: (view: DataView, stored: Uint8Array) => void): Publish => {
    const stored = batchOf(["first value", "second value"]);
    change(new DataView(stored.buffer, stored.byteOffset, stored.length), stored);
    return { topicId: TOPIC, count: 2, stored };
  };
  const recordsAt = 20;
  for (const length of [0, 5, 1000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]) {
    refused(
      t,
      rig,
      lie((view) => view.setUint32(16, length)),
      "INVALID_BATCH",
    );
  }
  for (const length of [0, 3, 200, 255]) {
    refused(
      t,
      rig,
      lie((view) => view.setUint8(recordsAt + 1, length)),
      "INVALID_BATCH",
    );
  }
  refused(
    t,
    rig,
    lie((view) => view.setUint8(recordsAt, 0xc6)),
    "INVALID_BATCH",
  );
  refused(
    t,
    rig,
    lie((view) => view.setUint8(0, 0x17)),
    "INVALID_BATCH",
  );
  refused(
    t,
    rig,
    lie((view) => view.setUint8(1, 2)),
    "INVALID_BATCH",
  );
  refused(
    t,
    rig,
    lie((view) => view.setUint32(10, 7)),
    "INVALID_BATCH",
  );
});

t.test("payloads shorter than any batch are refused", async (t) => {
  const rig = rigOf();
  for (let length = 0; length < 30; length += 1) {
    const stored = new Uint8Array(length).fill(0x97);
    rig.gateway.publish({ topicId: TOPIC, count: 1, stored, checksum: null });
    rig.settle();
    t.match(rig.gateway.events.splice(0), [{ error: "INVALID_BATCH" }], `length=${length}`);
  }
  t.same(answersTo(rig, batch(["still alive"])), [["ack", 0]]);
});

t.test("a record above the limit is refused, one at the limit is not", async (t) => {
  const rig = rigOf();
  // A bare envelope takes four bytes, and the value's own header five.
  const atLimit = "x".repeat(LIMITS.recordBytesMax - 9);
  t.same(answersTo(rig, batch([atLimit])), [["ack", 0]]);
  const stored = batchOf([atLimit, "tail"]);
  // One byte longer at the cost of the next record.
  const view = new DataView(stored.buffer, stored.byteOffset);
  t.equal(view.getUint8(20), 0xc6);
  t.equal(view.getUint32(21), LIMITS.recordBytesMax);
  const tailBytes = stored.length - 5 - (25 + LIMITS.recordBytesMax);
  view.setUint32(21, LIMITS.recordBytesMax + tailBytes);
  view.setUint32(5, 1);
  refused(t, rig, { topicId: TOPIC, count: 1, stored, checksum: null }, "RECORD_TOO_LARGE");
});

t.test("unknown topics and partitions, and closed ones, are refused", async (t) => {
  const rig = rigOf();
  refused(t, rig, batch(["a"], { topicId: 99 }), "UNKNOWN_PARTITION");
  refused(t, rig, batch(["a"], { partition: 1 }), "UNKNOWN_PARTITION");
  refused(t, rig, batch(["a"], { topicId: 0xffff_ffff }), "UNKNOWN_PARTITION");
  t.same(answersTo(rig, batch(["a"])), [["ack", 0]]);
  rig.answer("close", [TOPIC]);
  refused(t, rig, batch(["a"]), "UNKNOWN_PARTITION");
});

t.test("a producer's sequence has no gaps: successors wait until the missing batch is resent", async (t) => {
  const rig = rigOf();
  const of = (baseSequence: number, ...values: string[]): Publish =>
    batch(values, { producerId: 8, baseSequence });
  t.same(answersTo(rig, of(0, "a", "b")), [["ack", 0]]);
  refused(t, rig, { ...of(2, "c"), checksum: 1 }, "CHECKSUM_MISMATCH");
  refused(t, rig, of(3, "d"), "OUT_OF_SEQUENCE");
  refused(t, rig, of(4, "e"), "OUT_OF_SEQUENCE");
  t.same(answersTo(rig, of(2, "c")), [["ack", 2]]);
  t.same(answersTo(rig, of(3, "d")), [["ack", 3]]);
  t.same(answersTo(rig, of(4, "e")), [["ack", 4]]);
});

t.test("a retry is acked with the offset it has, and stored once", async (t) => {
  const rig = rigOf();
  const first = batch(["a", "b"], { producerId: 8 });
  const second = batch(["c"], { producerId: 8, baseSequence: 2 });
  answersTo(rig, first);
  answersTo(rig, second);
  const before = rig.journal.stagedPosition;
  t.same(answersTo(rig, first), [["ack", 0]]);
  t.same(answersTo(rig, second), [["ack", 2]]);
  t.equal(rig.journal.stagedPosition, before);
  refused(t, rig, batch(["c", "d"], { producerId: 8, baseSequence: 2 }), "OUT_OF_SEQUENCE");
});

t.test("a retry of what is not synced yet is acked with it, not before", async (t) => {
  const rig = rigOf();
  const first = batch(["a"], { producerId: 8 });
  rig.gateway.publish(first);
  rig.cycle();
  rig.gateway.publish({ ...first, sessionId: 2 });
  rig.cycle();
  t.same(rig.gateway.events, []);
  rig.sync();
  rig.cycle();
  rig.cycle();
  t.same(
    rig.gateway.take("ack").map(({ sessionId, baseOffset }) => [sessionId, baseOffset]),
    [
      [1, 0],
      [2, 0],
    ],
  );
});

t.test("a retry whose offset is forgotten is still known to be stored", async (t) => {
  const rig = rigOf();
  for (let i = 0; i < 80; i += 1) {
    // Another producer's batches in between, so that no two make one run.
    answersTo(rig, batch(["x"], { producerId: 8, baseSequence: i }));
    answersTo(rig, batch(["y"], { producerId: 9, baseSequence: i }));
  }
  refused(t, rig, batch(["x"], { producerId: 8, baseSequence: 0 }), "DUPLICATE_SEQUENCE");
  t.same(answersTo(rig, batch(["x"], { producerId: 8, baseSequence: 79 - 63 })), [["ack", 2 * (79 - 63)]]);
});

t.test("a producer that nobody knows has to begin at the beginning", async (t) => {
  const rig = rigOf();
  refused(t, rig, batch(["a"], { producerId: 8, baseSequence: 1 }), "UNKNOWN_PRODUCER");
  t.same(answersTo(rig, batch(["a"], { producerId: 8, baseSequence: 0 })), [["ack", 0]]);
});

t.test("sequences are per partition", async (t) => {
  const rig = ShardRig.started([
    [TOPIC, 0, DURABILITY_FSYNCED],
    [TOPIC, 1, DURABILITY_FSYNCED],
  ]);
  t.same(answersTo(rig, batch(["a"], { producerId: 8 })), [["ack", 0]]);
  t.same(answersTo(rig, batch(["b"], { producerId: 8, partition: 1 })), [["ack", 0]]);
  t.same(answersTo(rig, batch(["c"], { producerId: 8, partition: 1, baseSequence: 1 })), [["ack", 1]]);
});

t.test("a higher epoch fences the lower one off, also after a restart", async (t) => {
  const rig = rigOf();
  answersTo(rig, batch(["a"], { producerId: 8 }));
  refused(t, rig, batch(["b"], { producerId: 8, producerEpoch: 1, baseSequence: 1 }), "OUT_OF_SEQUENCE");
  t.same(answersTo(rig, batch(["b"], { producerId: 8, producerEpoch: 1 })), [["ack", 1]]);
  refused(t, rig, batch(["c"], { producerId: 8, baseSequence: 1 }), "PRODUCER_FENCED");
  rig.crash("power");
  rig.open();
  rig.reconcile([[TOPIC, 0, DURABILITY_FSYNCED]]);
  refused(t, rig, batch(["c"], { producerId: 8, baseSequence: 1 }), "PRODUCER_FENCED");
  t.same(answersTo(rig, batch(["d"], { producerId: 8, producerEpoch: 1, baseSequence: 1 })), [["ack", 2]]);
});

t.test("producer 0 is nobody: its sequences are not looked at", async (t) => {
  const rig = rigOf();
  t.same(answersTo(rig, batch(["a"], { baseSequence: 17 })), [["ack", 0]]);
  t.same(answersTo(rig, batch(["a"], { baseSequence: 17 })), [["ack", 1]]);
});

t.test("refusals that find no room wait, in their order", async (t) => {
  const rig = ShardRig.started([[TOPIC, 0, DURABILITY_FSYNCED]], {
    inboundBytes: 1 << 16,
    outboundBytes: 1024,
  });
  const total = 200;
  for (let i = 0; i < total; i += 1) rig.gateway.publish(batch(["x"], { baseSequence: i, topicId: 99 }));
  for (let i = 0; i < 10; i += 1) rig.shard.doWork();
  const heard: number[] = [];
  for (let rounds = 0; heard.length < total && rounds < 1000; rounds += 1) {
    rig.cycle();
    for (const { firstSequence } of rig.gateway.take("publish-error")) heard.push(firstSequence);
  }
  t.same(
    heard,
    Array.from({ length: total }, (_, i) => i),
  );
});
