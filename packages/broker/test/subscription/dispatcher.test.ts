import { SETTLE_ACTION } from "@millrace/protocol/internal";
import t from "tap";
import { LETTERS, QueueRig, SUBSCRIPTION, TOPIC } from "../harness/queue-rig.ts";

const { ACK, NACK, RELEASE, DEAD_LETTER, EXTEND } = SETTLE_ACTION;

t.test("records are leased for credit, and done with once an ack is durable", async (t) => {
  const q = new QueueRig();
  q.publish(["a", "b", "c"]);
  const { gateway } = q.rig;
  t.same(gateway.take("available"), [{ kind: "available", subscriptionId: SUBSCRIPTION }]);
  q.lend(1, 2);
  const lease = q.lease();
  t.match(lease, { consumerId: 1, topicId: TOPIC, offset: 0, deliveries: 1, values: ["a", "b"] });
  t.notOk(lease.hasChecksum, "a part of the batch");
  q.lend(2, 5);
  const whole = q.lease();
  t.match(whole, { consumerId: 2, offset: 2, values: ["c"] });
  t.match(gateway.take("empty"), [{ consumerId: 2, messages: 4 }], "what is not used comes back");

  const ack = gateway.settle(lease, ACK);
  q.rig.cycle();
  t.same(gateway.take("settled"), [], "not durable yet");
  t.same(q.settled(), [[ack, undefined, 2]]);
  t.equal(q.queues[0]?.state.floor, 2);
  const again = gateway.settle(lease, ACK);
  t.same(q.settled(), [[again, "LEASE_EXPIRED", 2]], "the lease has ended");
});

t.test("a whole stored batch goes out as it is", async (t) => {
  const q = new QueueRig();
  q.publish(["a", "b"]);
  q.publish(["c"]);
  q.lend(1, 10);
  const [first, second] = q.leases();
  t.match(first, { offset: 0, values: ["a", "b"], hasChecksum: true });
  t.match(second, { offset: 2, values: ["c"], hasChecksum: true });
  t.not(first?.leaseCounter, second?.leaseCounter);
});

t.test("available is said once, and again after credit came back", async (t) => {
  const q = new QueueRig();
  const { gateway } = q.rig;
  t.same(gateway.take("available"), [], "there is nothing");
  q.publish(["a"]);
  q.publish(["b"]);
  t.equal(gateway.take("available").length, 1);
  q.lend(1, 1);
  t.equal(q.leases().length, 1);
  t.same(gateway.take("empty"), [], "nothing is left of it");
  t.same(gateway.take("available"), [], "whoever lends knows that there is more");
  q.lend(1, 5);
  t.equal(q.leases().length, 1);
  t.match(gateway.take("empty"), [{ consumerId: 1, messages: 4 }]);
  q.publish(["c"]);
  t.equal(gateway.take("available").length, 1);
  q.publish(["d"]);
  t.equal(gateway.take("available").length, 0);
});

t.test("a recall is answered, whatever there is", async (t) => {
  const q = new QueueRig();
  const { gateway } = q.rig;
  gateway.recall(3);
  q.rig.settle();
  t.match(gateway.take("empty"), [{ consumerId: 3, messages: 0, bytes: 0 }]);
  q.publish(["a"]);
  gateway.take("available");
  q.lend(3, 1, 5000);
  const used = gateway.take("leased")[0]?.frameBytes ?? 0;
  gateway.recall(3);
  q.rig.settle();
  t.match(gateway.take("empty"), [{ consumerId: 3, messages: 0, bytes: 5000 - used }]);
});

t.test("credit in bytes bounds what is leased, but not below one record", async (t) => {
  const q = new QueueRig();
  const large = "x".repeat(1000);
  q.publish([large, large, large]);
  q.lend(1, 10, 2300);
  const held = q.lease();
  t.equal(held.values.length, 2);
  q.lend(1, 10, 1);
  t.same(q.leases(), [], "not while it has others to settle");
  q.rig.gateway.settle(held, ACK);
  t.same(
    q.leases().map(({ values }) => values.length),
    [1],
    "but then, without any more credit",
  );
  const q2 = new QueueRig();
  q2.publish([large, large]);
  q2.lend(1, 10, 1);
  t.same(
    q2.leases().map(({ values }) => values.length),
    [1],
  );
  q2.rig.gateway.recall(1);
  q2.rig.settle();
  const [empty] = q2.rig.gateway.take("empty");
  t.equal(empty?.messages, 9);
  t.ok((empty?.bytes ?? 0) < -1000, "more than was lent");
});

t.test("consumers and partitions take turns", async (t) => {
  const q = new QueueRig({}, 3);
  for (const partition of [0, 1, 2]) q.publish(["a", "b", "c", "d"], partition);
  q.rig.gateway.lend(1, SUBSCRIPTION, 10);
  q.rig.gateway.lend(2, SUBSCRIPTION, 10);
  const leases = q.leases();
  for (const consumer of [1, 2]) {
    const own = leases.filter(({ consumerId }) => consumerId === consumer);
    const messages = own.reduce((sum, { values }) => sum + values.length, 0);
    t.equal(messages, 6, `consumer ${consumer} gets its half`);
  }
  const q2 = new QueueRig({}, 3);
  for (const partition of [0, 1, 2]) q2.publish(["a", "b"], partition);
  const seen: number[] = [];
  for (let turn = 0; turn < 6; turn += 1) {
    q2.lend(1, 1);
    const lease = q2.lease();
    seen.push(lease.partition);
    q2.rig.gateway.settle(lease, ACK);
  }
  t.same(seen.slice(0, 3).sort(), [0, 1, 2], "no partition waits for another one's backlog");
});

t.test("a nack brings a record back after its delay, with its count", async (t) => {
  const q = new QueueRig();
  q.publish(["a", "b"]);
  q.lend(1, 2);
  const nack = q.rig.gateway.settle(q.lease(), NACK, { records: [0, 1] });
  t.same(q.settled(), [[nack, undefined, 1]]);
  q.lend(2, 5);
  t.same(q.leases(), []);
  q.rig.gateway.take("available");
  q.advance(999);
  t.same(q.leases(), []);
  q.advance(1);
  t.equal(q.rig.gateway.take("available").length, 1);
  q.lend(2, 5);
  const second = q.lease();
  t.match(second, { offset: 0, deliveries: 2, values: ["a"], consumerId: 2 });
  q.rig.gateway.settle(second, NACK);
  q.rig.settle();
  q.advance(1999);
  q.lend(2, 5);
  t.same(q.leases(), [], "the second pause is twice as long");
  q.advance(1);
  q.lend(2, 5);
  const third = q.lease();
  t.equal(third.deliveries, 3);
  q.rig.gateway.settle(third, NACK, { argument: 0 });
  q.lend(2, 5);
  t.equal(q.lease().deliveries, 4, "at once if its consumer says so");
  t.equal(q.queues[0]?.redelivered, 3);
});

t.test("a released record comes back at once, and does not count", async (t) => {
  const q = new QueueRig();
  q.publish(["a"]);
  q.lend(1, 1);
  const release = q.rig.gateway.settle(q.lease(), RELEASE);
  q.rig.cycle();
  t.match(q.rig.gateway.take("settled"), [{ settleId: release, messages: 1 }], "needs no commit");
  q.lend(2, 1);
  t.match(q.lease(), { deliveries: 1, consumerId: 2 });
});

t.test("an expired lease goes to somebody else, and settling it is too late", async (t) => {
  const q = new QueueRig();
  q.publish(["a", "b"]);
  q.lend(1, 2);
  const lease = q.lease();
  const done = q.rig.gateway.settle(lease, ACK, { records: [1, 1] });
  t.same(q.settled(), [[done, undefined, 1]]);
  t.equal(q.rig.shard.nextTimerMs() <= 30_000, true);
  q.advance(29_999);
  q.lend(2, 5);
  t.same(q.leases(), []);
  q.advance(1);
  q.lend(2, 5);
  const second = q.lease();
  t.match(second, { offset: 0, deliveries: 2, values: ["a"] });
  const late = q.rig.gateway.settle(lease, ACK, { records: [0, 1] });
  t.same(q.settled(), [[late, "LEASE_EXPIRED", 1]]);
  const extend = q.rig.gateway.settle(second, EXTEND, { argument: 60_000 });
  t.same(q.settled(), [[extend, undefined, 0]]);
  q.advance(59_999);
  q.lend(3, 5);
  t.same(q.leases(), [], "it was extended");
  q.advance(1);
  q.lend(3, 5);
  t.equal(q.lease().deliveries, 3);
});

t.test("what a consumer held goes to others when it is gone", async (t) => {
  const q = new QueueRig();
  q.publish(["a", "b", "c"]);
  q.lend(1, 2);
  const lease = q.lease();
  q.rig.gateway.detach(1);
  q.lend(2, 3);
  t.same(
    q.leases().map(({ offset, deliveries, values }) => [offset, deliveries, values.join()]),
    [
      [0, 2, "a,b"],
      [2, 1, "c"],
    ],
  );
  const late = q.rig.gateway.settle(lease, ACK);
  t.same(q.settled(), [[late, "LEASE_EXPIRED", 2]]);
});

t.test("a token of somebody else, or of an earlier life, is refused", async (t) => {
  const q = new QueueRig();
  q.publish(["a"]);
  q.lend(1, 1);
  const lease = q.lease();
  const wrong = [
    { ...lease, consumerId: 2 },
    { ...lease, leaseEpoch: lease.leaseEpoch + 1 },
    { ...lease, leaseCounter: lease.leaseCounter + 1 },
  ].map((other) => q.rig.gateway.settle(other, ACK));
  t.same(
    q.settled(),
    wrong.map((id) => [id, "LEASE_EXPIRED", 1]),
  );
  const outside = [
    { ...lease, partition: 1 },
    { ...lease, offset: 1 },
  ].map((other) => q.rig.gateway.settle(other, ACK));
  t.same(
    q.settled(),
    outside.map((id) => [id, "LEASE_EXPIRED", 0]),
  );
  const right = q.rig.gateway.settle(lease, ACK);
  t.same(q.settled(), [[right, undefined, 1]]);
});

t.test("records of one key are out one at a time, in order", async (t) => {
  const q = new QueueRig({ keyed: true });
  const of = (key: string, value: string): { key: string; value: string } => ({ key, value });
  q.publish([of("x", "x1"), of("y", "y1"), of("x", "x2"), of("x", "x3"), of("y", "y2")]);
  q.lend(1, 10);
  const first = q.lease();
  t.same(first.values, ["x1", "y1"]);
  q.rig.gateway.settle(first, NACK, { records: [0, 1] });
  q.rig.gateway.settle(first, ACK, { records: [1, 1] });
  q.rig.settle();
  q.lend(2, 10);
  t.same(q.lease().values, ["y2"], "a nack holds its key");
  q.advance(1000);
  q.lend(2, 10);
  const again = q.lease();
  t.same([again.values, again.deliveries], [["x1"], 2]);
  q.rig.gateway.settle(again, ACK);
  q.rig.settle();
  q.lend(2, 10);
  t.same(q.lease().values, ["x2"]);
});

t.test("after maxDeliveries a record goes to the dead letters", async (t) => {
  const q = new QueueRig({ maxDeliveries: 2 });
  q.publish([{ value: "a", key: "k", headers: { h: "1" } }, "b"]);
  for (let delivery = 1; delivery <= 2; delivery += 1) {
    q.lend(1, 1);
    q.rig.gateway.settle(q.lease(), NACK, { argument: 0 });
    q.rig.settle();
  }
  q.lend(1, 9);
  t.same(q.lease().values, ["b"], "it does not come again");
  t.equal(q.queues[0]?.dead, 1);
  t.equal(q.partition(LETTERS).highWatermark, 1);
  q.rig.gateway.read(4, LETTERS, 0);
  q.rig.settle();
  t.ok(q.queues[0]?.state.isFinished(0));

  const selected = q.queue(LETTERS, 0, true);
  q.rig.shard.dispatcher.open(q.settings, [selected]);
  selected.state.select(0);
  q.rig.shard.dispatcher.wake(selected);
  q.lend(1, 9);
  const redriven = q.lease();
  t.match(redriven, { topicId: LETTERS, offset: 0, deliveries: 1, values: ["a"] });
  t.match(redriven.records[0], {
    key: "k",
    headers: {
      h: "1",
      "millrace-dead-reason": "max-deliveries",
      "millrace-delivery-count": "2",
      "millrace-subscription": "workers",
      "millrace-origin-topic": "jobs",
      "millrace-origin-partition": "0",
      "millrace-origin-offset": "0",
    },
  });
  q.settled();
  const dead = q.rig.gateway.settle(redriven, DEAD_LETTER, { reason: "no" });
  t.same(q.settled(), [[dead, undefined, 1]]);
  t.equal(q.partition(LETTERS).highWatermark, 2);
  selected.state.select(1);
  q.rig.shard.dispatcher.wake(selected);
  q.lend(1, 9);
  t.match(q.lease().records[0]?.headers, {
    "millrace-dead-reason": "no",
    "millrace-delivery-count": "1",
    "millrace-origin-topic": "jobs",
    "millrace-origin-offset": "0",
  });
});

t.test("a dead letter waits for its topic", async (t) => {
  const q = new QueueRig();
  q.rig.shard.state.deadLetterTopics.delete(TOPIC);
  q.publish(["a"]);
  q.lend(1, 1);
  const dead = q.rig.gateway.settle(q.lease(), DEAD_LETTER, { reason: "poison" });
  t.same(q.settled(), []);
  t.match(q.rig.gateway.take("notice"), [{ notice: ["dead-letter-topic", TOPIC] }]);
  q.advance(500);
  t.same(q.rig.gateway.take("notice"), []);
  q.advance(500);
  t.equal(q.rig.gateway.take("notice").length, 1, "once a second");
  q.rig.shard.state.deadLetterTopics.set(TOPIC, LETTERS);
  q.advance(1);
  t.same(q.settled(), [[dead, undefined, 1]]);
  t.equal(q.partition(LETTERS).highWatermark, 1);
});

t.test("a paused subscription gives nothing", async (t) => {
  const q = new QueueRig();
  q.publish(["a"]);
  q.rig.gateway.take("available");
  q.configure({ paused: true });
  q.lend(1, 3);
  t.same(q.leases(), []);
  t.match(q.rig.gateway.take("empty"), [{ consumerId: 1, messages: 3 }]);
  q.configure({ paused: false });
  q.rig.settle();
  t.equal(q.rig.gateway.take("available").length, 1);
  q.lend(1, 3);
  t.equal(q.leases().length, 1);
});

t.test("leases of a deleted or moved subscription end", async (t) => {
  const q = new QueueRig();
  q.publish(["a", "b"]);
  q.lend(1, 1);
  const lease = q.lease();
  const queue = q.queues[0];
  if (queue === undefined) return;
  q.rig.shard.dispatcher.endLeases(queue);
  queue.state.seek(0);
  q.rig.shard.dispatcher.wake(queue);
  const late = q.rig.gateway.settle(lease, ACK);
  t.same(q.settled(), [[late, "LEASE_EXPIRED", 1]]);
  q.lend(1, 1);
  const again = q.lease();
  t.match(again, { offset: 0, deliveries: 1 });
  q.lend(2, 1);
  q.rig.gateway.lend(3, SUBSCRIPTION, 4);
  q.rig.shard.dispatcher.close(SUBSCRIPTION);
  q.rig.settle();
  t.match(q.rig.gateway.take("empty"), [{ consumerId: 3, messages: 4 }]);
  const gone = q.rig.gateway.settle(again, ACK);
  t.same(q.settled(), [[gone, "LEASE_EXPIRED", 1]]);
});

t.test("what is not in memory is read first, and the credit waits for it", async (t) => {
  const q = new QueueRig({}, 1, { inboundBytes: 4096 });
  for (let batch = 0; batch < 40; batch += 1) q.publish([`${batch}`.padEnd(200, ".")]);
  q.rig.gateway.lend(1, SUBSCRIPTION, 2);
  q.rig.cycle();
  q.rig.cycle();
  t.same(q.rig.gateway.take("leased"), [], "it is being read");
  t.same(q.rig.gateway.take("empty"), [], "and will be there soon");
  t.same(
    q.leases().map(({ offset }) => offset),
    [0, 1],
  );
});

t.test("a dead letter that is not in memory any more is read first", async (t) => {
  const q = new QueueRig({}, 1, { inboundBytes: 4096 });
  q.publish(["poison"]);
  q.lend(1, 1);
  const lease = q.lease();
  for (let batch = 0; batch < 40; batch += 1) q.publish([`${batch}`.padEnd(200, ".")]);
  const dead = q.rig.gateway.settle(lease, DEAD_LETTER, { reason: "poison" });
  q.rig.cycle();
  t.equal(q.partition(LETTERS).nextOffset, 0, "it is being read");
  t.same(q.settled(), [[dead, undefined, 1]]);
  t.equal(q.partition(LETTERS).highWatermark, 1);
});

t.test("records that retention took are passed over", async (t) => {
  const q = new QueueRig();
  q.publish(["a", "b"]);
  q.publish(["c"]);
  q.rig.answer("truncate", [TOPIC, [[0, 2]]]);
  q.lend(1, 5);
  t.match(q.lease(), { offset: 2, values: ["c"] });
});

t.test("a record is dead-lettered from outside, leased or not", async (t) => {
  const q = new QueueRig();
  q.publish(["a", "b"]);
  const queue = q.queues[0];
  if (queue === undefined) return;
  q.lend(1, 1);
  const lease = q.lease();
  q.rig.shard.dispatcher.deadLetter(queue, 0, "overflow");
  q.rig.shard.dispatcher.deadLetter(queue, 1, "overflow");
  q.rig.shard.dispatcher.deadLetter(queue, 1, "again");
  q.rig.settle();
  t.equal(q.partition(LETTERS).highWatermark, 2);
  t.equal(queue.state.floor, 2);
  q.lend(2, 5);
  t.same(q.leases(), []);
  const late = q.rig.gateway.settle(lease, ACK);
  t.same(q.settled(), [[late, undefined, 1]], "its consumer is not told");
  q.rig.shard.dispatcher.deadLetter(queue, 0, "finished");
  q.rig.settle();
  t.equal(q.partition(LETTERS).highWatermark, 2);
});

t.test("a full ring delays leases and answers, and loses none", async (t) => {
  const q = new QueueRig({}, 1, { outboundBytes: 4096, inboundBytes: 65_536 });
  const { gateway, shard } = q.rig;
  for (let batch = 0; batch < 30; batch += 1) q.publish(["x".repeat(300)]);
  gateway.lend(1, SUBSCRIPTION, 30);
  for (let cycle = 0; cycle < 10; cycle += 1) shard.doWork();
  const leases = q.leases();
  t.equal(leases.length, 30);
  const ids = leases.map((lease) => gateway.settle(lease, ACK));
  t.same(
    q.settled().map(([id]) => id),
    ids,
  );
});

t.test("queues end with their partition", async (t) => {
  const q = new QueueRig();
  q.publish(["a"]);
  q.lend(1, 1);
  const lease = q.lease();
  q.rig.answer("close", [TOPIC]);
  const late = q.rig.gateway.settle(lease, ACK);
  t.same(q.settled(), [[late, "LEASE_EXPIRED", 1]]);
  q.lend(1, 5);
  t.same(q.leases(), []);
});
