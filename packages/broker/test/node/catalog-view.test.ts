import t from "tap";
import { CatalogView } from "../../src/node/catalog-view.ts";
import type { Topic } from "../../src/topic.ts";

function topic(name: string, topicId: number): Topic {
  return {
    name,
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

t.test("topics are found by name and by id", async (t) => {
  const view = new CatalogView();
  const flights = topic("flights", 3);
  view.add(flights);
  t.same(view.byName("flights"), flights);
  t.same(view.byId(3), flights);
  t.same([...view.topics()], [flights]);
  view.remove(flights);
  t.same(view.byName("flights"), undefined);
  t.same(view.byId(3), undefined);
  t.same([...view.topics()], []);
});

t.test("the catalog comes in parts", async (t) => {
  const all = Array.from({ length: 10 }, (_, i) => topic(`t${i}`, i + 1));
  const view = new CatalogView();
  await view.load(async (from) => all.slice(from, from + 4));
  t.same([...view.topics()], all);
});

t.test("removing a topic leaves a younger one of the same name alone", async (t) => {
  const view = new CatalogView();
  const older = topic("flights", 3);
  const younger = topic("flights", 4);
  view.add(older);
  view.add(younger);
  view.remove(older);
  t.same(view.byName("flights"), younger);
  t.same(view.byId(3), undefined);
  t.same(view.byId(4), younger);
});
