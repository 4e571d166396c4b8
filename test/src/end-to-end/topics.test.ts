import { LIMITS } from "@millrace/protocol";
import t, { type Test } from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { wallMs } from "../harness/clock.ts";
import { connectedClient } from "../harness/connected-client.ts";
import { readAll, valuesOf } from "../harness/reading.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { TEST_TARGET } from "../harness/test-target.ts";
import { inTime } from "../harness/waiting.ts";

const DAY_MS = 86_400_000;
const SHARDS = 3;

const dataDir = temporaryFolder(t);
const broker = await BrokerProcess.start(t, { dataDir, args: ["--shards", String(SHARDS)] });
const client = await connectedClient(t, broker.url);
const { topics } = client;

t.test("a topic has the settings that it was created with", async (t) => {
  const beforeMs = wallMs();
  const config = {
    partitions: 4,
    retentionMs: DAY_MS,
    retentionBytes: 5_000_000_000,
    durability: "written",
  } as const;
  const created = await topics.create("orders.eu-1_x", config);
  t.match(created, { name: "orders.eu-1_x", ...config });
  t.ok(created.topicId > 0, "topic 0 is the broker's own");
  t.ok(created.createdMs >= beforeMs && created.createdMs <= wallMs(), "it knows when it was made");

  const { partitionInfo, owners, ...described } = await topics.describe("orders.eu-1_x");
  t.same(described, created);
  if (TEST_TARGET === "process") t.equal(owners, undefined, "there is one address");
  else
    t.ok(
      partitionInfo.every(({ shard }) => owners?.some((owner) => owner.shard === shard)),
      "each partition has an owner",
    );
  t.same(
    partitionInfo.map(({ partition, logStartOffset, highWatermark }) => [
      partition,
      logStartOffset,
      highWatermark,
    ]),
    [0, 1, 2, 3].map((partition) => [partition, 0, 0]),
  );
  t.ok(partitionInfo.every(({ shard }) => shard >= 0 && shard < SHARDS));
  t.same(
    (await topics.list()).find(({ name }) => name === "orders.eu-1_x"),
    created,
  );
});

t.test("settings that are left out have their documented defaults", async (t) => {
  const topic = await topics.create("defaults");
  t.match(topic, { partitions: 1, retentionMs: 7 * DAY_MS, retentionBytes: null, durability: "fsynced" });
  const forever = await topics.create("forever", { retentionMs: null, retentionBytes: null });
  t.match(forever, { retentionMs: null, retentionBytes: null });
});

t.test("names and settings that are refused", async (t) => {
  for (const name of ["", " ", "a b", "$own", "a..b", ".a", "a.", "é", "a/b", "n".repeat(250)]) {
    await t.rejects(topics.create(name), { code: "INVALID_TOPIC_NAME" }, `name ${JSON.stringify(name)}`);
  }
  await topics.create("n".repeat(LIMITS.topicNameBytesMax));
  const configs = [
    { partitions: 0 },
    { partitions: LIMITS.partitionsMax + 1 },
    { partitions: 1.5 },
    { retentionMs: 0 },
    { retentionMs: -1 },
    { retentionBytes: 0 },
    { durability: "replicated" as "memory" },
  ];
  for (const config of configs) {
    await t.rejects(
      topics.create("refused", config),
      { code: "INVALID_TOPIC_CONFIG" },
      JSON.stringify(config),
    );
  }
  await t.rejects(topics.describe("refused"), { code: "UNKNOWN_TOPIC" });
  await t.rejects(topics.create("defaults"), { code: "TOPIC_EXISTS", retriable: false });
});

t.test("a topic that is deleted is gone for everybody, and its id with it", async (t) => {
  const first = await topics.create("passing", { partitions: 2 });
  const producer = client.producer("passing");
  await producer.send({ value: "old", partition: 1 });
  const reader = client.subscribe("passing", { from: "earliest" });
  const iterator = reader[Symbol.asyncIterator]();
  t.equal((await inTime(iterator.next(), "the record")).value.value, "old");

  await topics.delete("passing");
  await t.rejects(inTime(iterator.next(), "the end of the subscription"), {
    code: /^(TOPIC_DELETED|UNKNOWN_TOPIC)$/,
  });
  await t.rejects(topics.describe("passing"), { code: "UNKNOWN_TOPIC" });
  await t.rejects(topics.delete("passing"), { code: "UNKNOWN_TOPIC" });
  await t.rejects(producer.send({ value: "late", partition: 1 }), {
    code: /^(TOPIC_DELETED|UNKNOWN_TOPIC)$/,
  });
  t.notOk((await topics.list()).some(({ name }) => name === "passing"));

  const second = await topics.create("passing", { partitions: 2 });
  t.ok(second.topicId > first.topicId, "the new topic of that name has an id of its own");
  t.same(await readAll(client, "passing"), [], "and nothing of the old one");
  const { offset } = await client.producer("passing").send({ value: "new", partition: 1 });
  t.equal(offset, 0);
});

t.test("a topic may have 1024 partitions", async (t) => {
  await topics.create("wide", { partitions: LIMITS.partitionsMax, durability: "written" });
  const producer = client.producer("wide");
  await Promise.all(
    Array.from({ length: LIMITS.partitionsMax }, (_, partition) =>
      producer.send({ value: `of ${partition}`, partition }),
    ),
  );
  const { partitionInfo } = await topics.describe("wide");
  t.ok(partitionInfo.every(({ highWatermark }) => highWatermark === 1));
  t.same([...new Set(partitionInfo.map(({ shard }) => shard))].sort(), [0, 1, 2], "all shards have a share");
  const records = await readAll(client, "wide");
  t.equal(records.length, LIMITS.partitionsMax);
  t.ok(records.every(({ partition, value }) => value === `of ${partition}`));
});

t.test("1000 topics at once, before and after a restart", async (t) => {
  const dataDir = temporaryFolder(t);
  const names = Array.from({ length: 1000 }, (_, i) => `topic-${String(i).padStart(4, "0")}`);
  const first = await BrokerProcess.start(t, { dataDir });
  await create(t, first.url, names);
  const exit = await first.stop();
  t.equal(exit.code, 0);

  const second = await BrokerProcess.start(t, { dataDir });
  const client = await connectedClient(t, second.url);
  t.same(
    (await client.topics.list()).map(({ name }) => name),
    names,
  );
  for (const name of ["topic-0000", "topic-0500", "topic-0999"]) {
    t.same(valuesOf(await readAll(client, name)), [`in ${name}`], name);
  }
  const next = await client.topics.create("one-more");
  t.ok(next.topicId > 1000, "ids go on");
});

async function create(t: Test, url: string, names: readonly string[]): Promise<void> {
  const client = await connectedClient(t, url);
  const created = await Promise.all(names.map((name) => client.topics.create(name)));
  t.equal(new Set(created.map(({ topicId }) => topicId)).size, names.length, "each has an id of its own");
  const acks = await Promise.all(
    names.map((name) => client.producer(name, { lingerMs: 0 }).send({ value: `in ${name}` })),
  );
  t.ok(acks.every(({ offset, durability }) => offset === 0 && durability === "fsynced"));
  await client.close();
}
