import { LIMITS, type OutgoingRecord } from "@millrace/protocol";
import t from "tap";
import type { ReceivedRecord, SubscribeOptions } from "../src/index.ts";
import { entryOf, frameBytes } from "./fake-broker.ts";
import { microtasks } from "./manual-clock.ts";
import { ScriptedClient } from "./scripted-client.ts";

import { accept, deliver, numbered, type Subscribe, start, stream, take } from "./scripted-subscription.ts";

t.test("start positions become the wire's", async (t) => {
  const script = await ScriptedClient.connected();
  const sent = async (options: SubscribeOptions): Promise<Partial<Subscribe>> => {
    const subscription = script.client.subscribe("t", options);
    const { from, partitions, mode, creditLimit } = await script.expect("SUBSCRIBE");
    await subscription.close();
    await script.expect("UNSUBSCRIBE");
    return { from, partitions, mode, creditLimit };
  };
  const rest = { partitions: undefined, mode: "stream", creditLimit: 8 * 1024 * 1024 };
  t.same(await sent({}), { ...rest, from: { kind: "latest" } });
  t.same(await sent({ from: "earliest" }), { ...rest, from: { kind: "earliest" } });
  t.same(await sent({ from: { time: new Date(1234) }, mode: "live" }), {
    ...rest,
    mode: "live",
    from: { kind: "time", timeMs: 1234 },
  });
  t.same(await sent({ from: { time: 1234.9 } }), { ...rest, from: { kind: "time", timeMs: 1234 } });
  t.same(await sent({ from: { offset: 5, partition: 1 } }), {
    ...rest,
    partitions: [1],
    from: { kind: "offset", offset: 5 },
  });
  t.same(await sent({ from: { offset: 5 }, partitions: [1, 0] }), {
    ...rest,
    partitions: [1, 0],
    from: { kind: "offset", offset: 5 },
  });
  t.same(await sent({ windowBytes: 1 }), {
    ...rest,
    creditLimit: LIMITS.deliverFrameBytesMax,
    from: { kind: "latest" },
  });
  const resume = (positions: unknown): unknown => ({ kind: "resume", topicId: 7, positions });
  const [p0, p1] = [
    { partition: 0, offset: 3, logEpoch: 1 },
    { partition: 1, offset: 8, logEpoch: 1 },
  ];
  for (const offsets of [
    { 0: 3, 1: 8 },
    new Map([
      [0, 3],
      [1, 8],
    ]),
    [p0, { partition: 1, offset: 8 }],
  ]) {
    t.same(await sent({ from: { offsets } }), { ...rest, partitions: [0, 1], from: resume([p0, p1]) });
  }
  t.same(await sent({ from: { offsets: [{ ...p0, logEpoch: 9 }], topicId: 7 } }), {
    ...rest,
    partitions: [0],
    from: resume([{ ...p0, logEpoch: 9 }]),
  });
  t.same(await sent({ from: { offsets: { 0: 3, 1: 8 } }, partitions: [1] }), {
    ...rest,
    partitions: [1],
    from: resume([p1]),
  });

  const wrong: unknown[] = [
    "first",
    5,

    { offset: -1 },
    { offset: 1.5 },
    { time: new Date(Number.NaN) },
    { offsets: {} },
  ];
  for (const from of wrong) {
    t.throws(() => script.client.subscribe("t", { from: from as "latest" }), { code: "INVALID_FROM" });
  }
  t.throws(() => script.client.subscribe("t", { from: { offset: 1, partition: 1 }, partitions: [0] }), {
    code: "INVALID_FROM",
  });
  t.throws(() => script.client.subscribe("t", { partitions: [] }), { code: "INVALID_FROM" });
  t.throws(() => script.client.subscribe("t", { windowBytes: 0 }), /windowBytes/);
  const beyond = script.client.subscribe("t", { from: { offsets: { 5: 1 } } });
  await script.isQuiet();
  await t.rejects(beyond.ready(), { code: "UNKNOWN_PARTITION" });
});

t.test("records: every field, and values as they were published", async (t) => {
  const { script, subscription } = await start({ from: "earliest" }, [stream(0)]);
  const records: OutgoingRecord[] = [
    { value: "text", key: "k", headers: { a: "b", c: new Uint8Array([1]) }, timestamp: 55 },
    { value: new Uint8Array([1, 2, 3]), key: new Uint8Array([9]) },
    { value: { deep: [1, null, "x"] } },
    { value: null },
  ];
  await script.reply("DELIVER", { streamId: 10, nextOffset: 4, entries: [entryOf(0, records, 777)] });
  const iterator = subscription[Symbol.asyncIterator]();
  const got: ReceivedRecord[] = [];
  for (let i = 0; i < 4; i += 1) got.push((await iterator.next()).value);
  t.same(got[0], {
    topic: "t",
    partition: 0,
    offset: 0,
    timestamp: 55,
    key: "k",
    headers: { a: "b", c: new Uint8Array([1]) },
    value: "text",
  });
  t.same(got[1]?.value, new Uint8Array([1, 2, 3]));
  t.same(got[1]?.key, new Uint8Array([9]));
  t.equal(got[1]?.timestamp, 777, "the append time");
  t.same(got[2]?.value, { deep: [1, null, "x"] });
  t.equal(got[3]?.value, null);
  t.equal(got[3]?.offset, 3);
});

t.test("batches: values without record objects, and what is below the start is left out", async (t) => {
  const { script, subscription } = await start({ from: { offset: 3, partition: 0 } }, [
    stream(0, { startOffset: 3, highWatermark: 9 }),
  ]);
  await deliver(script, 10, 0, [2, 4, 3]);
  const decoder = new TextDecoder();
  const got: unknown[] = [];
  for await (const batch of subscription.batches()) {
    const values = Array.from({ length: batch.count }, (_, i) => decoder.decode(batch.valueAt(i)));
    got.push([batch.partition, batch.baseOffset, batch.timestamp, values, batch.recordAt(0)?.offset]);
    t.same(
      Array.from(batch, ({ offset }) => offset),
      Array.from(values, (_, i) => batch.baseOffset + i),
    );
    t.throws(() => batch.valueAt(batch.count), RangeError);
    t.throws(() => batch.recordAt(-1), RangeError);
    if (got.length === 2) break;
  }
  t.same(got, [
    [0, 3, 1_000, ["0:3", "0:4", "0:5"], 3],
    [0, 6, 1_000, ["0:6", "0:7", "0:8"], 6],
  ]);
  await script.expect("UNSUBSCRIBE");
});

t.test("a batch begun by records goes on as the rest of a batch", async (t) => {
  const { script, subscription } = await start({ from: "earliest" }, [stream(0)]);
  await deliver(script, 10, 0, [4]);
  t.same(await take(subscription[Symbol.asyncIterator](), 1), ["0:0"]);
  const { value: batch } = await subscription.batches().next();
  t.same([batch.baseOffset, batch.count], [1, 3]);
  t.same(subscription.positions(), [{ partition: 0, offset: 1, logEpoch: 1 }]);
});

t.test(
  "a reconnect resumes after the last record that arrived, and what had arrived is not lost",
  async (t) => {
    const { script, subscription, subscribe } = await start({ from: "latest" }, [
      stream(0, { startOffset: 100, logEpoch: 3 }),
      stream(1, { startOffset: 7 }),
    ]);
    await deliver(script, 10, 100, [2, 1]);
    const iterator = subscription[Symbol.asyncIterator]();
    t.same(await take(iterator, 1), ["0:100"]);
    await script.reconnect();
    const again = await script.expect("SUBSCRIBE");
    t.not(again.subscriptionId, subscribe.subscriptionId);
    t.same(again.from, {
      kind: "resume",
      topicId: 7,
      positions: [
        { partition: 0, offset: 103, logEpoch: 3 },
        { partition: 1, offset: 7, logEpoch: 1 },
      ],
    });
    t.same(again.partitions, [0, 1]);
    await accept(script, again, [
      stream(0, { streamId: 20, startOffset: 103, logEpoch: 3 }),
      stream(1, { streamId: 21, startOffset: 7 }),
    ]);
    const entries = [entryOf(102, numbered(0, 102, 3))];
    await script.reply("DELIVER", { streamId: 20, nextOffset: 105, entries });
    t.same(await take(iterator, 4), ["0:101", "0:102", "0:103", "0:104"], "once each");
  },
);

t.test("credit comes back as records are consumed, not as they arrive", async (t) => {
  const windowBytes = LIMITS.deliverFrameBytesMax;
  const { script, subscription, subscribe } = await start({ from: "earliest", windowBytes }, [stream(0)]);
  t.equal(subscribe.creditLimit, windowBytes);
  const first = await deliver(script, 10, 0, [2]);
  const second = await deliver(script, 10, 2, [2]);
  t.ok(await script.isQuiet(), "nothing is consumed yet");
  const iterator = subscription[Symbol.asyncIterator]();
  await take(iterator, 2);
  t.ok(await script.isQuiet(), "the second record may still be in the works");
  await take(iterator, 1);
  const flow = await script.expect("FLOW");
  t.equal(flow.subscriptionId, subscribe.subscriptionId);
  t.equal(flow.creditLimit, windowBytes + first);
  const waiting = take(iterator, 2);
  t.equal((await script.expect("FLOW")).creditLimit, windowBytes + first + second);
  await deliver(script, 10, 4, [1]);
  t.same(await waiting, ["0:3", "0:4"]);
});

t.test("a wide window is given back by quarters", async (t) => {
  const windowBytes = 4 * LIMITS.deliverFrameBytesMax;
  const { script, subscription } = await start({ from: "earliest", windowBytes }, [stream(0)]);
  const iterator = subscription[Symbol.asyncIterator]();
  const value = new Uint8Array(900_000);
  let received = 0;
  for (let i = 0; i < 3; i += 1) {
    const frame = { streamId: 10, nextOffset: i + 1, entries: [entryOf(i, [{ value }])] };
    received += frameBytes("DELIVER", frame);
    await script.reply("DELIVER", frame);
    const next = iterator.next();
    await next;
    if (i < 2) t.ok(await script.isQuiet());
  }
  void iterator.next();
  t.equal((await script.expect("FLOW")).creditLimit, windowBytes + received);
});

t.test("untilEnd ends at the high watermarks of the beginning", async (t) => {
  const { script, subscription } = await start({ from: "earliest", untilEnd: true }, [
    stream(0, { highWatermark: 5 }),
    stream(1, { highWatermark: 2 }),
    stream(2, { startOffset: 3, highWatermark: 3 }),
  ]);
  await deliver(script, 11, 0, [1]);
  await deliver(script, 10, 0, [3, 3, 3]);
  await script.reconnect();
  const again = await script.expect("SUBSCRIBE");
  await accept(script, again, [
    stream(0, { startOffset: 9, highWatermark: 90 }),
    stream(1, { startOffset: 1, highWatermark: 90 }),
    stream(2, { startOffset: 3, highWatermark: 90 }),
  ]);
  await deliver(script, 12, 3, [2]);
  await script.reply("PROGRESS", { streamId: 11, nextOffset: 8, reason: "retention" });
  const values = take(subscription[Symbol.asyncIterator](), 100);
  await script.expect("UNSUBSCRIBE");
  t.same(await values, ["1:0", "0:0", "0:1", "0:2", "0:3", "0:4", "done"]);

  const empty = script.client.subscribe("t", { from: "earliest", untilEnd: true });
  await accept(script, await script.expect("SUBSCRIBE"), [stream(0)]);
  t.same(await take(empty[Symbol.asyncIterator](), 1), ["done"]);
});

t.test("streams: a partition moves between its own and a shared one", async (t) => {
  const { script, subscription, subscribe } = await start({ from: "earliest" }, [stream(0)]);
  const other = script.client.subscribe("t", { from: "earliest" });
  const second = await script.expect("SUBSCRIBE");
  await accept(script, second, [stream(0, { streamId: 50 })]);
  const { subscriptionId } = subscribe;
  await script.reply("STREAM", { fromStreamId: 10, toStreamId: 99, subscriptionId, partition: 0 });
  await script.reply("STREAM", {
    fromStreamId: 50,
    toStreamId: 99,
    subscriptionId: second.subscriptionId,
    partition: 0,
  });
  await script.reply("DELIVER", { streamId: 99, nextOffset: 2, entries: [entryOf(0, numbered(0, 0, 2))] });
  await script.reply("STREAM", { fromStreamId: 99, toStreamId: 11, subscriptionId, partition: 0 });
  await script.reply("DELIVER", { streamId: 11, nextOffset: 3, entries: [entryOf(2, numbered(0, 2, 1))] });
  await script.reply("DELIVER", { streamId: 10, nextOffset: 9, entries: [entryOf(8, numbered(0, 8, 1))] });
  t.same(await take(subscription[Symbol.asyncIterator](), 3), ["0:0", "0:1", "0:2"]);
  t.same(await take(other[Symbol.asyncIterator](), 2), ["0:0", "0:1"]);
  await subscription.close();
  await script.expect("UNSUBSCRIBE");
  await script.reply("DELIVER", { streamId: 99, nextOffset: 3, entries: [entryOf(2, numbered(0, 2, 1))] });
  t.same(await take(other[Symbol.asyncIterator](), 1), ["0:2"], "one leaves, the other stays");
});

t.test("abort, close and leaving the loop", async (t) => {
  const controller = new AbortController();
  const { script, subscription } = await start({ from: "earliest", signal: controller.signal }, [stream(0)]);
  await deliver(script, 10, 0, [3]);
  const iterator = subscription[Symbol.asyncIterator]();
  t.same(await take(iterator, 1), ["0:0"]);
  controller.abort(new Error("enough"));
  await t.rejects(iterator.next(), { code: "ABORTED", cause: { message: "enough" } });
  await script.expect("UNSUBSCRIBE");
  const late = script.client.subscribe("t", { signal: controller.signal });
  await t.rejects(late.ready(), { code: "ABORTED" });
  t.ok(await script.isQuiet(), "never asked for");

  const waitingController = new AbortController();
  const waits = script.client.subscribe("t", { signal: waitingController.signal });
  await accept(script, await script.expect("SUBSCRIBE"), [stream(0)]);
  const pending = waits[Symbol.asyncIterator]().next();
  await microtasks();
  waitingController.abort();
  await t.rejects(pending, { code: "ABORTED" });
  await script.expect("UNSUBSCRIBE");

  const closed = script.client.subscribe("t", { from: "earliest" });
  await accept(script, await script.expect("SUBSCRIBE"), [stream(0)]);
  const end = closed[Symbol.asyncIterator]().next();
  await closed.close();
  t.same(await end, { done: true, value: undefined });
  await script.expect("UNSUBSCRIBE");
  await closed.close();
  t.ok(await script.isQuiet());

  const left = script.client.subscribe("t", { from: "earliest" });
  await accept(script, await script.expect("SUBSCRIBE"), [stream(0)]);
  await deliver(script, 10, 0, [2]);
  for await (const record of left) {
    t.equal(record.offset, 0);
    break;
  }
  await script.expect("UNSUBSCRIBE");
});

t.test("overlapping calls of next are answered in order", async (t) => {
  const { script, subscription } = await start({ from: "earliest", untilEnd: true }, [
    stream(0, { highWatermark: 3 }),
  ]);
  const iterator = subscription[Symbol.asyncIterator]();
  const results = Array.from({ length: 5 }, () => iterator.next());
  await deliver(script, 10, 0, [1]);
  await deliver(script, 10, 1, [2]);
  const settled = await Promise.all(results);
  t.same(
    settled.map(({ value, done }) => (done === true ? "done" : value.offset)),
    [0, 1, 2, "done", "done"],
  );
});
