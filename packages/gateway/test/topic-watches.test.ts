import { type Frame, LIMITS } from "@millrace/protocol";
import t from "tap";
import { GATEWAY_LIMITS } from "../src/limits.ts";
import { FakeNode } from "./support/fake-node.ts";
import { type InMemoryClient, InMemoryGateway } from "./support/in-memory.ts";

function setUp(...names: string[]): { bench: InMemoryGateway; node: FakeNode; client: InMemoryClient } {
  const bench = new InMemoryGateway({ node: new FakeNode() });
  for (const name of names) bench.node.addTopic(name);
  const client = bench.connect();
  client.socket.take();
  return { bench, node: bench.node, client };
}

function watch(watchId: number, pattern: string): Frame {
  return { name: "WATCH_TOPICS", value: { requestId: 100 + watchId, watchId, pattern } };
}

/** requestId, watchId, names of topics, names of those that are gone. */
function changes(client: InMemoryClient): unknown[] {
  return client.socket
    .take()
    .map((frame) =>
      frame.name === "TOPICS_CHANGED"
        ? [
            frame.value.requestId,
            frame.value.watchId,
            frame.value.topics.map(({ name }) => name),
            frame.value.removed,
          ]
        : frame,
    );
}

const CONFIG = { partitions: 1, retentionMs: 0, retentionBytes: 0, durability: "fsynced" } as const;

t.test("a watch is told what matches, and later what changes", async (t) => {
  const { bench, node, client } = setUp("orders.eu", "orders.us", "orders.us.tx", "other", "$catalog");
  client.send(watch(1, "orders.*"));
  client.send(watch(2, ">"));
  client.send(watch(3, "other"));
  t.same(changes(client), [
    [101, 1, ["orders.eu", "orders.us"], []],
    [102, 2, ["orders.eu", "orders.us", "orders.us.tx", "other"], []],
    [103, 3, ["other"], []],
  ]);
  await node.createTopic("orders.cn", CONFIG);
  await node.createTopic("orders.jp", CONFIG);
  await node.createTopic("$internal", CONFIG);
  t.same(changes(client), [], "changes of a turn go out together");
  await bench.settle();
  t.same(changes(client), [
    [undefined, 1, ["orders.cn", "orders.jp"], []],
    [undefined, 2, ["orders.cn", "orders.jp"], []],
  ]);
  await node.deleteTopic("other");
  client.send({ name: "UNWATCH_TOPICS", value: { watchId: 2 } });
  await bench.settle();
  t.same(changes(client), [[undefined, 3, [], ["other"]]]);
  client.send({
    name: "ALTER_TOPIC",
    value: { requestId: 9, topic: "orders.eu", config: { retentionMs: 5 } },
  });
  await bench.settle();
  t.match(client.socket.take(), [
    { name: "TOPIC" },
    { name: "TOPICS_CHANGED", value: { watchId: 1, topics: [{ name: "orders.eu", retentionMs: 5 }] } },
  ]);
});

t.test("the first answer comes in pages, the last of which has the request's id", (t) => {
  const count = LIMITS.topicsPerPageMax + 1;
  const { client } = setUp(...Array.from({ length: count }, (_, i) => `t${i}`));
  client.send(watch(1, "*"));
  const pages = client.socket.all("TOPICS_CHANGED");
  t.same(
    pages.map(({ requestId, topics }) => [requestId, topics.length]),
    [
      [undefined, LIMITS.topicsPerPageMax],
      [101, 1],
    ],
  );
  client.socket.take();
  client.send(watch(2, "none.*"));
  t.same(changes(client), [[102, 2, [], []]], "nothing matches, and the answer says so");
  t.end();
});

t.test("bad patterns, known ids and too many watches are refused", async (t) => {
  const { bench, client } = setUp();
  client.send(watch(1, "a..b"));
  client.send(watch(1, "a.>.b"));
  client.send(watch(1, "a.*"));
  client.send(watch(1, "b.*"));
  await bench.settle();
  t.match(
    client.socket.take().map((frame) => (frame.name === "ERROR" ? frame.value.name : frame.name)),
    ["INVALID_PATTERN", "INVALID_PATTERN", "TOPICS_CHANGED", "SUBSCRIPTION_EXISTS"],
  );
  for (let id = 2; id <= LIMITS.watchesPerSessionMax; id += 1) client.send(watch(id, "a"));
  client.socket.take();
  client.send(watch(9_999, "a"));
  await bench.settle();
  t.match(client.socket.take(), [{ name: "ERROR", value: { name: "TOO_MANY_SUBSCRIPTIONS" } }]);
  client.send({ name: "UNWATCH_TOPICS", value: { watchId: 77_777 } });
  t.equal(client.socket.closed, undefined, "a watch that is not there is nothing to fail about");
});

t.test("a socket that is full is told when it has room, and closed when too much waits", async (t) => {
  const { bench, node, client } = setUp();
  client.send(watch(1, ">"));
  client.socket.take();
  client.socket.stalled = true;
  const filler = { name: "LIST_TOPICS", value: { requestId: 1 } } as const;
  client.socket.bufferedAmount = () => GATEWAY_LIMITS.outputHighWaterBytes + 1;
  client.send(filler);
  client.socket.take();
  await node.createTopic("a", CONFIG);
  await node.createTopic("b", CONFIG);
  await node.deleteTopic("a");
  await bench.settle();
  t.same(changes(client), [], "nothing is sent above the high-water mark");
  client.socket.bufferedAmount = () => 0;
  client.socket.handler?.onDrain();
  t.same(changes(client), [[undefined, 1, ["b"], ["a"]]]);
  client.socket.bufferedAmount = () => GATEWAY_LIMITS.outputHighWaterBytes + 1;
  client.send(filler);
  for (let i = 0; i <= GATEWAY_LIMITS.watchChangesMax; i += 1) {
    const topic = { ...CONFIG, name: `t${i}`, topicId: i, createdMs: 1, catalogPosition: 1, shards: [0] };
    node.handler?.onTopicCreated(topic);
  }
  await bench.settle();
  t.ok(client.socket.closed);
});

t.test("a session that ends takes its watches along", async (t) => {
  const { bench, node, client } = setUp();
  client.send(watch(1, ">"));
  client.socket.close();
  await node.createTopic("a", CONFIG);
  await bench.settle();
  t.same(
    client.socket.all("TOPICS_CHANGED").map(({ topics }) => topics.length),
    [0],
  );
});
