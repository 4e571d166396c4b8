import t from "tap";
import type { AckedMessage } from "../harness/keyed-load.ts";
import { type FinishedQueue, problemsOfQueue } from "../harness/queue-checks.ts";
import type { QueueDelivery } from "../harness/queue-history.ts";

// The checks find what they look for: a history in which all is well, and others with one thing wrong.

let order = 0;

function delivery(offset: number, changes: Partial<QueueDelivery> = {}): QueueDelivery {
  order += 10;
  return {
    order,
    ms: order,
    consumer: "c",
    topic: "work",
    subscription: "s",
    partition: 0,
    offset,
    deliveryCount: 1,
    leaseEpoch: 1,
    leaseCounter: order,
    life: 0,
    value: `k#${offset}`,
    isRedriven: false,
    settling: "ack",
    settledOrder: order + 1,
    answeredOrder: order + 2,
    outcome: 0,
    lostOrder: undefined,
    leaseEndMs: order + 1000,
    ...changes,
  };
}

const published: AckedMessage[] = [0, 1].map((offset) => ({
  key: "k",
  sequence: offset,
  value: `k#${offset}`,
  ack: { topic: "work", topicId: 1, partition: 0, offset, logEpoch: 1, durability: "fsynced" },
}));

const unanswered = { answeredOrder: undefined, outcome: undefined };
const lost = { settling: undefined, settledOrder: undefined, ...unanswered };
const letter = {
  partition: 0,
  offset: 0,
  value: "k#0",
  subscription: "s",
  reason: "no use",
  deliveryCount: 1,
  origin: { topic: "work", partition: 0, offset: 0 },
};

function problems(deliveries: QueueDelivery[], changes: Partial<FinishedQueue> = {}): string[] {
  return problemsOfQueue({
    mode: "keyed",
    maxDeliveries: 3,
    deliveries,
    published,
    deadLetters: [],
    toleranceMs: 500,
    ...changes,
  });
}

t.test("what may happen", async (t) => {
  t.same(problems([delivery(0), delivery(1)]), []);
  const nacked = delivery(0, { settling: "nack" });
  t.same(problems([nacked, delivery(0, { deliveryCount: 2 }), delivery(1)]), [], "nacked");
  const released = delivery(0, { settling: "release" });
  t.same(problems([released, delivery(0), delivery(1)]), [], "released");
  const unconfirmed = delivery(0, unanswered);
  t.same(problems([unconfirmed, delivery(0, { leaseEpoch: 2 }), delivery(1)]), [], "an ack that was lost");
  t.same(problems([delivery(0, unanswered), delivery(1)]), [], "an ack whose answer was lost");
  const dead = delivery(0, { settling: "dead" });
  t.same(problems([dead, delivery(1)], { deadLetters: [letter] }), [], "dead");
  const expired = delivery(0, { ...lost, leaseEndMs: order });
  t.same(problems([expired, delivery(0, { deliveryCount: 2 }), delivery(1)]), [], "a lease that has ended");
});

t.test("what may not happen", async (t) => {
  const has = (what: string, found: readonly string[]): void => {
    t.ok(
      found.some((problem) => problem.startsWith(what)),
      `${what}: ${found.join("\n")}`,
    );
  };
  has(
    "finished and delivered",
    problems([delivery(0), delivery(0, { leaseEpoch: 2, deliveryCount: 2 }), delivery(1)]),
  );
  has("finished twice", problems([delivery(0), delivery(0, { order, leaseEpoch: 2 }), delivery(1)]));
  has("lost", problems([delivery(0, { ...lost, lostOrder: order }), delivery(1)], { mode: "queue" }));
  has("lost", problems([delivery(0, { outcome: 62 }), delivery(1)], { mode: "queue" }));
  has("0@1 k#1 was never delivered", problems([delivery(0)]));
  const first = delivery(0, { settling: "nack", deliveryCount: 2 });
  has(
    "counted less than nacked",
    problems([first, delivery(0, { leaseEpoch: 2, deliveryCount: 2 }), delivery(1)]),
  );
  has("counted less than before", problems([delivery(0, lost), delivery(0), delivery(1)]));
  has("count:", problems([delivery(0, { deliveryCount: 4 }), delivery(1)]));
  has("held by two", problems([delivery(0, lost), delivery(0, { deliveryCount: 2 }), delivery(1)]));
  const dead = delivery(0, { settling: "dead" });
  has("no dead letter", problems([dead, delivery(1)], { mode: "queue" }));
  has(
    "s 0@0 is dead twice",
    problems([dead, delivery(1)], { deadLetters: [letter, { ...letter, offset: 1 }] }),
  );
  has("acked and dead", problems([delivery(0), delivery(1)], { deadLetters: [letter] }));
  has("the dead letter of 0@0", problems([dead, delivery(1)], { deadLetters: [{ ...letter, value: "x" }] }));
  has("0@0 is k#0, delivered as x", problems([delivery(0, { value: "x" }), delivery(1)], { mode: "queue" }));
  has("key k goes back", problems([delivery(1), delivery(0)]));
  const open = delivery(0, { settledOrder: order + 100 });
  has("key k goes on too early", problems([open, delivery(1)]));
});
