import { SETTLE_ACTION } from "@millrace/protocol";
import t from "tap";
import type { Message } from "../src/index.ts";
import { microtasks } from "./manual-clock.ts";
import { ScriptedClient } from "./scripted-client.ts";
import { consuming, lease, plain, settled, settles, startConsumer } from "./scripted-consumer.ts";

const { ACK, NACK, RELEASE, DEAD_LETTER, EXTEND } = SETTLE_ACTION;

t.test("CONSUME says what is wanted", async (t) => {
  const script = await ScriptedClient.connected();
  script.client.consume(
    "t",
    { subscription: "s", mode: "queue", from: "earliest", leaseMs: 5_000 },
    () => {},
    {
      concurrency: 4,
    },
  );
  const first = await script.expect("CONSUME");
  t.match(first, { topic: "t", subscription: "s", mode: "queue", slots: 4, creditLimit: 8 * 1024 * 1024 });
  t.same(first.create, { mode: "queue", from: ["earliest"], leaseMs: 5_000 });
  script.client.consume("t", { subscription: "s", mode: "keyed", create: false, prefetch: 9 });
  const second = await script.expect("CONSUME");
  t.match(second, { mode: "keyed", slots: 9 });
  t.equal(second.create, undefined);
});

t.test("without a mode the subscription's own is taken", async (t) => {
  const script = await ScriptedClient.connected();
  const consumer = script.client.consume("t", { subscription: "s" });
  const { requestId } = await script.expect("DESCRIBE_SUBSCRIPTION");
  const state = {
    consumers: 0,
    available: 0,
    leased: 0,
    waiting: 0,
    redelivered: 0,
    dead: 0,
    lag: 0,
    oldestAgeMs: null,
    blockedByKey: null,
    partitions: [],
  };
  const { subscriptionInfo } = await import("./scripted-consumer.ts");
  await script.reply("SUBSCRIPTION", {
    requestId,
    subscription: subscriptionInfo({ mode: "keyed", state }),
  });
  const consume = await script.expect("CONSUME");
  t.match(consume, { mode: "keyed", slots: 1 });
  t.equal(consume.create, undefined);
  await consuming(script, consume);
  await consumer.ready();
});

t.test("a handler's return acks, neighbours in one row", async (t) => {
  const { script, handler, errors } = await startConsumer({ mode: "queue" }, { concurrency: 4 });
  await lease(script, [
    { base: 5, values: ["a", "b", "c"] },
    { partition: 1, base: 0, values: ["x"] },
  ]);
  t.same(handler.values, ["a", "b", "c", "x"]);
  for (const index of [0, 1, 2, 3]) await handler.finish(index);
  const rows = await settles(script);
  t.same(plain(rows), [
    [ACK, 0, 5, 3],
    [ACK, 1, 0, 1],
  ]);
  t.match(rows[0], { leaseEpoch: 1, leaseCounter: 5 });
  await settled(script, rows);
  t.same(errors, []);
  t.ok(await script.isQuiet());
});

t.test("a throw nacks with the subscription's back-off, and is reported", async (t) => {
  const { script, handler, errors } = await startConsumer({ mode: "queue" });
  await lease(script, [{ base: 5, values: ["a"], deliveryCount: 3 }]);
  t.equal(handler.messages[0]?.deliveryCount, 3);
  await handler.fail(0, "bad");
  const rows = await settles(script);
  t.same(plain(rows), [[NACK, 0, 5, 1]]);
  await settled(script, rows);
  t.same(errors, ["bad"]);
});

t.test("what the handler settled itself is left alone", async (t) => {
  const { script, handler } = await startConsumer({ mode: "queue" }, { concurrency: 3 });
  await lease(script, [{ base: 0, values: ["a", "b", "c"] }]);
  const [a, b, c] = handler.messages as [Message, Message, Message];
  void a.nack({ delayMs: 5_000 });
  void b.deadLetter("x".repeat(300));
  void c.release();
  await handler.finish(0);
  await handler.fail(1, "bad");
  await handler.finish(2);
  const rows = await settles(script);
  t.same(plain(rows), [
    [NACK, 0, 0, 1, 5_000],
    [DEAD_LETTER, 0, 1, 1, "x".repeat(256)],
    [RELEASE, 0, 2, 1],
  ]);
  t.equal(a.nack(), a.nack(), "the same promise");
  await t.rejects(a.ack(), { code: "LEASE_EXPIRED" });
  t.throws(() => b.nack({ delayMs: -1 }), RangeError);
});

t.test("no more than `concurrency` at a time; the rest waits", async (t) => {
  const { script, handler } = await startConsumer({ mode: "queue", prefetch: 3 }, { concurrency: 2 });
  await lease(script, [{ base: 0, values: ["a", "b", "c"] }]);
  t.same(handler.values, ["a", "b"]);
  await handler.finish(1);
  t.same(handler.values, ["a", "b", "c"]);
});

t.test("an ack of an expired lease rejects", async (t) => {
  const { script, handler, errors } = await startConsumer({ mode: "queue" });
  await lease(script, [{ base: 5, values: ["a"] }]);
  const acked = (handler.messages[0] as Message).ack();
  const rows = await settles(script);
  await settled(script, rows, 62);
  await t.rejects(acked, { code: "LEASE_EXPIRED", retriable: false });
  await handler.finish(0);
  t.same(errors, []);
  await lease(script, [{ base: 6, values: ["b"] }]);
  await handler.finish(1);
  await settled(script, await settles(script), 62);
  t.same(errors, ["LEASE_EXPIRED"], "of an ack by return it is reported");
});

t.test("removed records are acked and not shown", async (t) => {
  const script = await ScriptedClient.connected();
  script.client.consume("t", { subscription: "s", mode: "queue" }, () => {});
  await consuming(script, await script.expect("CONSUME"));
  const batch = Uint8Array.of(
    0x97,
    1,
    0,
    0,
    0xce,
    0,
    0,
    0,
    1,
    0xce,
    0,
    0,
    0,
    2,
    0,
    0xc6,
    0,
    0,
    0,
    2,
    0xc4,
    0,
  );
  const row = { topicId: 7, partition: 0, baseOffset: 4, count: 1, appendTimeMs: 1, deliveryCount: 1 };
  await script.reply("LEASED", {
    consumerId: 77,
    rows: [{ ...row, leaseEpoch: 1, leaseCounter: 9, batch }],
  });
  t.same(plain(await settles(script)), [[ACK, 0, 4, 1]]);
});

t.test("leases are renewed at a third of their time, until settled", async (t) => {
  const { script, handler } = await startConsumer({ mode: "queue", prefetch: 2 }, {}, { leaseMs: 9_000 });
  await lease(script, [{ base: 0, values: ["a", "b"] }]);
  script.clock.advance(2_999);
  t.ok(await script.isQuiet());
  script.clock.advance(1);
  let rows = await settles(script);
  t.same(plain(rows), [[EXTEND, 0, 0, 1, 9_000]]);
  await settled(script, rows);
  await handler.finish(0);
  await settled(script, await settles(script));
  script.clock.advance(3_000);
  rows = await settles(script);
  t.same(plain(rows), [[EXTEND, 0, 1, 1, 9_000]], "for what is left of it");
  await handler.finish(1);
  await settled(script, await settles(script));
  script.clock.advance(60_000);
  t.ok(await script.isQuiet(), "nothing is held any more");
});

t.test("renewal goes on for maxLeaseMs", async (t) => {
  const { script, handler } = await startConsumer(
    { mode: "queue", maxLeaseMs: 10_000 },
    {},
    { leaseMs: 9_000 },
  );
  await lease(script, [{ base: 0, values: ["a"] }]);
  const { signal } = handler.messages[0] as Message;
  script.clock.advance(3_000);
  t.same(plain(await settles(script)), [[EXTEND, 0, 0, 1, 7_000]]);
  script.clock.advance(6_999);
  t.notOk(signal.aborted);
  t.ok(await script.isQuiet());
  script.clock.advance(1);
  t.ok(signal.aborted);
  t.match(signal.reason, { code: "LEASE_EXPIRED" });
  await handler.finish(0);
  t.same(plain(await settles(script)), [[ACK, 0, 0, 1]], "which frees the slot, whatever comes of it");
});

t.test("extend by hand; a refused renewal aborts the signal", async (t) => {
  const { script, handler } = await startConsumer({ mode: "queue" });
  await lease(script, [{ base: 0, values: ["a"] }]);
  const message = handler.messages[0] as Message;
  void message.extend();
  const byDefault = await settles(script);
  t.match(byDefault, [{ argument: 30_000 }], "the subscription's leaseMs");
  await settled(script, byDefault);
  const extended = message.extend(90_000);
  await settled(script, await settles(script));
  await extended;
  script.clock.advance(29_999);
  t.ok(await script.isQuiet(), "a third of the longer time");
  script.clock.advance(1);
  await settled(script, await settles(script), 62);
  t.ok(message.signal.aborted);
  t.throws(() => message.extend(0), RangeError);
});

t.test("over a lost connection everything in hand is lost, and the consumer goes on", async (t) => {
  const { script, handler, errors } = await startConsumer({ mode: "queue", prefetch: 3 }, { concurrency: 2 });
  await lease(script, [{ base: 0, values: ["a", "b", "c"] }]);
  const [a] = handler.messages as [Message];
  const { signal } = a;
  const acked = a.ack();
  await settles(script);
  await script.reconnect();
  t.ok(signal.aborted);
  await t.rejects(acked, { code: "CONNECTION_LOST", retriable: true });
  await t.rejects((handler.messages[1] as Message).ack(), { code: "CONNECTION_LOST" });
  const consume = await script.expect("CONSUME");
  t.equal(consume.slots, 1, "two handlers are still at work on what was lost");
  t.equal(consume.create, undefined, "it was there: if it is not now, it was deleted");
  await consuming(script, consume, {}, 78);
  await handler.finish(0);
  t.match(await script.expect("CONSUMER_CREDIT"), { consumerId: 78, slots: 2 });
  await lease(script, [{ base: 1, values: ["b"], deliveryCount: 2, counter: 50 }], 78);
  t.same(handler.values, ["a", "b", "b"], "the lost one that was not begun is gone");
  await handler.finish(2);
  const rows = await settles(script);
  t.match(rows, [{ leaseCounter: 50, firstOffset: 1 }]);
  t.same(errors, ["CONNECTION_LOST"]);
});

t.test("errors about the consumer: retriable ones begin anew, final ones end it", async (t) => {
  const { script, handler, consumer, errors } = await startConsumer({ mode: "queue" });
  await lease(script, [{ base: 0, values: ["a"] }]);
  const details = { consumerId: 77 };
  await script.reply("ERROR", { code: 41, name: "SHARD_RESTARTED", retriable: true, message: "m", details });
  t.ok((handler.messages[0] as Message).signal.aborted);
  t.ok(await script.isQuiet());
  script.clock.advance(100);
  const { requestId } = await script.expect("CONSUME");
  const refusal = { name: "SUBSCRIPTION_MODE", retriable: false, message: "m", details: {} };
  await script.reply("ERROR", { requestId, code: 59, ...refusal });
  await t.rejects(consumer.closed, { code: "SUBSCRIPTION_MODE" });
  t.same(errors, ["SHARD_RESTARTED", "SUBSCRIPTION_MODE"]);
});

t.test("the pull form: what is in hand is settled by hand", async (t) => {
  const script = await ScriptedClient.connected();
  const consumer = script.client.consume("t", { subscription: "s", mode: "queue", prefetch: 2 });
  await consuming(script, await script.expect("CONSUME"));
  const messages = consumer[Symbol.asyncIterator]();
  const first = messages.next();
  await lease(script, [{ base: 0, values: [{ value: "a", key: "k", headers: { h: "1" } }, "b"] }]);
  const a = (await first).value as Message;
  t.match(a, { topic: "t", partition: 0, offset: 0, key: "k", headers: { h: "1" }, value: "a" });
  const b = (await messages.next()).value as Message;
  const acked = Promise.all([a.ack(), b.ack()]);
  const rows = await settles(script);
  t.same(plain(rows), [[ACK, 0, 0, 2]]);
  let done = false;
  void acked.then(() => {
    done = true;
  });
  await microtasks();
  t.notOk(done, "not before SETTLED");
  await settled(script, rows);
  await acked;
});

t.test("the iteration ends with the consumer", async (t) => {
  const script = await ScriptedClient.connected();
  const consumer = script.client.consume("t", { subscription: "s", mode: "queue" });
  await consuming(script, await script.expect("CONSUME"));
  const next = consumer[Symbol.asyncIterator]().next();
  const error = { code: 68, name: "SUBSCRIPTION_DELETED", retriable: false, message: "m" };
  await script.reply("ERROR", { ...error, details: { consumerId: 77 } });
  await t.rejects(next, { code: "SUBSCRIPTION_DELETED" });
  await t.rejects(
    consumer.ready().then(() => consumer.closed),
    { code: "SUBSCRIPTION_DELETED" },
  );
});

t.test("options that cannot be", async (t) => {
  const script = await ScriptedClient.connected();
  const { client } = script;
  t.throws(() => client.consume("t", { mode: "queue" }), RangeError);
  t.throws(() => client.consume("t", { mode: "live", subscription: "s" }), /mode live has no subscription/);
  t.throws(() => client.consume("t", { mode: "live", from: "earliest" }), /mode live has no subscription/);
  t.throws(() => client.consume("t", { subscription: "s", mode: "queue", prefetch: 0 }), RangeError);
  t.throws(() => client.consume("t", { subscription: "s", mode: "fifo" as "queue" }), RangeError);
  t.throws(() => client.consume("t.*", { subscription: "s", mode: "queue" }), { code: "INVALID_PATTERN" });
  t.throws(
    () => client.consume("t", { subscription: "s", mode: "queue" }, () => {}, { concurrency: 0 }),
    RangeError,
  );
  t.throws(
    () => client.consume("t", { subscription: "s", mode: "queue" }, () => {}, { concurrency: 1.5 }),
    /concurrency must be an integer/,
  );
  t.throws(() => client.consume("t", { subscription: "s", mode: "queue", from: { time: "noon" as never } }), {
    code: "INVALID_FROM",
  });
  const handled = client.consume(
    "t",
    { subscription: "s", mode: "queue" },
    () => {},
  ) as unknown as AsyncIterable<Message>;
  t.throws(() => handled[Symbol.asyncIterator](), TypeError);
});
