import { BatchReader, ERROR_CODES, type FrameValues, SETTLE_ACTION } from "@millrace/protocol";
import t from "tap";
import { createBroker } from "../src/create-broker.ts";
import { publishFrame } from "./support/batches.ts";
import { WireClient } from "./support/wire-client.ts";

// Raw frames against a broker with threads, rings and a journal: what a queue is, without what clients make of it.

const CHECKSUM_BYTES = 5;
const { LEASE_EXPIRED } = ERROR_CODES;

type Row = FrameValues["LEASED"]["rows"][number];

const broker = await createBroker({ dataDir: t.testdir(), port: 0, shards: 2 });
t.teardown(() => broker.close());

let lastId = 0;

async function createTopic(client: WireClient, name: string, partitions: number): Promise<number> {
  client.send({ name: "CREATE_TOPIC", value: { requestId: ++lastId, name, config: { partitions } } });
  return (await client.next("TOPIC")).topic.topicId;
}

async function consume(
  client: WireClient,
  topic: string,
  changes: { slots?: number; config?: Record<string, unknown> } = {},
): Promise<number> {
  client.send({
    name: "CONSUME",
    value: {
      requestId: ++lastId,
      topic,
      subscription: "workers",
      slots: changes.slots ?? 10,
      creditLimit: 1_000_000,
      create: { mode: "queue", from: ["earliest"], ...changes.config },
      extensions: {},
    },
  });
  return (await client.next("CONSUMING")).consumerId;
}

/** Publishes one batch and waits for its acknowledgement. */
async function publish(
  client: WireClient,
  topicId: number,
  partition: number,
  values: string[],
): Promise<void> {
  client.sendBytes(publishFrame(topicId, partition, 0, values, 0));
  await client.next("ACK");
}

function valuesOf({ batch }: Row): string[] {
  const bytes = Buffer.concat([batch, Buffer.alloc(CHECKSUM_BYTES)]);
  const reader = new BatchReader();
  reader.reset(bytes, 0, bytes.length);
  return Array.from({ length: reader.count }, (_, i) => Buffer.from(reader.valueAt(i)).toString());
}

/** Rows until so many records have come. */
async function leased(client: WireClient, records: number): Promise<Row[]> {
  const rows: Row[] = [];
  while (rows.reduce((sum, { count }) => sum + count, 0) < records) {
    rows.push(...(await client.next("LEASED")).rows);
  }
  return rows;
}

function settle(
  client: WireClient,
  consumerId: number,
  { partition, leaseEpoch, leaseCounter, baseOffset, count }: Row,
  action: number,
  argument?: number | string,
): number {
  const settleId = ++lastId;
  const lease = { partition, leaseEpoch, leaseCounter, firstOffset: baseOffset, count };
  client.send({ name: "SETTLE", value: { consumerId, rows: [{ settleId, action, ...lease, argument }] } });
  return settleId;
}

/** Outcomes by settleId, of so many settles. */
async function outcomes(client: WireClient, settles: number): Promise<Map<number, number>> {
  const outcomes = new Map<number, number>();
  while (outcomes.size < settles) {
    for (const { settleId, outcome } of (await client.next("SETTLED")).rows) outcomes.set(settleId, outcome);
  }
  return outcomes;
}

async function describe(
  client: WireClient,
  topic: string,
): Promise<FrameValues["SUBSCRIPTION"]["subscription"]> {
  client.send({
    name: "DESCRIBE_SUBSCRIPTION",
    value: { requestId: ++lastId, topic, name: "workers" },
  });
  return (await client.next("SUBSCRIPTION")).subscription;
}

t.test("what is published is leased, acknowledged and gone", async (t) => {
  const client = await WireClient.connect(broker.url);
  const topicId = await createTopic(client, "jobs", 4);
  const consumerId = await consume(client, "jobs", { slots: 3 });
  for (let partition = 0; partition < 4; partition += 1) {
    await publish(client, topicId, partition, [`a${partition}`, `b${partition}`, `c${partition}`]);
  }
  const seen: string[] = [];
  let unsettled = 0;
  while (seen.length < 12) {
    const { rows } = await client.next("LEASED");
    for (const row of rows) {
      unsettled += row.count;
      seen.push(...valuesOf(row));
    }
    t.ok(unsettled <= 3, "no more than slots");
    for (const row of rows) settle(client, consumerId, row, SETTLE_ACTION.ACK);
    for (const outcome of (await outcomes(client, rows.length)).values()) t.equal(outcome, 0);
    unsettled = 0;
  }
  t.same(
    seen.sort(),
    ["a", "b", "c"].flatMap((letter) => [0, 1, 2, 3].map((partition) => `${letter}${partition}`)),
  );
  const { state } = await describe(client, "jobs");
  t.match(state, { consumers: 1, available: 0, leased: 0, waiting: 0, lag: 0, redelivered: 0 });
  client.send({ name: "STOP_CONSUMING", value: { requestId: ++lastId, consumerId } });
  t.equal((await client.next("CONSUMING_STOPPED")).consumerId, consumerId);
  await client.close();
});

t.test("a nack comes back with its count, a lease ends by time, and a late ack is refused", async (t) => {
  const client = await WireClient.connect(broker.url);
  const topicId = await createTopic(client, "slow", 1);
  const consumerId = await consume(client, "slow", { config: { leaseMs: 1_000, backoffMinMs: 20 } });
  await publish(client, topicId, 0, ["x"]);
  const [first] = (await leased(client, 1)) as [Row];
  t.equal(first.deliveryCount, 1);
  const nack = settle(client, consumerId, first, SETTLE_ACTION.NACK);
  t.equal((await outcomes(client, 1)).get(nack), 0);
  const [second] = (await leased(client, 1)) as [Row];
  t.equal(second.deliveryCount, 2);
  const extend = settle(client, consumerId, second, SETTLE_ACTION.EXTEND, 1_200);
  t.equal((await outcomes(client, 1)).get(extend), 0);
  // Nothing is said of it: it goes to whoever has a slot.
  const [third] = (await leased(client, 1)) as [Row];
  t.equal(third.deliveryCount, 3);
  const late = settle(client, consumerId, second, SETTLE_ACTION.ACK);
  t.equal((await outcomes(client, 1)).get(late), LEASE_EXPIRED.code);
  const ack = settle(client, consumerId, third, SETTLE_ACTION.ACK);
  t.equal((await outcomes(client, 1)).get(ack), 0);
  t.match((await describe(client, "slow")).state, { lag: 0, redelivered: 2 });
  await client.close();
});

t.test("dead letters are moved, peeked at and redriven", async (t) => {
  const client = await WireClient.connect(broker.url);
  const topicId = await createTopic(client, "mails", 2);
  const consumerId = await consume(client, "mails", { config: { maxDeliveries: 2, backoffMinMs: 0 } });
  await publish(client, topicId, 1, ["bad", "worse"]);
  const [worse] = (await leased(client, 2)).map((row) => ({
    ...row,
    baseOffset: row.baseOffset + 1,
    count: 1,
  }));
  const dead = settle(client, consumerId, worse as Row, SETTLE_ACTION.DEAD_LETTER, "no such mailbox");
  const first = settle(client, consumerId, { ...(worse as Row), baseOffset: 0 }, SETTLE_ACTION.NACK);
  const settled = await outcomes(client, 2);
  t.same([settled.get(dead), settled.get(first)], [0, 0]);
  const [again] = (await leased(client, 1)) as [Row];
  t.same(valuesOf(again), ["bad"]);
  const last = settle(client, consumerId, again, SETTLE_ACTION.NACK);
  t.equal((await outcomes(client, 1)).get(last), 0);
  const info = await describe(client, "mails");
  t.equal(info.deadLetterTopic, "mails.dlq");
  t.match(info.state, { dead: 2, lag: 0 });
  const rows = [0, 1].map((offset) => ({ partition: 1, offset, subscription: "workers" }));
  client.send({ name: "REDRIVE", value: { requestId: ++lastId, topic: "mails.dlq", rows } });
  t.equal((await client.next("REDRIVEN")).count, 2);
  const redriven = await leased(client, 2);
  t.same(redriven.flatMap(valuesOf).sort(), ["bad", "worse"]);
  for (const row of redriven) settle(client, consumerId, row, SETTLE_ACTION.ACK);
  for (const outcome of (await outcomes(client, redriven.length)).values()) t.equal(outcome, 0);
  t.match((await describe(client, "mails")).state, { lag: 0, leased: 0 });
  await client.close();
});

t.test("what a client held when its connection broke goes to another one, counted", async (t) => {
  const client = await WireClient.connect(broker.url);
  const topicId = await createTopic(client, "broken", 1);
  await consume(client, "broken");
  await publish(client, topicId, 0, ["a", "b"]);
  await leased(client, 2);
  client.socket.terminate();
  const other = await WireClient.connect(broker.url);
  const consumerId = await consume(other, "broken");
  const rows = await leased(other, 2);
  t.ok(rows.every(({ deliveryCount }) => deliveryCount === 2));
  other.send({
    name: "PEEK",
    value: { requestId: ++lastId, topic: "broken", name: "workers", partition: 0, fromOffset: 0, limit: 10 },
  });
  t.match((await other.next("PEEKED")).records, [
    { offset: 0, state: 1, deliveryCount: 2 },
    { offset: 1, state: 1, deliveryCount: 2 },
  ]);
  for (const row of rows) settle(other, consumerId, row, SETTLE_ACTION.RELEASE);
  await outcomes(other, rows.length);
  const again = await leased(other, 2);
  t.ok(
    again.every(({ deliveryCount }) => deliveryCount === 2),
    "a release does not count",
  );
  await other.close();
});
