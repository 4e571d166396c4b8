import t from "tap";
import type { CatalogMark, CatalogPage, CatalogSource } from "../../src/cluster/catalog-feed.ts";
import { CatalogFollower } from "../../src/cluster/catalog-follower.ts";
import { catalogPage } from "../../src/cluster/catalog-pages.ts";
import { CatalogChanges } from "../../src/node/catalog-changes.ts";
import { CatalogView } from "../../src/node/catalog-view.ts";
import type { Topic } from "../../src/topic.ts";
import { VirtualTime } from "../harness/virtual-time.ts";

function topic(topicId: number): Topic {
  return {
    name: `topic-${topicId}`,
    topicId,
    partitions: 1,
    retentionMs: 0,
    retentionBytes: 0,
    durability: "fsynced",
    createdMs: 0,
    catalogPosition: topicId,
    shards: [0],
  };
}

class Bench {
  readonly time: VirtualTime = new VirtualTime();
  readonly view: CatalogView = new CatalogView();
  readonly follower: CatalogFollower;
  /** What the coordinator has. */
  readonly there: CatalogView = new CatalogView();
  readonly calls: string[] = [];
  mark: CatalogMark = { epoch: 1, sequence: 1 };

  constructor() {
    const changes = new CatalogChanges({
      catalog: this.view,
      ask: () => Promise.reject(new Error("there are no shards")),
      handler: () => undefined,
    });
    this.follower = new CatalogFollower({
      catalog: this.view,
      changes,
      isOwn: () => false,
      timer: this.time,
      log: () => {},
    });
  }

  source(page: () => Promise<CatalogPage> = () => this.page()): CatalogSource {
    const { epoch } = this.mark;
    return {
      epoch,
      call: (method) => {
        this.calls.push(method);
        if (method === "catalogPage") return page();
        return Promise.resolve(method === "catalogPosition" ? this.mark : null);
      },
    };
  }

  page(): Promise<CatalogPage> {
    return Promise.resolve(catalogPage(this.there, this.mark, 0, 0));
  }

  /** A topic is made at the coordinator, of which nodes are told or not. */
  make(topicId: number, told = true): void {
    this.there.add(topic(topicId));
    this.mark = { ...this.mark, sequence: this.mark.sequence + 1 };
    if (!told) return;
    this.follower.onPush({ mark: this.mark, change: { kind: "topic", topic: topic(topicId), made: true } });
  }

  get ids(): number[] {
    return [...this.view.topics()].map(({ topicId }) => topicId).sort();
  }
}

t.test("what is told while the catalog is loaded counts, and what is missed is loaded", async (t) => {
  const bench = new Bench();
  bench.make(1, false);
  let answer: (page: CatalogPage) => void = () => {};
  const page = (): Promise<CatalogPage> => new Promise((resolve) => (answer = resolve));
  bench.follower.follow(bench.source(page));
  t.match(bench.follower.condition, /being loaded/);
  const early = await bench.page();
  bench.make(2);
  answer(early);
  await bench.time.pass(1);
  t.same([bench.ids, bench.follower.condition], [[1, 2], undefined]);
  bench.make(3);
  t.same(bench.ids, [1, 2, 3]);
  bench.make(4, false);
  bench.make(5);
  t.same(bench.ids, [1, 2, 3], "one is missing before it");
  answer(await bench.page());
  await bench.time.pass(1);
  t.same(bench.ids, [1, 2, 3, 4, 5]);
  t.ok(await bench.follower.reach(bench.mark, 0));
  t.notOk(await Promise.race([bench.follower.reach({ epoch: 1, sequence: 99 }, 50), bench.time.pass(60)]));
});

t.test("who was deposed is not listened to any more", async (t) => {
  const bench = new Bench();
  const old = bench.source();
  bench.follower.follow(old);
  await bench.time.pass(1);
  bench.mark = { epoch: 2, sequence: 1 };
  bench.there.add(topic(1));
  bench.follower.follow(bench.source());
  await bench.time.pass(1);
  const change = { kind: "topic-deleted", topicId: 1 };
  bench.follower.onPush({ mark: { epoch: 1, sequence: 2 }, change });
  t.same(bench.ids, [1]);
  bench.follower.follow(old);
  await bench.time.pass(1_000);
  t.same(bench.ids, [1], "its catalog may lack what was made since");
  t.match(bench.follower.condition, /nobody coordinates/);
});

t.test("the node that coordinates does not load what it has itself", async (t) => {
  const bench = new Bench();
  bench.follower.follow(bench.source());
  bench.follower.lead(bench.mark, { kind: "topic", topic: topic(1), made: true });
  bench.follower.leads(bench.mark);
  await bench.time.pass(5_000);
  t.same(bench.ids, [1]);
  t.equal(bench.follower.condition, undefined);
  t.equal(bench.calls.filter((method) => method === "catalogReached").length, 0);
});

t.test("questions of one moment are asked together, and later ones anew", async (t) => {
  const bench = new Bench();
  bench.follower.follow(bench.source());
  await bench.time.pass(1);
  bench.calls.length = 0;
  const first = Promise.all([1, 2, 3].map((id) => bench.follower.catchUp({ topic: `topic-${id}` })));
  await bench.time.pass(10);
  await first;
  t.equal(bench.calls.filter((method) => method === "catalogPosition").length, 1);
  const second = bench.follower.catchUp({ topicId: 7 });
  await bench.time.pass(10);
  await second;
  t.equal(bench.calls.filter((method) => method === "catalogPosition").length, 2);
  bench.follower.follow(undefined);
  const third = t.rejects(bench.follower.catchUp({ topicId: 7 }), { code: "SHARD_RESTARTED" });
  await bench.time.pass(2_000);
  await third;
});
