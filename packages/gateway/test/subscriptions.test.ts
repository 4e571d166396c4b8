import type { Topic } from "@millrace/broker/internal";
import { LIMITS } from "@millrace/protocol";
import t from "tap";
import { GATEWAY_LIMITS } from "../src/limits.ts";
import { storedBatch } from "./support/batches.ts";
import type { FakeSocket } from "./support/fake-socket.ts";
import { type InMemoryClient, InMemoryGateway } from "./support/in-memory.ts";

/** A gateway with a topic that has ten records, in batches of two, appended at 100, 200, … ms. */
function withRecords(partitions = 1): { bench: InMemoryGateway; topic: Topic; client: InMemoryClient } {
  const bench = new InMemoryGateway();
  const topic = bench.node.addTopic("flights", { partitions });
  for (let i = 0; i < 5; i += 1) bench.node.append(topic, 0, 2, storedBatch(`a${i}`, `b${i}`), 100 + 100 * i);
  return { bench, topic, client: bench.connect() };
}

/** Base offsets of all batches that came. */
function received(socket: FakeSocket): number[] {
  return socket.all("DELIVER").flatMap(({ entries }) => entries.map(({ baseOffset }) => baseOffset));
}

t.test("where a subscription starts", async (t) => {
  const cases = [
    [{ kind: "earliest" }, 0, [0, 2, 4, 6, 8]],
    [{ kind: "latest" }, 10, []],
    [{ kind: "offset", offset: 6 }, 6, [6, 8]],
    [{ kind: "offset", offset: 5 }, 5, [4, 6, 8]],
    [{ kind: "offset", offset: 10 }, 10, []],
    [{ kind: "time", timeMs: 250 }, 4, [4, 6, 8]],
    [{ kind: "time", timeMs: 99_999 }, 10, []],
    [{ kind: "resume", topicId: 1, positions: [{ partition: 0, offset: 8, logEpoch: 1 }] }, 8, [8]],
  ] as const;
  for (const [from, startOffset, batches] of cases) {
    const { bench, topic, client } = withRecords();
    client.subscribe(3, "flights", { from });
    await bench.settle();
    const [subscribed] = client.socket.all("SUBSCRIBED");
    t.match(subscribed, {
      requestId: 1003,
      subscriptionId: 3,
      topicId: topic.topicId,
      streams: [{ partition: 0, startOffset, logStartOffset: 0, highWatermark: 10, logEpoch: 1 }],
    });
    t.same(received(client.socket), batches);
    bench.node.append(topic, 0, 1, storedBatch("new"));
    await bench.settle();
    t.same(received(client.socket), [...batches, 10], "and goes on with what comes");
  }
});

t.test("some partitions only, in the client's order", async (t) => {
  const { bench, topic, client } = withRecords(4);
  client.subscribe(1, "flights", { partitions: [2, 0, 2] });
  await bench.settle();
  t.match(client.socket.all("SUBSCRIBED"), [{ streams: [{ partition: 2 }, { partition: 0 }] }]);
  t.equal(client.socket.all("SUBSCRIBED")[0]?.streams.length, 2);
  bench.node.append(topic, 1, 1, storedBatch("no"));
  bench.node.append(topic, 2, 1, storedBatch("yes"));
  await bench.settle();
  t.equal(received(client.socket).length, 6);
});

t.test("what cannot be subscribed to", async (t) => {
  const { bench, topic, client } = withRecords(2);
  bench.node.partition(topic, 0).logStartOffset = 2;
  const resume = (topicId: number, positions: { partition: number; offset: number; logEpoch: number }[]) => ({
    from: { kind: "resume", topicId, positions } as const,
  });
  const both = (offset: number, logEpoch: number) => [
    { partition: 0, offset, logEpoch },
    { partition: 1, offset: 0, logEpoch: 1 },
  ];
  const bounds = [
    [0, 2, 10, 1],
    [1, 0, 0, 1],
  ];
  const told = (offset: number) => [
    [0, 2, 10, 1, offset],
    [1, 0, 0, 1, 0],
  ];
  const cases: [string, string, Parameters<InMemoryClient["subscribe"]>[2], Record<string, unknown>][] = [
    ["nope", "UNKNOWN_TOPIC", {}, {}],
    ["flights", "UNKNOWN_PARTITION", { partitions: [0, 2] }, {}],
    ["flights", "UNKNOWN_PARTITION", { partitions: [] }, {}],
    ["flights", "UNSUPPORTED_FEATURE", { mode: "queue" }, { mode: "queue" }],
    [
      "flights",
      "OFFSET_OUT_OF_RANGE",
      { from: { kind: "offset", offset: 1 } },
      { partition: 0, bounds: [bounds[0]] },
    ],
    ["flights", "OFFSET_OUT_OF_RANGE", { from: { kind: "offset", offset: 11 } }, { partition: 0 }],
    ["flights", "LOG_EPOCH_CHANGED", resume(99, both(4, 1)), { topicId: 1, bounds }],
    ["flights", "LOG_EPOCH_CHANGED", resume(1, both(4, 0)), { topicId: 1, bounds: told(4) }],
    ["flights", "LOG_EPOCH_CHANGED", resume(1, both(14, 0)), { topicId: 1, bounds: told(10) }],
    [
      "flights",
      "OFFSET_OUT_OF_RANGE",
      resume(1, both(11, 1)),
      { partition: 0, bounds: told(10).slice(0, 1) },
    ],
    ["flights", "INVALID_FROM", resume(1, [{ partition: 0, offset: 4, logEpoch: 1 }]), {}],
  ];
  for (const [name, code, options, details] of cases) {
    client.socket.take();
    client.subscribe(1, name, options);
    await bench.settle();
    t.match(client.socket.all("ERROR"), [
      { name: code, requestId: 1001, details: { subscriptionId: 1, ...details } },
    ]);
  }
  client.socket.take();
  // SUBSCRIBE [32, 5, 1, "flights", nil, ["yesterday"], 1]
  client.sendBytes(
    Uint8Array.of(
      0x97,
      32,
      5,
      1,
      0xa7,
      ...Buffer.from("flights"),
      0xc0,
      0x91,
      0xa9,
      ...Buffer.from("yesterday"),
      1,
    ),
  );
  t.match(client.socket.all("ERROR"), [{ name: "INVALID_FROM", requestId: 5 }]);
  t.equal(client.socket.closed, undefined);
});

t.test("what retention took while a client was away is reported, and it goes on", async (t) => {
  const { bench, topic, client } = withRecords();
  const log = bench.node.partition(topic, 0);
  log.entries.splice(0, 2);
  log.logStartOffset = 4;
  client.subscribe(1, "flights", {
    from: { kind: "resume", topicId: 1, positions: [{ partition: 0, offset: 2, logEpoch: 1 }] },
  });
  await bench.settle();
  t.match(client.socket.all("SUBSCRIBED"), [{ streams: [{ startOffset: 2 }] }]);
  t.match(client.socket.all("PROGRESS"), [{ nextOffset: 4, reason: "retention" }]);
  t.same(received(client.socket), [4, 6, 8]);
});

t.test("subscription ids are unique in a session, and free again after the end", async (t) => {
  const { bench, client } = withRecords();
  client.subscribe(1, "flights");
  client.subscribe(1, "flights", { requestId: 2 });
  await bench.settle();
  t.match(client.socket.all("ERROR"), [{ name: "SUBSCRIPTION_EXISTS", requestId: 2 }]);
  client.socket.take();
  client.send({ name: "UNSUBSCRIBE", value: { requestId: 3, subscriptionId: 1 } });
  client.send({ name: "UNSUBSCRIBE", value: { requestId: 4, subscriptionId: 1 } });
  t.match(client.socket.all("UNSUBSCRIBED"), [{ requestId: 3, subscriptionId: 1 }]);
  t.match(client.socket.all("ERROR"), [{ name: "UNKNOWN_SUBSCRIPTION", requestId: 4 }]);
  client.flow(1, 1_000_000);
  client.subscribe(1, "flights");
  await bench.settle();
  t.equal(client.socket.all("SUBSCRIBED").length, 1);
  t.equal(received(client.socket).length, 5);
});

t.test("a subscription that is ended before it has begun is answered", async (t) => {
  const { bench, client } = withRecords();
  client.subscribe(1, "flights");
  client.send({ name: "UNSUBSCRIBE", value: { requestId: 3, subscriptionId: 1 } });
  client.subscribe(1, "flights", { requestId: 4 });
  await bench.settle();
  t.match(client.socket.all("ERROR"), [{ name: "UNKNOWN_SUBSCRIPTION", requestId: 1001 }]);
  t.match(client.socket.all("SUBSCRIBED"), [{ requestId: 4 }]);
  t.same(received(client.socket), [0, 2, 4, 6, 8], "once");
});

t.test("the number of subscriptions and of their partitions is bounded", async (t) => {
  const bench = new InMemoryGateway();
  bench.node.addTopic("narrow");
  bench.node.addTopic("wide", { partitions: LIMITS.partitionsMax });
  const many = bench.connect();
  for (let id = 0; id <= LIMITS.subscriptionsPerSessionMax; id += 1) {
    many.subscribe(id, "narrow");
    if (id % 500 === 499) await bench.settle();
  }
  await bench.settle();
  t.match(many.socket.all("ERROR"), [{ name: "TOO_MANY_SUBSCRIPTIONS" }]);
  const wide = bench.connect();
  const fit = GATEWAY_LIMITS.streamsPerSessionMax / LIMITS.partitionsMax;
  for (let id = 0; id <= fit; id += 1) wide.subscribe(id, "wide");
  await bench.settle();
  t.equal(wide.socket.all("SUBSCRIBED").length, fit);
  t.match(wide.socket.all("ERROR"), [{ name: "TOO_MANY_SUBSCRIPTIONS", details: { subscriptionId: fit } }]);
});

t.test("no more comes than the credit that was given", async (t) => {
  const { bench, topic, client } = withRecords();
  const size = frameSize(bench, topic);
  client.subscribe(1, "flights", { creditLimit: 2 * size });
  await bench.settle();
  const first = received(client.socket).length;
  t.ok(first > 0 && first < 5);
  client.flow(1, 2 * size);
  client.flow(1, 1);
  await bench.settle();
  t.equal(received(client.socket).length, first, "a limit that is no higher changes nothing");
  client.flow(1, 10_000);
  await bench.settle();
  t.same(received(client.socket), [0, 2, 4, 6, 8]);
});

/** Bytes of a frame with one of the batches. */
function frameSize(bench: InMemoryGateway, topic: Topic): number {
  const [entry] = bench.node.partition(topic, 0).entries;
  return 21 + 24 + (entry?.stored.length ?? 0);
}

t.test("a batch larger than all the credit is an error, once; a later grant frees it", async (t) => {
  const { bench, topic, client } = withRecords();
  bench.node.append(topic, 0, 1, storedBatch(new Uint8Array(5_000)));
  client.subscribe(1, "flights", { creditLimit: 1_000 });
  await bench.settle();
  t.match(client.socket.all("ERROR"), [
    { name: "CREDIT_TOO_SMALL", requestId: undefined, details: { subscriptionId: 1, neededBytes: Number } },
  ]);
  const needed = client.socket.all("ERROR")[0]?.details.neededBytes as number;
  t.ok(needed > 5_000 && needed < 5_200);
  client.flow(1, 1_500);
  await bench.settle();
  t.equal(client.socket.all("ERROR").length, 1);
  client.flow(1, 10_000);
  await bench.settle();
  t.equal(received(client.socket).length, 6);
});

t.test("a slow reader that has room for the batch once it has caught up gets no error", async (t) => {
  const { bench, topic, client } = withRecords();
  bench.node.append(topic, 0, 1, storedBatch(new Uint8Array(5_000)));
  client.subscribe(1, "flights", { creditLimit: 5_300 });
  await bench.settle();
  t.same(received(client.socket), [0, 2, 4, 6, 8]);
  t.equal(client.socket.all("ERROR").length, 0, "what is left of its window is too small just now");
  client.flow(1, 5_300 + 400);
  await bench.settle();
  t.same(received(client.socket), [0, 2, 4, 6, 8, 10]);
});

t.test("a lone reader that is behind reads much at once, several read at the same time", async (t) => {
  const asked = async (partitions: number, creditLimit: number): Promise<number[]> => {
    const bench = new InMemoryGateway();
    bench.node.addTopic("flights", { partitions });
    const sizes: number[] = [];
    const read = bench.node.read.bind(bench.node);
    bench.node.read = (...args) => {
      sizes.push(args[6]);
      return read(...args);
    };
    bench.connect().subscribe(1, "flights", { creditLimit });
    await new Promise((resolve) => setImmediate(resolve));
    return sizes;
  };
  t.same(await asked(1, 8_388_608), [1_572_864]);
  t.same(await asked(2, 8_388_608), [786_432, 786_432]);
  t.same(await asked(40, 67_108_864), Array(32).fill(262_144), "no more than the socket may hold");
  t.same(await asked(1, 1_200_000), [300_000], "a quarter of the window");
  t.same(await asked(1, 1_000), [1_000]);
});

t.test("streams of one subscription take turns; a large batch waits without being starved", async (t) => {
  const bench = new InMemoryGateway();
  const topic = bench.node.addTopic("flights", { partitions: 3 });
  for (let i = 0; i < 20; i += 1) {
    bench.node.append(topic, 0, 1, storedBatch(new Uint8Array(i === 3 ? 3_500 : 900)));
    bench.node.append(topic, 1, 1, storedBatch(new Uint8Array(900)));
    bench.node.append(topic, 2, 1, storedBatch(new Uint8Array(900)));
  }
  const client = bench.connect();
  let limit = 4_000;
  client.subscribe(1, "flights", { creditLimit: limit });
  const counts = new Map<number, number>();
  const steps: number[][] = [];
  for (let round = 0; round < 80; round += 1) {
    await bench.settle();
    for (const frame of client.socket.all("DELIVER")) {
      counts.set(frame.streamId, (counts.get(frame.streamId) ?? 0) + frame.entries.length);
    }
    client.socket.frames.splice(
      0,
      client.socket.frames.length,
      ...client.socket.frames.filter(({ name }) => name !== "DELIVER"),
    );
    steps.push([...counts.values()]);
    limit += 1_100;
    client.flow(1, limit);
  }
  t.same([...counts.values()], [20, 20, 20]);
  t.equal(client.socket.all("ERROR").length, 0);
  const half = steps.find((step) => step.reduce((a, b) => a + b, 0) >= 30) ?? [];
  t.ok(Math.max(...half) - Math.min(...half) <= 10, `half-way: ${half}`);
});

t.test(
  "members of the tail share a frame; one that cannot take it reads for itself and comes back",
  async (t) => {
    const bench = new InMemoryGateway();
    const topic = bench.node.addTopic("flights");
    const fast = bench.connect();
    const slow = bench.connect();
    fast.subscribe(1, "flights");
    slow.subscribe(1, "flights");
    await bench.settle();
    const readsBefore = bench.node.reads;
    bench.node.append(topic, 0, 1, storedBatch("one"));
    await bench.settle();
    t.equal(bench.node.reads, readsBefore, "no reads at the tail");
    const shared = fast.socket.all("DELIVER")[0]?.streamId;
    t.equal(slow.socket.all("DELIVER")[0]?.streamId, shared);
    t.match(fast.socket.all("STREAM"), [{ toStreamId: shared, subscriptionId: 1, partition: 0 }]);

    slow.socket.stalled = true;
    slow.socket.bufferedAmount = () => GATEWAY_LIMITS.outputHighWaterBytes;
    slow.send({ name: "PING", value: { nonce: 1 } });
    for (let i = 0; i < 3; i += 1) bench.node.append(topic, 0, 1, storedBatch(`more ${i}`));
    await bench.settle();
    t.same(received(fast.socket), [0, 1, 2, 3], "the slow one holds nobody up");
    t.same(received(slow.socket), [0]);

    slow.socket.stalled = false;
    slow.socket.bufferedAmount = () => 0;
    slow.socket.drain();
    await bench.settle();
    t.same(received(slow.socket), [0, 1, 2, 3]);
    t.equal(slow.socket.all("DELIVER").length, 2, "what it missed came as one frame");
    bench.node.append(topic, 0, 1, storedBatch("last"));
    await bench.settle();
    t.equal(slow.socket.all("DELIVER").at(-1)?.streamId, shared);
    t.equal(slow.socket.all("STREAM").length, 3, "to the shared stream, back, and again");
  },
);

t.test("two subscriptions of one session to a partition each get every record", async (t) => {
  const { bench, topic, client } = withRecords();
  client.subscribe(1, "flights");
  client.subscribe(2, "flights", { from: { kind: "latest" } });
  await bench.settle();
  client.socket.take();
  for (let i = 0; i < 3; i += 1) {
    bench.node.append(topic, 0, 1, storedBatch(`v${i}`));
    await bench.settle();
  }
  const byStream = new Map<number, number[]>();
  for (const { streamId, entries } of client.socket.all("DELIVER")) {
    byStream.set(streamId, [
      ...(byStream.get(streamId) ?? []),
      ...entries.map(({ baseOffset }) => baseOffset),
    ]);
  }
  t.same(
    [...byStream.values()],
    [
      [10, 11, 12],
      [10, 11, 12],
    ],
  );
  // The one that shares ends: the other goes on.
  client.send({ name: "UNSUBSCRIBE", value: { requestId: 1, subscriptionId: 1 } });
  client.socket.take();
  bench.node.append(topic, 0, 1, storedBatch("x"));
  bench.node.append(topic, 0, 1, storedBatch("y"));
  await bench.settle();
  t.same(received(client.socket), [13, 14]);
});

t.test("the shard is told when nobody is at the tail any more", async (t) => {
  const bench = new InMemoryGateway();
  const topic = bench.node.addTopic("flights");
  const clients = [bench.connect(), bench.connect()];
  for (const client of clients) client.subscribe(1, "flights");
  await bench.settle();
  t.equal(bench.node.partition(topic, 0).tailed, true);
  clients[0]?.socket.close();
  await bench.settle();
  t.equal(bench.node.untails, 0);
  // While a read is under way it may still become a join.
  const third = bench.connect();
  third.subscribe(1, "flights");
  await new Promise((resolve) => setImmediate(resolve));
  clients[1]?.socket.close();
  t.equal(bench.node.untails, 0);
  third.socket.close();
  await bench.settle();
  t.equal(bench.node.untails, 1);
  t.equal(bench.node.partition(topic, 0).tailed, false);
  bench.node.append(topic, 0, 1, storedBatch("x"));
  const late = bench.connect();
  late.subscribe(1, "flights");
  await bench.settle();
  t.same(received(late.socket), [0]);
});

t.test("a deleted topic ends its subscriptions", async (t) => {
  const { bench, topic, client } = withRecords(2);
  client.subscribe(1, "flights");
  client.subscribe(2, "flights", { partitions: [1] });
  await bench.settle();
  client.socket.take();
  await bench.node.deleteTopic("flights");
  t.match(client.socket.all("ERROR"), [
    { name: "TOPIC_DELETED", details: { subscriptionId: 1, topicId: topic.topicId } },
    { name: "TOPIC_DELETED", details: { subscriptionId: 2 } },
  ]);
  client.subscribe(1, "flights");
  await bench.settle();
  t.match(client.socket.all("ERROR").at(-1), { name: "UNKNOWN_TOPIC" });
});

t.test("after a shard's restart streams go on, unless its log is another", async (t) => {
  const { bench, topic, client } = withRecords(2);
  client.subscribe(1, "flights", { partitions: [0] });
  client.subscribe(2, "flights", { partitions: [1] });
  await bench.settle();
  client.socket.take();
  bench.node.kill(0);
  client.subscribe(3, "flights");
  await bench.settle();
  t.match(client.socket.all("ERROR"), [{ name: "SHARD_RESTARTED", details: { subscriptionId: 3 } }]);
  bench.node.partition(topic, 0).append(1, storedBatch("meanwhile"), 1);
  bench.node.partition(topic, 1).logEpoch = 2;
  bench.node.revive(0);
  await bench.settle();
  t.same(received(client.socket), [10]);
  t.match(client.socket.all("ERROR").slice(1), [
    {
      name: "LOG_EPOCH_CHANGED",
      requestId: undefined,
      details: { subscriptionId: 2, topicId: topic.topicId, bounds: [[1, 0, 0, 2, 0]] },
    },
  ]);
});

t.test("a late answer of the reader thread is not taken for a later one", async (t) => {
  const { bench, topic, client } = withRecords();
  const log = bench.node.partition(topic, 0);
  log.cacheStartOffset = 10;
  client.subscribe(1, "flights", { creditLimit: 200 });
  await new Promise((resolve) => setImmediate(resolve));
  bench.node.work(0);
  const [shard] = bench.node.shards;
  t.equal(shard?.coldOutbox.length, 1);
  bench.node.kill(0);
  bench.node.revive(0);
  await new Promise((resolve) => setImmediate(resolve));
  bench.clock.settle();
  bench.node.answer(0, 1, true);
  client.flow(1, 100_000);
  await bench.settle();
  t.same(received(client.socket), [0, 2, 4, 6, 8]);
});

t.test("a failed read ends the subscription; a throttled one is tried again", async (t) => {
  const { bench, topic, client } = withRecords();
  client.subscribe(1, "flights", { creditLimit: 1 });
  client.subscribe(2, "flights");
  const streamIds = (): number[] =>
    client.socket.all("SUBSCRIBED").flatMap(({ streams }) => streams.map(({ streamId }) => streamId));
  await new Promise((resolve) => setImmediate(resolve));
  const [one, two] = streamIds() as [number, number];
  // Both reads are under way. The shard's answers are replaced by these.
  const [shard] = bench.node.shards;
  if (shard === undefined) throw new Error("no shard");
  shard.inbox = [];
  bench.gateway.node.onReadError(two, 38, 0, 10, 1);
  bench.gateway.node.onReadError(one, 56, 0, 10, 1);
  await new Promise((resolve) => setImmediate(resolve));
  t.match(client.socket.all("ERROR"), [
    {
      name: "READ_FAILED",
      retriable: true,
      details: { subscriptionId: 1, topicId: topic.topicId, bounds: [[0, 0, 10, 1]] },
    },
  ]);
  t.equal(received(client.socket).length, 0);
  bench.clock.advance(GATEWAY_LIMITS.throttleRetryAfterMs);
  await bench.settle();
  t.equal(received(client.socket).length, 5);
  // Answers that nobody waits for.
  bench.gateway.node.onReadError(one, 56, 0, 10, 1);
  bench.gateway.node.onJoined(12_345, 23_456, 0);
  bench.gateway.node.onNeedsCredit(12_345, 10);
  bench.gateway.node.onProgress(12_345, 10, "gap");
  t.equal(client.socket.all("ERROR").length, 1);
});
