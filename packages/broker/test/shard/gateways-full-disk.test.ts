import { SETTLE_ACTION } from "@millrace/protocol/internal";
import t from "tap";
import type { SubscriptionOpening } from "../../src/shard/subscription-requests.ts";
import { MODE_QUEUE } from "../../src/subscription/subscription.ts";
import { DURABILITY_FSYNCED } from "../../src/topic.ts";
import { batchOf } from "../harness/batches.ts";
import { ShardRig } from "../harness/shard-rig.ts";

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

function publish(rig: ShardRig, sessionId: number, value: string): void {
  rig.gateway.publish({ topicId: TOPIC, sessionId, count: 1, stored: batchOf([value]) });
}

t.test("a gateway that is lost while the disk is full is forgotten, and nothing is said to it", async (t) => {
  const rig = ShardRig.started([[TOPIC, 0, DURABILITY_FSYNCED]], { gateways: 2 });
  const [, lost] = rig.gateways;
  if (lost === undefined) throw new Error("there are no guests");
  rig.answer("subscribe", [QUEUE, [[0, 0]]]);
  for (const value of ["a", "b"]) publish(rig, 1, value);
  rig.settle();
  lost.lend(lost.id(1), SUBSCRIPTION, 2);
  rig.settle();
  const leases = lost.take("leased").flatMap(({ leases }) => leases);
  const [lease] = leases;
  t.same(
    leases.flatMap(({ values }) => values),
    ["a", "b"],
  );
  if (lease === undefined) throw new Error("nothing was leased");

  rig.storage.capacityBytes = 20_000;
  for (let i = 0; !lost.events.some(({ kind }) => kind === "publish-error"); i += 1) {
    if (i > 1000) throw new Error("the disk does not fill up");
    publish(rig, lost.id(3), `${i}`.padEnd(200, "."));
    rig.settle();
  }
  // None of this can be handled: what it has settled, and lent.
  lost.settle(lease, SETTLE_ACTION.ACK);
  lost.lend(lost.id(2), SUBSCRIPTION, 1);
  rig.settle();
  t.same(lost.take("settled"), []);
  const first = rig.gateway.ask("gatewayGone", [lost.gateway]);
  rig.answer("gatewayGone", [lost.gateway]);
  t.match(rig.gateway.take("reply"), [{ requestId: first }], "whoever has asked before is answered, too");

  // It is back, with the same ids, and reads; what it lends counts once there is room.
  lost.events.length = 0;
  lost.read(lost.id(4), TOPIC, 0);
  lost.lend(lost.id(1), SUBSCRIPTION, 2);
  rig.settle();
  t.equal(lost.take("deliver").length, 1);
  rig.storage.capacityBytes = Number.POSITIVE_INFINITY;
  rig.clock.advance(1000);
  rig.settle();
  const again = lost.take("leased").flatMap(({ leases }) => leases);
  t.match(
    again,
    ["a", "b"].map((value) => ({ consumerId: lost.id(1), values: [value], deliveries: 2 })),
    "it was not settled, and its delivery counts; what was lent before is void",
  );
  t.same(
    lost.events.filter(({ kind }) => kind === "ack" || kind === "settled"),
    [],
    "what was published and settled before it was lost is answered to nobody",
  );
  for (const each of again) lost.settle(each, SETTLE_ACTION.ACK);
  publish(rig, lost.id(3), "new");
  rig.settle();
  t.equal(lost.take("settled").length, again.length);
  t.equal(lost.take("ack").length, 1);
});
