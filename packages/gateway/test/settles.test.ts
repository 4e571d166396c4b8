import { ERROR_CODES, LIMITS, SETTLE_ACTION } from "@millrace/protocol";
import t from "tap";
import { GATEWAY_LIMITS } from "../src/limits.ts";
import { connect, consumeFrame, consumer, plain, put, setUp } from "./support/queue-bench.ts";

const { LEASE_EXPIRED, SUBSCRIPTION_MODE, UNKNOWN_CONSUMER, UNKNOWN_PARTITION } = ERROR_CODES;

t.test("settles of a frame come in order, with what they say, and are answered in one frame", async (t) => {
  const it = setUp(1, 1);
  const client = plain(it);
  client.send(consumeFrame(1, { slots: 4 }));
  await it.bench.settle();
  put(it, 0, 5, "a", "b", "c", "d");
  await it.bench.settle();
  const consumerId = client.socket.all("CONSUMING")[0]?.consumerId as number;
  const [lease] = client.socket.all("LEASED").flatMap(({ rows }) => rows);
  if (lease === undefined) throw new Error("nothing was leased");
  const { leaseCounter, leaseEpoch } = lease;
  const row = { partition: 0, leaseEpoch, leaseCounter, count: 1 };
  client.socket.take();
  client.send({
    name: "SETTLE",
    value: {
      consumerId,
      rows: [
        { ...row, settleId: 4_000_000_000, action: SETTLE_ACTION.EXTEND, firstOffset: 5, argument: 5_000 },
        { ...row, settleId: 2, action: SETTLE_ACTION.ACK, firstOffset: 5 },
        { ...row, settleId: 3, action: SETTLE_ACTION.NACK, firstOffset: 6, argument: 250 },
        { ...row, settleId: 4, action: SETTLE_ACTION.DEAD_LETTER, firstOffset: 7, argument: "größer" },
        { ...row, settleId: 5, action: SETTLE_ACTION.NACK, firstOffset: 8 },
        { ...row, settleId: 6, action: SETTLE_ACTION.ACK, firstOffset: 5 },
        { ...row, settleId: 7, action: SETTLE_ACTION.ACK, firstOffset: 5, partition: 1 },
      ],
    },
  });
  t.same(client.socket.take(), [], "answers are the shard's");
  await it.bench.settle();
  t.same(
    it.node.queues.settles.map((each) => [
      each.settleId,
      each.action,
      each.firstOffset,
      each.argument,
      each.reason,
    ]),
    [
      [4_000_000_000, 4, 5, 5_000, undefined],
      [2, 0, 5, -1, undefined],
      [3, 1, 6, 250, undefined],
      [4, 3, 7, -1, "größer"],
      [5, 1, 8, -1, undefined],
      [6, 0, 5, -1, undefined],
    ],
  );
  const settled = client.socket
    .all("SETTLED")
    .flatMap(({ rows }) => rows.map((r) => [r.settleId, r.outcome]));
  t.same(settled, [
    [7, UNKNOWN_PARTITION.code],
    [4_000_000_000, 0],
    [2, 0],
    [3, 0],
    [4, 0],
    [5, 0],
    [6, LEASE_EXPIRED.code],
  ]);
  t.ok(client.socket.all("SETTLED").length <= 2);
});

t.test("settles wait for room in a full ring, in order, and a detach behind them", async (t) => {
  const it = setUp(1, 1);
  const model = connect(it);
  const one = await consumer(it, model, 40);
  put(it, 0, 0, ...Array.from({ length: 40 }, (_, i) => `v${i}`));
  await it.bench.settle();
  const [shard] = it.node.shards;
  if (shard === undefined) throw new Error("no shard");
  shard.consumerRecordsMax = 2;
  for (const lease of [...one.leases]) {
    while (lease.open.size > 0) model.settle(one, lease, SETTLE_ACTION.ACK, 1);
  }
  model.stop(one);
  t.same(it.node.queues.detached, []);
  await it.bench.settle();
  t.same(
    it.node.queues.settles.map(({ firstOffset }) => firstOffset),
    Array.from({ length: 40 }, (_, i) => i),
  );
  t.same(it.node.queues.detached, [[0, one.consumerId]]);
  t.equal(one.state, "over", "it stopped when all was answered");
});

t.test("an extension that comes too late does not free a slot", async (t) => {
  const it = setUp(1, 1);
  const model = connect(it);
  const one = await consumer(it, model, 1);
  put(it, 0, 0, "a", "b");
  await it.bench.settle();
  const [lease] = one.leases;
  if (lease === undefined) throw new Error("nothing was leased");
  it.node.queues.expire(0);
  model.settle(one, lease, SETTLE_ACTION.EXTEND);
  await it.bench.settle();
  t.equal(one.leased, 1, "an expired lease keeps its slot");
  model.settle(one, lease, SETTLE_ACTION.ACK);
  await it.bench.settle();
  t.equal(one.leased, 2, "until it is settled, whatever that comes to");
});

t.test("settles of a consumer that is over or of another kind come to nothing", async (t) => {
  const it = setUp();
  const client = plain(it);
  const other = plain(it);
  other.send(consumeFrame(1, {}));
  client.send(consumeFrame(2, { subscription: "board", slots: 0, create: { mode: "stream" } }));
  await it.bench.settle();
  const foreign = other.socket.all("CONSUMING")[0]?.consumerId as number;
  const stream = client.socket.all("CONSUMING")[0]?.consumerId as number;
  client.socket.take();
  const row = { partition: 0, leaseEpoch: 1, leaseCounter: 1, firstOffset: 0, count: 1, action: 0 };
  const outcomes = (consumerId: number): unknown[] => {
    const rows = [
      { ...row, settleId: 1 },
      { ...row, settleId: 2 },
    ];
    client.send({ name: "SETTLE", value: { consumerId, rows } });
    return client.socket.take();
  };
  for (const [consumerId, outcome] of [
    [77, UNKNOWN_CONSUMER.code],
    [foreign, UNKNOWN_CONSUMER.code],
    [stream, SUBSCRIPTION_MODE.code],
  ] as const) {
    t.match(outcomes(consumerId), [
      {
        name: "SETTLED",
        value: {
          consumerId,
          rows: [
            { settleId: 1, outcome },
            { settleId: 2, outcome },
          ],
        },
      },
    ]);
  }
  client.send({ name: "CONSUMER_CREDIT", value: { consumerId: 77, slots: 1, creditLimit: 1 } });
  t.equal(client.socket.closed, undefined, "it may have crossed with the end");
});

t.test("settles that break the grammar end their session", async (t) => {
  const row = {
    settleId: 1,
    action: 0,
    partition: 0,
    leaseEpoch: 1,
    leaseCounter: 1,
    firstOffset: 0,
    count: 1,
  };
  for (const bad of [
    { count: 0 },
    { count: LIMITS.leaseRecordsMax + 1 },
    { action: 5 },
    { settleId: 2 ** 32 },
    { leaseEpoch: 2 ** 32 },
    { action: SETTLE_ACTION.NACK, argument: LIMITS.leaseMsMax + 1 },
    { action: SETTLE_ACTION.NACK, argument: "because" },
    { action: SETTLE_ACTION.DEAD_LETTER, argument: 7 },
    { action: SETTLE_ACTION.DEAD_LETTER, argument: "x".repeat(LIMITS.deadLetterReasonBytesMax + 1) },
  ]) {
    const it = setUp();
    const client = plain(it);
    client.send(consumeFrame(1, {}));
    await it.bench.settle();
    const consumerId = client.socket.all("CONSUMING")[0]?.consumerId as number;
    client.send({ name: "SETTLE", value: { consumerId, rows: [{ ...row, ...bad }] } });
    t.equal(client.socket.closed?.reason, "MALFORMED_FRAME", JSON.stringify(bad));
  }
});

t.test("a client that settles without end is closed", async (t) => {
  const it = setUp(1, 1);
  const client = plain(it);
  client.send(consumeFrame(1, {}));
  await it.bench.settle();
  const consumerId = client.socket.all("CONSUMING")[0]?.consumerId as number;
  const [shard] = it.node.shards;
  if (shard === undefined) throw new Error("no shard");
  shard.consumerRecordsMax = 0;
  const row = { action: 0, partition: 0, leaseEpoch: 1, leaseCounter: 1, firstOffset: 0, count: 1 };
  let settleId = 0;
  while (client.socket.closed === undefined && settleId < 2 * GATEWAY_LIMITS.openSettlesMax) {
    const rows = Array.from({ length: LIMITS.settlesPerFrameMax }, () => ({ ...row, settleId: settleId++ }));
    client.send({ name: "SETTLE", value: { consumerId, rows } });
  }
  t.equal(client.socket.closed?.reason, "TOO_MANY_REQUESTS");
  shard.consumerRecordsMax = 1;
  it.bench.gateway.node.onSpace(0);
  await it.bench.settle();
  t.same(it.node.queues.detached, [[0, consumerId]], "what was settled before is done, and then it is gone");
});
