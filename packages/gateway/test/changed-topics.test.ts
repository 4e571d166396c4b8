import type { Topic } from "@millrace/broker/internal";
import t from "tap";
import { storedBatch } from "./support/batches.ts";
import type { FakeSocket } from "./support/fake-socket.ts";
import { type InMemoryClient, InMemoryGateway } from "./support/in-memory.ts";

/** A gateway with a topic that has ten records, in batches of two, appended at 100, 200, … ms. */
function withRecords(): { bench: InMemoryGateway; topic: Topic; client: InMemoryClient } {
  const bench = new InMemoryGateway();
  const topic = bench.node.addTopic("flights");
  for (let i = 0; i < 5; i += 1) bench.node.append(topic, 0, 2, storedBatch(`a${i}`, `b${i}`), 100 + 100 * i);
  return { bench, topic, client: bench.connect() };
}

/** Base offsets of all batches that came. */
function received(socket: FakeSocket): number[] {
  return socket.all("DELIVER").flatMap(({ entries }) => entries.map(({ baseOffset }) => baseOffset));
}

t.test(
  "a read that failed because its records were given up meanwhile goes on where the log starts",
  async (t) => {
    const { bench, topic, client } = withRecords();
    client.subscribe(1, "flights");
    client.subscribe(2, "flights");
    client.subscribe(3, "flights");
    await new Promise((resolve) => setImmediate(resolve));
    const streamIds = client.socket
      .all("SUBSCRIBED")
      .flatMap(({ streams }) => streams.map(({ streamId }) => streamId));
    const [shard] = bench.node.shards;
    if (shard === undefined) throw new Error("no shard");
    shard.inbox = [];
    await bench.node.truncateTopic(topic, [[0, 5]]);
    for (const streamId of streamIds) bench.gateway.node.onReadError(streamId, 56, 0, 10, 1);
    // One ends before the bounds are known.
    client.send({ name: "UNSUBSCRIBE", value: { requestId: 9, subscriptionId: 2 } });
    await bench.settle();
    t.same(client.socket.all("ERROR"), []);
    t.match(client.socket.all("PROGRESS"), [
      { streamId: streamIds[0], nextOffset: 5, reason: "retention" },
      { streamId: streamIds[2], nextOffset: 5, reason: "retention" },
    ]);
    // The batch of offset 5 holds 4 as well: the client discards that.
    t.same(received(client.socket).sort(), [4, 4, 6, 6, 8, 8]);
  },
);

t.test("an altered topic is the same to its subscriptions", async (t) => {
  const { bench, topic, client } = withRecords();
  client.subscribe(1, "flights", { from: { kind: "latest" } });
  await bench.settle();
  client.send({
    name: "ALTER_TOPIC",
    value: { requestId: 2, topic: "flights", config: { durability: "memory" } },
  });
  await bench.settle();
  // Of one session only one may be at the tail: they would get each frame twice, and count it twice.
  client.subscribe(2, "flights", { from: { kind: "latest" } });
  await bench.settle();
  bench.node.append(topic, 0, 1, storedBatch("new"));
  await bench.settle();
  t.same(received(client.socket), [10, 10]);
  t.equal(new Set(client.socket.all("DELIVER").map(({ streamId }) => streamId)).size, 2);
});
