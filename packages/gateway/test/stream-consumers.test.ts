import type { Subscription, Topic } from "@millrace/broker/internal";
import { ERROR_CODES, MillraceError } from "@millrace/protocol";
import t from "tap";
import { GATEWAY_LIMITS } from "../src/limits.ts";
import { storedBatch } from "./support/batches.ts";
import { FakeNode } from "./support/fake-node.ts";
import type { FakeSocket } from "./support/fake-socket.ts";
import { type InMemoryClient, InMemoryGateway } from "./support/in-memory.ts";

const LOST = ERROR_CODES.ASSIGNMENT_LOST.code;

interface Bench {
  readonly bench: InMemoryGateway;
  readonly node: FakeNode;
  readonly topic: Topic;
  readonly client: InMemoryClient;
  readonly socket: FakeSocket;
}

/** A topic of four partitions in two shards, each with ten records in batches of two. */
function withRecords(): Bench {
  const bench = new InMemoryGateway({ node: new FakeNode({ shards: 2 }) });
  const { node } = bench;
  const topic = node.addTopic("flights", { partitions: 4 });
  for (let partition = 0; partition < 4; partition += 1) {
    for (let i = 0; i < 5; i += 1) {
      node.append(topic, partition, 2, storedBatch(`a${i}`, `b${i}`), 100 + 100 * i);
    }
  }
  const client = bench.connect();
  return { bench, node, topic, client, socket: client.socket };
}

function consume(client: InMemoryClient, requestId: number, changes: Record<string, unknown> = {}): void {
  client.send({
    name: "CONSUME",
    value: {
      requestId,
      topic: "flights",
      subscription: "board",
      slots: 0,
      creditLimit: 10_000_000,
      create: { mode: "stream", from: ["earliest"] },
      extensions: {},
      ...changes,
    },
  });
}

/** A consumer that holds `partitions` under epoch 10, and has read them. */
async function member(
  bench: Bench,
  partitions: number[],
): Promise<{ id: number; subscription: Subscription }> {
  consume(bench.client, 1);
  await bench.bench.settle();
  const id = bench.socket.all("CONSUMING")[0]?.consumerId as number;
  const subscription = bench.node.subscription(bench.topic.topicId, "board") as Subscription;
  bench.node.tellMember(
    subscription,
    id,
    partitions.map((partition) => [partition, 10]),
  );
  await bench.bench.settle();
  bench.node.groupCalls = [];
  return { id, subscription };
}

/** `[partition, base offset]` of all batches that came, by the streams that ASSIGNED and STREAM named. */
function received(socket: FakeSocket): string[] {
  const partitions = new Map<number, number>();
  const batches: string[] = [];
  for (const frame of socket.frames) {
    if (frame.name === "ASSIGNED") {
      for (const { streamId, partition } of frame.value.partitions) partitions.set(streamId, partition);
    } else if (frame.name === "STREAM") partitions.set(frame.value.toStreamId, frame.value.partition);
    else if (frame.name === "DELIVER") {
      for (const { baseOffset } of frame.value.entries) {
        batches.push(`${partitions.get(frame.value.streamId)}:${baseOffset}`);
      }
    }
  }
  return batches.sort();
}

function all(...partitions: number[]): string[] {
  return partitions.flatMap((partition) => [0, 2, 4, 6, 8].map((offset) => `${partition}:${offset}`));
}

t.test("a member is told what it gets, and reads that from the cursor", async (t) => {
  const bench = withRecords();
  const { id } = await member(bench, [0, 3]);
  t.match(bench.socket.all("CONSUMING"), [
    { requestId: 1, topicId: bench.topic.topicId, subscription: { name: "board", mode: "stream" } },
  ]);
  const assigned = bench.socket.all("ASSIGNED").flatMap(({ partitions }) => partitions);
  t.match(assigned, [
    { partition: 0, assignmentEpoch: 10, startOffset: 0, logStartOffset: 0, highWatermark: 10, logEpoch: 1 },
    { partition: 3, assignmentEpoch: 10, startOffset: 0 },
  ]);
  t.same(received(bench.socket), all(0, 3));
  bench.node.append(bench.topic, 3, 1, storedBatch("new"));
  bench.node.append(bench.topic, 1, 1, storedBatch("not ours"));
  await bench.bench.settle();
  t.same(received(bench.socket), [...all(0, 3), "3:10"].sort(), "and what comes, at the tail");
  t.equal(
    bench.socket.all("ASSIGNED").every(({ consumerId }) => consumerId === id),
    true,
  );
});

t.test("a shard that had stored a commit before it was lost: its partition goes on", async (t) => {
  const bench = withRecords();
  const { id, subscription } = await member(bench, [1]);
  bench.socket.take();
  const positions = [{ partition: 1, assignmentEpoch: 10, offset: 4, logEpoch: 1 }];
  bench.node.refusals.set("commitCursors", new MillraceError("SHARD_RESTARTED", "down"));
  bench.client.send({ name: "COMMIT", value: { requestId: 7, consumerId: id, positions } });
  await bench.bench.settle();
  bench.node.kill(1);
  bench.node.cursor(subscription, 1).offset = 4;
  bench.node.revive(1);
  await bench.bench.settle();
  bench.node.append(bench.topic, 1, 1, storedBatch("new"));
  await bench.bench.settle();
  t.same(bench.socket.all("REVOKED"), []);
  t.equal(bench.socket.all("DELIVER").length, 1);
});

t.test("what is revoked stops at once, and is given back when the client is done", async (t) => {
  const bench = withRecords();
  const { id, subscription } = await member(bench, [0, 1]);
  bench.socket.take();
  bench.node.tellMember(subscription, id, [], [[1, 10]]);
  bench.node.append(bench.topic, 0, 1, storedBatch("more"));
  bench.node.append(bench.topic, 1, 1, storedBatch("no more"));
  await bench.bench.settle();
  t.match(bench.socket.all("REVOKED"), [
    { consumerId: id, partitions: [{ partition: 1, assignmentEpoch: 10 }], withinMs: 30_000 },
  ]);
  t.equal(bench.socket.all("DELIVER").length, 1);
  t.same(bench.node.groupCalls, [], "the client has yet to finish");
  bench.client.send({
    name: "COMMIT",
    value: {
      requestId: 7,
      consumerId: id,
      positions: [{ partition: 1, assignmentEpoch: 10, offset: 10, logEpoch: 1 }],
    },
  });
  const release = {
    name: "RELEASE" as const,
    value: { consumerId: id, partitions: [{ partition: 1, assignmentEpoch: 10 }] },
  };
  bench.client.send(release);
  bench.client.send(release);
  await bench.bench.settle();
  t.match(bench.socket.all("COMMITTED"), [
    { requestId: 7, outcomes: [{ partition: 1, offset: 10, outcome: 0 }] },
  ]);
  t.same(bench.node.groupCalls, [["released", id, [[1, 10]]]], "once");
  t.equal(bench.node.cursor(subscription, 1).offset, 10);
  // It comes back under a new epoch, at what was committed.
  bench.socket.take();
  bench.node.tellMember(subscription, id, [[1, 11]]);
  await bench.bench.settle();
  t.match(bench.socket.all("ASSIGNED"), [
    { partitions: [{ partition: 1, assignmentEpoch: 11, startOffset: 10 }] },
  ]);
  t.equal(bench.socket.all("DELIVER").length, 1);
});

t.test("what is not given back in time is lost", async (t) => {
  const bench = withRecords();
  const { id, subscription } = await member(bench, [0, 1]);
  bench.socket.take();
  bench.node.tellMember(subscription, id, [], [[1, 10]]);
  bench.node.tellMember(subscription, id, [], [[1, 10]]);
  bench.node.tellMember(subscription, id, [], [[1, 10]], 0);
  t.match(bench.socket.all("REVOKED"), [{ withinMs: 30_000 }, { withinMs: 0 }]);
  bench.bench.clock.advance(30_000 + GATEWAY_LIMITS.revokeGraceMs);
  t.same(bench.node.groupCalls, []);
  bench.client.send({ name: "PONG", value: { nonce: 1 } });
  // A home shard that has forgotten that it had revoked it.
  bench.socket.take();
  bench.node.tellMember(subscription, id, [], [[0, 10]]);
  bench.bench.clock.advance(30_000 + GATEWAY_LIMITS.revokeGraceMs);
  t.match(bench.socket.all("REVOKED"), [{ withinMs: 30_000 }, { withinMs: 0 }]);
  t.same(bench.node.groupCalls, [["released", id, [[0, 10]]]]);
});

t.test("commits are answered one by one, in their order", async (t) => {
  const bench = withRecords();
  const { id, subscription } = await member(bench, [0, 1]);
  bench.node.cursor(subscription, 1).epoch = 12;
  const row = (partition: number, assignmentEpoch: number) => ({
    partition,
    assignmentEpoch,
    offset: 4,
    logEpoch: 1,
  });
  const positions = [row(1, 10), row(0, 9), row(0, 10), row(2, 10), row(99, 0)];
  bench.client.send({ name: "COMMIT", value: { requestId: 7, consumerId: id, positions } });
  bench.client.send({ name: "COMMIT", value: { requestId: 8, consumerId: id, positions: [row(3, 1)] } });
  bench.client.send({ name: "COMMIT", value: { requestId: 9, consumerId: 99, positions: [] } });
  await bench.bench.settle();
  t.same(
    bench.socket
      .all("COMMITTED")
      .map(({ requestId, outcomes }) => [requestId, outcomes.map((o) => o.outcome)]),
    [
      [8, [LOST]],
      [7, [LOST, LOST, 0, LOST, LOST]],
    ],
  );
  t.match(bench.socket.all("ERROR"), [{ requestId: 9, name: "UNKNOWN_CONSUMER" }]);
  t.equal(bench.socket.all("ERROR")[0]?.details.consumerId, undefined, "which would say that it is over");
  bench.node.refusals.set("commitCursors", new MillraceError("SHARD_RESTARTED", "down"));
  bench.client.send({ name: "COMMIT", value: { requestId: 10, consumerId: id, positions } });
  await bench.bench.settle();
  t.match(bench.socket.all("ERROR")[1], { requestId: 10, name: "SHARD_RESTARTED" });
});

t.test("a consumer stops when its commits are answered, and leaves", async (t) => {
  const bench = withRecords();
  const { id } = await member(bench, [0]);
  let open = (): void => {};
  bench.node.commitGate = new Promise((resolve) => {
    open = resolve;
  });
  const positions = [{ partition: 0, assignmentEpoch: 10, offset: 4, logEpoch: 1 }];
  bench.client.send({ name: "COMMIT", value: { requestId: 7, consumerId: id, positions } });
  bench.client.send({ name: "STOP_CONSUMING", value: { requestId: 8, consumerId: id } });
  bench.node.append(bench.topic, 0, 1, storedBatch("unheard"));
  await bench.bench.settle();
  t.equal(received(bench.socket).length, 5);
  t.same(bench.socket.all("CONSUMING_STOPPED"), []);
  open();
  await bench.bench.settle();
  t.match(bench.socket.all("COMMITTED"), [{ outcomes: [{ outcome: 0 }] }]);
  t.match(bench.socket.all("CONSUMING_STOPPED"), [{ requestId: 8, consumerId: id }]);
  t.same(bench.node.groupCalls, [["leave", id]]);
  bench.client.send({ name: "STOP_CONSUMING", value: { requestId: 9, consumerId: id } });
  await bench.bench.settle();
  t.match(bench.socket.all("ERROR"), [{ requestId: 9, name: "UNKNOWN_CONSUMER" }]);
});

t.test("a session's end is its consumers' end", async (t) => {
  const bench = withRecords();
  const { id, subscription } = await member(bench, [0]);
  bench.socket.handler?.onClose(1006);
  t.same(bench.node.groupCalls, [["leave", id]]);
  // What crossed with that is given back.
  bench.node.tellMember(subscription, id, [[1, 11]]);
  await bench.bench.settle();
  t.same(bench.node.groupCalls, [
    ["leave", id],
    ["leave", id],
  ]);
});

t.test("credit bounds what comes", async (t) => {
  const bench = withRecords();
  consume(bench.client, 1, { creditLimit: 200 });
  await bench.bench.settle();
  const id = bench.socket.all("CONSUMING")[0]?.consumerId as number;
  const subscription = bench.node.subscription(bench.topic.topicId, "board") as Subscription;
  bench.node.tellMember(subscription, id, [
    [0, 10],
    [1, 10],
  ]);
  await bench.bench.settle();
  const before = received(bench.socket).length;
  t.ok(before > 0 && before < 10, `${before} of 10 batches`);
  bench.client.send({ name: "CONSUMER_CREDIT", value: { consumerId: id, slots: 0, creditLimit: 10_000 } });
  bench.client.send({ name: "CONSUMER_CREDIT", value: { consumerId: 99, slots: 0, creditLimit: 10_000 } });
  await bench.bench.settle();
  t.same(received(bench.socket), all(0, 1));
});

t.test("a partition's shard is lost, and comes back", async (t) => {
  const bench = withRecords();
  const { id, subscription } = await member(bench, [0, 1]);
  bench.node.kill(1);
  // Assigned while its shard is down.
  bench.node.tellMember(subscription, id, [[3, 10]]);
  await bench.bench.settle();
  t.same(received(bench.socket), all(0, 1));
  bench.node.partition(bench.topic, 3).logEpoch = 2;
  bench.node.append(bench.topic, 1, 1, storedBatch("meanwhile"));
  bench.node.revive(1);
  await bench.bench.settle();
  t.same(received(bench.socket), [...all(0, 1, 3), "1:10"].sort(), "partition 1 has read on");
  const assigned = bench.socket.all("ASSIGNED").flatMap(({ partitions }) => partitions);
  t.match(assigned, [{ partition: 0 }, { partition: 1 }, { partition: 3, startOffset: 0, logEpoch: 2 }]);
});

t.test("a shard that comes back with another log: the partition begins anew at its cursor", async (t) => {
  const bench = withRecords();
  const { id, subscription } = await member(bench, [1]);
  bench.node.cursor(subscription, 1).offset = 6;
  bench.socket.take();
  bench.node.kill(1);
  const log = bench.node.partition(bench.topic, 1);
  log.entries.splice(2);
  log.highWatermark = 4;
  log.logEpoch = 2;
  bench.node.revive(1);
  await bench.bench.settle();
  t.match(bench.socket.all("REVOKED"), [
    { consumerId: id, partitions: [{ partition: 1, assignmentEpoch: 10 }], withinMs: 0 },
  ]);
  t.same(bench.node.groupCalls.at(-1), ["released", id, [[1, 10]]]);
  bench.node.tellMember(subscription, id, [[1, 11]]);
  await bench.bench.settle();
  t.match(bench.socket.all("ASSIGNED"), [
    { partitions: [{ partition: 1, assignmentEpoch: 11, startOffset: 4, logEpoch: 2 }] },
  ]);
  bench.node.append(bench.topic, 1, 1, storedBatch("new"));
  await bench.bench.settle();
  t.same(received(bench.socket), ["1:4"]);
  t.ok(bench.bench.logged.some(({ event }) => event === "cursor-log-epoch-changed"));
});

t.test("the home shard is lost: members go on, and come back with what they hold", async (t) => {
  const bench = withRecords();
  consume(bench.client, 2, { subscription: "other" });
  await bench.bench.settle();
  bench.socket.take();
  const { id, subscription } = await member(bench, [0, 1]);
  consume(bench.client, 3);
  await bench.bench.settle();
  const idle = bench.socket.all("CONSUMING")[1]?.consumerId as number;
  bench.node.tellMember(subscription, id, [], [[1, 10]]);
  bench.node.groupCalls = [];
  bench.socket.take();
  for (const shard of [0, 1]) bench.node.kill(shard);
  await bench.bench.settle();
  for (const shard of [0, 1]) bench.node.revive(shard);
  await bench.bench.settle();
  const ours = bench.node.groupCalls.filter(([, consumer]) => consumer === id || consumer === idle);
  t.same(ours, [
    [
      "join",
      id,
      [
        [0, 10],
        [1, 10],
      ],
    ],
    ["join", idle, []],
  ]);
  bench.node.append(bench.topic, 0, 1, storedBatch("new"));
  bench.node.append(bench.topic, 1, 1, storedBatch("not for us"));
  await bench.bench.settle();
  t.equal(bench.socket.all("DELIVER").length, 1);
  t.same(bench.socket.all("ASSIGNED"), [], "the client has not noticed");
});

t.test("after a seek everything begins anew", async (t) => {
  const bench = withRecords();
  const { id, subscription } = await member(bench, [0]);
  bench.socket.take();
  await bench.node.seekSubscription(subscription, [[0, 6]]);
  bench.node.tellMember(subscription, id, [], [[0, 10]], 0);
  bench.node.tellMember(subscription, id, [[0, 11]]);
  await bench.bench.settle();
  t.same(
    bench.socket.frames.map(({ name }) => name).filter((name) => name !== "DELIVER" && name !== "STREAM"),
    ["REVOKED", "ASSIGNED"],
  );
  t.same(received(bench.socket), ["0:6", "0:8"]);
});

t.test("a paused subscription delivers nothing", async (t) => {
  const bench = withRecords();
  const { subscription } = await member(bench, [0, 1]);
  const paused = await bench.node.alterSubscription(subscription, { paused: true });
  bench.socket.take();
  for (const partition of [0, 1]) bench.node.append(bench.topic, partition, 1, storedBatch("later"));
  await bench.bench.settle();
  // Who comes now waits, too.
  consume(bench.client, 2);
  await bench.bench.settle();
  const id = bench.socket.all("CONSUMING")[0]?.consumerId as number;
  bench.node.tellMember(subscription, id, [[2, 10]]);
  await bench.bench.settle();
  t.equal(bench.socket.all("DELIVER").length, 0);
  await bench.node.alterSubscription(paused, { paused: false });
  await bench.bench.settle();
  t.equal(bench.socket.all("DELIVER").flatMap(({ entries }) => entries).length, 7);
  bench.node.append(bench.topic, 0, 1, storedBatch("at the tail again"));
  await bench.bench.settle();
  t.equal(bench.socket.all("DELIVER").flatMap(({ entries }) => entries).length, 8);
});

t.test("what retention took is reported", async (t) => {
  const bench = withRecords();
  const { id, subscription } = await member(bench, [0]);
  await bench.node.truncateTopic(bench.topic, [[1, 4]]);
  bench.socket.take();
  bench.node.tellMember(subscription, id, [[1, 10]]);
  await bench.bench.settle();
  t.match(bench.socket.all("ASSIGNED"), [{ partitions: [{ startOffset: 0, logStartOffset: 4 }] }]);
  t.match(bench.socket.all("PROGRESS"), [{ nextOffset: 4, reason: "retention" }]);
  t.same(received(bench.socket), ["1:4", "1:6", "1:8"]);
});

t.test("an assignment that somebody else has acquired since is given back", async (t) => {
  const bench = withRecords();
  const { id, subscription } = await member(bench, [0]);
  bench.node.cursor(subscription, 1).epoch = 20;
  bench.socket.take();
  bench.node.tellMember(subscription, id, [[1, 11]]);
  await bench.bench.settle();
  t.same(bench.socket.take(), []);
  t.same(bench.node.groupCalls, [["released", id, [[1, 11]]]]);
});

t.test("an assignment that is revoked before the client knows of it", async (t) => {
  const bench = withRecords();
  const { id, subscription } = await member(bench, [0]);
  bench.socket.take();
  bench.node.tellMember(subscription, id, [[1, 11]]);
  bench.node.tellMember(subscription, id, [], [[1, 11]]);
  await bench.bench.settle();
  t.same(bench.socket.take(), []);
  t.same(bench.node.groupCalls, [["released", id, [[1, 11]]]]);
});

t.test("shards that do not answer are asked again, refusals end the consumer", async (t) => {
  const bench = withRecords();
  bench.node.refusals.set("groupJoin", new MillraceError("INTERNAL", "no answer"));
  const { id, subscription } = await member(bench, []);
  bench.node.refusals.delete("groupJoin");
  bench.bench.clock.advance(GATEWAY_LIMITS.groupRetryMs);
  await bench.bench.settle();
  t.same(bench.node.groupCalls, [["join", id, []]]);
  bench.node.refusals.set("acquire", new MillraceError("UNKNOWN_PARTITION", "which one?"));
  bench.node.tellMember(subscription, id, [[1, 11]]);
  await bench.bench.settle();
  t.match(bench.socket.all("ERROR"), [{ name: "UNKNOWN_PARTITION", details: { consumerId: id } }]);
  t.same(bench.node.groupCalls.at(-1), ["leave", id]);
});

t.test("the topic or the subscription is deleted", async (t) => {
  const bench = withRecords();
  const { id, subscription } = await member(bench, [0, 1]);
  await bench.node.deleteSubscription(subscription);
  t.match(bench.socket.all("ERROR"), [{ name: "SUBSCRIPTION_DELETED", details: { consumerId: id } }]);
  const other = bench.bench.connect();
  consume(other, 5);
  await bench.bench.settle();
  await bench.node.deleteTopic("flights");
  await bench.bench.settle();
  t.match(other.socket.all("ERROR"), [{ name: "TOPIC_DELETED" }]);
});

t.test("one session may have two consumers and a subscription of one topic", async (t) => {
  const bench = withRecords();
  await member(bench, [0]);
  consume(bench.client, 2, { subscription: "second" });
  await bench.bench.settle();
  const second = bench.node.subscription(bench.topic.topicId, "second") as Subscription;
  const id = bench.socket.all("CONSUMING")[1]?.consumerId as number;
  bench.node.tellMember(second, id, [[0, 10]]);
  bench.client.subscribe(1, "flights", { partitions: [0] });
  await bench.bench.settle();
  bench.socket.take();
  bench.node.append(bench.topic, 0, 1, storedBatch("for all three"));
  await bench.bench.settle();
  const streams = bench.socket.all("DELIVER").map(({ streamId }) => streamId);
  t.equal(new Set(streams).size, 3, "each under a stream of its own");
  t.equal(streams.length, 3);
});
