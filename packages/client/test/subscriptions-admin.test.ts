import { crc32, type FrameValues, type OutgoingRecord, type TopicInfo } from "@millrace/protocol";
import t from "tap";
import { entryOf, topicInfo } from "./fake-broker.ts";
import { ScriptedClient } from "./scripted-client.ts";
import { subscriptionInfo } from "./scripted-consumer.ts";
import { accept, stream } from "./scripted-subscription.ts";

async function answerInfo(script: ScriptedClient, requestId: number): Promise<void> {
  await script.reply("SUBSCRIPTION", { requestId, subscription: subscriptionInfo() });
}

t.test("create, alter, pause, resume, seek, snapshot, delete", async (t) => {
  const script = await ScriptedClient.connected();
  const { subscriptions } = script.client;
  const created = subscriptions.create("t", "s", {
    mode: "queue",
    from: { time: new Date(5) },
    leaseMs: 2_000,
  });
  const create = await script.expect("CREATE_SUBSCRIPTION");
  t.match(create, { topic: "t", name: "s", config: { mode: "queue", from: ["time", 5], leaseMs: 2_000 } });
  t.notOk("maxDeliveries" in create.config);
  await answerInfo(script, create.requestId);
  t.same(await created, subscriptionInfo());

  for (const [call, changes] of [
    [subscriptions.alter("t", "s", { maxDeliveries: 9, leaseMs: undefined }), { maxDeliveries: 9 }],
    [subscriptions.pause("t", "s"), { paused: true }],
    [subscriptions.resume("t", "s"), { paused: false }],
  ] as const) {
    const frame = await script.expect("ALTER_SUBSCRIPTION");
    t.same(frame.changes, changes);
    await answerInfo(script, frame.requestId);
    await call;
  }

  for (const [to, from] of [
    ["earliest", { kind: "earliest" }],
    [{ snapshot: "before" }, { kind: "snapshot", name: "before" }],
    [{ offset: 3 }, { kind: "offset", offset: 3 }],
    [
      { offsets: { 0: 4, 1: 5 } },
      {
        kind: "offsets",
        offsets: [
          [0, 4],
          [1, 5],
        ],
      },
    ],
  ] as const) {
    const sought = subscriptions.seek("t", "s", to);
    const frame = await script.expect("SEEK_SUBSCRIPTION");
    t.same(frame.from, from);
    await answerInfo(script, frame.requestId);
    await sought;
  }
  await t.rejects(subscriptions.seek("t", "s", { offset: -1 }), { code: "INVALID_FROM" });

  const snapshot = subscriptions.snapshot("t", "s", "before");
  const frame = await script.expect("SNAPSHOT_SUBSCRIPTION");
  t.match(frame, { snapshot: "before", action: "create" });
  await answerInfo(script, frame.requestId);
  await snapshot;

  const deleted = subscriptions.delete("t", "s");
  const { requestId } = await script.expect("DELETE_SUBSCRIPTION");
  await script.reply("SUBSCRIPTION_DELETED", { requestId, topic: "t", name: "s" });
  t.equal(await deleted, undefined);
});

t.test("list goes page by page", async (t) => {
  const script = await ScriptedClient.connected();
  const list = script.client.subscriptions.list();
  const names: string[][] = [["a", "b"], ["c"], []];
  for (const [index, page] of names.entries()) {
    const { requestId, topic, after } = await script.expect("LIST_SUBSCRIPTIONS");
    t.equal(topic, undefined);
    t.same(after, [undefined, ["t", "b"], ["t", "c"]][index]);
    const infos = page.map((name) => subscriptionInfo({ name }));
    await script.reply("SUBSCRIPTIONS", { requestId, subscriptions: infos });
  }
  t.same(
    (await list).map(({ name }) => name),
    ["a", "b", "c"],
  );
});

t.test("describe", async (t) => {
  const script = await ScriptedClient.connected();
  const described = script.client.subscriptions.describe("t", "s");
  const { requestId } = await script.expect("DESCRIBE_SUBSCRIPTION");
  const bounds = { partition: 0, offset: 4, logStartOffset: 0, highWatermark: 9 };
  const state = {
    consumers: 2,
    available: 1,
    leased: 2,
    waiting: 3,
    redelivered: 4,
    dead: 5,
    lag: 6,
    oldestAgeMs: 7,
    blockedByKey: "k",
    partitions: [{ ...bounds, available: 1, leased: 2, waiting: 3, consumerName: "c" }],
  };
  await script.reply("SUBSCRIPTION", { requestId, subscription: subscriptionInfo({ state }) });
  t.match(await described, {
    name: "s",
    consumers: 2,
    lag: 6,
    blockedByKey: "k",
    partitions: [{ partition: 0, offset: 4, consumer: "c" }],
  });
});

type Peeked = FrameValues["PEEKED"]["records"][number];

function peekedRow(partition: number, offset: number, more: Partial<Peeked> = {}): Peeked {
  return { topicId: 7, partition, offset, state: 0, deliveryCount: 0, dueInMs: 0, ...more };
}

/** Answers the SUBSCRIBE with which content is read. */
async function content(
  script: ScriptedClient,
  topic: string,
  offset: number,
  records: readonly OutgoingRecord[],
  streamId: number,
): Promise<void> {
  const subscribe = await script.expect("SUBSCRIBE");
  t.match(subscribe, { topic, from: { kind: "offset", offset } });
  const partition = subscribe.partitions?.[0] ?? 0;
  const highWatermark = offset + records.length;
  await accept(script, subscribe, [stream(partition, { streamId, startOffset: offset, highWatermark })]);
  const entries = [brokersEntry(offset, records)];
  await script.reply("DELIVER", { streamId, nextOffset: highWatermark, entries });
  t.match(await script.expect("UNSUBSCRIBE"), { subscriptionId: subscribe.subscriptionId });
}

t.test("peek: the offsets by PEEK, the content by reading", async (t) => {
  const script = await ScriptedClient.connected();
  const peeked = script.client.subscriptions.peek("t", "s", { limit: 3 });
  const first = await script.expect("PEEK");
  t.match(first, { topic: "t", name: "s", partition: 0, fromOffset: 0, limit: 3 });
  const rows = [peekedRow(0, 4), peekedRow(0, 6, { state: 2, deliveryCount: 2, dueInMs: 500 })];
  await script.reply("PEEKED", { requestId: first.requestId, records: rows });
  await content(script, "t", 4, [{ value: "a" }, { value: "finished" }, { value: "b" }], 50);
  const second = await script.expect("PEEK");
  t.match(second, { partition: 1, limit: 1 });
  await script.reply("PEEKED", { requestId: second.requestId, records: [peekedRow(1, 0, { state: 1 })] });
  await content(script, "t", 0, [{ value: "c" }], 51);
  t.match(await peeked, [
    { partition: 0, offset: 4, value: "a", state: "available", deliveryCount: 0 },
    { partition: 0, offset: 6, value: "b", state: "waiting", deliveryCount: 2, dueInMs: 500 },
    { partition: 1, offset: 0, value: "c", state: "leased" },
  ]);
});

/** The name of a header that only a broker may give: the same length, so that it can be put into an encoded batch. */
const asBrokers = (name: string): string => name.replace("millrace-", "millrace_");

/** An entry whose headers are the broker's. */
function brokersEntry(offset: number, records: readonly OutgoingRecord[]): ReturnType<typeof entryOf> {
  const entry = entryOf(offset, records);
  const batch = Buffer.from(
    Buffer.from(entry.batch).toString("latin1").replaceAll("millrace_", "millrace-"),
    "latin1",
  );
  return { ...entry, batch, checksum: crc32(batch, 0, batch.length) };
}

function deadRecord(subscription: string, offset: number): OutgoingRecord {
  return {
    value: `dead ${offset}`,
    headers: {
      [asBrokers("millrace-dead-reason")]: "bad",
      [asBrokers("millrace-delivery-count")]: "5",
      [asBrokers("millrace-subscription")]: subscription,
      [asBrokers("millrace-dead-time")]: "123",
      [asBrokers("millrace-origin-topic")]: "t",
      [asBrokers("millrace-origin-partition")]: "0",
      [asBrokers("millrace-origin-offset")]: String(offset),
      [asBrokers("millrace-origin-time")]: "100",
    },
  };
}

function withDeadLetters(script: ScriptedClient): void {
  const dead: TopicInfo = topicInfo("t.dlq", 1, { topicId: 8, deadLetterOf: 7 });
  script.topics.set("t.dlq", dead);
}

t.test("dead letters are those that the ledger calls unfinished", async (t) => {
  const script = await ScriptedClient.connected();
  withDeadLetters(script);
  const listed = script.client.deadLetters.list("t", { subscription: "s" });
  const { requestId, topic, name } = await script.expect("PEEK");
  t.same([topic, name], ["t.dlq", ""]);
  const records = [0, 1, 2].map((offset) => peekedRow(0, offset, { topicId: 8 }));
  await script.reply("PEEKED", { requestId, records });
  await content(script, "t.dlq", 0, [deadRecord("s", 40), deadRecord("other", 41), { value: "stray" }], 50);
  t.match(await listed, [
    {
      topic: "t.dlq",
      offset: 0,
      value: "dead 40",
      origin: { topic: "t", partition: 0, offset: 40 },
      subscription: "s",
      reason: "bad",
      deliveryCount: 5,
      deadMs: 123,
    },
  ]);
});

t.test("redrive gives back those that are selected", async (t) => {
  const script = await ScriptedClient.connected();
  withDeadLetters(script);
  const select = ({ origin }: { origin: { offset: number } }): boolean => origin.offset !== 41;
  const redriven = script.client.deadLetters.redrive("t", { select });
  const { requestId } = await script.expect("PEEK");
  const records = [0, 1, 2, 3].map((offset) => peekedRow(0, offset, { topicId: 8 }));
  await script.reply("PEEKED", { requestId, records });
  const letters = [deadRecord("s", 40), deadRecord("s", 41), deadRecord("u", 42), deadRecord("deleted", 43)];
  await content(script, "t.dlq", 0, letters, 50);
  for (const names of [["s", "u"], []]) {
    const list = await script.expect("LIST_SUBSCRIPTIONS");
    t.equal(list.topic, "t");
    const page = names.map((name) => subscriptionInfo({ name }));
    await script.reply("SUBSCRIPTIONS", { requestId: list.requestId, subscriptions: page });
  }
  const redrive = await script.expect("REDRIVE");
  t.equal(redrive.topic, "t.dlq");
  t.same(redrive.rows, [
    { partition: 0, offset: 0, subscription: "s" },
    { partition: 0, offset: 2, subscription: "u" },
  ]);
  await script.reply("REDRIVEN", { requestId: redrive.requestId, count: 2 });
  t.equal(await redriven, 2);
});

t.test("a topic without dead letters", async (t) => {
  const script = await ScriptedClient.connected();
  const listed = script.client.deadLetters.list("t");
  const { requestId } = await script.expect("LIST_TOPICS");
  await script.reply("TOPICS", { requestId, topics: [topicInfo("t", 2)], more: false });
  t.same(await listed, []);
});
