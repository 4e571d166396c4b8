import { LIMITS, partitionForKey } from "@millrace/protocol";
import t from "tap";
import type { BatchResult, PublishResult } from "../src/index.ts";
import { topicInfo } from "./fake-broker.ts";
import { bytes, codeOf, outcomeOf } from "./publish-outcomes.ts";
import { ScriptedClient } from "./scripted-client.ts";

t.test("partitions: by key as Kafka does, explicit, and round robin a batch at a time", async (t) => {
  const script = await ScriptedClient.connected();
  script.topics.set("wide", topicInfo("wide", 8));
  const producer = await script.readyProducer("wide");

  for (const key of ["a", "flight-17", new Uint8Array([1, 2, 3])])
    void producer.send({ key, value: "keyed" });
  void producer.send({ partition: 7, key: "a", value: "explicit" });
  script.clock.advance(0);
  const byPartition = new Map<number, string[]>();
  for (let left = 4; left > 0; ) {
    const publish = await script.publish();
    byPartition.set(publish.partition, publish.values);
    left -= publish.count;
  }
  for (const key of ["a", "flight-17", new Uint8Array([1, 2, 3])]) {
    t.ok(byPartition.get(partitionForKey(key, 8))?.includes("keyed"));
  }
  t.ok(byPartition.get(7)?.includes("explicit"));

  const visited: number[] = [];
  for (let round = 0; round < 8; round += 1) {
    void producer.append({ value: "1" });
    void producer.append({ value: "2" });
    script.clock.advance(0);
    const { partition, values } = await script.publish();
    t.same(values, ["1", "2"]);
    visited.push(partition);
  }
  t.same([...visited].sort(), [0, 1, 2, 3, 4, 5, 6, 7], "every partition had its turn");

  t.equal(await codeOf(producer.send({ partition: 8, value: "x" })), "UNKNOWN_PARTITION");
  t.throws(() => producer.append({ partition: -1, value: "x" }), { code: "UNKNOWN_PARTITION" });
  t.throws(() => producer.append({ partition: 1.5, value: "x" }), { code: "UNKNOWN_PARTITION" });
});

t.test("a batch is sent when it is full or has lingered; one ack covers several of them", async (t) => {
  const script = await ScriptedClient.connected();
  const producer = await script.readyProducer("t", { lingerMs: 5, batchBytes: 1024 });
  const results: Promise<PublishResult>[] = [];
  for (let i = 0; i < 25; i += 1) results.push(producer.send({ partition: 1, value: bytes(100) }));
  const first = await script.publish();
  const second = await script.publish();
  t.equal(first.baseSequence, 0);
  t.equal(second.baseSequence, first.count);
  t.ok(first.frameBytes <= 1024 + 64);
  t.ok(await script.isQuiet(), "the third one lingers");
  script.clock.advance(4);
  t.ok(await script.isQuiet());
  script.clock.advance(1);
  const third = await script.publish();
  t.equal(first.count + second.count + third.count, 25);

  await script.ack(first, 1_000, first.count + second.count);
  await script.ack(third, 5_000);
  const settled = await Promise.all(results);
  settled.forEach((result, i) => {
    const inThird = i - first.count - second.count;
    const offset = inThird >= 0 ? 5_000 + inThird : 1_000 + i;
    t.same(result, { topic: "t", topicId: 7, partition: 1, offset, logEpoch: 4, durability: "fsynced" });
  });
  t.equal(producer.bufferedBytes, 0);
});

t.test("send and append mixed: each promise gets its own", async (t) => {
  const script = await ScriptedClient.connected();
  const producer = await script.readyProducer("t");
  const whole = producer.append({ partition: 0, value: "a" });
  const sent = producer.send({ partition: 0, value: "b" });
  const again = producer.append({ partition: 0, value: "c" });
  const last = producer.send({ partition: 0, value: "d" });
  t.equal(whole, again, "one promise for the batch");
  script.clock.advance(0);
  await script.ack(await script.publish(), 40);
  t.same((await outcomeOf(whole)) as BatchResult, {
    topic: "t",
    topicId: 7,
    partition: 0,
    baseOffset: 40,
    count: 4,
    logEpoch: 4,
    durability: "fsynced",
  });
  t.equal((await sent).offset, 41);
  t.equal((await last).offset, 43);
});

t.test("the caller may reuse its bytes as soon as send returns", async (t) => {
  const script = await ScriptedClient.connected();
  const producer = await script.readyProducer("t");
  const value = new TextEncoder().encode("before");
  void producer.append({ value });
  value.set(new TextEncoder().encode("after!"));
  script.clock.advance(0);
  t.same((await script.publish()).values, ["before"]);
});

t.test("publish credit is never exceeded, and asked for when nothing is under way", async (t) => {
  const script = await ScriptedClient.connected({}, 1_500);
  const producer = await script.readyProducer("t", { lingerMs: 0, batchBytes: 1024 });
  for (let i = 0; i < 27; i += 1) void producer.append({ partition: 0, value: bytes(100) });
  script.clock.advance(0);
  const first = await script.publish();
  t.ok(await script.isQuiet(), "no credit for the second, and an ack is to come");
  await script.ack(first, 0, first.count, 1_500);
  const { bytes: needed } = await script.expect("CREDIT_REQUEST");
  t.ok(await script.isQuiet(), "asked once");
  await script.reply("CREDIT", { publishCreditLimit: first.frameBytes + needed });
  t.equal((await script.publish()).frameBytes, needed);
  t.ok(await script.isQuiet(), "not a byte more");
});

t.test("credit asked for is the whole frame", async (t) => {
  const script = await ScriptedClient.connected({}, 0);
  const producer = await script.readyProducer("t", { batchBytes: 1024 });
  for (let i = 0; i < 3; i += 1) void producer.append({ partition: 0, value: bytes(700) });
  script.clock.advance(0);
  const { bytes: needed } = await script.expect("CREDIT_REQUEST");
  await script.reply("CREDIT", { publishCreditLimit: needed - 1 });
  t.ok(await script.expect("CREDIT_REQUEST"), "not enough: asked again");
  t.ok(await script.isQuiet());
  await script.reply("CREDIT", { publishCreditLimit: needed });
  const first = await script.publish();
  t.equal(first.frameBytes, needed);
  t.ok(await script.isQuiet());
  await script.ack(first, 0, first.count, needed * 3);
  await script.publish();
  await script.publish();
  t.ok(await script.isQuiet());
});

t.test("a revoke is answered with what is kept, at least what was sent", async (t) => {
  const script = await ScriptedClient.connected({}, 10_000);
  const producer = await script.readyProducer("t", { batchBytes: 1024 });
  void producer.append({ partition: 0, value: bytes(800) });
  script.clock.advance(0);
  const first = await script.publish();
  await script.reply("CREDIT_REVOKE", { publishCreditLimit: 10 });
  t.equal((await script.expect("CREDIT_RETURNED")).publishCreditLimit, first.frameBytes);
  await script.ack(first, 0, first.count, first.frameBytes);
  void producer.append({ partition: 0, value: bytes(800) });
  script.clock.advance(0);
  t.ok(await script.expect("CREDIT_REQUEST"), "what was returned is not spent");
  await script.reply("CREDIT_REVOKE", { publishCreditLimit: 9_000 });
  t.equal(
    (await script.expect("CREDIT_RETURNED")).publishCreditLimit,
    first.frameBytes,
    "a revoke never gives",
  );
});

t.test("a full buffer: send waits, append throws, room tells", async (t) => {
  const script = await ScriptedClient.connected();
  const producer = await script.readyProducer("t", {
    lingerMs: 0,
    batchBytes: 1024,
    maxBufferedBytes: 2_000,
    maxWaitingSends: 2,
  });
  const sent = [
    producer.send({ partition: 0, value: bytes(900) }),
    producer.send({ partition: 0, value: bytes(900) }),
  ];
  t.ok(producer.hasRoom);
  sent.push(producer.send({ partition: 0, value: bytes(900) }));
  t.notOk(producer.hasRoom);
  t.throws(() => producer.append({ partition: 0, value: "x" }), { code: "BUFFER_FULL", retriable: true });
  const waiting = [producer.send({ partition: 0, value: "1" }), producer.send({ partition: 0, value: "2" })];
  t.equal(await codeOf(producer.send({ value: "too many" })), "BUFFER_FULL");
  const room = producer.room();
  t.equal(await outcomeOf(room), "pending");
  const aborting = new AbortController();
  const aborted = producer.room({ signal: aborting.signal });
  aborting.abort();
  t.equal(await codeOf(aborted), "ABORTED");

  script.clock.advance(0);
  const first = await script.publish();
  await script.ack(first, 0);
  t.equal(await outcomeOf(room), undefined);
  await script.publish();
  await script.publish();
  script.clock.advance(0);
  t.same((await script.publish()).values, ["1", "2"], "in their order");
  t.equal((await (sent[0] as Promise<PublishResult>)).offset, 0);
  t.equal(await outcomeOf(waiting[0] as Promise<PublishResult>), "pending");
});

t.test("flush sends at once and waits for everything; it reports a failed append once", async (t) => {
  const script = await ScriptedClient.connected();
  const producer = await script.readyProducer("t", { lingerMs: 1_000_000 });
  void producer.append({ partition: 0, value: "early" });
  const flushed = producer.flush();
  const a = await script.publish();
  t.same(a.values, ["early"], "also what came before the topic was known");
  t.equal(await outcomeOf(flushed), "pending");
  await script.ack(a, 0);
  t.equal(await outcomeOf(flushed), undefined);

  void producer.append({ partition: 0, value: "bad" });
  const again = producer.flush();
  await script.refuse(await script.publish(), 30, "INVALID_BATCH", false);
  t.equal(await codeOf(again), "INVALID_BATCH");
  t.equal(await outcomeOf(producer.flush()), undefined, "reported once");

  const failed = producer.send({ partition: 0, value: "bad" });
  const third = producer.flush();
  await script.refuse(await script.publish(), 30, "INVALID_BATCH", false);
  t.equal(await codeOf(failed), "INVALID_BATCH");
  t.equal(await outcomeOf(third), undefined, "a send tells its own caller");

  const controller = new AbortController();
  void producer.append({ partition: 0, value: "x" });
  const aborted = producer.flush({ signal: controller.signal });
  controller.abort();
  t.equal(await codeOf(aborted), "ABORTED");
});

t.test("flush also sends what waits for room, however long the others linger", async (t) => {
  const script = await ScriptedClient.connected();
  const producer = await script.readyProducer("t", {
    lingerMs: 1e6,
    batchBytes: 1024,
    maxBufferedBytes: 500,
  });
  const sent = Array.from({ length: 4 }, () => producer.send({ partition: 0, value: bytes(500) }));
  const flushed = producer.flush();
  for (let offset = 0; offset < 4; ) {
    const publish = await script.publish();
    await script.ack(publish, offset);
    offset += publish.count;
  }
  t.equal(await outcomeOf(flushed), undefined);
  t.same(
    (await Promise.all(sent)).map(({ offset }) => offset),
    [0, 1, 2, 3],
  );
});

t.test("close flushes, then refuses", async (t) => {
  const script = await ScriptedClient.connected();
  const producer = script.client.producer("t", { lingerMs: 1_000_000 });
  const sent = producer.send({ partition: 0, value: "last" });
  const closed = producer.close();
  t.equal(await codeOf(producer.send({ value: "x" })), "CLOSED");
  t.throws(() => producer.append({ value: "x" }), { code: "CLOSED" });
  const publish = await script.publish();
  t.equal(await outcomeOf(closed), "pending");
  await script.ack(publish, 77);
  t.equal((await sent).offset, 77);
  t.equal(await outcomeOf(closed), undefined);
  t.equal(await codeOf(producer.ready()), "CLOSED");
});

t.test("options out of their range are refused by name", async (t) => {
  const { client } = await ScriptedClient.connected();
  t.throws(() => client.producer("t", { lingerMs: -1 }), /lingerMs/);
  t.throws(() => client.producer("t", { batchBytes: 10 }), /batchBytes/);
  t.throws(() => client.producer("t", { batchBytes: Number.NaN }), /batchBytes/);
  t.throws(() => client.producer("t", { deliveryTimeoutMs: 0 }), /deliveryTimeoutMs/);
});

t.test("without batches each record is a frame of its own, and leaves before append returns", async (t) => {
  const script = await ScriptedClient.connected();
  script.topics.set("wide", topicInfo("wide", 2));
  const producer = await script.readyProducer("wide", { batchBytes: 0, lingerMs: 1_000 });
  const appended: Promise<BatchResult>[] = [];
  for (let i = 0; i < 100; i += 1) appended.push(producer.append({ partition: 0, value: `${i}` }));
  const sent = producer.send({ partition: 0, key: "k", value: bytes(5_000) });
  t.equal(script.session.unread, 101);
  for (let i = 0; i < 100; i += 1) {
    const { values, baseSequence } = await script.publish();
    t.same([values, baseSequence], [[`${i}`], i]);
  }
  const last = await script.publish();
  await script.ack({ ...last, baseSequence: 0 }, 7, 101);
  const results = await Promise.all(appended);
  t.same(
    results.map(({ baseOffset, count }) => [baseOffset, count]),
    results.map((_, i) => [7 + i, 1]),
  );
  t.equal((await sent).offset, 107);
  t.equal(producer.bufferedBytes, 0);

  const partitions: number[] = [];
  for (let i = 0; i < 4; i += 1) {
    void producer.append({ value: "x" });
    partitions.push((await script.publish()).partition);
  }
  t.equal(partitions[0], partitions[2]);
  t.not(partitions[0], partitions[1], "records without a key take turns");
});

t.test("without batches more may be under way, as many as the broker lets", async (t) => {
  const script = await ScriptedClient.connected();
  const producer = await script.readyProducer("t", { batchBytes: 0, maxBufferedBytes: 2 ** 30 });
  const max = LIMITS.inFlightBatchesMax;
  t.ok(max > 64);
  for (let i = 0; i < max + 3; i += 1) void producer.append({ partition: 0, value: "x" });
  t.equal(script.session.unread, max);
  await script.reconnect();
  t.equal(script.session.unread, max, "and all of them go again");
  const sequences: number[] = [];
  while (script.session.unread > 0) sequences.push((await script.publish()).baseSequence);
  t.ok(sequences.every((sequence, i) => sequence === i));
});
