import { Buffer } from "node:buffer";
import t from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { connectedClient } from "../harness/connected-client.ts";
import { byPartition, offsetsOf, readAll, take, valuesOf } from "../harness/reading.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { inTime, pauseMs } from "../harness/waiting.ts";

const broker = await BrokerProcess.start(t, { dataDir: temporaryFolder(t) });
const client = await connectedClient(t, broker.url);

// Three partitions of 30 records, in batches of 5 with different append times.
const TOPIC = "readings";
const PARTITIONS = 3;
const PER_PARTITION = 30;
await client.topics.create(TOPIC, { partitions: PARTITIONS });
const producer = client.producer(TOPIC);
for (let n = 0; n < PER_PARTITION; n += 5) {
  const batch = [0, 1, 2, 3, 4].flatMap((i) =>
    [0, 1, 2].map((partition) => producer.send({ partition, value: `p${partition} n${n + i}` })),
  );
  await Promise.all(batch);
  await pauseMs(3);
}

t.test("from earliest, until the end", async (t) => {
  const records = await readAll(client, TOPIC);
  t.equal(records.length, PARTITIONS * PER_PARTITION);
  for (const [partition, own] of byPartition(records)) {
    t.ok(
      own.every(
        ({ topic, offset, value }, i) => topic === TOPIC && offset === i && value === `p${partition} n${i}`,
      ),
    );
  }
  await client.topics.create("empty", { partitions: 2 });
  t.same(await readAll(client, "empty"), [], "an empty topic has its end at once");
});

t.test("from latest: only what is published from then on", async (t) => {
  const topic = "from-latest";
  await client.topics.create(topic);
  const producer = client.producer(topic);
  await producer.send({ value: "before" });
  const subscription = client.subscribe(topic);
  await subscription.ready();
  await producer.send({ value: "after" });
  const [record] = await take(subscription[Symbol.asyncIterator](), 1);
  t.match(record, { value: "after", offset: 1 });
  await subscription.close();
});

t.test("from an offset, of one partition and of all", async (t) => {
  const one = await readAll(client, TOPIC, { from: { offset: 12, partition: 1 } });
  t.same([one.length, one[0]?.partition, one[0]?.value], [PER_PARTITION - 12, 1, "p1 n12"]);
  const all = byPartition(await readAll(client, TOPIC, { from: { offset: 28 } }));
  for (const partition of [0, 1, 2]) t.same(offsetsOf(all.get(partition) ?? []), [28, 29]);
  t.same(await readAll(client, TOPIC, { from: { offset: PER_PARTITION } }), [], "the end itself is a place");
  await t.rejects(readAll(client, TOPIC, { from: { offset: PER_PARTITION + 1 } }), {
    code: "OFFSET_OUT_OF_RANGE",
  });
  await t.rejects(readAll(client, TOPIC, { from: { offset: 0, partition: 3 } }), {
    code: "UNKNOWN_PARTITION",
  });
  await t.rejects(readAll(client, "nowhere"), { code: "UNKNOWN_TOPIC" });
  t.throws(() => client.subscribe(TOPIC, { from: { offset: -1 } }), { code: "INVALID_FROM" });
});

t.test("from a time: the first record appended then or later", async (t) => {
  const everything = await readAll(client, TOPIC);
  const times = [...new Set(everything.map(({ timestamp }) => timestamp))].sort((a, b) => a - b);
  t.ok(times.length >= 3, `${times.length} different append times`);
  const [first, last] = [times[0] ?? 0, times.at(-1) ?? 0];
  for (const time of [0, first, times[1] ?? 0, (times[1] ?? 0) + 1, last, last + 1, last + 3_600_000]) {
    const expected = byPartition(everything.filter(({ timestamp }) => timestamp >= time));
    const found = byPartition(await readAll(client, TOPIC, { from: { time: new Date(time) } }));
    for (const partition of [0, 1, 2]) {
      t.same(
        valuesOf(found.get(partition) ?? []),
        valuesOf(expected.get(partition) ?? []),
        `partition ${partition} from ${time - first} ms`,
      );
    }
  }
});

t.test("some of the partitions", async (t) => {
  const records = await readAll(client, TOPIC, { partitions: [2, 0] });
  t.same([...byPartition(records).keys()].sort(), [0, 2]);
  t.equal(records.length, 2 * PER_PARTITION);
});

t.test("positions() are where another subscription goes on", async (t) => {
  const subscription = client.subscribe(TOPIC, { from: "earliest" });
  t.same(subscription.positions(), []);
  const iterator = subscription[Symbol.asyncIterator]();
  const taken = await take(iterator, 41);
  const positions = subscription.positions();
  const { topicId } = subscription;
  await subscription.close();
  t.equal(positions.length, PARTITIONS);
  // The last record that was taken counts as under way until its successor is asked for.
  const done = taken.slice(0, -1);
  for (const { partition, offset } of positions) {
    t.equal(offset, done.filter((record) => record.partition === partition).length);
  }
  const rest = await readAll(client, TOPIC, { from: { offsets: positions, topicId } });
  t.equal(rest.length, PARTITIONS * PER_PARTITION - done.length);
  t.same(new Set([...done, ...rest].map(({ value }) => value)).size, PARTITIONS * PER_PARTITION);

  const byMap = await readAll(client, TOPIC, { from: { offsets: new Map([[1, 25]]) } });
  t.same(valuesOf(byMap), ["p1 n25", "p1 n26", "p1 n27", "p1 n28", "p1 n29"]);
  const wrongTopic = readAll(client, TOPIC, { from: { offsets: positions, topicId: (topicId ?? 0) + 1 } });
  await t.rejects(wrongTopic, { code: "TOPIC_DELETED" });
});

t.test("several consumers, each of which gets everything", async (t) => {
  const others = [await connectedClient(t, broker.url), await connectedClient(t, broker.url)];
  const readers = [client, client, ...others, ...others];
  const results = await Promise.all(readers.map((reader) => readAll(reader, TOPIC)));
  for (const result of results) t.equal(new Set(valuesOf(result)).size, PARTITIONS * PER_PARTITION);

  const live = readers.map((reader) => reader.subscribe(TOPIC));
  await Promise.all(live.map((subscription) => subscription.ready()));
  await Promise.all([0, 1, 2].map((partition) => producer.send({ partition, value: `live ${partition}` })));
  for (const subscription of live) {
    const records = await take(subscription[Symbol.asyncIterator](), PARTITIONS);
    t.same(valuesOf(records).sort(), ["live 0", "live 1", "live 2"]);
    await subscription.close();
  }
});

t.test("batches: values without an object per record", async (t) => {
  const topic = "batched";
  await client.topics.create(topic);
  const producer = client.producer(topic);
  const values = ["text", Buffer.from([1, 2, 3]), { a: 1 }, ""];
  await Promise.all(values.map((value) => producer.send({ value, key: "k" })));
  const found: { offset: number; bytes: number[]; key: unknown }[] = [];
  for await (const batch of client.subscribe(topic, { from: "earliest", untilEnd: true }).batches()) {
    for (let i = 0; i < batch.count; i += 1) {
      found.push({
        offset: batch.baseOffset + i,
        bytes: [...batch.valueAt(i)],
        key: batch.recordAt(i)?.key,
      });
    }
  }
  t.same(found, [
    { offset: 0, bytes: [...Buffer.from("text")], key: "k" },
    { offset: 1, bytes: [1, 2, 3], key: "k" },
    // {"a": 1} as MessagePack
    { offset: 2, bytes: [0x81, 0xa1, 0x61, 0x01], key: "k" },
    { offset: 3, bytes: [], key: "k" },
  ]);
});

t.test("the ways to end a subscription", async (t) => {
  const controller = new AbortController();
  const aborted = client.subscribe(TOPIC, { from: "latest", signal: controller.signal });
  const waiting = aborted[Symbol.asyncIterator]().next();
  await aborted.ready();
  controller.abort();
  await t.rejects(inTime(waiting, "the abort"), { code: "ABORTED" });

  let seen = 0;
  const left = client.subscribe(TOPIC, { from: "earliest" });
  for await (const record of left) {
    seen += record.offset >= 0 ? 1 : 0;
    if (seen === 7) break;
  }
  t.match(await left[Symbol.asyncIterator]().next(), { done: true }, "leaving the loop closes it");

  const closed = client.subscribe(TOPIC, { from: "latest" });
  const next = closed[Symbol.asyncIterator]().next();
  await closed.ready();
  await closed.close();
  t.match(await inTime(next, "the end"), { done: true });

  const mode = client.subscribe(TOPIC, { from: "earliest", mode: "queue" as "live" });
  await t.rejects(mode.ready(), { code: "UNSUPPORTED_FEATURE" });
});
