import type { SubscriptionPartitionState, Topic } from "@millrace/broker/internal";
import { BatchBuilder, type Frame, LIMITS } from "@millrace/protocol";
import t from "tap";
import { storedBatch } from "./support/batches.ts";
import { FakeNode } from "./support/fake-node.ts";
import { type InMemoryClient, InMemoryGateway } from "./support/in-memory.ts";

interface Bench {
  readonly bench: InMemoryGateway;
  readonly node: FakeNode;
  readonly topic: Topic;
  readonly client: InMemoryClient;
}

function setUp(): Bench {
  const bench = new InMemoryGateway({ node: new FakeNode({ shards: 2 }) });
  const topic = bench.node.addTopic("orders", { partitions: 3 });
  for (let partition = 0; partition < 3; partition += 1) {
    for (let i = 0; i < 5; i += 1) {
      bench.node.append(topic, partition, 2, storedBatch(`a${i}`, `b${i}`), 100 + 100 * i);
    }
  }
  const client = bench.connect();
  client.socket.take();
  return { bench, node: bench.node, topic, client };
}

/** The frames that come in answer. */
async function ask({ bench, client }: Bench, ...frames: Frame[]): Promise<Frame[]> {
  for (const frame of frames) client.send(frame);
  await bench.settle();
  return client.socket.take();
}

function create(requestId: number, name: string, config: Record<string, unknown>): Frame {
  return { name: "CREATE_SUBSCRIPTION", value: { requestId, topic: "orders", name, config } };
}

function errorOf(frames: readonly Frame[]): [string, Readonly<Record<string, unknown>>] | undefined {
  const [frame] = frames;
  if (frames.length !== 1 || frame?.name !== "ERROR") throw new Error(JSON.stringify(frames));
  return [frame.value.name, frame.value.details];
}

const QUEUE = { mode: "queue", from: ["earliest"] };

t.test("a subscription is created where its config says, and comes back as it is", async (t) => {
  const it = setUp();
  const [made] = await ask(it, create(1, "billing", { ...QUEUE, leaseMs: 5_000 }));
  if (made?.name !== "SUBSCRIPTION") throw new Error(made?.name);
  t.equal(made.value.requestId, 1);
  t.match(made.value.subscription, {
    name: "billing",
    topic: "orders",
    topicId: it.topic.topicId,
    mode: "queue",
    leaseMs: 5_000,
    maxDeliveries: 5,
    paused: false,
    deadLetterTopic: null,
    snapshots: [],
  });
  const subscription = it.node.subscription(it.topic.topicId, "billing");
  if (subscription === undefined) throw new Error("it is not there");
  t.equal(it.node.cursor(subscription, 2).offset, 0);
  const from = async (name: string, config: unknown[]): Promise<number> => {
    await ask(it, create(2, name, { mode: "queue", from: config }));
    const found = it.node.subscription(it.topic.topicId, name);
    return found === undefined ? -1 : it.node.cursor(found, 1).offset;
  };
  t.equal(await from("latest", ["latest"]), 10);
  t.equal(await from("time", ["time", 250]), 4);
  t.equal(await from("offset", ["offset", 7]), 7);
  t.equal(await from("offsets", ["offsets", [[1, 3]]]), 3);
});

t.test("what cannot be created is refused with its reason", async (t) => {
  const it = setUp();
  const refused = async (name: string, config: Record<string, unknown>) =>
    errorOf(await ask(it, create(1, name, config)))?.[0];
  t.equal(await refused("not ok", QUEUE), "INVALID_SUBSCRIPTION_NAME");
  t.equal(await refused("a", {}), "INVALID_SUBSCRIPTION_CONFIG");
  t.equal(await refused("a", { ...QUEUE, leaseMs: 1 }), "INVALID_SUBSCRIPTION_CONFIG");
  t.equal(await refused("a", { mode: "queue", from: ["offset", 11] }), "OFFSET_OUT_OF_RANGE");
  t.equal(await refused("a", { mode: "queue", from: ["offsets", [[3, 0]]] }), "UNKNOWN_PARTITION");
  await ask(it, create(1, "a", QUEUE));
  t.equal(await refused("a", QUEUE), "SUBSCRIPTION_EXISTS");
  const other: Frame = {
    name: "CREATE_SUBSCRIPTION",
    value: { requestId: 1, topic: "none", name: "a", config: QUEUE },
  };
  t.equal(errorOf(await ask(it, other))?.[0], "UNKNOWN_TOPIC");
});

t.test("describing sums up over partitions", async (t) => {
  const it = setUp();
  await ask(it, create(1, "billing", QUEUE));
  const row = (
    partition: number,
    changes: Partial<SubscriptionPartitionState>,
  ): SubscriptionPartitionState => ({
    partition,
    position: 1,
    logStartOffset: 0,
    highWatermark: 10,
    available: 4,
    leased: 3,
    waiting: 2,
    redelivered: 1,
    dead: 0,
    oldestAgeMs: null,
    blockedOffset: null,
    ...changes,
  });
  it.node.states = [row(0, {}), row(1, { oldestAgeMs: 70 }), row(2, { oldestAgeMs: 90, dead: 5 })];
  it.client.send({
    name: "CONSUME",
    value: {
      requestId: 5,
      topic: "orders",
      subscription: "billing",
      slots: 1,
      creditLimit: 1,
      extensions: {},
    },
  });
  await it.bench.settle();
  const describe: Frame = {
    name: "DESCRIBE_SUBSCRIPTION",
    value: { requestId: 6, topic: "orders", name: "billing" },
  };
  const described = (await ask(it, describe)).find(({ name }) => name === "SUBSCRIPTION");
  if (described?.name !== "SUBSCRIPTION") throw new Error("no answer");
  t.match(described.value.subscription.state, {
    consumers: 1,
    available: 12,
    leased: 9,
    waiting: 6,
    redelivered: 3,
    dead: 5,
    lag: 27,
    oldestAgeMs: 90,
    blockedByKey: null,
  });
  t.match(described.value.subscription.state?.partitions[2], { partition: 2, offset: 1, consumerName: null });
});

t.test("describing names the key that holds others up", async (t) => {
  const it = setUp();
  await ask(it, create(1, "keyed", { mode: "keyed", from: ["earliest"] }));
  const builder = new BatchBuilder(LIMITS.batchBytesMax);
  for (const key of ["k1", "k2", "k3"]) builder.append({ key, value: Buffer.from("v") });
  it.node.append(it.topic, 1, 3, Uint8Array.from(builder.finish()));
  const state = { position: 1, logStartOffset: 0, highWatermark: 13, available: 0, leased: 0, waiting: 0 };
  const rest = { redelivered: 0, dead: 0, oldestAgeMs: null };
  const blockedAt = async (blockedOffset: number): Promise<unknown> => {
    it.node.states = [{ partition: 1, ...state, ...rest, blockedOffset }];
    const [frame] = await ask(it, {
      name: "DESCRIBE_SUBSCRIPTION",
      value: { requestId: 6, topic: "orders", name: "keyed" },
    });
    return frame?.name === "SUBSCRIPTION" ? frame.value.subscription.state?.blockedByKey : frame;
  };
  t.equal(await blockedAt(11), "k2");
  t.equal(await blockedAt(3), null, "a record without a key");
  t.equal(await blockedAt(20), null, "there is no such record");
});

t.test("lists come in pages, by the names of topic and subscription", async (t) => {
  const it = setUp();
  it.node.addTopic("a-topic");
  it.node.addTopic("$internal");
  const topics = ["orders", "a-topic", "$internal"].map((name) => it.node.topicByName(name) as Topic);
  const config = {
    mode: "queue" as const,
    leaseMs: 30_000,
    maxDeliveries: 5,
    backoffMinMs: 1,
    backoffMaxMs: 2,
    paused: false,
  };
  const count = LIMITS.subscriptionsPerPageMax + 10;
  for (const topic of topics) {
    for (let i = count; i > 0; i -= 1) {
      await it.node.createSubscription(topic, `s${String(i).padStart(4, "0")}`, config, []);
    }
  }
  const listAll = async (topic: string | undefined): Promise<string[]> => {
    const names: string[] = [];
    let after: [string, string] | undefined;
    for (;;) {
      const [frame] = await ask(it, { name: "LIST_SUBSCRIPTIONS", value: { requestId: 1, topic, after } });
      if (frame?.name !== "SUBSCRIPTIONS") throw new Error(frame?.name);
      const page = frame.value.subscriptions;
      const last = page.at(-1);
      if (last === undefined) return names;
      t.ok(page.length <= LIMITS.subscriptionsPerPageMax);
      names.push(...page.map((each) => `${each.topic}/${each.name}`));
      after = [last.topic, last.name];
    }
  };
  const all = await listAll(undefined);
  t.equal(all.length, 2 * count, "those of internal topics are left out");
  t.same(all, [...all].sort());
  t.equal((await listAll("orders")).length, count);
  const [unknown] = await ask(it, { name: "LIST_SUBSCRIPTIONS", value: { requestId: 1, topic: "none" } });
  t.match(unknown, { name: "ERROR", value: { name: "UNKNOWN_TOPIC" } });
});

t.test("a subscription is altered, within what it is", async (t) => {
  const it = setUp();
  await ask(it, create(1, "billing", QUEUE));
  const alter = (changes: Record<string, unknown>): Frame => ({
    name: "ALTER_SUBSCRIPTION",
    value: { requestId: 2, topic: "orders", name: "billing", changes },
  });
  t.match(await ask(it, alter({ paused: true, leaseMs: 2_000 })), [
    { name: "SUBSCRIPTION", value: { requestId: 2, subscription: { paused: true, leaseMs: 2_000 } } },
  ]);
  t.equal(errorOf(await ask(it, alter({ mode: "keyed" })))?.[0], "INVALID_SUBSCRIPTION_CONFIG");
  t.equal(errorOf(await ask(it, alter({ backoffMinMs: 61_000 })))?.[0], "INVALID_SUBSCRIPTION_CONFIG");
  const unknown = { ...alter({}).value, name: "none" } as Extract<
    Frame,
    { name: "ALTER_SUBSCRIPTION" }
  >["value"];
  t.equal(
    errorOf(await ask(it, { name: "ALTER_SUBSCRIPTION", value: unknown }))?.[0],
    "UNKNOWN_SUBSCRIPTION",
  );
});

t.test("a subscription is sought to offsets, times and snapshots", async (t) => {
  const it = setUp();
  await ask(it, create(1, "billing", QUEUE));
  const named = { requestId: 2, topic: "orders", name: "billing" };
  const subscription = it.node.subscription(it.topic.topicId, "billing");
  if (subscription === undefined) throw new Error("it is not there");
  await ask(it, { name: "SEEK_SUBSCRIPTION", value: { ...named, from: { kind: "time", timeMs: 300 } } });
  t.equal(it.node.cursor(subscription, 0).offset, 4);
  await ask(it, {
    name: "SEEK_SUBSCRIPTION",
    value: { ...named, from: { kind: "offsets", offsets: [[2, 9]] } },
  });
  t.equal(it.node.cursor(subscription, 2).offset, 9);
  t.equal(it.node.cursor(subscription, 0).offset, 4, "others stay");
  const before: Frame = {
    name: "SEEK_SUBSCRIPTION",
    value: { ...named, from: { kind: "snapshot", name: "before" } },
  };
  t.equal(errorOf(await ask(it, before))?.[0], "UNKNOWN_SNAPSHOT");
  const snapshot = (name: string, action: string): Frame => ({
    name: "SNAPSHOT_SUBSCRIPTION",
    value: { ...named, snapshot: name, action },
  });
  t.match(await ask(it, snapshot("before", "create")), [
    { name: "SUBSCRIPTION", value: { subscription: { snapshots: ["before"] } } },
  ]);
  t.match(await ask(it, before), [{ name: "SUBSCRIPTION" }]);
  t.equal(errorOf(await ask(it, snapshot("not ok", "create")))?.[0], "INVALID_SUBSCRIPTION_NAME");
  t.equal(errorOf(await ask(it, snapshot("before", "keep")))?.[0], "MALFORMED_FRAME");
  t.match(await ask(it, snapshot("before", "delete")), [
    { name: "SUBSCRIPTION", value: { subscription: { snapshots: [] } } },
  ]);
});

t.test("deleting a subscription ends its consumers", async (t) => {
  const it = setUp();
  await ask(it, create(1, "billing", QUEUE));
  it.client.send({
    name: "CONSUME",
    value: {
      requestId: 5,
      topic: "orders",
      subscription: "billing",
      slots: 1,
      creditLimit: 1,
      extensions: {},
    },
  });
  await it.bench.settle();
  const consumerId = it.client.socket.all("CONSUMING")[0]?.consumerId;
  it.client.socket.take();
  const frames = await ask(it, {
    name: "DELETE_SUBSCRIPTION",
    value: { requestId: 2, topic: "orders", name: "billing" },
  });
  t.match(frames, [
    { name: "ERROR", value: { name: "SUBSCRIPTION_DELETED", details: { consumerId } } },
    { name: "SUBSCRIPTION_DELETED", value: { requestId: 2, topic: "orders", name: "billing" } },
  ]);
});

t.test("peeking shows unfinished records", async (t) => {
  const it = setUp();
  await ask(it, create(1, "billing", QUEUE), create(1, "board", { mode: "stream" }));
  it.node.peeked = [[it.topic.topicId, 1, 4, 2, 3, 500]];
  const peek = (name: string, partition: number, limit: number): Frame => ({
    name: "PEEK",
    value: { requestId: 3, topic: "orders", name, partition, fromOffset: 2, limit },
  });
  t.match(await ask(it, peek("billing", 1, 5_000)), [
    {
      name: "PEEKED",
      value: {
        requestId: 3,
        records: [{ partition: 1, offset: 4, state: 2, deliveryCount: 3, dueInMs: 500 }],
      },
    },
  ]);
  t.same(it.node.asked, [["peek", "billing", 1, 2, LIMITS.peekRecordsMax]]);
  t.equal(errorOf(await ask(it, peek("billing", 3, 5)))?.[0], "UNKNOWN_PARTITION");
  t.equal(errorOf(await ask(it, peek("board", 0, 5)))?.[0], "SUBSCRIPTION_MODE");
});

t.test("peeking without a name shows what of a dead-letter topic was not redriven", async (t) => {
  const it = setUp();
  const dlq = it.node.addTopic("orders.dlq", { partitions: 3, deadLetterOf: it.topic.topicId } as object);
  it.node.handler?.onTopicCreated(dlq);
  it.node.peeked = [[dlq.topicId, 1, 4, 0, 0, 0]];
  const peek = (topic: string, partition: number): Frame => ({
    name: "PEEK",
    value: { requestId: 3, topic, name: "", partition, fromOffset: 2, limit: 5 },
  });
  t.match(await ask(it, peek("orders.dlq", 1)), [
    { name: "PEEKED", value: { requestId: 3, records: [{ topicId: dlq.topicId, partition: 1, offset: 4 }] } },
  ]);
  t.same(it.node.asked, [["deadLetters", "orders.dlq", 1, 2, 5]]);
  t.equal(errorOf(await ask(it, peek("orders.dlq", 3)))?.[0], "UNKNOWN_PARTITION");
  t.equal(errorOf(await ask(it, peek("orders", 0)))?.[0], "UNKNOWN_SUBSCRIPTION");
});

t.test("dead letters are redriven to subscriptions of the topic that they came from", async (t) => {
  const it = setUp();
  await ask(it, create(1, "billing", QUEUE), create(1, "board", { mode: "stream" }));
  const dlq = it.node.addTopic("orders.dlq", { partitions: 3, deadLetterOf: it.topic.topicId } as object);
  it.node.handler?.onTopicCreated(dlq);
  const redrive = (topic: string, ...rows: [number, number, string][]): Frame => ({
    name: "REDRIVE",
    value: {
      requestId: 4,
      topic,
      rows: rows.map(([partition, offset, subscription]) => ({ partition, offset, subscription })),
    },
  });
  t.match(await ask(it, redrive("orders.dlq", [0, 7, "billing"], [2, 1, "billing"])), [
    { name: "REDRIVEN", value: { requestId: 4, count: 2 } },
  ]);
  const id = it.node.subscription(it.topic.topicId, "billing")?.subscriptionId;
  t.same(it.node.asked, [
    [
      "redrive",
      "orders.dlq",
      [
        [0, 7, id],
        [2, 1, id],
      ],
    ],
  ]);
  t.match(await ask(it, redrive("orders.dlq")), [{ name: "REDRIVEN", value: { count: 0 } }]);
  t.equal(errorOf(await ask(it, redrive("orders", [0, 7, "billing"])))?.[0], "UNKNOWN_TOPIC");
  t.equal(errorOf(await ask(it, redrive("orders.dlq", [3, 7, "billing"])))?.[0], "UNKNOWN_PARTITION");
  t.equal(errorOf(await ask(it, redrive("orders.dlq", [0, 7, "none"])))?.[0], "UNKNOWN_SUBSCRIPTION");
  t.equal(errorOf(await ask(it, redrive("orders.dlq", [0, 7, "board"])))?.[0], "SUBSCRIPTION_MODE");
  const [described] = await ask(it, {
    name: "DESCRIBE_SUBSCRIPTION",
    value: { requestId: 6, topic: "orders", name: "billing" },
  });
  t.match(described, { value: { subscription: { deadLetterTopic: "orders.dlq" } } });
  await it.node.deleteTopic("orders.dlq");
  const [later] = await ask(it, {
    name: "DESCRIBE_SUBSCRIPTION",
    value: { requestId: 6, topic: "orders", name: "billing" },
  });
  t.match(later, { value: { subscription: { deadLetterTopic: null } } });
});

t.test("a shard that lacks its dead-letter topic is heard, and a failure is logged", async (t) => {
  const it = setUp();
  it.node.handler?.onNotice(1, ["dead-letter-topic", it.topic.topicId]);
  await it.bench.settle();
  t.same(it.node.asked, [["createDeadLetterTopic", it.topic.topicId]]);
  t.ok(it.bench.logged.some(({ event }) => event === "dead-letter-topic-not-created"));
});
