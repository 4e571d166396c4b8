import { LIMITS, partitionForKey } from "@millrace/protocol";
import t from "tap";
import type { BatchResult, MillraceError, PublishResult } from "../src/index.ts";
import { topicInfo } from "./fake-broker.ts";
import { microtasks } from "./manual-clock.ts";
import { ScriptedClient } from "./scripted-client.ts";

const bytes = (length: number): Uint8Array => new Uint8Array(length).fill(97);

/** The promise's outcome if it is settled by now. */
async function outcomeOf<T>(promise: Promise<T>): Promise<T | MillraceError | "pending"> {
  await microtasks();
  return Promise.race([
    promise.catch((error: MillraceError) => error),
    microtasks().then(() => "pending" as const),
  ]);
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const outcome = await outcomeOf(promise);
  if (outcome === "pending") return "pending";
  return (outcome as MillraceError).code ?? "resolved";
}

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

t.test(
  "at most so many batches are in flight a partition, and what waits is batched meanwhile",
  async (t) => {
    const script = await ScriptedClient.connected();
    const producer = await script.readyProducer("t");
    const max = LIMITS.inFlightBatchesMax;
    const sent = [];
    for (let i = 0; i < max + 10; i += 1) {
      void producer.append({ partition: 0, value: `${i}` });
      script.clock.advance(0);
      if (i < max) sent.push(await script.publish());
    }
    t.ok(await script.isQuiet());
    void producer.append({ partition: 1, value: "other" });
    script.clock.advance(0);
    t.same((await script.publish()).values, ["other"], "another partition is not held up");
    const [first] = sent;
    if (first !== undefined) await script.ack(first, 0);
    const next = await script.publish();
    t.same(
      next.values,
      Array.from({ length: 10 }, (_, i) => `${max + i}`),
      "ten records in one batch",
    );
    t.equal(next.baseSequence, max);
  },
);

t.test("a lost connection: the same batches again, in order, with the same sequences", async (t) => {
  const script = await ScriptedClient.connected();
  const producer = await script.readyProducer("t");
  const results: Promise<PublishResult>[] = [];
  const before = [];
  for (let i = 0; i < 3; i += 1) {
    results.push(producer.send({ partition: 0, value: `${i}` }));
    script.clock.advance(0);
    before.push(await script.publish());
  }
  await script.reconnect();
  for (const was of before) {
    const { producerId, producerEpoch, baseSequence, values } = await script.publish();
    const { producerId: id, producerEpoch: epoch, baseSequence: sequence, values: sent } = was;
    t.same(
      { producerId, producerEpoch, baseSequence, values },
      {
        producerId: id,
        producerEpoch: epoch,
        baseSequence: sequence,
        values: sent,
      },
    );
  }
  const [first] = before;
  // The broker had stored the first two: it answers with their offsets, and the third follows.
  if (first !== undefined) await script.ack(first, 10, 3);
  t.same(
    (await Promise.all(results)).map(({ offset }) => offset),
    [10, 11, 12],
  );
});

t.test("records sent without a connection go with the next one", async (t) => {
  const script = await ScriptedClient.connected();
  const producer = await script.readyProducer("t");
  script.session.cut();
  await microtasks();
  t.equal(script.client.state, "reconnecting");
  const sent = producer.send({ partition: 0, value: "later" });
  script.clock.advance(10_000);
  await script.welcome();
  const publish = await script.publish();
  t.same(publish.values, ["later"]);
  await script.ack(publish, 3);
  t.equal((await sent).offset, 3);
});

t.test(
  "THROTTLED: everything of the partition again in order, after the pause that was asked for",
  async (t) => {
    const script = await ScriptedClient.connected();
    const producer = await script.readyProducer("t");
    const results: Promise<PublishResult>[] = [];
    const sent = [];
    for (let i = 0; i < 3; i += 1) {
      results.push(producer.send({ partition: 0, value: `${i}` }));
      script.clock.advance(0);
      sent.push(await script.publish());
    }
    const [a, b, c] = sent as [(typeof sent)[0], (typeof sent)[0], (typeof sent)[0]];
    await script.refuse(a, 38, "THROTTLED", true, { retryAfterMs: 700 });
    await script.refuse(b, 34, "OUT_OF_SEQUENCE", true);
    script.clock.advance(60_000);
    t.ok(await script.isQuiet(), "the third one has no answer yet");
    await script.refuse(c, 34, "OUT_OF_SEQUENCE", true);
    script.clock.advance(699);
    t.ok(await script.isQuiet());
    void producer.append({ partition: 0, value: "3" });
    script.clock.advance(1);
    for (const [i, was] of [a, b, c].entries()) {
      const publish = await script.publish();
      t.same(publish.values, [`${i}`]);
      t.equal(publish.baseSequence, was.baseSequence);
      t.equal(publish.producerEpoch, 0);
    }
    t.same((await script.publish()).values, ["3"], "and what came meanwhile");
    await script.ack(a, 0, 3);
    t.same(
      (await Promise.all(results)).map(({ offset }) => offset),
      [0, 1, 2],
    );
  },
);

t.test("refused for good: exactly that batch's records, and a new epoch for the rest", async (t) => {
  const script = await ScriptedClient.connected();
  const producer = await script.readyProducer("t");
  const results: Promise<PublishResult>[] = [];
  const sent = [];
  for (let i = 0; i < 3; i += 1) {
    results.push(
      producer.send({ partition: 0, value: `${i}` }),
      producer.send({ partition: 0, value: `${i}'` }),
    );
    script.clock.advance(0);
    sent.push(await script.publish());
  }
  const [a, b, c] = sent as [(typeof sent)[0], (typeof sent)[0], (typeof sent)[0]];
  await script.ack(a, 0);
  await script.refuse(b, 30, "INVALID_BATCH", false);
  t.ok(await script.isQuiet(), "the third one has no answer yet");
  await script.refuse(c, 34, "OUT_OF_SEQUENCE", true);
  const again = await script.publish();
  t.same(again.values, ["2", "2'"]);
  t.same([again.producerId, again.producerEpoch, again.baseSequence], [c.producerId, 1, 0]);
  await script.ack(again, 2);
  t.same(await Promise.all(results.map(async (result) => codeOf(result))), [
    "resolved",
    "resolved",
    "INVALID_BATCH",
    "INVALID_BATCH",
    "resolved",
    "resolved",
  ]);
  t.equal((await (results[4] as Promise<PublishResult>)).offset, 2);
});

t.test("a stored duplicate whose offset is forgotten counts as stored", async (t) => {
  const script = await ScriptedClient.connected();
  const producer = await script.readyProducer("t");
  const sent = producer.send({ partition: 0, value: "a" });
  script.clock.advance(0);
  const publish = await script.publish();
  await script.refuse(publish, 35, "DUPLICATE_SEQUENCE", false);
  t.equal((await sent).offset, -1);
  const next = producer.send({ partition: 0, value: "b" });
  script.clock.advance(0);
  const after = await script.publish();
  t.same([after.producerEpoch, after.baseSequence], [0, 1]);
  await script.ack(after, 9);
  t.equal((await next).offset, 9);
});

t.test("a producer that the broker has forgotten begins anew under another id", async (t) => {
  const script = await ScriptedClient.connected();
  const producer = await script.readyProducer("t");
  const first = producer.send({ partition: 0, value: "a" });
  script.clock.advance(0);
  const a = await script.publish();
  await script.ack(a, 0);
  await first;
  const second = producer.send({ partition: 0, value: "b" });
  script.clock.advance(0);
  const b = await script.publish();
  await script.refuse(b, 36, "UNKNOWN_PRODUCER", false);
  script.clock.advance(5_000);
  const again = await script.publish();
  t.not(again.producerId, a.producerId);
  t.same([again.producerEpoch, again.baseSequence, again.values], [0, 0, ["b"]]);
  await script.ack(again, 1);
  t.equal((await second).offset, 1);

  // Sent twice, it may have been stored before the broker forgot: then only the caller can decide.
  const third = producer.send({ partition: 0, value: "c" });
  script.clock.advance(0);
  await script.publish();
  await script.reconnect();
  const c = await script.publish();
  t.equal(c.baseSequence, 1);
  await script.refuse(c, 36, "UNKNOWN_PRODUCER", false);
  t.equal(await codeOf(third), "UNKNOWN_PRODUCER");
});

t.test("no acknowledgement in time: TIMEOUT, and the sequence stays whole", async (t) => {
  const script = await ScriptedClient.connected();
  const producer = await script.readyProducer("t", { lingerMs: 0, deliveryTimeoutMs: 2_000 });
  const first = producer.send({ partition: 0, value: "a" });
  script.clock.advance(0);
  const a = await script.publish();
  script.clock.advance(4_000);
  t.equal(await codeOf(first), "TIMEOUT");
  const second = producer.send({ partition: 0, value: "b" });
  script.clock.advance(0);
  const b = await script.publish();
  t.equal(b.baseSequence, 1, "behind the one whose outcome is open");
  await script.ack(a, 0, 2);
  t.equal((await second).offset, 1);

  script.session.cut();
  await microtasks();
  const third = producer.send({ partition: 0, value: "c" });
  script.network.isUp = false;
  script.clock.advance(4_000);
  t.equal(await codeOf(third), "TIMEOUT", "never sent");
  script.network.isUp = true;
  await microtasks();
  script.clock.advance(20_000);
  await script.welcome();
  t.ok(await script.isQuiet());
  t.equal(producer.bufferedBytes, 0);
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

t.test("an unknown topic refuses what waits, and is asked for again later", async (t) => {
  const script = await ScriptedClient.connected();
  const producer = script.client.producer("new", { lingerMs: 0 });
  const refused = producer.send({ value: "x" });
  await script.isQuiet();
  t.equal(await codeOf(refused), "UNKNOWN_TOPIC");
  script.topics.set("new", topicInfo("new", 1, { topicId: 9 }));
  const sent = producer.send({ value: "y" });
  await script.isQuiet();
  script.clock.advance(0);
  const publish = await script.publish();
  t.equal(publish.topicId, 9);
  await script.ack(publish, 0);
  t.equal((await sent).topicId, 9);

  // Deleted and created again: another topic, another id, sequences from 0.
  const lost = producer.send({ value: "z" });
  script.clock.advance(0);
  await script.refuse(await script.publish(), 26, "TOPIC_DELETED", false);
  t.equal(await codeOf(lost), "TOPIC_DELETED");
  script.topics.set("new", topicInfo("new", 1, { topicId: 10 }));
  void producer.send({ value: "anew" });
  await script.isQuiet();
  script.clock.advance(0);
  const anew = await script.publish();
  t.same([anew.topicId, anew.baseSequence, anew.values], [10, 0, ["anew"]]);
});

t.test("a record that is too large is refused alone", async (t) => {
  const script = await ScriptedClient.connected();
  const producer = await script.readyProducer("t", { batchBytes: 1024 });
  t.throws(() => producer.append({ partition: 0, value: bytes(LIMITS.recordBytesMax) }), {
    code: "RECORD_TOO_LARGE",
  });
  t.equal(
    await codeOf(producer.send({ partition: 0, key: "k".repeat(5_000), value: "x" })),
    "RECORD_TOO_LARGE",
  );
  t.equal(producer.bufferedBytes, 0);
  void producer.append({ partition: 0, value: "small" });
  void producer.append({ partition: 0, value: bytes(100_000) });
  script.clock.advance(0);
  t.same((await script.publish()).values, ["small"]);
  const large = await script.publish();
  t.equal(large.values[0]?.length, 100_000, "above batchBytes: alone in its batch");
  t.ok(await script.isQuiet());
});

t.test("options out of their range are refused by name", async (t) => {
  const { client } = await ScriptedClient.connected();
  t.throws(() => client.producer("t", { lingerMs: -1 }), /lingerMs/);
  t.throws(() => client.producer("t", { batchBytes: 10 }), /batchBytes/);
  t.throws(() => client.producer("t", { batchBytes: Number.NaN }), /batchBytes/);
  t.throws(() => client.producer("t", { deliveryTimeoutMs: 0 }), /deliveryTimeoutMs/);
});
