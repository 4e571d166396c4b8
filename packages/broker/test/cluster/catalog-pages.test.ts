import t from "tap";
import { hasReached } from "../../src/cluster/catalog-feed.ts";
import { catalogPage } from "../../src/cluster/catalog-pages.ts";
import { CatalogView } from "../../src/node/catalog-view.ts";

const MARK = { epoch: 3, sequence: 7 };

t.test("pages have everything, in the order of the ids, whatever is altered meanwhile", async (t) => {
  const view = new CatalogView();
  for (let topicId = 1; topicId <= 1_500; topicId += 1) {
    view.add(
      {
        name: `topic-${topicId}`,
        topicId,
        partitions: 1,
        retentionMs: 0,
        retentionBytes: 0,
        durability: "fsynced",
        createdMs: 0,
        catalogPosition: topicId,
        shards: topicId % 2 === 0 ? [0] : new Array<number>(200).fill(1),
      },
      topicId % 100 !== 0,
    );
    view.addSubscription({
      name: "all",
      topicId,
      subscriptionId: 2_000 - topicId,
      mode: "stream",
      leaseMs: 1,
      maxDeliveries: 1,
      backoffMinMs: 1,
      backoffMaxMs: 1,
      paused: false,
      createdMs: 0,
      catalogPosition: topicId,
      snapshots: ["before"],
    });
  }
  const topics: number[] = [];
  const unmade: number[] = [];
  const subscriptions: number[] = [];
  let pages = 0;
  for (;;) {
    const page = catalogPage(view, MARK, topics.at(-1) ?? 0, subscriptions.at(-1) ?? 0);
    t.same(page.mark, MARK);
    topics.push(...page.topics.map(({ topicId }) => topicId));
    unmade.push(...page.unmade);
    subscriptions.push(...page.subscriptions.map(({ subscriptionId }) => subscriptionId));
    pages += 1;
    if (page.isLast) break;
  }
  t.same(
    topics,
    Array.from({ length: 1_500 }, (_, i) => i + 1),
  );
  t.same(
    unmade,
    Array.from({ length: 15 }, (_, i) => (i + 1) * 100),
  );
  t.same(
    subscriptions,
    Array.from({ length: 1_500 }, (_, i) => i + 500),
  );
  t.ok(pages > 4 && pages < 20, `${pages} pages`);
});

t.test("marks are ordered by the epoch, then by the sequence", async (t) => {
  t.same(
    [
      [2, 99],
      [3, 6],
      [3, 7],
      [3, 8],
      [4, 0],
    ].map(([epoch = 0, sequence = 0]) => hasReached({ epoch, sequence }, MARK)),
    [false, false, true, true, true],
  );
});
