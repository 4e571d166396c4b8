import { errorFrameOf, LIMITS, MillraceError } from "@millrace/protocol";
import t from "tap";
import type { Gap } from "../src/index.ts";
import { entryOf, frameBytes } from "./fake-broker.ts";
import { ScriptedClient } from "./scripted-client.ts";

import { accept, deliver, numbered, type Subscribe, start, stream, take } from "./scripted-subscription.ts";

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

/** The broker refuses a resume: rows are [partition, logStartOffset, highWatermark, logEpoch, resumeOffset]. */
async function refuse(
  script: ScriptedClient,
  { requestId, subscriptionId }: Subscribe,
  bounds: number[][],
  topicId = 7,
): Promise<void> {
  const details = { subscriptionId, topicId, bounds };
  const changed = new MillraceError("LOG_EPOCH_CHANGED", "the log lost records", { details });
  await script.reply("ERROR", errorFrameOf(changed, requestId));
  script.clock.advance(1_000);
}

t.test("a log that lost records is reported, and read on", async (t) => {
  const gaps: Gap[] = [];
  const { script, subscription } = await start({ from: "earliest", onGap: (gap) => gaps.push(gap) }, [
    stream(0),
    stream(1),
  ]);
  await deliver(script, 10, 0, [10]);
  await script.reconnect();
  const again = await script.expect("SUBSCRIBE");
  await refuse(script, again, [
    [0, 0, 50, 2, 10],
    [1, 0, 0, 1, 0],
  ]);
  const third = await script.expect("SUBSCRIBE");
  t.same(third.from, {
    kind: "resume",
    topicId: 7,
    positions: [
      { partition: 0, offset: 10, logEpoch: 2 },
      { partition: 1, offset: 0, logEpoch: 1 },
    ],
  });
  await accept(script, third, [stream(0, { startOffset: 10, logEpoch: 2 }), stream(1)]);
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
  await refuse(script, fourth, [[0, 0, 50, 0]], 8);
  await script.isQuiet();
  await t.rejects(take(iterator, 1), { code: "TOPIC_DELETED" });
});

t.test("a subscription goes back to where other records stand at offsets that it has passed", async (t) => {
  const told: unknown[] = [];
  const onGap = ({ partition, fromOffset, toOffset, reason }: Gap): void => {
    told.push(`${reason} ${partition} ${fromOffset}-${toOffset}`);
  };
  const restores = [[5, 4]] as const;
  const streams = [stream(0, { logEpoch: 5, restores }), stream(1, { logEpoch: 5 })];
  const { script, subscription } = await start({ from: "earliest", onGap }, streams);
  await deliver(script, 10, 0, [10]);
  await deliver(script, 11, 0, [2]);
  const iterator = subscription[Symbol.asyncIterator]();
  told.push(...(await take(iterator, 7)));
  await script.reconnect();
  const again = await script.expect("SUBSCRIBE");
  const p1 = { partition: 1, offset: 2, logEpoch: 5 };
  t.same(again.from, {
    kind: "resume",
    topicId: 7,
    positions: [{ partition: 0, offset: 10, logEpoch: 5, restores }, p1],
  });
  await refuse(script, again, [[0, 0, 8, 9, 4]]);
  const third = await script.expect("SUBSCRIBE");
  t.match(third.from, { positions: [{ partition: 0, offset: 4, logEpoch: 9 }, p1] });
  t.match(
    subscription.positions()[0],
    { offset: 6, logEpoch: 5, restores },
    "what is stored meanwhile is a place in the log that it is of",
  );
  const now = [[9, 4]] as const;
  const moved = [
    stream(0, { startOffset: 4, logEpoch: 9, restores: now }),
    stream(1, { startOffset: 2, logEpoch: 5 }),
  ];
  await accept(script, third, moved);
  const other = Array.from({ length: 4 }, (_, i) => ({ value: `other ${4 + i}` }));
  await script.reply("DELIVER", { streamId: 10, nextOffset: 8, entries: [entryOf(4, other)] });
  for (let i = 0; i < 9; i += 1) told.push(...(await take(iterator, 1)));
  const before = Array.from({ length: 10 }, (_, i) => `0:${i}`);
  t.same(told, [...before, "1:0", "1:1", "log-epoch 0 10-4", ...other.map(({ value }) => value)]);
  t.same(subscription.positions()[0], { partition: 0, offset: 7, logEpoch: 9, restores: now });
});

t.test("positions beyond the end of a log, and bounds that do not say where to go on", async (t) => {
  const gaps: Gap[] = [];
  const options = { from: "earliest", untilEnd: true, onGap: (gap: Gap) => gaps.push(gap) } as const;
  const { script, subscription } = await start(options, [stream(0, { highWatermark: 20 })]);
  await deliver(script, 10, 0, [10]);
  await script.reconnect();
  await refuse(script, await script.expect("SUBSCRIBE"), [[0, 0, 6, 2], ["what"] as unknown as number[]]);
  const third = await script.expect("SUBSCRIBE");
  t.match(third.from, { positions: [{ partition: 0, offset: 6, logEpoch: 2 }] });
  const values = await take(subscription[Symbol.asyncIterator](), 11);
  t.same(values.slice(9), ["0:9", "done"], "the end is that of the log of today");
  t.match(gaps, [{ reason: "log-epoch", fromOffset: 10, toOffset: 6 }]);
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

t.test("live: another log is reported, also when it is shorter", async (t) => {
  const gaps: Gap[] = [];
  const { script, subscription } = await start({ mode: "live", onGap: (gap) => gaps.push(gap) }, [
    stream(0, { startOffset: 5 }),
  ]);
  await deliver(script, 10, 5, [1]);
  await script.reconnect();
  await accept(script, await script.expect("SUBSCRIBE"), [stream(0, { startOffset: 2, logEpoch: 9 })]);
  await deliver(script, 10, 2, [1]);
  t.same(await take(subscription[Symbol.asyncIterator](), 2), ["0:5", "0:2"]);
  t.match(gaps, [{ reason: "log-epoch", fromOffset: 6, toOffset: 2 }]);
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
