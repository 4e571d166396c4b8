import { LIMITS } from "@millrace/protocol";
import t from "tap";
import type { PublishResult } from "../src/index.ts";
import { IN_FLIGHT_BATCHES_MAX } from "../src/settings.ts";
import { topicInfo } from "./fake-broker.ts";
import { microtasks } from "./manual-clock.ts";
import { bytes, codeOf } from "./publish-outcomes.ts";
import { ScriptedClient } from "./scripted-client.ts";

t.test(
  "at most so many batches are in flight a partition, and what waits is batched meanwhile",
  async (t) => {
    const script = await ScriptedClient.connected();
    const producer = await script.readyProducer("t");
    const max = IN_FLIGHT_BATCHES_MAX;
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

t.test("refused until its time is over: TIMEOUT tells of the last refusal", async (t) => {
  const script = await ScriptedClient.connected();
  const producer = await script.readyProducer("t", { lingerMs: 0, deliveryTimeoutMs: 2_000 });
  const sent = producer.send({ partition: 0, value: "a" });
  script.clock.advance(0);
  await script.refuse(await script.publish(), 67, "TOPIC_FULL", true);
  script.clock.advance(4_000);
  await t.rejects(sent, {
    code: "TIMEOUT",
    message: /last refused as TOPIC_FULL/,
    cause: { code: "TOPIC_FULL" },
  });
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
