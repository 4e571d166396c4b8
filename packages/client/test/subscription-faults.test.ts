import { errorFrameOf, LIMITS, MillraceError } from "@millrace/protocol";
import t from "tap";
import type { Gap } from "../src/index.ts";
import { entryOf, frameBytes, topicInfo } from "./fake-broker.ts";
import { ScriptedClient } from "./scripted-client.ts";

import { accept, deliver, numbered, start, stream, take } from "./scripted-subscription.ts";

t.test("a connection lost before SUBSCRIBED: the same question again", async (t) => {
  const script = await ScriptedClient.connected();
  const subscription = script.client.subscribe("t", { from: { time: 5 } });
  await script.expect("SUBSCRIBE");
  t.same(subscription.positions(), []);
  await script.reconnect();
  t.same((await script.expect("SUBSCRIBE")).from, { kind: "time", timeMs: 5 });
});

t.test("what is not consumed yet takes up the window of the next session too", async (t) => {
  const windowBytes = 2 * LIMITS.deliverFrameBytesMax;
  const { script, subscription } = await start({ from: "earliest", windowBytes }, [stream(0)]);
  const frame = {
    streamId: 10,
    nextOffset: 2,
    entries: [entryOf(0, [{ value: new Uint8Array(600_000) }, { value: new Uint8Array(600_000) }])],
  };
  await script.reply("DELIVER", frame);
  const bytes = frameBytes("DELIVER", frame);
  await script.reconnect();
  const again = await script.expect("SUBSCRIBE");
  t.equal(again.creditLimit, windowBytes - bytes);
  await accept(script, again, [stream(0, { startOffset: 2 })]);
  const iterator = subscription[Symbol.asyncIterator]();
  await iterator.next();
  await iterator.next();
  void iterator.next();
  t.equal((await script.expect("FLOW")).creditLimit, windowBytes);
});

t.test("a broker that sends more than it may ends the session", async (t) => {
  const windowBytes = LIMITS.deliverFrameBytesMax;
  const { script } = await start({ from: "earliest", windowBytes }, [stream(0)]);
  const lost: MillraceError[] = [];
  script.client.on("disconnected", (error) => lost.push(error));
  for (let i = 0; i < 3; i += 1) {
    const entries = [entryOf(i, [{ value: new Uint8Array(1_000_000) }])];
    await script.reply("DELIVER", { streamId: 10, nextOffset: i + 1, entries });
  }
  t.match(lost, [{ code: "CREDIT_EXCEEDED" }]);
});

t.test("gaps are told before the record that follows them", async (t) => {
  const log: unknown[] = [];
  const gapOf = ({ partition, fromOffset, toOffset, reason }: Gap): void => {
    log.push(`${reason} ${partition} ${fromOffset}-${toOffset}`);
  };
  const { script, subscription } = await start({ from: { offset: 5, partition: 0 }, onGap: gapOf }, [
    stream(0, { startOffset: 8, logStartOffset: 8 }),
  ]);
  const events: Gap[] = [];
  script.client.on("gap", (gap) => events.push(gap));
  await deliver(script, 10, 8, [1]);
  await script.reply("PROGRESS", { streamId: 10, nextOffset: 20, reason: "retention" });
  await deliver(script, 10, 20, [1]);
  // A hole that nobody announced, and one at the end of a frame.
  await script.reply("DELIVER", { streamId: 10, nextOffset: 40, entries: [entryOf(30, numbered(0, 30, 1))] });
  await deliver(script, 10, 40, [1]);
  t.same(log, [], "not before the application gets there");
  const iterator = subscription[Symbol.asyncIterator]();
  for (let i = 0; i < 4; i += 1) log.push(...(await take(iterator, 1)));
  t.same(log, [
    "retention 0 5-8",
    "0:8",
    "retention 0 9-20",
    "0:20",
    "gap 0 21-30",
    "0:30",
    "gap 0 31-40",
    "0:40",
  ]);
  t.equal(events.length, 4);
});

t.test("a log that lost records is reported, and read on", async (t) => {
  const gaps: Gap[] = [];
  const { script, subscription } = await start({ from: "earliest", onGap: (gap) => gaps.push(gap) }, [
    stream(0),
    stream(1),
  ]);
  await deliver(script, 10, 0, [10]);
  await script.reconnect();
  const again = await script.expect("SUBSCRIBE");
  const { requestId, subscriptionId } = again;
  script.topics.set(
    "t",
    topicInfo("t", 2, {
      partitionInfo: [
        { partition: 0, shard: 0, logStartOffset: 0, highWatermark: 6, logEpoch: 2, retainedBytes: 0 },
        { partition: 1, shard: 0, logStartOffset: 0, highWatermark: 0, logEpoch: 1, retainedBytes: 0 },
      ],
    }),
  );
  const changed = new MillraceError("LOG_EPOCH_CHANGED", "the log lost records", {
    details: { subscriptionId },
  });
  await script.reply("ERROR", errorFrameOf(changed, requestId));
  script.clock.advance(1_000);
  const third = await script.expect("SUBSCRIBE");
  t.same(third.from, {
    kind: "resume",
    topicId: 7,
    positions: [
      { partition: 0, offset: 6, logEpoch: 2 },
      { partition: 1, offset: 0, logEpoch: 1 },
    ],
  });
  await accept(script, third, [stream(0, { startOffset: 6, logEpoch: 2 }), stream(1)]);
  await script.reply("DELIVER", {
    streamId: 10,
    nextOffset: 101,
    entries: [entryOf(100, numbered(0, 100, 1))],
  });
  const iterator = subscription[Symbol.asyncIterator]();
  t.same((await take(iterator, 11)).slice(9), ["0:9", "0:100"]);
  t.match(gaps, [
    { partition: 0, reason: "log-epoch", fromOffset: 10, toOffset: 10 },
    { partition: 0, reason: "gap", fromOffset: 10, toOffset: 100 },
  ]);

  // A topic of the same name that was made anew is another one.
  await script.reconnect();
  const fourth = await script.expect("SUBSCRIBE");
  script.topics.set("t", topicInfo("t", 2, { topicId: 8 }));
  await script.reply("ERROR", errorFrameOf(changed, fourth.requestId));
  script.clock.advance(1_000);
  await script.isQuiet();
  await t.rejects(take(iterator, 1), { code: "TOPIC_DELETED" });
});

t.test("retriable errors are retried after a pause, final ones end the iteration", async (t) => {
  const { script, subscription, subscribe } = await start({ from: "earliest" }, [stream(0)]);
  await deliver(script, 10, 0, [1]);
  const { subscriptionId } = subscribe;
  const failed = new MillraceError("READ_FAILED", "cannot read", { details: { subscriptionId } });
  await script.reply("ERROR", errorFrameOf(failed));
  t.ok(await script.isQuiet());
  script.clock.advance(1_000);
  const again = await script.expect("SUBSCRIBE");
  t.match(again.from, { kind: "resume", positions: [{ offset: 1 }] });
  await accept(script, again, [stream(0, { startOffset: 1 })]);
  const deleted = new MillraceError("TOPIC_DELETED", "gone", {
    details: { subscriptionId: again.subscriptionId },
  });
  await script.reply("ERROR", errorFrameOf(deleted));
  await t.rejects(take(subscription[Symbol.asyncIterator](), 1), { code: "TOPIC_DELETED" });

  const unknown = script.client.subscribe("nope");
  const { requestId } = await script.expect("SUBSCRIBE");
  await script.reply("ERROR", errorFrameOf(new MillraceError("UNKNOWN_TOPIC", "no such topic"), requestId));
  await t.rejects(unknown.ready(), { code: "UNKNOWN_TOPIC" });
  await t.rejects(unknown.batches().next(), { code: "UNKNOWN_TOPIC" });
});

t.test("live: after a reconnect from now on, and what was missed is told", async (t) => {
  const gaps: Gap[] = [];
  const { script, subscription } = await start({ mode: "live", onGap: (gap) => gaps.push(gap) }, [
    stream(0, { startOffset: 5 }),
  ]);
  await deliver(script, 10, 5, [1]);
  await script.reconnect();
  const again = await script.expect("SUBSCRIBE");
  t.same([again.from, again.mode, again.partitions], [{ kind: "latest" }, "live", [0]]);
  await accept(script, again, [stream(0, { startOffset: 9 })]);
  await deliver(script, 10, 9, [1]);
  t.same(await take(subscription[Symbol.asyncIterator](), 2), ["0:5", "0:9"]);
  t.match(gaps, [{ reason: "reconnect", fromOffset: 6, toOffset: 9 }]);
});

t.test("a damaged batch fails the iteration, unless checksums are not asked for", async (t) => {
  const damaged = entryOf(0, numbered(0, 0, 2));
  damaged.batch[damaged.batch.length - 1] = 0x21;
  for (const verifyChecksums of [true, false]) {
    const { script, subscription } = await start({ from: "earliest", verifyChecksums }, [stream(0)]);
    await script.reply("DELIVER", { streamId: 10, nextOffset: 2, entries: [damaged] });
    const iterator = subscription[Symbol.asyncIterator]();
    if (verifyChecksums) {
      await t.rejects(iterator.next(), {
        code: "CHECKSUM_MISMATCH",
        details: { partition: 0, baseOffset: 0 },
      });
      await script.expect("UNSUBSCRIBE");
      await t.rejects(iterator.next(), { code: "CHECKSUM_MISMATCH" });
    } else t.same(await take(iterator, 2), ["0:0", "0:!"]);
  }
  const { script, subscription } = await start({ from: "earliest" }, [stream(0)]);
  const lying = { ...entryOf(0, numbered(0, 0, 2)), count: 3 };
  await script.reply("DELIVER", { streamId: 10, nextOffset: 3, entries: [lying] });
  await t.rejects(subscription.batches().next(), { code: "COUNT_MISMATCH" });
});

t.test("frames of nobody are ignored, malformed ones end the session", async (t) => {
  const { script } = await start({ from: "earliest" }, [stream(0)]);
  await script.reply("DELIVER", { streamId: 77, nextOffset: 1, entries: [] });
  await script.reply("PROGRESS", { streamId: 77, nextOffset: 1, reason: "gap" });
  await script.reply("STREAM", { fromStreamId: 77, toStreamId: 78, subscriptionId: 5, partition: 0 });
  t.equal(script.client.state, "connected");
  const lost: MillraceError[] = [];
  script.client.on("disconnected", (error) => lost.push(error));
  script.session.handlers.onMessage(new Uint8Array([0x92, 34, 0xc1]));
  t.match(lost, [{ code: "MALFORMED_FRAME" }]);
  t.equal(script.client.state, "reconnecting");
});
