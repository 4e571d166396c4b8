import t from "tap";
import { DURABILITY_FSYNCED, DURABILITY_MEMORY, DURABILITY_WRITTEN } from "../../src/topic.ts";
import { batchOf, valuesOf } from "../harness/batches.ts";
import { sharedStreamIdOf } from "../harness/recording-gateway.ts";
import { ShardRig, type ShardRigOptions } from "../harness/shard-rig.ts";

const TOPIC = 5;
const STREAM = 40;

function rigOf(options?: ShardRigOptions): ShardRig {
  return ShardRig.started([[TOPIC, 0, DURABILITY_FSYNCED]], options);
}

function publish(rig: ShardRig, ...values: string[]): void {
  if (!rig.gateway.publish({ topicId: TOPIC, count: values.length, stored: batchOf(values) })) {
    throw new Error("the inbound ring is full");
  }
}

/** Publishes `records` records one by one, long enough that a small ring keeps the last few only. */
function fill(rig: ShardRig, records: number): void {
  for (let i = 0; i < records; i += 1) {
    publish(rig, `${i}`.padEnd(100, "."));
    rig.settle();
  }
  rig.gateway.take("ack");
}

/** The values that one read brings, and what else it is told. */
function read(rig: ShardRig, offset: number, maxBytes?: number): { values: string[]; told: unknown[] } {
  rig.gateway.read(STREAM, TOPIC, offset, maxBytes);
  rig.settle();
  const values = rig.gateway
    .take("deliver")
    .flatMap(({ entries }) => entries.flatMap(({ stored }) => valuesOf(stored)));
  return { values, told: rig.gateway.events.splice(0) };
}

t.test("a read brings consecutive batches in one frame", async (t) => {
  const rig = rigOf();
  publish(rig, "a", "b");
  publish(rig, "c");
  publish(rig, "d");
  rig.settle();
  rig.gateway.take("ack");
  rig.gateway.read(STREAM, TOPIC, 0);
  rig.settle();
  const deliveries = rig.gateway.take("deliver");
  t.match(deliveries, [{ streamId: STREAM, shared: false, firstOffset: 0, nextOffset: 4 }]);
  t.same(
    deliveries[0]?.entries.map(({ baseOffset, count, stored }) => [baseOffset, count, valuesOf(stored)]),
    [
      [0, 2, ["a", "b"]],
      [2, 1, ["c"]],
      [3, 1, ["d"]],
    ],
  );
});

t.test("a read from inside a batch brings the batch whole", async (t) => {
  const rig = rigOf();
  publish(rig, "a", "b", "c");
  rig.settle();
  rig.gateway.take("ack");
  rig.gateway.read(STREAM, TOPIC, 2);
  rig.settle();
  t.match(rig.gateway.take("deliver"), [{ firstOffset: 0, nextOffset: 3 }]);
});

t.test(
  "a read takes as many batches as it allows bytes for, and asks for more where one is too large",
  async (t) => {
    const rig = rigOf();
    for (const value of ["a", "b", "c", "x".repeat(300)]) publish(rig, value);
    rig.settle();
    rig.gateway.take("ack");
    rig.gateway.read(STREAM, TOPIC, 0, 4096);
    rig.settle();
    const whole = rig.gateway.take("deliver")[0];
    const bytesOf = (entries: number): number =>
      21 + (whole?.entries ?? []).slice(0, entries).reduce((sum, { stored }) => sum + 24 + stored.length, 0);
    t.equal(whole?.frameBytes, bytesOf(4));
    t.same(read(rig, 0, bytesOf(2)).values, ["a", "b"]);
    t.same(read(rig, 0, bytesOf(3) - 1).values, ["a", "b"]);
    t.same(read(rig, 0, bytesOf(3)).values, ["a", "b", "c"]);
    const large = 21 + 24 + (whole?.entries[3]?.stored.length ?? 0);
    t.same(read(rig, 3, large - 1), {
      values: [],
      told: [{ kind: "needs-credit", streamId: STREAM, bytes: large }],
    });
    t.same(read(rig, 3, large).values, ["x".repeat(300)]);
    for (const maxBytes of [0, 20, 21, 22]) {
      t.match(read(rig, 0, maxBytes), { values: [], told: [{ kind: "needs-credit", bytes: bytesOf(1) }] });
    }
  },
);

t.test("a read may allow more bytes than any frame has", async (t) => {
  const rig = rigOf({ outboundBytes: 4096 });
  fill(rig, 20);
  t.ok(read(rig, 15, 2 ** 31 - 1).values.length > 0);
});

t.test("a read at the end joins the tail; what comes then is delivered once, to the group", async (t) => {
  const rig = rigOf();
  publish(rig, "a");
  rig.settle();
  rig.gateway.take("ack");
  const shared = sharedStreamIdOf(TOPIC, 0);
  t.same(read(rig, 1).told, [{ kind: "joined", streamId: STREAM, sharedStreamId: shared, offset: 1 }]);
  rig.gateway.read(STREAM + 1, TOPIC, 1);
  rig.settle();
  t.match(rig.gateway.take("joined"), [{ streamId: STREAM + 1, offset: 1 }]);
  publish(rig, "b");
  publish(rig, "c", "d");
  rig.settle();
  rig.gateway.take("ack");
  t.match(rig.gateway.take("deliver"), [
    { streamId: shared, shared: true, firstOffset: 1, nextOffset: 4, entries: [{}, {}] },
  ]);
  rig.gateway.untail(TOPIC);
  publish(rig, "e");
  rig.settle();
  t.same(rig.gateway.take("deliver"), [], "nobody is at the tail any more");
  t.match(read(rig, 4).values, ["e"]);
});

t.test("a read beyond the end is refused with the bounds", async (t) => {
  const rig = rigOf();
  publish(rig, "a", "b");
  rig.settle();
  rig.gateway.take("ack");
  t.same(read(rig, 3).told, [
    {
      kind: "read-error",
      streamId: STREAM,
      error: "OFFSET_OUT_OF_RANGE",
      logStartOffset: 0,
      highWatermark: 2,
      logEpoch: 0,
    },
  ]);
});

t.test("reads of partitions that are not there are refused", async (t) => {
  const rig = rigOf();
  rig.gateway.read(STREAM, 99, 0);
  rig.gateway.read(STREAM, TOPIC, 0, 4096, 1);
  rig.settle();
  t.match(rig.gateway.take("read-error"), [{ error: "UNKNOWN_PARTITION" }, { error: "UNKNOWN_PARTITION" }]);
});

t.test("an fsynced record is shown to nobody before its sync", async (t) => {
  const rig = rigOf();
  read(rig, 0);
  publish(rig, "a");
  rig.cycle();
  rig.gateway.read(STREAM, TOPIC, 1);
  rig.cycle();
  t.match(rig.gateway.events.splice(0), [{ kind: "read-error", highWatermark: 0 }]);
  rig.sync();
  rig.cycle();
  t.match(rig.gateway.take("deliver"), [{ shared: true, nextOffset: 1 }]);
});

t.test("a weakly durable record is shown with its ack, without a sync", async (t) => {
  for (const durability of [DURABILITY_MEMORY, DURABILITY_WRITTEN]) {
    const rig = ShardRig.started([[TOPIC, 0, durability]]);
    publish(rig, "reserves offsets");
    rig.settle();
    rig.gateway.take("ack");
    read(rig, 1);
    publish(rig, "a");
    rig.cycle();
    t.same(
      rig.gateway.events.map(({ kind }) => kind),
      ["ack", "deliver"],
    );
  }
});

t.test("offsets that are not reserved durably are shown to nobody", async (t) => {
  const rig = ShardRig.started([[TOPIC, 0, DURABILITY_MEMORY]]);
  read(rig, 0);
  publish(rig, "a");
  rig.cycle();
  t.same(rig.gateway.events, []);
  rig.settle();
  t.same(
    rig.gateway.events.map(({ kind }) => kind),
    ["ack", "deliver"],
  );
});

t.test("records that have left the ring come from the journal, and nobody sees the seam", async (t) => {
  const rig = rigOf({ inboundBytes: 4096, segmentSizeBytes: 8192 });
  const records = 300;
  fill(rig, records);
  const values: string[] = [];
  let cold = 0;
  while (values.length < records) {
    rig.gateway.read(STREAM, TOPIC, values.length, 1000);
    rig.cycle();
    rig.cycle();
    if (rig.gateway.events.length === 0) cold += 1;
    rig.settle();
    const deliveries = rig.gateway.take("deliver");
    t.equal(deliveries.length, 1);
    t.equal(deliveries[0]?.firstOffset, values.length);
    for (const { stored } of deliveries[0]?.entries ?? []) values.push(...valuesOf(stored));
  }
  t.same(
    values,
    Array.from({ length: records }, (_, i) => `${i}`.padEnd(100, ".")),
  );
  t.ok(cold > 10);
  t.match(read(rig, records).told, [{ kind: "joined" }]);
});

t.test("a cold read needs credit like any other", async (t) => {
  const rig = rigOf({ inboundBytes: 4096 });
  fill(rig, 100);
  const told = read(rig, 0, 100).told as { kind: string; bytes: number }[];
  t.match(told, [{ kind: "needs-credit" }]);
  t.equal(read(rig, 0, told[0]?.bytes).values.length, 1);
  t.equal(read(rig, 0, (told[0]?.bytes ?? 0) - 1).values.length, 0);
});

t.test("cold reads wait for room at the reader and are all answered, in their order", async (t) => {
  const rig = rigOf({ inboundBytes: 8192, readerRingBytes: 2048 });
  fill(rig, 200);
  const reads = 50;
  for (let i = 0; i < reads; i += 1) {
    rig.gateway.read(100 + i, TOPIC, i, 250);
    rig.cycle();
  }
  t.same(rig.gateway.events, []);
  const waitMs = rig.shard.nextTimerMs();
  t.ok(waitMs <= 20, `nobody rings when the reader has room again: ${waitMs}`);
  rig.settle();
  t.same(
    rig.gateway.take("deliver").map(({ streamId, firstOffset }) => [streamId, firstOffset]),
    Array.from({ length: reads }, (_, i) => [100 + i, i]),
  );
  t.ok(rig.shard.nextTimerMs() > 3_000_000, "nothing but the end of the segment");
});

t.test("a full outbound ring delays, and loses and repeats nothing", async (t) => {
  const rig = rigOf({ inboundBytes: 32_768, outboundBytes: 2048 });
  read(rig, 0);
  for (let i = 0; i < 100; i += 1) publish(rig, `${i}`.padEnd(60, "."));
  // The gateway hears nothing for a while.
  for (let i = 0; i < 20; i += 1) {
    rig.shard.doWork();
    rig.sync();
  }
  rig.settle();
  const deliveries = rig.gateway.take("deliver");
  let next = 0;
  for (const { firstOffset, nextOffset } of deliveries) {
    t.equal(firstOffset, next);
    next = nextOffset;
  }
  t.equal(next, 100);
});

t.test("readers that fill the outbound ring stop neither acks nor refusals nor the tail", async (t) => {
  for (const durability of [DURABILITY_FSYNCED, DURABILITY_WRITTEN, DURABILITY_MEMORY]) {
    const rig = ShardRig.started([[TOPIC, 0, durability]], { inboundBytes: 32_768, outboundBytes: 2048 });
    fill(rig, 40);
    read(rig, 40);
    for (let i = 0; i < 30; i += 1) rig.gateway.read(100 + i, TOPIC, i, 250);
    publish(rig, "news".padEnd(100, "."));
    rig.gateway.publish({ topicId: 99, count: 1, stored: batchOf(["refused"]) });
    const missing = new Set(["ack", "publish-error", "deliver"]);
    for (let cycles = 0; missing.size > 0; cycles += 1) {
      if (cycles > 200) throw new Error(`readers starve ${[...missing]}`);
      rig.shard.doWork();
      rig.sync();
      rig.gateway.hear(1);
      for (const event of rig.gateway.events.splice(0)) {
        if (event.kind !== "deliver" || event.shared) missing.delete(event.kind);
        // Whoever got something reads again at once.
        else rig.gateway.read(event.streamId, TOPIC, event.firstOffset, 250);
      }
    }
  }
  t.pass("all of them came");
});

t.test("a partition that is closed with publishes in flight delivers nothing, and acks them", async (t) => {
  for (const durability of [DURABILITY_FSYNCED, DURABILITY_MEMORY]) {
    const rig = ShardRig.started([[TOPIC, 0, durability]]);
    publish(rig, "a");
    rig.settle();
    read(rig, 1);
    rig.gateway.take("ack");
    publish(rig, "b");
    publish(rig, "c");
    rig.gateway.ask("close", [TOPIC]);
    rig.settle();
    t.same(rig.gateway.take("deliver"), []);
    t.match(rig.gateway.take("ack"), [{ baseOffset: 1 }, { baseOffset: 2 }]);
    t.match(read(rig, 1).told, [{ kind: "reply" }, { kind: "read-error", error: "UNKNOWN_PARTITION" }]);
  }
});

t.test("a time is found in what is cached and in what is not", async (t) => {
  const rig = rigOf({ inboundBytes: 4096, segmentSizeBytes: 8192 });
  const start = rig.clock.wallMs();
  for (let i = 0; i < 200; i += 1) {
    publish(rig, `${i}`.padEnd(100, "."));
    rig.settle();
    rig.clock.advance(10);
  }
  const find = (timeMs: number): number => rig.answer("time", [TOPIC, 0, timeMs]);
  t.equal(find(0), 0);
  t.equal(find(start), 0);
  for (const i of [1, 2, 7, 50, 51, 120, 198, 199]) {
    t.equal(find(start + i * 10), i, `at ${i}`);
    t.equal(find(start + i * 10 - 5), i, `between ${i - 1} and ${i}`);
  }
  t.equal(find(start + 199 * 10 + 1), 200, "later than all");
  t.equal(find(start + 1e9), 200);
});
