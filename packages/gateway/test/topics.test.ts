import { type FrameValues, LIMITS } from "@millrace/protocol";
import t from "tap";
import { topicConfig } from "../src/topic-requests.ts";
import { storedBatch } from "./support/batches.ts";
import { InMemoryGateway } from "./support/in-memory.ts";

t.test("create, describe, list, delete", async (t) => {
  const bench = new InMemoryGateway();
  const client = bench.connect();
  client.socket.take();
  client.send({
    name: "CREATE_TOPIC",
    value: { requestId: 1, name: "b", config: { partitions: 3, durability: "written", retentionMs: null } },
  });
  client.send({ name: "CREATE_TOPIC", value: { requestId: 2, name: "a", config: {} } });
  await bench.settle();
  t.match(client.socket.all("TOPIC"), [
    {
      requestId: 1,
      topic: {
        name: "b",
        topicId: 1,
        partitions: 3,
        durability: "written",
        retentionMs: null,
        retentionBytes: null,
      },
    },
    {
      requestId: 2,
      topic: { name: "a", topicId: 2, partitions: 1, durability: "fsynced", retentionMs: 7 * 86_400_000 },
    },
  ]);
  client.socket.take();
  bench.node.partition(bench.node.topicByName("b") as never, 1).highWatermark = 9;
  client.send({ name: "DESCRIBE_TOPIC", value: { requestId: 3, topic: "b" } });
  client.send({ name: "LIST_TOPICS", value: { requestId: 4 } });
  await bench.settle();
  t.match(client.socket.all("TOPIC"), [
    {
      requestId: 3,
      topic: {
        partitionInfo: [
          { partition: 0, highWatermark: 0 },
          { partition: 1, shard: 0, logStartOffset: 0, highWatermark: 9, logEpoch: 1 },
          { partition: 2 },
        ],
      },
    },
  ]);
  t.same(
    client.socket.all("TOPICS").map(({ topics }) => topics.map(({ name }) => name)),
    [["a", "b"]],
  );
  client.send({ name: "DELETE_TOPIC", value: { requestId: 5, topic: "b" } });
  await bench.settle();
  t.match(client.socket.all("TOPIC_DELETED"), [{ requestId: 5, name: "b", catalogPosition: 1 }]);
});

t.test("what cannot be done is refused by name", async (t) => {
  const bench = new InMemoryGateway();
  bench.node.addTopic("there");
  // The catalog's own topic must not be reachable.
  bench.node.addTopic("$catalog");
  const client = bench.connect();
  const create = (name: string, config: Record<string, unknown> = {}) =>
    ({ name: "CREATE_TOPIC", value: { requestId: 9, name, config } }) as const;
  const cases = [
    ["TOPIC_EXISTS", create("there")],
    ["INVALID_TOPIC_NAME", create("")],
    ["INVALID_TOPIC_NAME", create("$mine")],
    ["INVALID_TOPIC_NAME", create("a..b")],
    ["INVALID_TOPIC_NAME", create("x".repeat(LIMITS.topicNameBytesMax + 1))],
    ["INVALID_TOPIC_CONFIG", create("new", { partitions: 0 })],
    ["INVALID_TOPIC_CONFIG", create("new", { partitions: LIMITS.partitionsMax + 1 })],
    ["INVALID_TOPIC_CONFIG", create("new", { partitions: 1.5 })],
    ["INVALID_TOPIC_CONFIG", create("new", { durability: "eventually" })],
    ["INVALID_TOPIC_CONFIG", create("new", { retentionMs: -1 })],
    ["INVALID_TOPIC_CONFIG", create("new", { retentionBytes: "1G" })],
    ["INVALID_TOPIC_CONFIG", create("new", { compaction: true })],
    ["UNKNOWN_TOPIC", { name: "DESCRIBE_TOPIC", value: { requestId: 9, topic: "nope" } }],
    ["UNKNOWN_TOPIC", { name: "DESCRIBE_TOPIC", value: { requestId: 9, topic: "$catalog" } }],
    ["UNKNOWN_TOPIC", { name: "DELETE_TOPIC", value: { requestId: 9, topic: "nope" } }],
    ["UNKNOWN_TOPIC", { name: "DELETE_TOPIC", value: { requestId: 9, topic: "$catalog" } }],
  ] as const;
  for (const [name, frame] of cases) {
    client.socket.take();
    client.send(frame);
    await bench.settle();
    t.match(client.socket.all("ERROR"), [{ name, requestId: 9 }], `${frame.name} ${name}`);
  }
  t.equal(client.socket.closed, undefined);
  client.socket.take();
  client.send({ name: "LIST_TOPICS", value: { requestId: 1 } });
  t.match(client.socket.all("TOPICS"), [{ topics: [{ name: "there" }] }]);
  t.equal(client.socket.all("TOPICS")[0]?.topics.length, 1);
});

t.test("the list comes in pages, by ascending name", async (t) => {
  const bench = new InMemoryGateway();
  const page = LIMITS.topicsPerPageMax;
  const name = (i: number): string => `${i}`.padStart(LIMITS.topicNameBytesMax, "n");
  const names = Array.from({ length: 2 * page }, (_, i) => name(i)).sort();
  // The catalog has them in another order, and one that no client may see.
  for (const each of [...names].reverse()) bench.node.addTopic(each);
  bench.node.addTopic("$catalog");
  const client = bench.connect();
  let requestId = 0;
  const list = (after?: string) => {
    client.socket.take();
    requestId += 1;
    client.send({ name: "LIST_TOPICS", value: { requestId, after } });
    const [answer, ...others] = client.socket.all("TOPICS");
    t.same([answer?.requestId, others.length], [requestId, 0]);
    return { names: answer?.topics.map((topic) => topic.name), more: answer?.more };
  };
  t.same(list(), { names: names.slice(0, page), more: true });
  t.same(list(""), { names: names.slice(0, page), more: true });
  t.same(list(names[page - 1]), { names: names.slice(page), more: false }, "a full page, the last");
  t.same(list(names[page - 2]), { names: names.slice(page - 1, -1), more: true });
  t.same(list(names.at(-2)), { names: names.slice(-1), more: false });
  t.same(list(names.at(-1)), { names: [], more: false });
  await bench.node.deleteTopic(names[page - 1] as string);
  t.same(list(names[page - 1]), { names: names.slice(page), more: false }, "after a name that is gone");
  // By code units: capitals, then _, then small letters.
  for (const each of ["Z", "_", "a"]) bench.node.addTopic(each);
  t.same(list().names?.slice(0, 3), ["Z", "_", "a"]);
  t.same(list("Z").names?.slice(0, 2), ["_", "a"]);
});

t.test("topics are made by themselves only when that is configured", async (t) => {
  const strict = new InMemoryGateway();
  const refused = strict.connect();
  refused.subscribe(1, "new");
  await strict.settle();
  t.match(refused.socket.all("ERROR"), [{ name: "UNKNOWN_TOPIC", details: { subscriptionId: 1 } }]);

  const bench = new InMemoryGateway({ autoCreate: topicConfig({ partitions: 2, durability: "memory" }) });
  const client = bench.connect();
  const other = bench.connect();
  client.subscribe(1, "new");
  other.subscribe(1, "new");
  client.send({ name: "DESCRIBE_TOPIC", value: { requestId: 2, topic: "described" } });
  client.send({ name: "DESCRIBE_TOPIC", value: { requestId: 3, topic: "not a name" } });
  await bench.settle();
  t.match(client.socket.all("SUBSCRIBED"), [{ streams: [{ partition: 0 }, { partition: 1 }] }]);
  t.equal(other.socket.all("SUBSCRIBED")[0]?.topicId, client.socket.all("SUBSCRIBED")[0]?.topicId);
  t.match(client.socket.all("TOPIC"), [
    { topic: { name: "described", partitions: 2, durability: "memory" } },
  ]);
  t.match(client.socket.all("ERROR"), [{ name: "INVALID_TOPIC_NAME", requestId: 3 }]);
});

t.test("alter changes what is mentioned", async (t) => {
  const bench = new InMemoryGateway({ autoCreate: topicConfig({}) });
  bench.node.addTopic("a", { partitions: 2, retentionMs: 1000, durability: "written" });
  const client = bench.connect();
  const alter = async (config: Record<string, unknown>, topic = "a") => {
    client.socket.take();
    client.send({ name: "ALTER_TOPIC", value: { requestId: 7, topic, config } });
    await bench.settle();
    return [...client.socket.all("TOPIC"), ...client.socket.all("ERROR")];
  };
  const topic = { name: "a", topicId: 1, partitions: 2, durability: "written" };
  t.match(await alter({ retentionBytes: 5 }), [
    { requestId: 7, topic: { ...topic, retentionMs: 1000, retentionBytes: 5 } },
  ]);
  t.match(await alter({ retentionMs: null }), [
    { topic: { ...topic, retentionMs: null, retentionBytes: 5, catalogPosition: 201 } },
  ]);
  t.match(await alter({ durability: "memory", retentionBytes: null }), [
    { topic: { durability: "memory", retentionMs: null, retentionBytes: null } },
  ]);
  t.match(await alter({}), [{ topic: { durability: "memory" } }]);
  t.match(await alter({ partitions: 2 }), [{ name: "PARTITIONS_FIXED", requestId: 7 }]);
  t.match(await alter({ retentionMs: 0 }), [{ name: "INVALID_TOPIC_CONFIG" }]);
  t.match(await alter({ durability: null }), [{ name: "INVALID_TOPIC_CONFIG" }]);
  for (const name of ["nope", "$catalog", "a b"]) {
    t.match(await alter({}, name), [{ name: "UNKNOWN_TOPIC", requestId: 7 }], "nothing is made");
  }
  t.equal(client.socket.closed, undefined);
});

t.test("truncate gives up what is below an offset, a time, or the end", async (t) => {
  const bench = new InMemoryGateway({ autoCreate: topicConfig({}) });
  const topic = bench.node.addTopic("a", { partitions: 2 });
  for (let i = 0; i < 10; i += 1) bench.node.append(topic, 0, 1, storedBatch(`${i}`), 100 + i);
  bench.node.append(topic, 1, 1, storedBatch("x"), 500);
  const client = bench.connect();
  const truncate = async (
    before: FrameValues["TRUNCATE_TOPIC"]["before"],
    partitions?: number[],
    name = "a",
  ) => {
    client.socket.take();
    const value = { requestId: 7, topic: name, partitions, before };
    client.send({ name: "TRUNCATE_TOPIC", value });
    await bench.settle();
    return [...client.socket.all("TRUNCATED"), ...client.socket.all("ERROR")];
  };
  const row = (partition: number, logStartOffset: number) => ({
    partition,
    logStartOffset,
    highWatermark: partition === 0 ? 10 : 1,
  });
  t.same(await truncate({ kind: "offset", offset: 3 }, [0]), [
    { requestId: 7, topicId: 1, partitions: [row(0, 3)] },
  ]);
  t.match(await truncate({ kind: "offset", offset: 1 }), [{ partitions: [row(0, 3), row(1, 1)] }]);
  t.match(await truncate({ kind: "offset", offset: 2 }), [{ name: "OFFSET_OUT_OF_RANGE", requestId: 7 }]);
  t.match(await truncate({ kind: "time", timeMs: 106 }), [{ partitions: [row(0, 6), row(1, 1)] }]);
  t.match(await truncate({ kind: "time", timeMs: 0 }), [{ partitions: [row(0, 6), row(1, 1)] }]);
  t.match(await truncate({ kind: "latest" }, [1, 0, 1]), [{ partitions: [row(1, 1), row(0, 10)] }]);
  t.match(await truncate({ kind: "latest" }, [2]), [{ name: "UNKNOWN_PARTITION", requestId: 7 }]);
  t.match(await truncate({ kind: "latest" }, []), [{ name: "UNKNOWN_PARTITION" }]);
  for (const name of ["nope", "$catalog"]) {
    t.match(await truncate({ kind: "latest" }, undefined, name), [{ name: "UNKNOWN_TOPIC", requestId: 7 }]);
  }
  // TRUNCATE_TOPIC [56, 5, "a", nil, ["yesterday"]]
  client.socket.take();
  const kind = Buffer.from("yesterday");
  client.sendBytes(Uint8Array.of(0x95, 56, 5, 0xa1, 0x61, 0xc0, 0x91, 0xa0 | kind.length, ...kind));
  t.match(client.socket.all("ERROR"), [{ name: "INVALID_FROM", requestId: 5 }]);
  t.equal(client.socket.closed, undefined);
});
