import { MillraceError } from "@millrace/protocol";
import t from "tap";
import { type CatalogChange, catalogDifference } from "../../src/node/catalog-change.ts";
import { CatalogChanges } from "../../src/node/catalog-changes.ts";
import { CatalogView } from "../../src/node/catalog-view.ts";
import type { GatewayHandler } from "../../src/node/gateway-handler.ts";
import type { Subscription } from "../../src/subscription/subscription.ts";
import type { Topic } from "../../src/topic.ts";

function topic(topicId: number, catalogPosition = topicId, shards = [0, 1]): Topic {
  return {
    name: `topic-${topicId}`,
    topicId,
    partitions: shards.length,
    retentionMs: catalogPosition,
    retentionBytes: 0,
    durability: "fsynced",
    createdMs: 0,
    catalogPosition,
    shards,
  };
}

function subscription(subscriptionId: number, catalogPosition: number, isOpening?: boolean): Subscription {
  return {
    name: `subscription-${subscriptionId}`,
    topicId: 1,
    subscriptionId,
    mode: "queue",
    leaseMs: 1,
    maxDeliveries: 1,
    backoffMinMs: 1,
    backoffMaxMs: 1,
    paused: false,
    createdMs: 0,
    catalogPosition,
    snapshots: [],
    ...(isOpening === undefined ? {} : { isOpening }),
  };
}

/** A node that has shard 1, and what its gateway and its shard are told. */
class Bench {
  readonly view: CatalogView = new CatalogView();
  readonly told: unknown[] = [];
  readonly asked: unknown[] = [];
  refuse: MillraceError | undefined;
  readonly changes: CatalogChanges;

  constructor() {
    const handler: Partial<GatewayHandler> = {
      onTopicCreated: ({ topicId }) => void this.told.push(["created", topicId]),
      onTopicAltered: ({ topicId, retentionMs }) => void this.told.push(["altered", topicId, retentionMs]),
      onTopicDeleted: ({ topicId }) => void this.told.push(["deleted", topicId]),
      onSubscriptionChanged: ({ subscriptionId }, sought) =>
        void this.told.push([sought ? "sought" : "changed", subscriptionId]),
      onSubscriptionDeleted: ({ subscriptionId }) => void this.told.push(["unsubscribed", subscriptionId]),
    };
    this.changes = new CatalogChanges({
      catalog: this.view,
      ask: async (shardId, kind) => {
        this.asked.push([shardId, kind]);
        if (this.refuse !== undefined) throw this.refuse;
        return undefined as never;
      },
      handler: () => handler as GatewayHandler,
    });
  }

  apply(...changes: CatalogChange[]): Promise<unknown> {
    return Promise.all(changes.map((change) => this.changes.apply(change, (shardId) => shardId === 1)));
  }

  take(): { told: unknown[]; asked: unknown[] } {
    return { told: this.told.splice(0), asked: this.asked.splice(0) };
  }
}

t.test("a topic is told of once it is made, and changes of it only when they are newer", async (t) => {
  const bench = new Bench();
  await bench.apply({ kind: "topic", topic: topic(1), made: false });
  t.same(bench.take(), { told: [], asked: [[1, "open"]] });
  t.same([bench.view.isMade(1), bench.view.made(bench.view.byId(1))], [false, undefined]);
  await bench.apply({ kind: "topic", topic: topic(1, 4), made: false }, { kind: "topic-made", topicId: 1 });
  t.same(bench.take(), { told: [["created", 1]], asked: [[1, "configure"]] });
  await bench.apply(
    { kind: "topic", topic: topic(1, 3), made: true },
    { kind: "topic", topic: topic(1, 4), made: false },
    { kind: "topic-made", topicId: 1 },
    { kind: "topic-made", topicId: 99 },
  );
  t.same(bench.take(), { told: [], asked: [] }, "known already");
  t.ok(bench.view.isMade(1), "what is made stays so");
  await bench.apply({ kind: "topic", topic: topic(1, 9), made: true });
  t.same(bench.take(), { told: [["altered", 1, 9]], asked: [[1, "configure"]] });
  const gone: CatalogChange = { kind: "topic-deleted", topicId: 1 };
  await bench.apply(gone, gone);
  t.same(bench.take(), { told: [["deleted", 1]], asked: [[1, "close"]] });
  await bench.apply({ kind: "topic", topic: topic(2, 2, [0]), made: true });
  t.same(bench.take(), { told: [["created", 2]], asked: [] }, "none of its shards is here");
});

t.test("only who makes a subscription says where it begins", async (t) => {
  const bench = new Bench();
  await bench.apply(
    { kind: "subscription", subscription: subscription(5, 1, true) },
    { kind: "topic", topic: topic(1), made: true },
  );
  t.equal(bench.view.subscriptionById(5), undefined, "nothing without its topic");
  bench.take();
  await bench.apply({ kind: "subscription", subscription: subscription(5, 2, true) });
  t.same(bench.take(), { told: [], asked: [] });
  await bench.apply({ kind: "subscription", subscription: subscription(5, 3) });
  t.same(bench.take(), { told: [], asked: [[1, "subscribe"]] });
  await bench.apply(
    { kind: "subscription", subscription: subscription(5, 2) },
    { kind: "subscription", subscription: subscription(5, 4) },
    { kind: "sought", subscriptionId: 5 },
    { kind: "sought", subscriptionId: 6 },
  );
  t.same(bench.take(), {
    told: [
      ["changed", 5],
      ["sought", 5],
    ],
    asked: [[1, "configureSubscription"]],
  });
  const gone: CatalogChange = { kind: "subscription-deleted", subscriptionId: 5 };
  await bench.apply(gone, gone);
  t.same(bench.take(), { told: [["unsubscribed", 5]], asked: [[1, "unsubscribe"]] });
});

t.test("a shard that restarts is told by its reconciliation; other refusals are errors", async (t) => {
  const bench = new Bench();
  bench.refuse = new MillraceError("SHARD_RESTARTED", "1");
  await bench.apply({ kind: "topic", topic: topic(1), made: true });
  bench.refuse = new MillraceError("INTERNAL", "1");
  await t.rejects(bench.apply({ kind: "topic", topic: topic(2), made: true }), { code: "INTERNAL" });
  await bench.changes.apply({ kind: "topic", topic: topic(3), made: true });
  t.equal(bench.asked.length, 2, "whoever makes a change tells the shards");
});

t.test("the difference of two catalogs makes one of the other", async (t) => {
  const bench = new Bench();
  await bench.apply(
    { kind: "topic", topic: topic(1), made: true },
    { kind: "topic", topic: topic(2), made: true },
    { kind: "topic", topic: topic(3), made: false },
    { kind: "topic", topic: topic(4), made: true },
    { kind: "subscription", subscription: subscription(1, 5) },
    { kind: "subscription", subscription: subscription(2, 6) },
  );
  const found = new CatalogView();
  for (const each of [topic(1), topic(3), topic(4, 20), topic(5)]) found.add(each);
  found.add(topic(6), false);
  for (const each of [subscription(2, 7), subscription(3, 8)]) found.addSubscription(each);
  const changes = catalogDifference(bench.view, found);
  t.same(
    changes.map(({ kind }) => kind),
    [
      "subscription-deleted",
      "topic-deleted",
      "topic-made",
      "topic",
      "topic",
      "topic",
      "subscription",
      "subscription",
    ],
  );
  await bench.apply(...changes);
  t.same([...bench.view.topics()].map(({ topicId }) => topicId).sort(), [1, 3, 4, 5, 6]);
  t.same(
    [...bench.view.subscriptions()].map(({ catalogPosition }) => catalogPosition),
    [7, 8],
  );
  t.same(
    [3, 5, 6].map((id) => bench.view.isMade(id)),
    [true, true, false],
  );
  t.same(catalogDifference(bench.view, found), []);
});
