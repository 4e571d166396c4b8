import type { BatchResult, Durability } from "@millrace/client";
import { LIMITS, partitionForKey } from "@millrace/protocol";
import t from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { wallMs } from "../harness/clock.ts";
import { connectedClient } from "../harness/connected-client.ts";
import { byPartition, readAll, valuesOf } from "../harness/reading.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { recordValue } from "../harness/test-records.ts";

/** Array header, three nils, the header of a bin 32: what a bare record adds to its value. */
const ENVELOPE_BYTES = 9;

const broker = await BrokerProcess.start(t, { dataDir: temporaryFolder(t) });
const client = await connectedClient(t, broker.url);
const { topics } = client;

for (const durability of ["memory", "written", "fsynced"] as const satisfies readonly Durability[]) {
  t.test(`an ack of a topic with durability ${durability}`, async (t) => {
    const topic = await topics.create(`acks-${durability}`, { durability, partitions: 2 });
    const producer = client.producer(topic.name);
    const acks = await Promise.all([0, 1, 2].map((i) => producer.send({ value: `v${i}`, partition: 1 })));
    const { partitionInfo } = await topics.describe(topic.name);
    const { logEpoch } = partitionInfo[1] ?? {};
    t.same(
      acks,
      [0, 1, 2].map((offset) => ({
        topic: topic.name,
        topicId: topic.topicId,
        partition: 1,
        offset,
        logEpoch,
        durability,
      })),
    );
    t.same(valuesOf(await readAll(client, topic.name)), ["v0", "v1", "v2"]);
  });
}

t.test("a key decides the partition as Kafka's clients do, and keeps its order", async (t) => {
  await topics.create("keyed", { partitions: 7 });
  const producer = client.producer("keyed");
  const keys = Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? `key-${i}` : Buffer.from(`bytes-${i}`)));
  const acks = await Promise.all(
    keys.flatMap((key) => [0, 1, 2].map((n) => producer.send({ key, value: n }))),
  );
  t.same(
    acks.map(({ partition }) => partition),
    keys.flatMap((key) => new Array<number>(3).fill(partitionForKey(key, 7))),
  );
  // murmur2("foobar") is -790332482 in Kafka's own tests; its clients mask the sign.
  const { partition } = await producer.send({ key: "foobar", value: null });
  t.equal(partition, (-790332482 & 0x7fffffff) % 7);

  const records = await readAll(client, "keyed");
  for (const key of keys) {
    const own = records.filter((record) => JSON.stringify(plain(record.key)) === JSON.stringify(plain(key)));
    t.same(valuesOf(own), [0, 1, 2], `${key}: bytes stay bytes and text stays text`);
  }
});

t.test("without a key each batch goes to the next partition", async (t) => {
  await topics.create("round", { partitions: 4 });
  const producer = client.producer("round", { lingerMs: 0 });
  const partitions: number[] = [];
  for (let i = 0; i < 12; i += 1) partitions.push((await producer.send({ value: i })).partition);
  const first = partitions[0] ?? 0;
  t.same(
    partitions,
    partitions.map((_, i) => (first + i) % 4),
  );
});

t.test("an explicit partition goes before the key", async (t) => {
  await topics.create("explicit", { partitions: 3 });
  const producer = client.producer("explicit");
  const acks = await Promise.all(
    [2, 0, 1, 2].map((partition) => producer.send({ key: "k", value: "", partition })),
  );
  t.same(
    acks.map(({ partition }) => partition),
    [2, 0, 1, 2],
  );
  await t.rejects(producer.send({ value: "", partition: 3 }), { code: "UNKNOWN_PARTITION" });
  await t.rejects(client.producer("nowhere").send({ value: "" }), { code: "UNKNOWN_TOPIC" });
});

t.test("keys, headers, timestamps and values come back as they were", async (t) => {
  await topics.create("content");
  const producer = client.producer("content");
  const bytes = Uint8Array.of(0, 255, 128);
  const values = [
    "text",
    "",
    "ünï¢ødé 🚀",
    bytes,
    new Uint8Array(0),
    42,
    -1.5,
    2 ** 53 - 1,
    true,
    null,
    [1, [2, [3]]],
    { nested: { list: ["a", null] }, n: -7 },
  ];
  const headers = { plain: "text", empty: "", binary: bytes, traceparent: "00-ab-cd-01" };
  const beforeMs = wallMs();
  await Promise.all(values.map((value) => producer.send({ value })));
  await producer.send({ key: bytes, headers, value: "all", timestamp: 1_234_567_890_123 });
  await producer.send({ key: "", value: "empty key" });

  const records = await readAll(client, "content");
  t.same(valuesOf(records).slice(0, values.length).map(plain), values.map(plain));
  t.ok(
    records.slice(0, values.length).every(({ key, headers }) => key === undefined && headers === undefined),
    "what was not given is not there",
  );
  t.ok(
    records.slice(0, values.length).every(({ timestamp }) => timestamp >= beforeMs && timestamp <= wallMs()),
    "the time is the broker's",
  );
  const [full, emptyKey] = records.slice(values.length);
  t.same(plain(full?.key), plain(bytes));
  t.same(
    Object.entries(full?.headers ?? {}).map(([name, value]) => [name, plain(value)]),
    Object.entries(headers).map(([name, value]) => [name, plain(value)]),
  );
  t.equal(full?.timestamp, 1_234_567_890_123);
  t.equal(emptyKey?.key, "");
});

t.test("append: one promise a batch, and the order of the calls in each partition", async (t) => {
  await topics.create("fast", { partitions: 2, durability: "written" });
  const producer = client.producer("fast", { batchBytes: 4096 });
  await producer.ready();
  const count = 20_000;
  const batches = new Set<Promise<unknown>>();
  for (let i = 0; i < count; i += 1) {
    if (!producer.hasRoom) await producer.room();
    batches.add(producer.append({ value: `record ${i}`, partition: i % 2 }));
  }
  await producer.flush();
  const results = (await Promise.all(batches)) as BatchResult[];
  t.ok(batches.size > 10 && batches.size < count / 10, `${batches.size} batches`);
  t.equal(producer.bufferedBytes, 0);
  const records = byPartition(await readAll(client, "fast"));
  for (const partition of [0, 1]) {
    const own = records.get(partition) ?? [];
    t.equal(own.length, count / 2);
    t.ok(
      own.every(({ value, offset }, i) => offset === i && value === `record ${2 * i + partition}`),
      `partition ${partition} is in order`,
    );
    let next = 0;
    const misplaced = results.filter((batch) => {
      if (batch.partition !== partition) return false;
      const isNext = batch.baseOffset === next;
      next = batch.baseOffset + batch.count;
      return !isNext;
    });
    t.same(misplaced, [], "batches are stored one after another");
  }
});

t.test("records up to the limit, and none beyond it", async (t) => {
  await topics.create("large", { partitions: 2 });
  const producer = client.producer("large");
  const largest = recordValue("large", 0, LIMITS.recordBytesMax - ENVELOPE_BYTES);
  const sizes = [0, 1, 65_535, 65_536, 300_000, largest.length];
  await Promise.all(sizes.map((size) => producer.send({ value: largest.subarray(0, size), partition: 0 })));
  const records = await readAll(client, "large");
  t.same(
    records.map(({ value }) => (value as Uint8Array).length),
    sizes,
  );
  t.ok(records.every(({ value }, i) => largest.subarray(0, sizes[i]).equals(value as Uint8Array)));

  const tooLarge = { code: "RECORD_TOO_LARGE" };
  await t.rejects(producer.send({ value: Buffer.concat([largest, Buffer.alloc(1)]) }), tooLarge);
  await t.rejects(producer.send({ value: "", key: "k".repeat(LIMITS.keyBytesMax + 1) }), tooLarge);
  await t.rejects(producer.send({ value: "", headers: { h: "v".repeat(LIMITS.headersBytesMax) } }), tooLarge);
  t.throws(() => producer.append({ value: Buffer.concat([largest, Buffer.alloc(1)]) }), tooLarge);
  const key = "k".repeat(LIMITS.keyBytesMax);
  const last = await producer.send({ value: "still works", key, partition: 0 });
  t.equal(last.offset, sizes.length, "what was refused has taken no offset");
});

t.test("a topic is made by a publish only where that was configured", async (t) => {
  const auto = await BrokerProcess.start(t, { dataDir: temporaryFolder(t), args: ["--auto-create"] });
  const client = await connectedClient(t, auto.url);
  const { offset, topicId } = await client.producer("made-by-use").send({ value: "first" });
  t.equal(offset, 0);
  t.equal((await client.topics.describe("made-by-use")).topicId, topicId);
  await t.rejects(client.producer("not a name").send({ value: "" }), { code: "INVALID_TOPIC_NAME" });
});

/** Bytes as an array, so that a Buffer equals a Uint8Array. */
function plain(value: unknown): unknown {
  return value instanceof Uint8Array ? ["bytes", ...value] : value;
}
