import { ERROR_CODES, LIMITS, SETTLE_ACTION } from "@millrace/protocol";
import t from "tap";
import { GATEWAY_LIMITS } from "../src/limits.ts";
import {
  ackAll,
  type ConsumeValue,
  connect,
  consumeFrame,
  consumer,
  plain,
  put,
  setUp,
} from "./support/queue-bench.ts";
import type { ModelConsumer, QueueModel } from "./support/queue-model.ts";

const { LEASE_EXPIRED, SHARD_RESTARTED } = ERROR_CODES;

t.test(
  "one slot over 16 partitions in 4 shards: one message at a time, and each shard has its turn",
  async (t) => {
    const it = setUp();
    const model = connect(it);
    const one = await consumer(it, model, 1);
    const values = Array.from({ length: 5 }, (_, i) => `v${i}`);
    for (let partition = 0; partition < 16; partition += 1) put(it, partition, 0, ...values);
    const served: number[] = [];
    it.node.queues.onLease = (shardId, _, records) => {
      t.equal(records.length, 1);
      served.push(shardId);
    };
    await it.bench.settle();
    for (let i = 0; i < 80; i += 1) {
      t.equal(one.unsettled, 1);
      ackAll(model, one);
      await it.bench.settle();
    }
    t.equal(one.leased, 80);
    for (let at = 0; at < 80; at += 4) t.same(new Set(served.slice(at, at + 4)).size, 4);
  },
);

t.test("a large window is split between shards that have something", async (t) => {
  const it = setUp();
  const model = connect(it);
  const large = await consumer(it, model, 100);
  const values = Array.from({ length: 200 }, (_, i) => `v${i}`);
  for (let partition = 0; partition < 4; partition += 1) put(it, partition, 0, ...values);
  await it.bench.settle();
  t.equal(large.unsettled, 100);
  const byShard = [0, 0, 0, 0];
  for (const { open, shardId } of large.leases) byShard[shardId] = (byShard[shardId] ?? 0) + open.size;
  t.ok(
    byShard.every((messages) => messages >= 20),
    `${byShard.join(", ")} messages by shard`,
  );
});

t.test(
  "consumers of one subscription take turns, and one message does not make all of them lend",
  async (t) => {
    const it = setUp(1, 1);
    const models = [connect(it), connect(it)];
    const consumers: ModelConsumer[] = [];
    for (let i = 0; i < 20; i += 1) consumers.push(await consumer(it, models[i % 2] as QueueModel, 10));
    await it.bench.settle();
    for (let round = 0; round < 40; round += 1) {
      const { lends } = it.node.queues;
      put(it, 0, round, "v");
      await it.bench.settle();
      t.ok(it.node.queues.lends - lends <= 4, "few of the idle ones ask");
      for (const [i, each] of consumers.entries()) ackAll(models[i % 2] as QueueModel, each);
      await it.bench.settle();
    }
    t.ok(
      consumers.every(({ leased }) => leased >= 1 && leased <= 3),
      consumers.map(({ leased }) => leased).join(", "),
    );
  },
);

t.test("bytes are lent as messages are, and a message larger than all credit comes alone", async (t) => {
  const it = setUp(2, 2);
  const model = connect(it);
  const small = await consumer(it, model, 50, 1_000);
  const big = "x".repeat(5_000);
  put(it, 0, 0, big, big, big);
  put(it, 1, 0, ..."abcdefgh");
  for (let round = 0; round < 12 && small.leased < 11; round += 1) {
    await it.bench.settle();
    t.ok(small.unsettled > 0 && small.unsettled < 11);
    ackAll(model, small);
  }
  t.equal(small.leased, 11);
});

t.test("bytes are lent on while a shard has messages and too few bytes for them", async (t) => {
  const it = setUp(1, 1);
  const model = connect(it);
  const large = await consumer(it, model, 20, 100_000);
  const big = "x".repeat(9_000);
  put(it, 0, 0, ...Array.from({ length: 40 }, () => big));
  await it.bench.settle();
  t.equal(large.unsettled, 11, "as many as there is credit for");
  for (let settled = 0; settled < 29; settled += 1) {
    const [oldest] = large.leases;
    if (oldest !== undefined) model.settle(large, oldest, SETTLE_ACTION.ACK, 1);
    await it.bench.settle();
    t.ok(large.unsettled >= 10, `${large.unsettled} at work`);
  }
});

t.test("a consumer with too few bytes for the next message leaves it to others", async (t) => {
  const it = setUp(1, 1);
  const model = connect(it);
  const small = await consumer(it, model, 10, 12_000);
  const big = "x".repeat(9_000);
  put(it, 0, 0, big, big);
  await it.bench.settle();
  t.equal(small.unsettled, 1);
  const other = await consumer(it, model, 10, 1_000_000);
  await it.bench.settle();
  t.equal(other.unsettled, 1);
});

t.test("less credit than a byte for each shard is credit", async (t) => {
  const it = setUp(4, 4);
  const model = connect(it);
  const tiny = await consumer(it, model, 5, 1);
  for (let partition = 0; partition < 4; partition += 1) put(it, partition, 0, "a", "b");
  for (let round = 0; round < 8; round += 1) {
    await it.bench.settle();
    t.equal(tiny.unsettled, 1);
    ackAll(model, tiny);
  }
  t.equal(tiny.leased, 8);
});

t.test("nothing is lent while the socket is above its high-water mark", async (t) => {
  const it = setUp(1, 1);
  const model = connect(it);
  const slow = await consumer(it, model, 10);
  put(it, 0, 0, "a");
  await it.bench.settle();
  const { socket } = model.client;
  socket.stalled = true;
  socket.bufferedAmount = () => GATEWAY_LIMITS.outputHighWaterBytes + 1;
  model.client.send({ name: "PING", value: { nonce: 1 } });
  const { lends } = it.node.queues;
  put(it, 0, 1, "b", "c");
  await it.bench.settle();
  ackAll(model, slow);
  await it.bench.settle();
  t.equal(it.node.queues.lends, lends);
  t.equal(slow.settles.size, 1, "nor is it told what it settled");
  socket.stalled = false;
  socket.bufferedAmount = () => 0;
  socket.handler?.onDrain();
  await it.bench.settle();
  t.equal(slow.settles.size, 0);
  t.equal(slow.unsettled, 2);
});

t.test("a shard that restarts takes its leases and credit along", async (t) => {
  const it = setUp(2, 2);
  const model = connect(it);
  const one = await consumer(it, model, 4);
  put(it, 0, 0, "a", "b");
  put(it, 1, 0, "c", "d");
  await it.bench.settle();
  t.equal(one.unsettled, 4);
  const leases = [...one.leases].filter(({ shardId }) => shardId === 0);
  const [lease] = leases;
  if (lease === undefined) throw new Error("nothing was leased");
  const outcomes: number[] = [];
  const { onFrame } = model.client.socket;
  model.client.socket.onFrame = (frame, length) => {
    if (frame.name === "SETTLED") outcomes.push(...frame.value.rows.map(({ outcome }) => outcome));
    onFrame?.(frame, length);
  };
  model.settle(one, lease, SETTLE_ACTION.ACK, 1);
  model.lost(0);
  it.node.kill(0);
  await it.bench.settle();
  t.same(outcomes, [SHARD_RESTARTED.code], "what was under way may have had effect or not");
  for (const left of leases) if (left.open.size > 0) model.settle(one, left, SETTLE_ACTION.ACK);
  await it.bench.settle();
  t.ok(outcomes.slice(1).length > 0 && outcomes.slice(1).every((outcome) => outcome === LEASE_EXPIRED.code));
  t.equal(it.node.queues.settles.length, 0, "the shard was not asked");
  it.node.revive(0);
  await it.bench.settle();
  t.equal(one.unsettled, 4, "they are leased again");
  outcomes.length = 0;
  for (const again of [...one.leases].filter(({ isVoid }) => !isVoid))
    model.settle(one, again, SETTLE_ACTION.ACK);
  await it.bench.settle();
  t.ok(outcomes.length > 0 && outcomes.every((outcome) => outcome === 0));
});

t.test("credit that is taken back is recalled, and none is lent any more", async (t) => {
  const it = setUp(1, 1);
  const model = connect(it);
  const one = await consumer(it, model, 3);
  put(it, 0, 0, "a");
  it.node.work(0);
  it.node.answer(0);
  model.credit(one, 0, 1_000_000);
  await it.bench.settle();
  const { leased } = one;
  put(it, 0, 1, "b", "c");
  await it.bench.settle();
  t.equal(one.leased, leased);
  t.equal(it.node.queues.credit(0, one.consumerId).messages, 0);
  model.credit(one, 2, 1_000_000);
  await it.bench.settle();
  t.equal(one.unsettled, 2);
  model.credit(one, LIMITS.slotsMax + 1, 1);
  t.same(model.errors, ["MALFORMED_FRAME"], "more than a consumer may have ends it");
});

t.test("a session that ends gives back what it had at all shards", async (t) => {
  const it = setUp(4, 4);
  const model = connect(it);
  const one = await consumer(it, model, 8);
  const other = connect(it);
  const two = await consumer(it, other, 8);
  for (let partition = 0; partition < 4; partition += 1) put(it, partition, 0, "a", "b", "c", "d");
  await it.bench.settle();
  t.equal(one.unsettled + two.unsettled, 16);
  model.client.socket.close();
  await it.bench.settle();
  t.same(it.node.queues.detached.map(([shardId]) => shardId).sort(), [0, 1, 2, 3]);
  for (let round = 0; round < 8; round += 1) {
    ackAll(other, two);
    await it.bench.settle();
  }
  t.equal(two.leased, 16);
});

t.test("a topic that is deleted and a shard that fails end what they leave nothing to", async (t) => {
  const it = setUp(2, 2);
  const model = connect(it);
  await consumer(it, model, 8);
  it.node.fail(0);
  await it.bench.settle();
  t.same(model.errors, [], "there is another shard");
  it.node.fail(1);
  t.same(model.errors, ["JOURNAL_FAILED"]);
  model.consume("orders", "workers", 1);
  await it.bench.settle();
  t.same(model.errors, ["JOURNAL_FAILED", "JOURNAL_FAILED"], "nor does it begin");
  const other = setUp(2, 2);
  const client = plain(other);
  client.send(consumeFrame(1, {}));
  await other.bench.settle();
  const consumerId = client.socket.all("CONSUMING")[0]?.consumerId;
  await other.node.deleteTopic("orders");
  t.match(client.socket.take().at(-1), {
    name: "ERROR",
    value: { name: "TOPIC_DELETED", details: { consumerId } },
  });
});

t.test("a broker that shuts down leases nothing more, and hears what is settled", async (t) => {
  const it = setUp(1, 1);
  const model = connect(it);
  const one = await consumer(it, model, 2);
  put(it, 0, 0, "a", "b", "c", "d");
  await it.bench.settle();
  model.client.socket.onFrame = undefined;
  it.bench.gateway.goAway();
  const [lease] = one.leases;
  if (lease === undefined) throw new Error("nothing was leased");
  model.settle(one, lease, SETTLE_ACTION.ACK);
  await it.bench.settle();
  t.equal(model.client.socket.all("SETTLED").length, 1);
  t.equal(model.client.socket.all("LEASED").length, 0);
});

t.test("consumers that cannot be are refused, and what they are not", async (t) => {
  const it = setUp();
  const client = plain(it);
  const answer = async (changes: Partial<ConsumeValue>): Promise<string> => {
    client.send(consumeFrame(1, changes));
    await it.bench.settle();
    const [frame] = client.socket.take();
    return frame?.name === "ERROR" ? frame.value.name : String(frame?.name);
  };
  t.equal(await answer({ create: undefined }), "UNKNOWN_SUBSCRIPTION");
  t.equal(await answer({ slots: 0 }), "MALFORMED_FRAME");
  t.equal(await answer({ slots: LIMITS.slotsMax + 1 }), "MALFORMED_FRAME");
  t.equal(await answer({}), "CONSUMING");
  t.equal(await answer({ mode: "keyed" }), "SUBSCRIPTION_MODE");
  t.equal(await answer({ create: undefined, mode: "queue" }), "CONSUMING");
  t.equal(await answer({ topic: "none" }), "UNKNOWN_TOPIC");
  t.equal(client.socket.closed, undefined);
  client.send({ name: "STOP_CONSUMING", value: { requestId: 3, consumerId: 12_345 } });
  await it.bench.settle();
  t.match(client.socket.take(), [{ name: "ERROR", value: { requestId: 3, name: "UNKNOWN_CONSUMER" } }]);
});
