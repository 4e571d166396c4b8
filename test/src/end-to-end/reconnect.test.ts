import type { Client, Gap, PublishResult, ReceivedRecord } from "@millrace/client";
import t from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { connectedClient } from "../harness/connected-client.ts";
import { readAll, take, valuesOf } from "../harness/reading.ts";
import { TcpRelay } from "../harness/tcp-relay.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { inTime, pauseMs, until } from "../harness/waiting.ts";

/** Brokers and clients made by one test serve the next. */
const file = t;
const dataDir = temporaryFolder(t);
let broker = await BrokerProcess.start(t, { dataDir });
const relay = await TcpRelay.start(t, broker.port);
/** Goes straight to the broker that runs now. */
let direct: Client = await connectedClient(t, broker.url);

/** Ends the broker as `end` says, and starts it again behind the same relay, on another port. */
async function restart(end: "kill" | "stop"): Promise<void> {
  await broker[end]();
  broker = await BrokerProcess.start(file, { dataDir });
  relay.targetPort = broker.port;
  direct = await connectedClient(file, broker.url);
}

t.test("an ack that was lost is asked for again, and the record is stored once", async (t) => {
  const topic = "lost-acks";
  await direct.topics.create(topic, { partitions: 2 });
  const client = await connectedClient(t, relay.url);
  const producer = client.producer(topic, { lingerMs: 0 });
  await producer.ready();
  const acks: PublishResult[] = [];
  const expected: string[] = [];
  for (let round = 0; round < 10; round += 1) {
    const answered = relay.swallowAnswers();
    const values = [0, 1, 2].map((i) => `round ${round} value ${i}`);
    const sent = values.map((value, i) => producer.send({ value, partition: i % 2 }));
    await inTime(answered, "the broker's answer");
    relay.cutAndPass();
    acks.push(...(await inTime(Promise.all(sent), "the repeated publishes")));
    expected.push(...values);
  }
  const records = await readAll(direct, topic);
  t.same(new Set(valuesOf(records)), new Set(expected));
  t.equal(records.length, expected.length, "each record is stored once");
  t.ok(
    acks.every(({ partition, offset }, i) =>
      records.some(
        (one) => one.partition === partition && one.offset === offset && one.value === expected[i],
      ),
    ),
    "and the acks name the offsets of the first attempt",
  );
});

t.test("connections that are cut again and again cost neither order nor a record", async (t) => {
  const topic = "cut";
  const total = 6_000;
  await direct.topics.create(topic, { partitions: 3, durability: "written" });
  const writer = await connectedClient(t, relay.url);
  const reader = await connectedClient(t, relay.url);
  const received: ReceivedRecord[] = [];
  const gaps: Gap[] = [];
  const reading = (async () => {
    for await (const record of reader.subscribe(topic, {
      from: "earliest",
      onGap: (gap) => gaps.push(gap),
    })) {
      received.push(record);
      if (received.length === total) break;
    }
  })();
  const producer = writer.producer(topic, { batchBytes: 1024, retryBackoffMs: 5 });
  const sent: Promise<PublishResult>[] = [];
  let cuts = 0;
  for (let i = 0; i < total; i += 1) {
    sent.push(producer.send({ value: i, key: `key ${i % 10}` }));
    if (i % 500 === 499) {
      await pauseMs(15);
      relay.cut();
      cuts += 1;
    }
  }
  const acks = await inTime(Promise.all(sent), "all acks");
  await inTime(reading, "all records");
  t.same(gaps, [], `no gap after ${cuts} cuts`);

  const next = new Map<number, number>();
  const misplaced = received.filter(({ partition, offset }) => {
    const expected = next.get(partition) ?? 0;
    next.set(partition, offset + 1);
    return offset !== expected;
  });
  t.same(misplaced, [], "the offsets of each partition came in order, each once");
  const last = new Map<unknown, number>();
  const disordered = received.filter(({ key, value }) => {
    const before = last.get(key) ?? -1;
    last.set(key, value as number);
    return (value as number) <= before;
  });
  t.same(disordered, [], "and the records of each key in the order in which they were sent");
  t.equal(new Set(acks.map(({ partition, offset }) => `${partition}/${offset}`)).size, total);
  t.ok(received.every(({ partition, offset, value }) => isAckOf(acks[value as number], partition, offset)));
});

function isAckOf(ack: PublishResult | undefined, partition: number, offset: number): boolean {
  return ack?.partition === partition && ack.offset === offset;
}

for (const end of ["stop", "kill"] as const) {
  t.test(`a broker restart (${end}): producers and subscriptions go on where they were`, async (t) => {
    const topic = `restart-${end}`;
    await direct.topics.create(topic, { partitions: 2 });
    const client = await connectedClient(t, relay.url);
    const states: string[] = [];
    client.on("state", (state) => states.push(state));
    const gaps: Gap[] = [];
    const records = client
      .subscribe(topic, { from: "earliest", onGap: (gap) => gaps.push(gap) })
      [Symbol.asyncIterator]();
    const producer = client.producer(topic);
    await Promise.all(Array.from({ length: 20 }, (_, i) => producer.send({ value: i, partition: i % 2 })));
    const before = await take(records, 13);

    const restarting = restart(end);
    const during = Array.from({ length: 20 }, (_, i) => producer.send({ value: 20 + i, partition: i % 2 }));
    await restarting;
    const acks = await inTime(Promise.all(during), "acks of what was sent meanwhile");
    t.same(
      acks.map(({ offset }) => offset),
      Array.from({ length: 20 }, (_, i) => 10 + Math.floor(i / 2)),
    );
    const after = await take(records, 27);
    t.same(
      [...before, ...after].map(({ value }) => value as number).sort((a, b) => a - b),
      Array.from({ length: 40 }, (_, i) => i),
      "every record came once",
    );
    t.same(gaps, []);
    t.equal((await readAll(direct, topic)).length, 40, "and is stored once");
    t.ok(states.includes("reconnecting"), states.join(" "));
    await until(() => client.state === "connected", "the client is connected again");
  });
}

t.test("a live subscription says what it missed", async (t) => {
  const topic = "live-gap";
  await direct.topics.create(topic);
  const client = await connectedClient(t, relay.url);
  const gaps: Gap[] = [];
  const subscription = client.subscribe(topic, { mode: "live", onGap: (gap) => gaps.push(gap) });
  const records = subscription[Symbol.asyncIterator]();
  await subscription.ready();
  const producer = direct.producer(topic);
  await producer.send({ value: "seen" });
  await take(records, 1);

  relay.targetPort = 1;
  relay.cut();
  await until(() => client.state === "reconnecting", "the connection is lost");
  await producer.send({ value: "missed" });
  const subscribed = new Promise((resolve) => client.on("connected", resolve));
  relay.targetPort = broker.port;
  await inTime(subscribed, "the reconnect");
  // The gap is reported with the record behind it; until the broker has resubscribed it, records are missed too.
  const next = take(records, 1);
  let sent = 0;
  let hasCome = false;
  void next.finally(() => {
    hasCome = true;
  });
  while (!hasCome) {
    await producer.send({ value: `again ${sent++}` });
    await pauseMs(5);
  }
  const [record] = await next;
  t.match(record?.value, /^again/);
  t.match(gaps, [{ topic, partition: 0, fromOffset: 1, toOffset: record?.offset, reason: "reconnect" }]);
});

t.test("a closed client refuses everything", async (t) => {
  const client = await connectedClient(t, relay.url);
  const producer = client.producer("live-gap");
  await client.close();
  const closed = { code: "CLOSED" };
  await t.rejects(client.topics.list(), closed);
  await t.rejects(client.topics.create("late"), closed);
  await t.rejects(producer.send({ value: "late" }), closed);
  t.throws(() => client.subscribe("live-gap"), closed);
  t.throws(() => client.producer("live-gap"), closed);
});

t.test("a client that may not reconnect closes, and one that finds nobody says so", async (t) => {
  const client = await connectedClient(t, relay.url, { reconnect: false });
  const closed = new Promise((resolve) => client.on("closed", resolve));
  relay.cut();
  t.match(await inTime(closed, "the close"), { code: "CONNECTION_LOST" });
  t.equal(client.state, "closed");
  relay.targetPort = 1;
  await t.rejects(connectedClient(t, relay.url), { code: "CONNECT_FAILED", retriable: true });
  relay.targetPort = broker.port;
});
