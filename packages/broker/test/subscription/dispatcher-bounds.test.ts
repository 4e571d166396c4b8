import { SETTLE_ACTION } from "@millrace/protocol/internal";
import t from "tap";
import { LETTERS, QueueRig, SUBSCRIPTION, TOPIC } from "../harness/queue-rig.ts";

const { ACK, NACK } = SETTLE_ACTION;

t.test("consumers that go together fail their records over many cycles", async (t) => {
  const q = new QueueRig();
  for (let batch = 0; batch < 30; batch += 1) q.publish(Array.from({ length: 1_000 }, () => "x"));
  const consumers = [1, 2, 3, 4, 5];
  for (const consumer of consumers) q.lend(consumer, 6_000);
  q.leases();
  const queue = q.queues[0];
  t.equal(queue?.state.counts(0, 30_000).leased, 30_000);
  for (const consumer of consumers) q.rig.gateway.detach(consumer);
  q.rig.shard.doWork();
  const leased = queue?.state.counts(0, 30_000).leased ?? 0;
  t.ok(leased >= 30_000 - 8_192 - 32, `${leased} are left to end`);
  q.rig.settle();
  t.equal(queue?.state.counts(0, 30_000).leased, 0);
});

t.test("records that wait for one key are looked at over many cycles", async (t) => {
  const q = new QueueRig({ keyed: true }, 1, { inboundBytes: 4_194_304 });
  for (let batch = 0; batch < 50; batch += 1)
    q.publish(Array.from({ length: 1_000 }, () => ({ key: "k", value: "x" })));
  q.publish([{ key: "other", value: "y" }]);
  q.rig.gateway.lend(1, SUBSCRIPTION, 2);
  q.rig.shard.doWork();
  const cursor = q.queues[0]?.state.cursor ?? 0;
  t.ok(cursor > 0 && cursor < 40_000, `${cursor} looked at`);
  t.same(
    q.leases().map(({ values }) => values.join()),
    ["x", "y"],
  );
});

t.test("a record that retention took does not hold back what is a span behind it", async (t) => {
  const q = new QueueRig({}, 1, {}, 4);
  q.publish(["a", "b", "c", "d", "e"]);
  q.lend(1, 1);
  const lease = q.lease();
  q.rig.gateway.settle(lease, NACK, { argument: 3_600_000 });
  q.lend(2, 10);
  q.rig.gateway.settle(q.lease(), ACK);
  t.same(q.leases(), [], "b to d are finished, a waits for an hour, and e is beyond the span");
  q.rig.gateway.take("available");
  q.rig.answer("truncate", [TOPIC, [[0, 1]]]);
  q.rig.settle();
  t.equal(q.rig.gateway.take("available").length, 1);
  q.lend(3, 1);
  t.match(q.lease(), { offset: 4, values: ["e"] });
});

t.test("leases that cannot end while the disk is full keep nobody awake", async (t) => {
  const q = new QueueRig({ leaseMs: 1_000 });
  const { rig } = q;
  q.publish(["a"]);
  q.lend(1, 1);
  q.lease();
  rig.storage.capacityBytes = 20_000;
  while (!rig.journal.isFull) q.publish(["x".repeat(500)], 0, LETTERS);
  q.advance(2_000);
  t.ok(rig.shard.nextTimerMs() > 100, `${rig.shard.nextTimerMs()} ms`);
  q.lend(2, 1);
  t.same(q.leases(), []);
  rig.storage.capacityBytes = Number.POSITIVE_INFINITY;
  q.advance(rig.shard.nextTimerMs());
  q.lend(2, 1);
  t.match(q.lease(), { values: ["a"], deliveries: 2 });
});

t.test("credit of a consumer whose subscription was opened anew is used", async (t) => {
  const q = new QueueRig();
  q.lend(1, 1);
  q.rig.shard.dispatcher.close(SUBSCRIPTION);
  q.rig.settle();
  q.rig.shard.dispatcher.open(q.settings, q.queues);
  q.publish(["a"]);
  q.lend(1, 1);
  t.match(q.lease(), { values: ["a"] });
});

t.test("records larger than a frame are leased while there is credit for them", async (t) => {
  const q = new QueueRig({}, 1, { inboundBytes: 4_194_304, outboundBytes: 4_194_304 });
  const large = "x".repeat(300_000);
  q.publish([large]);
  q.publish([large]);
  q.publish([large]);
  q.lend(1, 10, 700_000);
  t.same(
    q.leases().map(({ offset }) => offset),
    [0, 1],
  );
});

t.test("others hear of a record for which a consumer has too few bytes", async (t) => {
  const q = new QueueRig();
  const large = "x".repeat(1_000);
  q.publish([large, large]);
  q.rig.gateway.take("available");
  q.lend(1, 10, 1_500);
  q.lease();
  t.equal(q.rig.gateway.take("available").length, 1);
  q.lend(2, 1);
  t.match(q.lease(), { consumerId: 2, offset: 1 });
});
