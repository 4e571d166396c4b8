import { partitionForKey } from "@millrace/protocol";
import t from "tap";
import { connectedClient } from "../harness/connected-client.ts";
import { PlayedSupervisor } from "../harness/played-supervisor.ts";
import { offsetsOf, readAll, take, valuesOf } from "../harness/reading.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { inTime, until } from "../harness/waiting.ts";

const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

t.test("clients of any node do everything that clients of one process do", async (t) => {
  const cluster = await PlayedSupervisor.start(t, temporaryFolder(t), 2, 2);
  const [here, there] = await Promise.all([
    connectedClient(t, cluster.url(0)),
    connectedClient(t, cluster.url(1)),
  ]);

  await t.test("a topic made at one is there at the other", async (t) => {
    // Node 1 does not have shard 0, which has the catalog.
    const topic = await there.topics.create("orders", { partitions: 4 });
    t.match(await here.topics.describe("orders"), { topicId: topic.topicId, partitions: 4 });
    await t.rejects(here.topics.create("orders"), { code: "TOPIC_EXISTS" });
    await t.rejects(there.topics.create("orders"), { code: "TOPIC_EXISTS" });
    await t.rejects(here.topics.describe("nothing"), { code: "UNKNOWN_TOPIC" });
    await t.rejects(there.topics.describe("nothing"), { code: "UNKNOWN_TOPIC" });
  });

  await t.test("what is published at either is read at both, in one order", async (t) => {
    await Promise.all(
      [here, there].map(async (client, who) => {
        const producer = client.producer("orders");
        for (const n of numbers(20)) await producer.send({ key: `key-${n % 5}`, value: [who, n] });
      }),
    );
    const [one, other] = await Promise.all([readAll(here, "orders"), readAll(there, "orders")]);
    t.equal(one.length, 40);
    const sorted = (records: typeof one): string[] =>
      records.map(({ partition, offset, value }) => JSON.stringify([partition, offset, value])).sort();
    t.same(sorted(one), sorted(other));
    for (const who of [0, 1]) {
      const own = one.filter(({ partition, value }) => {
        return (value as number[])[0] === who && partition === partitionForKey("key-0", 4);
      });
      const keyed = own
        .filter(({ key }) => String(key) === "key-0")
        .map(({ value }) => (value as number[])[1]);
      t.same(keyed, [0, 5, 10, 15]);
    }
  });

  await t.test("who subscribes at one hears at once what is published at the other", async (t) => {
    await here.topics.create("news", { partitions: 2 });
    const subscriptions = [here, there].map((client) => client.subscribe("news"));
    await Promise.all(subscriptions.map((subscription) => subscription.ready()));
    const producers = [here.producer("news"), there.producer("news")];
    for (const partition of [0, 1]) {
      for (const [who, producer] of producers.entries())
        await producer.send({ partition, value: `${partition}${who}` });
    }
    for (const subscription of subscriptions) {
      const records = await inTime(take(subscription[Symbol.asyncIterator](), 4), "four records");
      t.same(valuesOf(records).sort(), ["00", "01", "10", "11"]);
      await subscription.close();
    }
  });

  await t.test("consumers of both share a queue", async (t) => {
    await there.topics.create("jobs", { partitions: 4 });
    const seen: number[][] = [[], []];
    const consumers = [here, there].map((client, who) =>
      client.consume(
        "jobs",
        { subscription: "workers", mode: "queue", from: "earliest" },
        async ({ value }) => {
          seen[who]?.push(value as number);
          await new Promise((resolve) => setTimeout(resolve, 1));
        },
        { concurrency: 8 },
      ),
    );
    await Promise.all(consumers.map((consumer) => consumer.ready()));
    const producer = here.producer("jobs");
    await Promise.all(numbers(200).map((value) => producer.send({ value })));
    await until(() => seen.flat().length >= 200, "everything is consumed");
    t.same(
      seen.flat().sort((a, b) => a - b),
      numbers(200),
    );
    t.ok(
      seen.every((values) => values.length > 0),
      "both had some",
    );
    await Promise.all(consumers.map((consumer) => consumer.close()));
    await until(
      async () => (await there.subscriptions.describe("jobs", "workers")).lag === 0,
      "all is settled",
    );
  });

  await t.test("members of both share the partitions of a stream", async () => {
    await here.topics.create("stream", { partitions: 4 });
    const seen: unknown[][] = [[], []];
    const consumers = [here, there].map((client, who) =>
      client.consume(
        "stream",
        { subscription: "readers", mode: "stream", from: "earliest" },
        ({ partition }) => {
          seen[who]?.push(partition);
        },
      ),
    );
    await Promise.all(consumers.map((consumer) => consumer.ready()));
    const producer = there.producer("stream");
    let sent = 0;
    await until(async () => {
      await Promise.all([0, 1, 2, 3].map((partition) => producer.send({ partition, value: sent })));
      sent += 4;
      return seen.every((values) => new Set(values).size > 0);
    }, "both have partitions");
    await until(() => seen.flat().length >= sent, "everything is read");
    await Promise.all(consumers.map((consumer) => consumer.close()));
  });

  await t.test("what is old is read from the files of the other node", async (t) => {
    const records = await readAll(there, "orders", { from: "earliest" });
    t.same(offsetsOf(records.filter(({ partition }) => partition === 0)).at(0), 0);
  });

  await t.test("a topic deleted at one is gone at the other", async (t) => {
    await here.topics.delete("orders");
    await until(async () => {
      const names = (await there.topics.list()).map(({ name }) => name);
      return !names.includes("orders");
    }, "the other has heard of it");
    await t.rejects(there.topics.describe("orders"), { code: "UNKNOWN_TOPIC" });
  });
});
