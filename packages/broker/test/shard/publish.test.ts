import { LIMITS } from "@millrace/protocol";
import t from "tap";
import { DURABILITY_FSYNCED, DURABILITY_MEMORY, DURABILITY_WRITTEN } from "../../src/topic.ts";
import { batchOf, valuesOf } from "../harness/batches.ts";
import { ShardRig } from "../harness/shard-rig.ts";

const FSYNCED = 5;
const WRITTEN = 6;
const MEMORY = 7;

function rigOf(): ShardRig {
  return ShardRig.started([
    [FSYNCED, 0, DURABILITY_FSYNCED],
    [FSYNCED, 1, DURABILITY_FSYNCED],
    [WRITTEN, 0, DURABILITY_WRITTEN],
    [MEMORY, 0, DURABILITY_MEMORY],
  ]);
}

/** The weaker topics reserve offsets with their first publish, which needs a sync once. */
function reserved(rig: ShardRig, topicId: number): void {
  rig.gateway.publish({ topicId, count: 1, stored: batchOf(["first"]) });
  rig.settle();
  rig.gateway.take("ack");
}

t.test("a record is acked with its offset once it is synced, and not before", async (t) => {
  const rig = rigOf();
  rig.gateway.publish({ topicId: FSYNCED, sessionId: 9, count: 1, stored: batchOf(["a"]) });
  rig.cycle();
  rig.cycle();
  t.same(rig.gateway.events, [], "written, but not synced");
  rig.sync();
  rig.cycle();
  t.same(rig.gateway.take("ack"), [
    {
      kind: "ack",
      sessionId: 9,
      topicId: FSYNCED,
      partition: 0,
      producerId: 0,
      firstSequence: 0,
      count: 1,
      baseOffset: 0,
      logEpoch: 0,
      durability: DURABILITY_FSYNCED,
    },
  ]);
});

t.test("what is synced while nothing was submitted does not ack what came later", async (t) => {
  const rig = rigOf();
  rig.gateway.publish({ topicId: FSYNCED, count: 1, stored: batchOf(["a"]) });
  rig.cycle();
  rig.gateway.publish({ topicId: FSYNCED, count: 1, baseSequence: 1, stored: batchOf(["b"]) });
  rig.sync();
  rig.cycle();
  t.same(
    rig.gateway.take("ack").map(({ baseOffset, count }) => [baseOffset, count]),
    [[0, 1]],
  );
  rig.settle();
  t.same(
    rig.gateway.take("ack").map(({ baseOffset, count }) => [baseOffset, count]),
    [[1, 1]],
  );
});

t.test("written topics are acked after the write, without a sync", async (t) => {
  const rig = rigOf();
  reserved(rig, WRITTEN);
  rig.gateway.publish({ topicId: WRITTEN, count: 2, stored: batchOf(["a", "b"]) });
  rig.cycle();
  t.equal(rig.journal.writtenPosition, rig.journal.stagedPosition);
  t.ok(rig.journal.committedPosition() < rig.journal.stagedPosition, "nothing was synced");
  t.match(rig.gateway.take("ack"), [{ count: 2, baseOffset: 1, durability: DURABILITY_WRITTEN }]);
});

t.test("memory topics are acked in the cycle that takes them, without a sync", async (t) => {
  const rig = rigOf();
  reserved(rig, MEMORY);
  rig.gateway.publish({ topicId: MEMORY, count: 2, stored: batchOf(["a", "b"]) });
  rig.cycle();
  t.ok(rig.journal.committedPosition() < rig.journal.stagedPosition, "nothing was synced");
  t.match(rig.gateway.take("ack"), [{ count: 2, baseOffset: 1, durability: DURABILITY_MEMORY }]);
});

t.test("weakly durable records are synced soon all the same", async (t) => {
  const rig = rigOf();
  reserved(rig, WRITTEN);
  rig.gateway.publish({ topicId: WRITTEN, count: 1, stored: batchOf(["a"]) });
  rig.cycle();
  t.notOk(rig.sync(), "nobody waits for it");
  const waitMs = rig.shard.nextTimerMs();
  t.ok(waitMs > 0 && waitMs <= 1000, `${waitMs}`);
  rig.clock.advance(waitMs);
  rig.cycle();
  t.ok(rig.sync());
  t.equal(rig.journal.committedPosition(), rig.journal.stagedPosition);
  rig.cycle();
  t.ok(rig.shard.nextTimerMs() > 3_000_000, "then there is nothing to wait for");
});

t.test("one cycle acks a session's consecutive batches as one run, and others on their own", async (t) => {
  const rig = rigOf();
  const publish = (sessionId: number, partition: number, producerId: number, baseSequence: number): void => {
    const stored = batchOf(["x", "y"]);
    rig.gateway.publish({
      topicId: FSYNCED,
      sessionId,
      partition,
      producerId,
      baseSequence,
      count: 2,
      stored,
    });
  };
  publish(1, 0, 77, 0);
  publish(1, 0, 77, 2);
  publish(1, 0, 77, 4);
  publish(2, 0, 78, 0);
  publish(1, 1, 77, 0);
  publish(1, 0, 77, 6);
  rig.settle();
  t.same(
    rig.gateway
      .take("ack")
      .map((ack) => [ack.sessionId, ack.partition, ack.firstSequence, ack.count, ack.baseOffset]),
    [
      [1, 0, 0, 6, 0],
      [2, 0, 0, 2, 6],
      [1, 1, 0, 2, 0],
      [1, 0, 6, 2, 8],
    ],
  );
});

t.test("acks of one partition come in the order of its offsets, whatever makes them wait", async (t) => {
  const rig = rigOf();
  // The first batch waits for the reservation; the second is of a weaker kind, but may not overtake it.
  rig.gateway.publish({ topicId: MEMORY, count: 1, stored: batchOf(["a"]) });
  rig.cycle();
  rig.gateway.publish({ topicId: MEMORY, count: 1, baseSequence: 1, stored: batchOf(["b"]) });
  rig.cycle();
  t.same(rig.gateway.events, [], "offsets are not reserved yet");
  rig.settle();
  t.same(
    rig.gateway.take("ack").map(({ baseOffset }) => baseOffset),
    [0, 1],
  );
});

t.test("topics of different durability do not wait for each other", async (t) => {
  const rig = rigOf();
  reserved(rig, MEMORY);
  rig.gateway.publish({ topicId: FSYNCED, count: 1, stored: batchOf(["a"]) });
  rig.gateway.publish({ topicId: MEMORY, count: 1, stored: batchOf(["b"]) });
  rig.cycle();
  t.match(rig.gateway.take("ack"), [{ topicId: MEMORY }]);
  rig.sync();
  rig.cycle();
  t.match(rig.gateway.take("ack"), [{ topicId: FSYNCED }]);
});

t.test("what the client sent is what a reader gets, byte for byte", async (t) => {
  const rig = rigOf();
  const stored = batchOf(["a", "", "ü".repeat(500)]);
  rig.gateway.publish({ topicId: FSYNCED, count: 3, stored });
  rig.settle();
  rig.gateway.read(4, FSYNCED, 0);
  rig.settle();
  const [delivery] = rig.gateway.take("deliver");
  t.same(delivery?.entries[0]?.stored, stored);
});

t.test("a batch without checksum gets one", async (t) => {
  const rig = rigOf();
  const stored = batchOf(["a", "b"]);
  const bare = stored.slice();
  bare.fill(0, bare.length - 5);
  rig.gateway.publish({ topicId: FSYNCED, count: 2, stored: bare, checksum: null });
  rig.settle();
  rig.gateway.read(4, FSYNCED, 0);
  rig.settle();
  t.same(rig.gateway.take("deliver")[0]?.entries[0]?.stored, stored);
  rig.crash("power");
  rig.open();
  rig.reconcile([[FSYNCED, 0, DURABILITY_FSYNCED]]);
  rig.gateway.read(4, FSYNCED, 0);
  rig.settle();
  t.same(rig.gateway.take("deliver")[0]?.entries[0]?.stored, stored, "also on the disk");
});

t.test("append times never go back within a partition", async (t) => {
  const rig = rigOf();
  const times: number[] = [];
  for (const step of [0, 50, -40_000, 10]) {
    if (step < 0) rig.clock.setWallBack(-step);
    else rig.clock.advance(step);
    rig.gateway.publish({ topicId: FSYNCED, count: 1, stored: batchOf(["x"]) });
    rig.settle();
  }
  rig.gateway.read(4, FSYNCED, 0);
  rig.settle();
  for (const entry of rig.gateway.take("deliver")[0]?.entries ?? []) times.push(entry.appendTimeMs);
  t.same(times, [1_700_000_000_000, 1_700_000_000_050, 1_700_000_000_050, 1_700_000_000_050]);
});

t.test("many producers of one partition keep their own order, and offsets have no holes", async (t) => {
  const rig = rigOf();
  const producers = 20;
  const rounds = 30;
  for (let round = 0; round < rounds; round += 1) {
    for (let producer = 1; producer <= producers; producer += 1) {
      const values = [`${producer}:${round}`];
      const publish = { topicId: FSYNCED, sessionId: producer, producerId: producer, baseSequence: round };
      t.ok(rig.gateway.publish({ ...publish, count: 1, stored: batchOf(values) }));
    }
    rig.cycle();
    if (round % 3 === 0) rig.sync();
  }
  rig.settle();
  const acked = rig.gateway.take("ack").flatMap((ack) =>
    Array.from({ length: ack.count }, (_, i) => ({
      offset: ack.baseOffset + i,
      value: `${ack.producerId}:${ack.firstSequence + i}`,
    })),
  );
  t.same(
    acked.map(({ offset }) => offset),
    Array.from({ length: producers * rounds }, (_, i) => i),
  );
  const read: string[] = [];
  while (read.length < producers * rounds) {
    rig.gateway.read(4, FSYNCED, read.length);
    rig.settle();
    for (const delivery of rig.gateway.take("deliver")) {
      t.equal(delivery.firstOffset, read.length);
      for (const entry of delivery.entries) read.push(...valuesOf(entry.stored));
    }
  }
  t.same(
    read,
    acked.map(({ value }) => value),
  );
});

t.test("the largest batch that a frame can hold passes, and comes back", async (t) => {
  const rig = ShardRig.started([[FSYNCED, 0, DURABILITY_FSYNCED]], {
    inboundBytes: 1 << 24,
    outboundBytes: 1 << 24,
    segmentSizeBytes: 1 << 23,
  });
  const half = "x".repeat(LIMITS.recordBytesMax - 16);
  const stored = batchOf([half, "y".repeat(LIMITS.batchBytesMax - half.length - 80)]);
  t.ok(stored.length > LIMITS.batchBytesMax - 80);
  t.ok(rig.gateway.publish({ topicId: FSYNCED, count: 2, stored }));
  rig.settle();
  t.match(rig.gateway.take("ack"), [{ count: 2 }]);
  rig.gateway.read(4, FSYNCED, 0, 2 ** 31 - 1);
  rig.settle();
  const [delivery] = rig.gateway.take("deliver");
  t.ok(Buffer.from(stored).equals(delivery?.entries[0]?.stored ?? new Uint8Array(0)));
});

t.test("a full inbound ring is back-pressure: nothing is lost", async (t) => {
  const rig = ShardRig.started([[FSYNCED, 0, DURABILITY_FSYNCED]], {
    inboundBytes: 4096,
    outboundBytes: 4096,
  });
  const stored = batchOf(["x".repeat(100)]);
  let sent = 0;
  let refused = 0;
  let acked = 0;
  while (acked < 500) {
    if (sent < 500 && rig.gateway.publish({ topicId: FSYNCED, count: 1, stored })) sent += 1;
    else {
      refused += 1;
      rig.settle();
    }
    for (const ack of rig.gateway.take("ack")) {
      t.equal(ack.baseOffset, acked);
      acked += ack.count;
    }
  }
  t.ok(refused > 10);
});
