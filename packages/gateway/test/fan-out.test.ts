import type { Topic } from "@millrace/broker/internal";
import t from "tap";
import { FanOut } from "../src/fan-out.ts";
import { GATEWAY_LIMITS } from "../src/limits.ts";
import type { Session } from "../src/session.ts";
import { StreamReader } from "../src/stream-reader.ts";
import { Subscription } from "../src/subscription.ts";
import { TailGroup } from "../src/tail-group.ts";
import { storedBatch } from "./support/batches.ts";
import { FakeClock } from "./support/fake-clock.ts";
import { type InMemoryClient, InMemoryGateway } from "./support/in-memory.ts";

async function withMembers(
  count: number,
  topics = 1,
): Promise<{ bench: InMemoryGateway; members: InMemoryClient[][] }> {
  const bench = new InMemoryGateway();
  const members: InMemoryClient[][] = [];
  for (let i = 0; i < topics; i += 1) {
    bench.node.addTopic(`t${i}`);
    const group = Array.from({ length: count }, () => bench.connect());
    for (const client of group) client.subscribe(1, `t${i}`);
    members.push(group);
  }
  await bench.settle();
  for (const client of members.flat()) client.socket.take();
  return { bench, members };
}

function served(members: readonly InMemoryClient[]): number {
  return members.filter(({ socket }) => socket.all("DELIVER").length > 0).length;
}

t.test("a small group is served at once, from ring memory", async (t) => {
  const { bench, members } = await withMembers(GATEWAY_LIMITS.sendsPerTurn);
  const [group] = members as [InMemoryClient[]];
  bench.node.append(bench.node.topicByName("t0") as never, 0, 1, storedBatch("x"));
  bench.node.answer(0);
  t.equal(served(group), group.length);
});

t.test("a wide group is served in turns, from one copy", async (t) => {
  const { bench, members } = await withMembers(200);
  const [group] = members as [InMemoryClient[]];
  bench.node.append(bench.node.topicByName("t0") as never, 0, 1, storedBatch("x"));
  bench.node.answer(0);
  t.equal(served(group), 0);
  const progress: number[] = [];
  while (bench.clock.hasSoon) {
    bench.clock.turn();
    progress.push(served(group));
  }
  t.equal(progress.at(-1), 200);
  let before = 0;
  for (const count of progress) {
    t.ok(count - before <= GATEWAY_LIMITS.sendsPerTurn, `${count - before} sends in a turn`);
    before = count;
  }
});

t.test("a wide group does not hold up others", async (t) => {
  const { bench, members } = await withMembers(300, 2);
  const narrow = members[1]?.splice(5) as InMemoryClient[];
  for (const client of narrow) client.socket.close();
  const [wide, small] = members as [InMemoryClient[], InMemoryClient[]];
  bench.node.append(bench.node.topicByName("t0") as never, 0, 1, storedBatch("x"));
  bench.node.append(bench.node.topicByName("t1") as never, 0, 1, storedBatch("y"));
  bench.node.answer(0);
  bench.clock.turn();
  t.ok(served(wide) < 300);
  t.equal(served(small), 5, "served in the first turn");
  bench.clock.settle();
  t.equal(served(wide), 300);
});

t.test("many frames of one drain are sent in bounded turns, in order", async (t) => {
  const { bench, members } = await withMembers(50);
  const topic = bench.node.topicByName("t0") as never;
  for (let i = 0; i < 10; i += 1) {
    bench.node.append(topic, 0, 1, storedBatch(`v${i}`));
    bench.node.answer(0);
  }
  await bench.settle();
  for (const { socket } of members[0] as InMemoryClient[]) {
    const offsets = socket
      .all("DELIVER")
      .flatMap(({ entries }) => entries.map(({ baseOffset }) => baseOffset));
    t.same(offsets, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  }
});

/** What the client was sent: each delivery's base offsets, in their order. */
function deliveredOffsets({ socket }: InMemoryClient): number[][] {
  return socket.all("DELIVER").map(({ entries }) => entries.map(({ baseOffset }) => baseOffset));
}

t.test("small frames that come while others are sent are joined to one", async (t) => {
  const { bench, members } = await withMembers(100);
  const [group] = members as [InMemoryClient[]];
  const topic = bench.node.topicByName("t0") as never;
  const publish = (from: number, to: number): void => {
    for (let i = from; i < to; i += 1) {
      bench.node.append(topic, 0, 1, storedBatch(`v${i}`));
      bench.node.answer(0);
    }
  };
  publish(0, 40);
  bench.clock.turn();
  publish(40, 80);
  await bench.settle();
  const each = Array.from({ length: 80 }, (_, offset) => offset);
  for (const client of group) t.same(deliveredOffsets(client), [each.slice(0, 40), each.slice(40)]);
});

t.test("who joins gets nothing of what came before, though more could be joined to it", (t) => {
  const sent = new Map<StreamReader, [number, number][]>();
  const clock = new FakeClock();
  const fanOut = new FanOut(clock, {
    sendToMember: (stream, _frame, firstOffset, nextOffset) => {
      sent.set(stream, [...(sent.get(stream) ?? []), [firstOffset, nextOffset]]);
      stream.nextOffset = nextOffset;
    },
    leaveGroup: () => t.fail("nobody leaves"),
  });
  const topic = { topicId: 1, partitions: 1, shards: [0] } as unknown as Topic;
  const subscription = new Subscription({ subscriptions: undefined } as unknown as Session, 0, 1);
  const group = new TailGroup(topic, 0, 1);
  const join = (nextOffset: number): StreamReader => {
    const member = new StreamReader(subscription, group, group.members.length, nextOffset, 1);
    group.join(member);
    return member;
  };
  for (let i = 0; i <= GATEWAY_LIMITS.sendsPerTurn; i += 1) join(0);
  const frame = Buffer.alloc(100);
  fanOut.deliver(group, frame, 0, frame.length, 0, 1);
  fanOut.deliver(group, frame, 0, frame.length, 1, 2);
  const late = join(2);
  fanOut.deliver(group, frame, 0, frame.length, 2, 3);
  fanOut.deliver(group, frame, 0, frame.length, 3, 4);
  clock.settle();
  for (const member of group.members) {
    const expected = [
      [0, 2],
      [2, 4],
    ];
    t.same(sent.get(member), member === late ? expected.slice(1) : expected);
  }
  t.equal(fanOut.pendingBytes, 0);
  t.end();
});

t.test("when copies pile up, who was not served reads for himself", async (t) => {
  const { bench, members } = await withMembers(100);
  const [group] = members as [InMemoryClient[]];
  const topic = bench.node.topicByName("t0") as never;
  const readsBefore = bench.node.reads;
  // Too large to be joined, and without a turn in between.
  const value = "x".repeat(70_000);
  for (let i = 0; i < 40; i += 1) {
    bench.node.append(topic, 0, 1, storedBatch(value));
    bench.node.answer(0);
  }
  t.equal(bench.node.reads, readsBefore);
  await bench.settle();
  t.ok(bench.node.reads >= readsBefore + group.length);
  const each = Array.from({ length: 40 }, (_, offset) => offset);
  for (const client of group) t.same(deliveredOffsets(client).flat(), each);
  t.equal(bench.logged.filter(({ level }) => level === "warn" || level === "error").length, 0);
});

t.test("the copies are bounded in bytes, for one group and for all", (t) => {
  const left: StreamReader[] = [];
  const clock = new FakeClock();
  const fanOut = new FanOut(clock, {
    sendToMember: () => {},
    leaveGroup: (stream) => {
      left.push(stream);
      stream.group.leave(stream);
    },
  });
  const topic = { topicId: 1, partitions: 100, shards: new Array<number>(100).fill(0) } as unknown as Topic;
  const session = { subscriptions: undefined } as unknown as Session;
  const groups = Array.from({ length: 20 }, (_, partition) => {
    const group = new TailGroup(topic, partition, 1000 + partition);
    const subscription = new Subscription(session, partition, 1);
    // More than one turn's sends, so that all frames are copied.
    for (let i = 0; i <= GATEWAY_LIMITS.sendsPerTurn; i += 1) {
      group.join(new StreamReader(subscription, group, i, 0, 1));
    }
    return group;
  });
  const memory = Buffer.alloc(2_000_000);
  const [first] = groups as [TailGroup];
  for (let i = 0; i < 4; i += 1) fanOut.deliver(first, memory, 0, memory.length, i, i + 1);
  t.equal(first.pendingBytes, 8_000_000);
  t.equal(left.length, 0);
  fanOut.deliver(first, memory, 0, memory.length, 4, 5);
  t.equal(left.length, GATEWAY_LIMITS.sendsPerTurn + 1, "nobody was served yet, so all leave");
  t.equal(fanOut.pendingBytes, 0);
  for (const group of groups.slice(1)) {
    for (let i = 0; i < 4; i += 1) fanOut.deliver(group, memory, 0, memory.length, i, i + 1);
    t.ok(fanOut.pendingBytes <= GATEWAY_LIMITS.fanOutTotalBytesMax);
  }
  clock.settle();
  t.equal(fanOut.pendingBytes, 0);
  t.end();
});

t.test("a member that goes while frames wait is no trouble", async (t) => {
  const { bench, members } = await withMembers(150);
  const [group] = members as [InMemoryClient[]];
  const topic = bench.node.topicByName("t0") as never;
  bench.node.append(topic, 0, 1, storedBatch("x"));
  bench.node.answer(0);
  bench.clock.turn();
  for (const [i, client] of group.entries()) if (i % 3 === 0) client.socket.close();
  const late = bench.connect();
  late.subscribe(1, "t0", { from: { kind: "latest" } });
  bench.node.append(topic, 0, 1, storedBatch("y"));
  await bench.settle();
  for (const [i, { socket }] of group.entries()) {
    if (i % 3 !== 0) t.equal(socket.all("DELIVER").length, 2);
  }
  for (const { socket } of group) socket.close();
  late.socket.close();
  await bench.settle();
  t.equal(bench.node.untails, 1);
});
