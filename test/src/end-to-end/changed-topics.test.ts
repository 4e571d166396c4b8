import type { Gap } from "@millrace/client";
import t from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { connectedClient } from "../harness/connected-client.ts";
import { offsetsOf, readAll, take, valuesOf } from "../harness/reading.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { inTime } from "../harness/waiting.ts";

const ARGS = ["--shards", "3"];

const broker = await BrokerProcess.start(t, { dataDir: temporaryFolder(t), args: ARGS });
const client = await connectedClient(t, broker.url);
const { topics } = client;

/** A topic whose partition 0 has the records "0", "1", … */
async function withRecords(name: string, count: number, partitions = 1): Promise<void> {
  await topics.create(name, { partitions });
  const producer = client.producer(name);
  for (let i = 0; i < count; i += 1) void producer.append({ value: `${i}`, partition: 0 });
  await producer.flush();
}

t.test("an altered topic is the same topic with other settings, also after kill -9", async (t) => {
  const dataDir = temporaryFolder(t);
  const first = await BrokerProcess.start(t, { dataDir, args: ARGS });
  const { topics } = await connectedClient(t, first.url);
  const created = await topics.create("a", { partitions: 2, retentionBytes: 1_000_000 });
  const altered = await topics.alter("a", { retentionMs: 5000, durability: "memory" });
  t.match(altered, { ...created, retentionMs: 5000, durability: "memory", catalogPosition: Number });
  t.ok(altered.catalogPosition > created.catalogPosition);
  t.match(await topics.describe("a"), altered);
  const last = await topics.alter("a", { retentionMs: null, retentionBytes: null });
  t.match(last, { retentionMs: null, retentionBytes: null, durability: "memory" });
  await t.rejects(topics.alter("a", { partitions: 3 } as object), { code: "PARTITIONS_FIXED" });
  await t.rejects(topics.alter("a", { retentionMs: -1 }), { code: "INVALID_TOPIC_CONFIG" });
  await t.rejects(topics.alter("b", { retentionMs: 1 }), { code: "UNKNOWN_TOPIC" });
  t.equal(first.logged("topic-altered").length, 2);

  await first.kill();
  const second = await BrokerProcess.start(t, { dataDir, args: ARGS });
  const again = await connectedClient(t, second.url);
  t.same(await again.topics.list(), [last]);
});

t.test("the durability changes under publishers and readers, and nobody misses a record", async (t) => {
  await topics.create("changing");
  const producer = client.producer("changing", { lingerMs: 0 });
  const records = client.subscribe("changing", { from: "earliest" });
  const iterator = records[Symbol.asyncIterator]();
  const durabilities = ["memory", "fsynced", "written", "memory", "written", "fsynced"] as const;
  let before = "fsynced";
  let sent = 0;
  for (const durability of durabilities) {
    const altering = topics.alter("changing", { durability });
    const acks = [];
    for (let i = 0; i < 200; i += 1) acks.push(producer.send({ value: `${sent++}` }));
    await altering;
    const stated = (await Promise.all(acks)).map((ack) => ack.durability);
    // Where the change came among them is a matter of time: at either end, too.
    const changedAt = stated.includes(durability) ? stated.indexOf(durability) : stated.length;
    t.same(
      stated,
      stated.map((_, i) => (i < changedAt ? before : durability)),
      "what is under way has the old one, then the new one",
    );
    const { durability: reached } = await producer.send({ value: `${sent++}` });
    t.equal(reached, durability, "what is sent after the answer has the new one");
    before = durability;
  }
  const values = Array.from({ length: sent }, (_, i) => `${i}`);
  t.same(valuesOf(await take(iterator, sent)), values);
  t.same(valuesOf(await readAll(client, "changing")), values);
  await records.close();
});

t.test("records before an offset, a time and the end are given up", async (t) => {
  await withRecords("short", 10, 2);
  t.same(await topics.truncate("short", { before: { offset: 4 }, partitions: [0] }), [
    { partition: 0, logStartOffset: 4, highWatermark: 10 },
  ]);
  t.same(offsetsOf(await readAll(client, "short")), [4, 5, 6, 7, 8, 9]);
  t.match((await topics.describe("short")).partitionInfo, [
    { logStartOffset: 4, highWatermark: 10 },
    { logStartOffset: 0, highWatermark: 0 },
  ]);
  await t.rejects(topics.truncate("short", { before: { offset: 7 } }), { code: "OFFSET_OUT_OF_RANGE" });
  await t.rejects(topics.truncate("short", { before: { offset: 0 }, partitions: [2] }), {
    code: "UNKNOWN_PARTITION",
  });
  await t.rejects(topics.truncate("none", { before: "latest" }), { code: "UNKNOWN_TOPIC" });
  const before = { time: Date.UTC(2020, 0) };
  t.match(await topics.truncate("short", { before }), [{ logStartOffset: 4 }, { logStartOffset: 0 }]);
  await t.rejects(
    inTime(client.subscribe("short", { from: { offset: 3, partition: 0 } }).ready(), "the refusal"),
    { code: "OFFSET_OUT_OF_RANGE" },
  );
  // A time from before the start is where the log starts.
  t.same(offsetsOf(await readAll(client, "short", { from: before })), [4, 5, 6, 7, 8, 9]);

  const pause = await client.producer("short").send({ value: "later", partition: 0 });
  const [record] = await readAll(client, "short", { from: { offset: pause.offset, partition: 0 } });
  const time = record?.timestamp ?? 0;
  const [truncated] = await topics.truncate("short", { before: { time }, partitions: [0] });
  t.ok((truncated?.logStartOffset ?? 99) <= pause.offset, "that of the time is kept");
  t.same(await topics.truncate("short", { before: "latest" }), [
    { partition: 0, logStartOffset: 11, highWatermark: 11 },
    { partition: 1, logStartOffset: 0, highWatermark: 0 },
  ]);
  t.same(await readAll(client, "short"), []);
  await client.producer("short").send({ value: "new", partition: 0 });
  t.same(offsetsOf(await readAll(client, "short")), [11]);
});

t.test("a reader that is overtaken is told of the gap, and goes on", async (t) => {
  await withRecords("overtaken", 20_000);
  const gaps: Gap[] = [];
  // Little is sent ahead: most of the log is not under way when it is given up.
  const subscription = client.subscribe("overtaken", {
    from: "earliest",
    windowBytes: 1,
    onGap: (gap) => gaps.push(gap),
  });
  const iterator = subscription[Symbol.asyncIterator]();
  await take(iterator, 1);
  // The window is a whole frame at least: leave more than that behind it.
  const filler = client.producer("overtaken");
  const big = "x".repeat(60_000);
  for (let i = 0; i < 100; i += 1) void filler.append({ value: big });
  await filler.flush();
  await topics.truncate("overtaken", { before: { offset: 20_090 } });
  const rest = [];
  for (let next = 1; next < 20_100; ) {
    const record = (await inTime(iterator.next(), `offset ${next}`)).value;
    rest.push(record.offset);
    next = record.offset + 1;
  }
  t.equal(gaps.length, 1);
  const [gap] = gaps;
  t.match(gap, { topic: "overtaken", partition: 0, toOffset: 20_090, reason: "retention" });
  const from = gap?.fromOffset ?? 0;
  t.ok(from > 1 && from < 20_090, `what had been sent came: ${from}`);
  t.same(rest, [
    ...Array.from({ length: from - 1 }, (_, i) => i + 1),
    ...Array.from({ length: 10 }, (_, i) => 20_090 + i),
  ]);
  await subscription.close();
});

t.test("what was given up stays gone, after a restart and after kill -9", async (t) => {
  const dataDir = temporaryFolder(t);
  let at = await BrokerProcess.start(t, { dataDir, args: ARGS });
  let first = await connectedClient(t, at.url);
  await first.topics.create("gone", { partitions: 3 });
  for (const partition of [0, 1, 2]) {
    for (let i = 0; i < 5; i += 1) await first.producer("gone").send({ value: `${i}`, partition });
  }
  for (const [offset, end] of [
    [2, "SIGTERM"],
    [4, "SIGKILL"],
  ] as const) {
    await first.topics.truncate("gone", { before: { offset } });
    await first.close();
    await at.process.kill(end);
    at = await BrokerProcess.start(t, { dataDir, args: ARGS });
    first = await connectedClient(t, at.url);
    const { partitionInfo } = await first.topics.describe("gone");
    t.same(
      partitionInfo.map(({ logStartOffset, highWatermark }) => [logStartOffset, highWatermark]),
      [0, 1, 2].map(() => [offset, 5]),
      end,
    );
    t.equal((await readAll(first, "gone")).length, 3 * (5 - offset));
  }
});
