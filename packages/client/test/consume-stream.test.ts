import type { FrameValues } from "@millrace/protocol";
import t from "tap";
import type { ConsumeOptions, Gap, Message } from "../src/index.ts";
import { microtasks } from "./manual-clock.ts";
import { ScriptedClient } from "./scripted-client.ts";
import { CONSUMER, consuming, type Started, startConsumer } from "./scripted-consumer.ts";
import { deliver } from "./scripted-subscription.ts";

type Assigned = FrameValues["ASSIGNED"]["partitions"][number];

const STREAM: ConsumeOptions = { mode: "stream" };

/** Assigns partitions; stream id 10 + partition. */
async function assign(
  script: ScriptedClient,
  partitions: readonly (Partial<Assigned> & { readonly partition: number })[],
  consumerId: number = CONSUMER,
): Promise<void> {
  const bounds = { assignmentEpoch: 1, startOffset: 0, logStartOffset: 0, highWatermark: 0, logEpoch: 4 };
  await script.reply("ASSIGNED", {
    consumerId,
    partitions: partitions.map((one) => ({ ...bounds, streamId: 10 + one.partition, ...one })),
  });
}

async function start(options: ConsumeOptions = STREAM, concurrency = 1): Promise<Started> {
  const started = await startConsumer({ ...STREAM, ...options }, { concurrency });
  return started;
}

/** The positions of the next COMMIT, which is answered. */
async function committed(script: ScriptedClient, outcome = 0): Promise<unknown[]> {
  const { requestId, consumerId, positions } = await script.expect("COMMIT");
  await script.reply("COMMITTED", {
    requestId,
    consumerId,
    outcomes: positions.map(({ partition, offset }) => ({ partition, offset, outcome })),
  });
  return positions.map(({ partition, assignmentEpoch, offset, logEpoch }) => [
    partition,
    assignmentEpoch,
    offset,
    logEpoch,
  ]);
}

t.test("in order per partition, one of each at a time, committed every so often", async (t) => {
  const { script, handler, consume } = await start({}, 8);
  t.match(consume, { mode: "stream", slots: 0, creditLimit: 8 * 1024 * 1024 });
  await assign(script, [{ partition: 0 }, { partition: 1, startOffset: 5 }]);
  await deliver(script, 10, 0, [2, 1]);
  await deliver(script, 11, 4, [3]);
  t.same(handler.values, ["0:0", "1:5"], "what is below the cursor was processed");
  await handler.finish(0);
  t.same(handler.values, ["0:0", "1:5", "0:1"]);
  t.ok(await script.isQuiet());
  script.clock.advance(1_000);
  t.same(await committed(script), [[0, 1, 1, 4]]);
  await handler.finish(1);
  await handler.finish(2);
  script.clock.advance(1_000);
  t.same((await committed(script)).sort(), [
    [0, 1, 2, 4],
    [1, 1, 6, 4],
  ]);
  script.clock.advance(60_000);
  t.ok(await script.isQuiet(), "nothing new is done");
});

t.test("a message whose handler throws holds up its partition and is tried again", async (t) => {
  const { script, handler, errors } = await start({}, 2);
  await assign(script, [{ partition: 0 }, { partition: 1 }]);
  await deliver(script, 10, 0, [2]);
  await handler.fail(0, "once");
  script.clock.advance(999);
  t.same(handler.values, ["0:0"]);
  await deliver(script, 11, 0, [1]);
  t.same(handler.values, ["0:0", "1:0"], "the other partition goes on");
  script.clock.advance(1);
  t.same(handler.values, ["0:0", "1:0", "0:0"]);
  t.equal(handler.messages[2]?.deliveryCount, 2);
  await handler.fail(2, "twice");
  script.clock.advance(2_000);
  t.equal(handler.messages.length, 4, "after twice the pause");
  await handler.finish(3);
  t.same(handler.values.at(-1), "0:1");
  t.same(errors, ["once", "twice"]);
});

t.test("a bad message is passed over by acking it", async (t) => {
  const { script, handler, errors } = await start();
  await assign(script, [{ partition: 0 }]);
  await deliver(script, 10, 0, [2]);
  await (handler.messages[0] as Message).ack();
  await handler.fail(0, "bad");
  t.same(handler.values, ["0:0", "0:1"]);
  t.same(errors, ["bad"]);
  await t.rejects((handler.messages[1] as Message).nack(), { code: "SUBSCRIPTION_MODE" });
  await t.rejects((handler.messages[1] as Message).deadLetter("x"), { code: "SUBSCRIPTION_MODE" });
});

t.test("a revoked partition is finished, committed and released; the others go on", async (t) => {
  const { script, handler, consumer } = await start({}, 2);
  const revoked: unknown[] = [];
  consumer.on("revoked", ({ topic, partition }) => revoked.push([topic, partition]));
  await assign(script, [{ partition: 0 }, { partition: 1 }]);
  await deliver(script, 10, 0, [3]);
  await deliver(script, 11, 0, [2]);
  const { signal } = handler.messages[0] as Message;
  await script.reply("REVOKED", {
    consumerId: CONSUMER,
    partitions: [{ partition: 0, assignmentEpoch: 1 }],
    withinMs: 10_000,
  });
  t.ok(signal.aborted);
  t.match(signal.reason, { code: "ASSIGNMENT_LOST" });
  t.same(revoked, [["t", 0]]);
  t.ok(await script.isQuiet(), "the handler is at work");
  await handler.finish(1);
  await handler.finish(0);
  t.same(await committed(script), [[0, 1, 1, 4]]);
  t.match(await script.expect("RELEASE"), { partitions: [{ partition: 0, assignmentEpoch: 1 }] });
  t.same(handler.values, ["0:0", "1:0", "1:1"], "what had arrived of it is dropped");
});

t.test("a revocation does not wait for ever", async (t) => {
  const { script, handler } = await start();
  await assign(script, [{ partition: 0 }]);
  await deliver(script, 10, 0, [2]);
  await handler.finish(0);
  await script.reply("REVOKED", {
    consumerId: CONSUMER,
    partitions: [{ partition: 0, assignmentEpoch: 1 }],
    withinMs: 10_000,
  });
  script.clock.advance(1_000);
  t.same(await committed(script), [[0, 1, 1, 4]], "the usual commit");
  script.clock.advance(6_500);
  t.match(await script.expect("RELEASE"), { partitions: [{ partition: 0, assignmentEpoch: 1 }] });
  await handler.finish(1);
  script.clock.advance(60_000);
  t.ok(await script.isQuiet(), "it is another's to commit");
});

t.test("autoCommit: false leaves committing to the application", async (t) => {
  const { script, handler, consumer } = await start({ autoCommit: false });
  await assign(script, [{ partition: 0 }]);
  await deliver(script, 10, 0, [3]);
  await handler.finish(0);
  script.clock.advance(60_000);
  t.ok(await script.isQuiet());
  const done = consumer.commit();
  t.same(await committed(script), [[0, 1, 1, 4]], "not what is being worked on");
  await done;
  await (handler.messages[1] as Message).ack();
  const acked = consumer.commit();
  t.same(await committed(script), [[0, 1, 2, 4]], "unless it is acked");
  await acked;
  await consumer.commit();
  t.ok(await script.isQuiet(), "nothing to commit");
  const closing = consumer.close();
  await handler.finish(1);
  const { requestId, consumerId } = await script.expect("STOP_CONSUMING");
  await script.reply("CONSUMING_STOPPED", { requestId, consumerId });
  await closing;
});

t.test("a close commits what is done", async (t) => {
  const { script, handler, consumer } = await start();
  await assign(script, [{ partition: 0 }]);
  await deliver(script, 10, 0, [3]);
  const closing = consumer.close();
  t.ok(await script.isQuiet());
  await handler.finish(0);
  t.same(await committed(script), [[0, 1, 1, 4]]);
  const { requestId, consumerId } = await script.expect("STOP_CONSUMING");
  await script.reply("CONSUMING_STOPPED", { requestId, consumerId });
  await closing;
  t.same(handler.values, ["0:0"]);
});

t.test("a partition that another has by now is dropped", async (t) => {
  const { script, handler, errors } = await start();
  await assign(script, [{ partition: 0 }]);
  await deliver(script, 10, 0, [2]);
  await handler.finish(0);
  script.clock.advance(1_000);
  await committed(script, 63);
  t.ok((handler.messages[1] as Message).signal.aborted);
  t.same(errors, ["ASSIGNMENT_LOST"]);
  await handler.finish(1);
  script.clock.advance(60_000);
  t.ok(await script.isQuiet());
});

t.test("after a lost connection the broker says anew what is whose", async (t) => {
  const { script, handler, errors } = await start();
  await assign(script, [{ partition: 0 }]);
  await deliver(script, 10, 0, [2]);
  await script.reconnect();
  t.ok((handler.messages[0] as Message).signal.aborted);
  t.same(errors, ["CONNECTION_LOST"]);
  const consume = await script.expect("CONSUME");
  t.equal(consume.creditLimit, 8 * 1024 * 1024, "the window is empty");
  await consuming(script, consume, {}, 80);
  await assign(script, [{ partition: 0, assignmentEpoch: 2, streamId: 30 }], 80);
  await script.reply("DELIVER", { streamId: 30, nextOffset: 0, entries: [] });
  await handler.finish(0);
  script.clock.advance(60_000);
  t.ok(await script.isQuiet(), "what the old session did is not committed for the new one");
});

t.test("gaps are reported and committed past; the stream can change its id", async (t) => {
  const gaps: Gap[] = [];
  const { script, handler } = await start({ onGap: (gap) => gaps.push(gap) });
  await assign(script, [{ partition: 0, startOffset: 2, logStartOffset: 5 }]);
  t.match(gaps, [{ topic: "t", partition: 0, fromOffset: 2, toOffset: 5, reason: "retention" }]);
  await script.reply("STREAM", { fromStreamId: 10, toStreamId: 40, subscriptionId: CONSUMER, partition: 0 });
  await script.reply("PROGRESS", { streamId: 40, nextOffset: 9, reason: "gap" });
  t.match(gaps[1], { fromOffset: 5, toOffset: 9, reason: "gap" });
  script.clock.advance(1_000);
  t.same(await committed(script), [[0, 1, 9, 4]]);
  t.same(handler.values, []);
});

t.test("credit comes back as messages are done with", async (t) => {
  const { script, handler } = await start({ windowBytes: 1 });
  await assign(script, [{ partition: 0 }]);
  await deliver(script, 10, 0, [1]);
  await deliver(script, 10, 1, [1]);
  await handler.finish(0);
  t.match(await script.expect("CONSUMER_CREDIT"), { slots: 0 });
});

t.test("the pull form: asking for the next says that the one before is done with", async (t) => {
  const script = await ScriptedClient.connected();
  const consumer = script.client.consume("t", { subscription: "s", mode: "stream" });
  await consuming(script, await script.expect("CONSUME"));
  await assign(script, [{ partition: 0 }]);
  await deliver(script, 10, 0, [3]);
  const messages = consumer[Symbol.asyncIterator]();
  t.equal((await messages.next()).value.value, "0:0");
  t.equal((await messages.next()).value.value, "0:1");
  script.clock.advance(1_000);
  t.same(await committed(script), [[0, 1, 1, 4]]);
  const commit = consumer.commit();
  t.same(await committed(script), [[0, 1, 2, 4]], "a commit by hand takes in what was handed out");
  await commit;
  const third = (await messages.next()).value as Message;
  await third.ack();
  void messages.return?.();
  t.same(await committed(script), [[0, 1, 3, 4]]);
  await microtasks();
  await script.expect("STOP_CONSUMING");
});
