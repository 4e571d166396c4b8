import type { TopicInfo } from "@millrace/protocol";
import t from "tap";
import { topicInfo } from "./fake-broker.ts";
import { microtasks } from "./manual-clock.ts";
import { ScriptedClient } from "./scripted-client.ts";
import { consuming, HeldHandler } from "./scripted-consumer.ts";
import { accept, deliver, stream } from "./scripted-subscription.ts";

let ids = 50;
const topic = (name: string): TopicInfo => {
  const { partitionInfo: _, ...info } = topicInfo(name, 1, { topicId: ids++ });
  return info;
};

async function watched(script: ScriptedClient, topics: readonly TopicInfo[]): Promise<number> {
  const { requestId, watchId, pattern } = await script.expect("WATCH_TOPICS");
  t.equal(pattern, "orders.*");
  await script.reply("TOPICS_CHANGED", { requestId, watchId, topics, removed: [] });
  return watchId;
}

t.test("a pattern reads all its topics, later ones from their beginning", async (t) => {
  const script = await ScriptedClient.connected();
  const subscription = script.client.subscribe("orders.*", { from: "latest" });
  const records = subscription[Symbol.asyncIterator]();
  const a = topic("orders.a");
  const watchId = await watched(script, [a]);
  await subscription.ready();
  const first = await script.expect("SUBSCRIBE");
  t.match(first, { topic: "orders.a", from: { kind: "latest" } });
  await accept(script, first, [stream(0)]);
  const b = topic("orders.b");
  await script.reply("TOPICS_CHANGED", { watchId, topics: [b], removed: [] });
  const second = await script.expect("SUBSCRIBE");
  t.match(second, { topic: "orders.b", from: { kind: "earliest" } });
  await accept(script, second, [stream(0, { streamId: 20 })]);
  await deliver(script, 10, 0, [2]);
  await deliver(script, 20, 0, [1]);
  const seen: string[] = [];
  for (let i = 0; i < 3; i += 1) {
    const { value } = await records.next();
    seen.push(`${value.topic}@${value.offset}`);
  }
  t.same(seen.sort(), ["orders.a@0", "orders.a@1", "orders.b@0"]);
  t.match(
    subscription.positions().map(({ topic: name }) => name),
    ["orders.a", "orders.b"],
  );

  await script.reply("TOPICS_CHANGED", { watchId, topics: [], removed: ["orders.a"] });
  t.match(await script.expect("UNSUBSCRIBE"), { subscriptionId: first.subscriptionId });

  await script.reconnect();
  const frames = [await script.next(), await script.next()];
  const watch = frames.find((frame) => frame?.name === "WATCH_TOPICS")?.value as {
    watchId: number;
    requestId: number;
  };
  t.match(frames.find((frame) => frame?.name === "SUBSCRIBE")?.value, {
    topic: "orders.b",
    from: { kind: "resume" },
  });
  const c = topic("orders.c");
  const changed = { watchId: watch.watchId, removed: [] };
  await script.reply("TOPICS_CHANGED", { ...changed, topics: [b] });
  await script.reply("TOPICS_CHANGED", { ...changed, requestId: watch.requestId, topics: [c] });
  t.match(await script.expect("SUBSCRIBE"), { topic: "orders.c", from: { kind: "earliest" } });

  await subscription.close();
  const last = [await script.next(), await script.next(), await script.next()].map((frame) => frame?.name);
  t.same(last.sort(), ["UNSUBSCRIBE", "UNSUBSCRIBE", "UNWATCH_TOPICS"]);
  t.equal((await records.next()).done, true);
});

t.test("topics that went while nobody was connected, or were made anew", async (t) => {
  const script = await ScriptedClient.connected();
  const subscription = script.client.subscribe("orders.*");
  const a = topic("orders.a");
  await watched(script, [a, topic("orders.b")]);
  for (const streamId of [10, 20])
    await accept(script, await script.expect("SUBSCRIBE"), [stream(0, { streamId })]);
  await subscription.ready();
  await script.reconnect();
  const frames = [await script.next(), await script.next(), await script.next()];
  const watch = frames.find((frame) => frame?.name === "WATCH_TOPICS")?.value as {
    watchId: number;
    requestId: number;
  };
  await script.reply("TOPICS_CHANGED", { ...watch, topics: [{ ...a, topicId: 999 }], removed: [] });
  const after = [await script.next(), await script.next(), await script.next()];
  t.same(after.map((frame) => frame?.name).sort(), ["SUBSCRIBE", "UNSUBSCRIBE", "UNSUBSCRIBE"]);
  t.match(after.find((frame) => frame?.name === "SUBSCRIBE")?.value, {
    topic: "orders.a",
    from: { kind: "earliest" },
  });
  await subscription.close();
});

t.test("patterns that are none", async (t) => {
  const script = await ScriptedClient.connected();
  t.throws(() => script.client.subscribe("orders.>.x"), { code: "INVALID_PATTERN" });
  t.throws(() => script.client.subscribe("or*"), { code: "INVALID_PATTERN" });
  t.throws(() => script.client.subscribe("orders.*", { partitions: [1] }), { code: "INVALID_FROM" });
  t.throws(() => script.client.subscribe("orders.*", { from: { offset: 1 } }), { code: "INVALID_FROM" });
  const refused = script.client.subscribe("orders.*");
  const { requestId } = await script.expect("WATCH_TOPICS");
  const error = { code: 69, name: "INVALID_PATTERN", retriable: false, message: "m", details: {} };
  await script.reply("ERROR", { requestId, ...error });
  await t.rejects(refused.ready(), { code: "INVALID_PATTERN" });
});

t.test("a consumer of mode stream consumes every topic of its pattern", async (t) => {
  const script = await ScriptedClient.connected();
  const handler = new HeldHandler();
  const consumer = script.client.consume(
    "orders.*",
    { subscription: "s", mode: "stream", from: "latest" },
    handler.handle,
    { concurrency: 4 },
  );
  const watchId = await watched(script, [topic("orders.a")]);
  const first = await script.expect("CONSUME");
  t.match(first, { topic: "orders.a", create: { mode: "stream", from: ["latest"] } });
  await consuming(script, first, { mode: "stream" }, 1);
  await consumer.ready();
  await script.reply("TOPICS_CHANGED", { watchId, topics: [topic("orders.b")], removed: [] });
  const second = await script.expect("CONSUME");
  t.match(second, { topic: "orders.b", create: { mode: "stream", from: ["earliest"] } });
  await consuming(script, second, { mode: "stream" }, 2);
  const bounds = { partition: 0, startOffset: 0, logStartOffset: 0, highWatermark: 0, logEpoch: 1 };
  for (const [consumerId, streamId] of [
    [1, 10],
    [2, 20],
  ] as const) {
    await script.reply("ASSIGNED", { consumerId, partitions: [{ ...bounds, assignmentEpoch: 1, streamId }] });
    await deliver(script, streamId, 0, [1]);
  }
  t.same(
    handler.messages.map((message) => message.topic),
    ["orders.a", "orders.b"],
  );
  await script.reply("TOPICS_CHANGED", { watchId, topics: [], removed: ["orders.a"] });
  t.ok(handler.messages[0]?.signal.aborted);
  t.notOk(handler.messages[1]?.signal.aborted);
  await handler.finish(0);
  await handler.finish(1);
  const closing = consumer.close();
  const names: unknown[] = [];
  for (let frame = await script.next(); frame !== undefined; frame = await script.next()) {
    if (frame.name !== "CONSUMER_CREDIT") names.push(frame.name);
    const { requestId, consumerId } = frame.value as { requestId: number; consumerId: number };
    if (frame.name === "COMMIT") {
      const outcomes = [{ partition: 0, offset: 1, outcome: 0 }];
      await script.reply("COMMITTED", { requestId, consumerId, outcomes });
    } else if (frame.name === "STOP_CONSUMING") {
      await script.reply("CONSUMING_STOPPED", { requestId, consumerId });
    }
  }
  await closing;
  await microtasks();
  t.same(names.sort(), ["COMMIT", "STOP_CONSUMING", "UNWATCH_TOPICS"]);
});
