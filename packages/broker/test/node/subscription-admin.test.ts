import t, { type Test } from "tap";
import { BrokerNode } from "../../src/node/broker-node.ts";
import type { GatewayHandler } from "../../src/node/gateway-handler.ts";
import type { Subscription, SubscriptionConfig } from "../../src/subscription/subscription.ts";

const TOPIC = { partitions: 3, retentionMs: 0, retentionBytes: 0, durability: "fsynced" } as const;
const QUEUE: SubscriptionConfig = {
  mode: "queue",
  leaseMs: 30_000,
  maxDeliveries: 5,
  backoffMinMs: 1_000,
  backoffMaxMs: 60_000,
  paused: false,
};
const STREAM: SubscriptionConfig = { ...QUEUE, mode: "stream" };

/** Of the node that was started last. */
let onShardUp: (shardId: number) => void = () => {};

interface Running {
  readonly node: BrokerNode;
  readonly told: unknown[];
  readonly close: () => Promise<void>;
}

async function start(t: Test, dataDir: string): Promise<Running> {
  const told: unknown[] = [];
  const node = await BrokerNode.open({
    dataDir,
    shards: 2,
    shardThreads: 1,
    logger: { log: () => {} },
    storage: { segmentBytes: 4_194_304, reserveBytes: 65_536 },
  });
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closed ??= node.close();
    return closed;
  };
  t.teardown(close);
  const heard: Partial<GatewayHandler> = {
    onShardUp: (shardId) => onShardUp(shardId),
    onTopicCreated: ({ name }) => void told.push(["topic", name]),
    onSubscriptionDeleted: ({ name }) => void told.push(["deleted", name]),
    onSubscriptionChanged: ({ name }, sought) => void told.push([sought ? "sought" : "altered", name]),
  };
  node.attach(
    new Proxy(heard as GatewayHandler, { get: (target, name) => Reflect.get(target, name) ?? (() => {}) }),
  );
  await node.start();
  return { node, told, close };
}

t.test("subscriptions outlive their node, and a clean end and a crash alike", async (t) => {
  const dataDir = t.testdir();
  const first = await start(t, dataDir);
  const topic = await first.node.createTopic("orders", TOPIC);
  const work = await first.node.createSubscription(topic, "work", QUEUE, []);
  t.match(work, { name: "work", topicId: topic.topicId, subscriptionId: 1, snapshots: [], mode: "queue" });
  const twice = await Promise.allSettled(
    [1, 2].map(() => first.node.createSubscription(topic, "same", QUEUE, [])),
  );
  t.same(
    twice.map(({ status }) => status),
    ["fulfilled", "rejected"],
  );
  await first.node.deleteSubscription(first.node.subscription(topic.topicId, "same") as Subscription);
  first.told.pop();
  const pending = first.node.createSubscription(topic, "feed", STREAM, [[1, 7]]);
  t.same([...first.node.subscriptions()].length, 1, "it is not there before it is there in full");
  const feed = await pending;
  await t.rejects(first.node.createSubscription(topic, "work", STREAM, []), { code: "SUBSCRIPTION_EXISTS" });
  t.match(
    await first.node.acquire(feed, [
      [2, 10],
      [0, 10],
    ]),
    [
      { partition: 2, refused: false, offset: 0 },
      { partition: 0, refused: false, offset: 0 },
    ],
  );
  t.same(
    await first.node.commitCursors(feed, [
      [2, 9, 0, 0],
      [0, 10, 0, 0],
      [1, 1, 5, 0],
    ]),
    [
      [2, 0, 63],
      [0, 0, 0],
      [1, 5, 52],
    ],
  );
  await first.node.alterSubscription(work, { leaseMs: 5_000, paused: true });
  const snapshot = await first.node.snapshotSubscription(feed, "before", "create");
  t.same(snapshot.snapshots, ["before"]);
  t.same(first.told.slice(1), [
    ["altered", "work"],
    ["altered", "feed"],
  ]);
  await first.close();

  const second = await start(t, dataDir);
  t.match(second.node.subscription(topic.topicId, "work"), {
    ...work,
    leaseMs: 5_000,
    paused: true,
    catalogPosition: 8,
  });
  t.match(second.node.subscriptionById(feed.subscriptionId), { name: "feed", snapshots: ["before"] });
  t.same(
    [...second.node.subscriptions(topic.topicId)].map(({ name }) => name),
    ["work", "feed"],
  );
  t.same([...second.node.subscriptions(99)], []);
  t.match(
    await second.node.acquire(feed, [
      [0, 9],
      [0, 11],
    ]),
    [{ refused: true }, { refused: false }],
  );
  await second.node.seekSubscription(feed, [[0, 3]]);
  t.same(await second.node.commitCursors(feed, [[0, 11, 0, 0]]), [[0, 0, 63]], "it was sought since");
  await second.node.seekToSnapshot(feed, "before");
  await t.rejects(second.node.seekToSnapshot(feed, "after"), { code: "UNKNOWN_SNAPSHOT" });
  await second.node.snapshotSubscription(feed, "before", "delete");
  t.match(await second.node.subscriptionState(work), [
    { partition: 0, position: 0, available: 0, leased: 0, waiting: 0, dead: 0, oldestAgeMs: null },
    { partition: 1 },
    { partition: 2 },
  ]);
  t.same(await second.node.peek(work, 1, 0, 10), []);
  await second.node.deleteSubscription(work);
  t.equal(second.node.subscription(topic.topicId, "work"), undefined);
  const again = await second.node.createSubscription(topic, "work", QUEUE, []);
  t.ok(again.subscriptionId > feed.subscriptionId, "ids are not reused");
  t.same(second.told, [
    ["sought", "feed"],
    ["sought", "feed"],
    ["altered", "feed"],
    ["deleted", "work"],
  ]);
  await second.node.drain();
  await second.close();

  const third = await start(t, dataDir);
  t.match(third.node.subscription(topic.topicId, "work"), again);
  t.match(await third.node.subscriptionState(again), [{ partition: 0 }, { partition: 1 }, { partition: 2 }]);
  await third.node.deleteTopic("orders");
  t.same([...third.node.subscriptions()], []);
  const anew = await third.node.createTopic("orders", TOPIC);
  t.same([...third.node.subscriptions(anew.topicId)], []);
  await third.node.createSubscription(anew, "work", QUEUE, []);
});

t.test("a topic for dead letters is made once, where its source is", async (t) => {
  const { node, told } = await start(t, t.testdir());
  await node.createTopic("jobs.dlq", TOPIC);
  const jobs = await node.createTopic("jobs", { ...TOPIC, retentionMs: 1_000, durability: "memory" });
  const made = await Promise.all([1, 2].map(() => node.createDeadLetterTopic(jobs.topicId)));
  t.match(made[0], {
    name: "jobs.dlq-2",
    shards: jobs.shards,
    durability: "fsynced",
    retentionMs: 14 * 86_400_000,
    deadLetterOf: jobs.topicId,
  });
  t.same(made[0], made[1]);
  t.same(await node.createDeadLetterTopic(jobs.topicId), made[0]);
  t.same(told.at(-1), ["topic", "jobs.dlq-2"]);
  t.same(told.length, 3);
  await t.rejects(node.createDeadLetterTopic(99), { code: "UNKNOWN_TOPIC" });

  // The shard of the catalog is lost with answers that nobody has heard: the node finds out what was written.
  const up = new Promise<void>((resolve) => {
    onShardUp = (shardId) => {
      if (shardId === 0) resolve();
    };
  });
  const asked = [
    node.createTopic("lost", TOPIC),
    node.createSubscription(jobs, "lost", QUEUE, []),
    node.deleteTopic("jobs.dlq"),
  ].map((answer) =>
    answer.then(
      () => true,
      () => false,
    ),
  );
  await new Promise((resolve) => setImmediate(resolve));
  await node.crashShardThread(0);
  await Promise.all(asked);
  await up;
  const has = async (change: Promise<unknown>, code: string): Promise<boolean> => {
    try {
      await change;
      return false;
    } catch (error) {
      t.match(error, { code });
      return true;
    }
  };
  const hadTopic = node.topicByName("lost") !== undefined;
  t.equal(await has(node.createTopic("lost", TOPIC), "TOPIC_EXISTS"), hadTopic);
  const hadSubscription = node.subscription(jobs.topicId, "lost") !== undefined;
  t.equal(
    await has(node.createSubscription(jobs, "lost", QUEUE, []), "SUBSCRIPTION_EXISTS"),
    hadSubscription,
  );
  const hadDeleted = node.topicByName("jobs.dlq") === undefined;
  t.equal(await has(node.deleteTopic("jobs.dlq"), "UNKNOWN_TOPIC"), hadDeleted);
  t.match(await node.subscriptionState(node.subscription(jobs.topicId, "lost") as Subscription), [
    {},
    {},
    {},
  ]);
});
