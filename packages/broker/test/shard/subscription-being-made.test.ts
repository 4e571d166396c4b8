import t from "tap";
import type { SubscriptionOpening } from "../../src/shard/subscription-requests.ts";
import { MODE_STREAM } from "../../src/subscription/subscription.ts";
import { DURABILITY_FSYNCED } from "../../src/topic.ts";
import { batchOf } from "../harness/batches.ts";
import { type RigPartition, ShardRig } from "../harness/shard-rig.ts";

const TOPIC = 4;
const PARTITIONS: readonly RigPartition[] = [[TOPIC, 0, DURABILITY_FSYNCED]];

function opening(id: number, isOpening: boolean): SubscriptionOpening {
  const made = [id, TOPIC, MODE_STREAM, 1, 1, 1, 1, false, `subscription-${id}`, "topic", []] as const;
  return isOpening ? [...made, true] : made;
}

function restart(rig: ShardRig, subscriptions: readonly SubscriptionOpening[]): void {
  rig.crash("power");
  rig.open();
  rig.reconcile(PARTITIONS);
  rig.answer("reconcileSubscriptions", [subscriptions, true]);
}

function position(rig: ShardRig, id: number): unknown {
  return rig.answer("subscriptionState", [id])[0]?.[1];
}

t.test(
  "a subscription that is being made begins where its maker says, also when the shard was away",
  async (t) => {
    const rig = ShardRig.started(PARTITIONS);
    rig.gateway.publish({ topicId: TOPIC, count: 2, stored: batchOf(["a", "b"]) });
    rig.settle();
    rig.answer("subscribe", [opening(1, true), [[0, 1]]]);
    restart(rig, [opening(1, true), opening(2, true)]);
    t.equal(position(rig, 1), 1, "what it was told stays");
    t.throws(() => position(rig, 2), { message: "UNKNOWN_SUBSCRIPTION" }, "nobody has told it yet");
    rig.answer("subscribe", [opening(2, true), [[0, 1]]]);
    rig.answer("subscribe", [opening(1, true), [[0, 0]]]);
    restart(rig, [opening(1, false), opening(2, false)]);
    t.same([position(rig, 1), position(rig, 2)], [1, 1]);
  },
);
