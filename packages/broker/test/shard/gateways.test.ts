import { SETTLE_ACTION } from "@millrace/protocol/internal";
import t from "tap";
import type { SubscriptionOpening } from "../../src/shard/subscription-requests.ts";
import { MODE_QUEUE } from "../../src/subscription/subscription.ts";
import { DURABILITY_FSYNCED } from "../../src/topic.ts";
import { batchOf } from "../harness/batches.ts";
import { type RecordingGateway, sharedStreamIdOf } from "../harness/recording-gateway.ts";
import { ShardRig, type ShardRigOptions } from "../harness/shard-rig.ts";

const { ACK, DEAD_LETTER } = SETTLE_ACTION;
const TOPIC = 5;
const SUBSCRIPTION = 70;
const QUEUE: SubscriptionOpening = [
  SUBSCRIPTION,
  TOPIC,
  MODE_QUEUE,
  30_000,
  5,
  100,
  1000,
  false,
  "workers",
  "jobs",
  [],
];

function rigOf(options: ShardRigOptions = {}): {
  rig: ShardRig;
  guests: [RecordingGateway, RecordingGateway];
} {
  const rig = ShardRig.started([[TOPIC, 0, DURABILITY_FSYNCED]], { gateways: 3, ...options });
  const [, first, second] = rig.gateways;
  if (first === undefined || second === undefined) throw new Error("there are no guests");
  return { rig, guests: [first, second] };
}

function publish(rig: ShardRig, sessionId: number, ...values: string[]): void {
  const publishing = { topicId: TOPIC, sessionId, count: values.length, stored: batchOf(values) };
  if (!rig.gateway.publish(publishing)) throw new Error("the inbound ring is full");
}

/** Joins at the end. */
function join(rig: ShardRig, gateway: RecordingGateway, local: number, offset: number): void {
  gateway.read(gateway.id(local), TOPIC, offset);
  rig.settle();
  const [joined] = gateway.take("joined");
  if (joined?.sharedStreamId !== sharedStreamIdOf(TOPIC, 0, gateway.gateway)) throw new Error("not joined");
}

/** As the owner's process does: nothing of the gateway is left when both are answered. */
function forget(rig: ShardRig, { gateway }: RecordingGateway): void {
  rig.answer("gatewayGone", [gateway]);
  rig.answer("readsAnswered", []);
}

t.test("acks and refusals go to the gateway of their session", async (t) => {
  const { rig, guests } = rigOf();
  for (const gateway of rig.gateways) publish(rig, gateway.id(7), `${gateway.gateway}`);
  rig.gateway.publish({ topicId: 99, sessionId: guests[1].id(8), count: 1, stored: batchOf(["refused"]) });
  rig.settle();
  for (const [at, gateway] of rig.gateways.entries()) {
    t.match(gateway.take("ack"), [{ sessionId: gateway.id(7), baseOffset: at }]);
  }
  t.match(guests[1].events, [{ kind: "publish-error", sessionId: guests[1].id(8) }]);
  t.same([rig.gateway.events, guests[0].events], [[], []]);
});

t.test("each gateway at the tail of a partition has a group of its own", async (t) => {
  const { rig, guests } = rigOf();
  for (const gateway of rig.gateways) join(rig, gateway, 1, 0);
  publish(rig, 1, "a");
  rig.settle();
  for (const gateway of rig.gateways) {
    const streamId = sharedStreamIdOf(TOPIC, 0, gateway.gateway);
    t.match(gateway.take("deliver"), [{ streamId, shared: true, firstOffset: 0, nextOffset: 1 }]);
  }
  guests[0].untail(TOPIC);
  publish(rig, 1, "b");
  rig.settle();
  t.same(
    rig.gateways.map((gateway) => gateway.take("deliver").length),
    [1, 0, 1],
  );
  publish(rig, 1, "c");
  guests[0].read(guests[0].id(1), TOPIC, 1);
  rig.settle();
  t.match(guests[0].take("deliver"), [{ streamId: guests[0].id(1), shared: false, firstOffset: 1 }]);
  rig.gateway.untail(TOPIC);
  guests[1].untail(TOPIC);
  rig.settle();
  t.equal(rig.shard.state.find(TOPIC, 0)?.tailGroups.length, 0);
});

t.test(
  "groups that are owed what the shard appended itself are all told to read for themselves",
  async (t) => {
    const { rig } = rigOf();
    const partition = rig.shard.state.find(TOPIC, 0);
    if (partition === undefined) throw new Error("no partition");
    for (const gateway of rig.gateways) join(rig, gateway, 1, 0);
    rig.shard.ownAppends.append(partition, 1, batchOf(["own"]));
    rig.settle();
    for (const gateway of rig.gateways) {
      const streamId = sharedStreamIdOf(TOPIC, 0, gateway.gateway);
      t.match(gateway.take("progress"), [{ streamId, nextOffset: 1, reason: "gap" }]);
    }
    t.equal(partition.tailGroups.length, 0);
  },
);

t.test("a full outbound ring holds all groups up, and none loses or gets anything twice", async (t) => {
  const { rig } = rigOf({ inboundBytes: 32_768, outboundBytes: 2048 });
  for (const gateway of rig.gateways) join(rig, gateway, 1, 0);
  for (let i = 0; i < 60; i += 1) publish(rig, 1, `${i}`.padEnd(60, "."));
  for (let i = 0; i < 20; i += 1) {
    rig.shard.doWork();
    rig.sync();
  }
  rig.settle();
  for (const gateway of rig.gateways) {
    let next = 0;
    for (const { firstOffset, nextOffset } of gateway.take("deliver")) {
      t.equal(firstOffset, next);
      next = nextOffset;
    }
    t.equal(next, 60);
  }
});

t.test("cold reads are answered to the gateway that asked", async (t) => {
  const { rig, guests } = rigOf({ inboundBytes: 4096, segmentSizeBytes: 8192 });
  for (let i = 0; i < 100; i += 1) {
    publish(rig, 1, `${i}`.padEnd(100, "."));
    rig.settle();
  }
  for (const guest of guests) guest.read(guest.id(1), TOPIC, 3, 1000);
  rig.settle();
  for (const guest of guests) t.match(guest.take("deliver"), [{ streamId: guest.id(1), firstOffset: 3 }]);
  t.same(rig.gateway.take("deliver"), []);
});

t.test("all gateways hear that there is something to lease, and share it", async (t) => {
  const { rig, guests } = rigOf();
  rig.answer("subscribe", [QUEUE, [[0, 0]]]);
  publish(rig, 1, "a", "b", "c", "d");
  rig.settle();
  for (const gateway of rig.gateways) t.match(gateway.take("available"), [{ subscriptionId: SUBSCRIPTION }]);
  for (const guest of guests) guest.lend(guest.id(9), SUBSCRIPTION, 10);
  rig.settle();
  for (const guest of guests) {
    const leased = guest.take("leased");
    t.equal(
      leased.reduce((sum, { messages }) => sum + messages, 0),
      2,
      "half of it",
    );
    t.match(guest.take("empty"), [{ consumerId: guest.id(9), messages: 8 }]);
  }
  t.same(rig.gateway.take("leased"), []);
});

t.test("a gateway that was told that there is nothing hears of more than the others take", async (t) => {
  const { rig, guests } = rigOf();
  rig.answer("subscribe", [QUEUE, [[0, 0]]]);
  guests[0].lend(guests[0].id(1), SUBSCRIPTION, 5);
  rig.settle();
  t.match(guests[0].take("empty"), [{ messages: 5 }]);
  // Another one lends in the moment in which there is something, and it has credit for all of it.
  for (const value of ["a", "b"]) publish(rig, 1, value.padEnd(6000, "."));
  rig.cycle();
  rig.sync();
  rig.gateway.lend(1, SUBSCRIPTION, 40);
  rig.cycle();
  t.equal(rig.gateway.take("leased").length, 2, "a frame each");
  t.equal(guests[0].take("available").length, 1);
  rig.settle();
  t.match(rig.gateway.take("empty"), [{ messages: 38 }]);
});

t.test("a lost gateway's consumers give back what they have at once, and it is forgotten", async (t) => {
  const { rig, guests } = rigOf();
  const [lost, other] = guests;
  rig.answer("subscribe", [QUEUE, [[0, 0]]]);
  publish(rig, 1, "a", "b");
  rig.settle();
  lost.lend(lost.id(1), SUBSCRIPTION, 1);
  lost.lend(lost.id(2), SUBSCRIPTION, 1);
  rig.settle();
  t.equal(lost.take("leased").length, 2);
  forget(rig, lost);
  other.lend(other.id(1), SUBSCRIPTION, 2);
  rig.settle();
  t.match(other.take("leased"), [{ leases: [{ deliveries: 2, values: ["a", "b"] }] }]);
  // It is back under the same number, and gives out the same ids.
  lost.events.length = 0;
  publish(rig, 1, "c");
  rig.settle();
  lost.lend(lost.id(1), SUBSCRIPTION, 1);
  rig.settle();
  const [leased] = lost.take("leased");
  const [lease] = leased?.leases ?? [];
  if (lease === undefined) throw new Error("nothing was leased");
  t.match(lease, { values: ["c"], deliveries: 1 });
  lost.settle(lease, ACK);
  rig.settle();
  t.match(lost.take("settled"), [{ consumerId: lost.id(1), error: undefined, messages: 1 }]);
});

t.test("a lost gateway's members leave their groups, and their partitions go to others", async (t) => {
  const { rig, guests } = rigOf();
  const [lost, other] = guests;
  for (const guest of guests) rig.answer("groupJoin", [40, 2, guest.id(1), []]);
  rig.clock.advance(50);
  rig.settle();
  for (const guest of guests) {
    t.match(guest.take("notice"), [{ notice: ["assignment", 40, guest.id(1), { length: 1 }, []] }]);
  }
  t.same(rig.gateway.take("notice"), [], "it is about nobody of its own");
  forget(rig, lost);
  rig.settle();
  t.match(other.take("notice"), [{ notice: ["assignment", 40, other.id(1), { length: 1 }] }]);
  t.same(lost.take("notice"), []);
});

t.test("a lost gateway is at no tail any more, and the others are", async (t) => {
  const { rig, guests } = rigOf();
  for (const gateway of rig.gateways) join(rig, gateway, 1, 0);
  forget(rig, guests[0]);
  publish(rig, 1, "a");
  rig.settle();
  t.same(
    rig.gateways.map((gateway) => gateway.take("deliver").length),
    [1, 0, 1],
  );
});

t.test("it is only said that a gateway is forgotten behind the last word to it", async (t) => {
  const { rig, guests } = rigOf({ inboundBytes: 4096, segmentSizeBytes: 8192 });
  const [lost] = guests;
  for (let i = 0; i < 100; i += 1) {
    publish(rig, 1, `${i}`.padEnd(100, "."));
    rig.settle();
  }
  rig.answer("subscribe", [QUEUE, [[0, 99]]]);
  lost.lend(lost.id(1), SUBSCRIPTION, 1);
  rig.settle();
  const [leased] = lost.take("leased");
  const [lease] = leased?.leases ?? [];
  if (lease === undefined) throw new Error("nothing was leased");
  rig.gateway.takeAll();
  // Nothing of this is answered when the gateway is lost: a settle, a publish, and a read that the reader thread has.
  lost.settle(lease, ACK);
  publish(rig, lost.id(3), "late");
  lost.read(lost.id(4), TOPIC, 3, 1000);
  rig.cycle();
  rig.gateway.ask("gatewayGone", [lost.gateway]);
  for (let i = 0; i < 5; i += 1) rig.cycle();
  t.same(rig.gateway.takeAll(), [], "the commit is awaited");
  rig.settle();
  const kinds = rig.gateway.takeAll().map(({ gateway, event }) => [gateway, event.kind]);
  t.same(kinds.at(-1), [0, "reply"]);
  t.same(kinds.slice(0, -1).map(String).sort(), ["1,ack", "1,deliver", "1,settled"]);

  lost.read(lost.id(4), TOPIC, 3, 1000);
  rig.cycle();
  rig.gateway.ask("readsAnswered", []);
  for (let i = 0; i < 5; i += 1) rig.cycle();
  t.same(rig.gateway.takeAll(), []);
  rig.settle();
  t.same(
    rig.gateway.takeAll().map(({ event }) => event.kind),
    ["deliver", "reply"],
  );
});

t.test("nobody is told of dead letters that a lost gateway's consumers had asked for", async (t) => {
  const { rig, guests } = rigOf();
  const [lost] = guests;
  rig.answer("subscribe", [QUEUE, [[0, 0]]]);
  publish(rig, 1, "poison");
  rig.settle();
  lost.lend(lost.id(1), SUBSCRIPTION, 1);
  rig.settle();
  const [leased] = lost.take("leased");
  const [lease] = leased?.leases ?? [];
  if (lease === undefined) throw new Error("nothing was leased");
  lost.settle(lease, DEAD_LETTER, { reason: "poison" });
  rig.settle();
  for (const gateway of rig.gateways) {
    t.match(gateway.take("notice"), [{ notice: ["dead-letter-topic", TOPIC] }]);
  }
  forget(rig, lost);
  lost.events.length = 0;
  rig.answer("open", [[[9, 0, DURABILITY_FSYNCED, 0, 0]], [[9, 0, TOPIC]]]);
  rig.clock.advance(2000);
  rig.settle();
  t.equal(rig.shard.state.find(9, 0)?.highWatermark, 1, "it is a dead letter all the same");
  t.same(lost.take("settled"), []);
});

t.test("reads that a lost gateway had asked for are handled before it is forgotten", async (t) => {
  const { rig, guests } = rigOf();
  const [lost] = guests;
  // More than one cycle handles.
  const reads = 100;
  for (let local = 1; local <= reads; local += 1) lost.read(lost.id(local), TOPIC, 0);
  rig.answer("gatewayGone", [lost.gateway]);
  t.equal(lost.take("joined").length, reads);
  t.equal(rig.shard.state.find(TOPIC, 0)?.tailGroups.length, 0);
});

t.test("a lost gateway's leases have ended before it is forgotten", async (t) => {
  const { rig, guests } = rigOf({ inboundBytes: 1_048_576, outboundBytes: 1_048_576 });
  const [lost] = guests;
  rig.answer("subscribe", [QUEUE, [[0, 0]]]);
  // More than one cycle ends.
  const records = 10_000;
  const batch = Array.from({ length: 1000 }, () => "x");
  for (let published = 0; published < records; published += batch.length) {
    publish(rig, 1, ...batch);
    rig.settle();
  }
  lost.lend(lost.id(1), SUBSCRIPTION, records, 10_000_000);
  rig.settle();
  rig.gateway.takeAll();
  const leased = (): number => {
    let count = 0;
    for (const { state } of rig.shard.state.subscriptions.get(SUBSCRIPTION)?.queues.values() ?? []) {
      count += state.counts(rig.clock.monotonicMs(), records).leased;
    }
    return count;
  };
  t.equal(leased(), records);
  rig.gateway.ask("gatewayGone", [lost.gateway]);
  const seen: number[] = [];
  for (let cycles = 0; rig.gateway.take("reply").length === 0; cycles += 1) {
    if (cycles > 20) throw new Error("it is not answered");
    seen.push(leased());
    rig.cycle();
    rig.sync();
  }
  t.ok(
    seen.some((count) => count > 0 && count < records),
    `${seen} leases`,
  );
  t.equal(leased(), 0);
});
