import t from "tap";
import type { Gap, ReceivedRecord, SubscribeOptions, Subscription } from "../src/index.ts";
import { entryOf, topicInfo } from "./fake-broker.ts";
import { ScriptedClient } from "./scripted-client.ts";
import { consuming, HeldHandler } from "./scripted-consumer.ts";
import { accept, deliver, stream, take } from "./scripted-subscription.ts";

/** A live subscription of a topic with records 0..9 in its one partition, whose oldest ones are gone. */
async function live(
  options: SubscribeOptions,
): Promise<{ script: ScriptedClient; subscription: Subscription }> {
  const script = await ScriptedClient.connected();
  const bounds = {
    partition: 0,
    shard: 0,
    logStartOffset: 2,
    highWatermark: 10,
    logEpoch: 1,
    retainedBytes: 0,
  };
  script.topics.set("t", topicInfo("t", 1, { partitionInfo: [bounds] }));
  const subscription = script.client.subscribe("t", { mode: "live", ...options });
  return { script, subscription };
}

t.test("replay of the newest records", async (t) => {
  const { script, subscription } = await live({ replay: { records: 3 } });
  const subscribe = await script.expect("SUBSCRIBE");
  t.match(subscribe.from, {
    kind: "resume",
    topicId: 7,
    positions: [{ partition: 0, offset: 7, logEpoch: 1 }],
  });
  await accept(script, subscribe, [stream(0, { startOffset: 7, highWatermark: 10 })]);
  await deliver(script, 10, 7, [3]);
  t.same(await take(subscription[Symbol.asyncIterator](), 3), ["0:7", "0:8", "0:9"]);
  await script.reconnect();
  t.match((await script.expect("SUBSCRIBE")).from, { kind: "latest" }, "from then on it is live");
});

t.test("replay of more than there is, and of a time", async (t) => {
  const { script } = await live({ replay: { records: 100 } });
  t.match((await script.expect("SUBSCRIBE")).from, { positions: [{ offset: 2 }] });
  const script2 = await ScriptedClient.connected();
  script2.clock.advance(5_000);
  script2.client.subscribe("t", { mode: "live", replay: { ms: 2_000 } });
  // WELCOME said 1 ms, 5,000 ms ago.
  t.match((await script2.expect("SUBSCRIBE")).from, { kind: "time", timeMs: 3_001 });
});

t.test("the last value of each key, then everything", async (t) => {
  const { script, subscription } = await live({ lastValuePerKey: { records: 5 } });
  const subscribe = await script.expect("SUBSCRIBE");
  t.match(subscribe.from, { positions: [{ offset: 5 }] });
  await accept(script, subscribe, [stream(0, { startOffset: 5, highWatermark: 10 })]);
  const entries = [
    entryOf(5, [{ key: "a", value: "a1" }, { key: "b", value: "b1" }, { value: "no key" }]),
    entryOf(8, [
      { key: Uint8Array.of(97), value: "bytes" },
      { key: "a", value: "a2" },
    ]),
    entryOf(10, [{ key: "a", value: "a3" }, { value: "live" }]),
  ];
  const iterator = subscription[Symbol.asyncIterator]();
  await script.reply("DELIVER", { streamId: 10, nextOffset: 12, entries });
  t.same(await take(iterator, 5), ["b1", "bytes", "a2", "a3", "live"]);
  t.throws(() => subscription.batches(), RangeError);
});

t.test("the last values also come when the newest record has gone", async (t) => {
  const { script, subscription } = await live({ lastValuePerKey: {} });
  await accept(script, await script.expect("SUBSCRIBE"), [stream(0, { startOffset: 2, highWatermark: 10 })]);
  const entries = [entryOf(2, [{ key: "a", value: "a1" }])];
  await script.reply("DELIVER", { streamId: 10, nextOffset: 3, entries });
  const iterator = subscription[Symbol.asyncIterator]();
  const first = take(iterator, 1);
  await script.reply("PROGRESS", { streamId: 10, nextOffset: 10, reason: "gap" });
  t.same(await first, ["a1"]);
});

t.test("a gap of a reconnect is filled, if that is wanted", async (t) => {
  const gaps: Gap[] = [];
  const { script, subscription } = await live({ onReconnect: "fill", onGap: (gap) => gaps.push(gap) });
  await accept(script, await script.expect("SUBSCRIBE"), [stream(0, { startOffset: 10, highWatermark: 10 })]);
  await deliver(script, 10, 10, [1]);
  t.same(await take(subscription[Symbol.asyncIterator](), 1), ["0:10"]);
  await script.reconnect();
  t.match((await script.expect("SUBSCRIBE")).from, { kind: "resume", positions: [{ offset: 11 }] });
  t.same(gaps, []);
});

t.test("what makes no sense together", async (t) => {
  const { client } = await ScriptedClient.connected();
  const code = "INVALID_FROM";
  t.throws(() => client.subscribe("t", { replay: { records: 1 } }), { code });
  t.throws(() => client.subscribe("t", { mode: "live", from: "earliest", replay: { ms: 1 } }), { code });
  t.throws(() => client.subscribe("t", { mode: "live", replay: { ms: 1 }, lastValuePerKey: {} }), { code });
  t.throws(() => client.subscribe("t", { mode: "live", replay: { records: -1 } }), { code });
});

t.test("a live consumer: no subscription, nothing to settle", async (t) => {
  const script = await ScriptedClient.connected();
  const handler = new HeldHandler();
  const consumer = script.client.consume("t", { mode: "live" }, handler.handle, { concurrency: 2 });
  const errors: unknown[] = [];
  consumer.on("error", ({ error }) => errors.push(error));
  const subscribe = await script.expect("SUBSCRIBE");
  t.match(subscribe, { mode: "live", from: { kind: "latest" } });
  await accept(script, subscribe, [stream(0)]);
  await consumer.ready();
  await deliver(script, 10, 0, [3]);
  t.same(handler.values, ["0:0", "0:1"]);
  await handler.messages[0]?.ack();
  await t.rejects(() => handler.messages[0]?.nack() as Promise<void>, { code: "SUBSCRIPTION_MODE" });
  await handler.fail(0, "bad");
  t.same(errors, ["bad"]);
  t.same(handler.values, ["0:0", "0:1", "0:2"]);
  const closing = consumer.close();
  t.ok(await script.isQuiet());
  await handler.finish(1);
  await handler.finish(2);
  await closing;
  await script.expect("UNSUBSCRIBE");
});

t.test("a live consumer ends with its topic", async (t) => {
  const script = await ScriptedClient.connected();
  const consumer = script.client.consume("t", { mode: "live" });
  const { requestId } = await script.expect("SUBSCRIBE");
  const next = consumer[Symbol.asyncIterator]().next();
  const error = { code: 20, name: "UNKNOWN_TOPIC", retriable: false, message: "m", details: {} };
  await script.reply("ERROR", { requestId, ...error });
  await t.rejects(next, { code: "UNKNOWN_TOPIC" });
  await t.rejects(consumer.closed, { code: "UNKNOWN_TOPIC" });
});

t.test("a subscription and a consumer may share a stream", async (t) => {
  const script = await ScriptedClient.connected();
  const values: unknown[] = [];
  const subscription = script.client.subscribe("t", { mode: "live" });
  await accept(script, await script.expect("SUBSCRIBE"), [stream(0)]);
  script.client.consume("t", { subscription: "s", mode: "stream" }, ({ value }) => void values.push(value));
  await consuming(script, await script.expect("CONSUME"), {}, 5);
  const bounds = { startOffset: 0, logStartOffset: 0, highWatermark: 0, logEpoch: 1 };
  const partitions = [{ partition: 0, assignmentEpoch: 1, streamId: 10, ...bounds }];
  await script.reply("ASSIGNED", { consumerId: 5, partitions });
  const { value }: IteratorResult<ReceivedRecord> = await Promise.all([
    subscription[Symbol.asyncIterator]().next(),
    deliver(script, 10, 0, [1]),
  ]).then(([first]) => first);
  t.equal(value.value, "0:0");
  t.same(values, ["0:0"]);
});
