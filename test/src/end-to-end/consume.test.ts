import type { Message } from "@millrace/client";
import t from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { connectedClient } from "../harness/connected-client.ts";
import { TcpRelay } from "../harness/tcp-relay.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { inTime, until } from "../harness/waiting.ts";

const broker = await BrokerProcess.start(t, { dataDir: temporaryFolder(t) });
const client = await connectedClient(t, broker.url, { closeTimeoutMs: 2_000 });

async function publish(topic: string, values: readonly unknown[], key?: string): Promise<void> {
  const producer = client.producer(topic);
  await Promise.all(values.map((value) => producer.send({ value, key })));
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

t.test("queue: competing consumers, each message to one of them", async (t) => {
  await client.topics.create("jobs", { partitions: 4, durability: "written" });
  const other = await connectedClient(t, broker.url, { closeTimeoutMs: 2_000 });
  const seen: number[][] = [[], []];
  const consumers = [client, other].map((one, index) =>
    one.consume(
      "jobs",
      { subscription: "workers", mode: "queue", from: "earliest" },
      async ({ value }) => {
        seen[index]?.push(value as number);
        await new Promise((resolve) => setTimeout(resolve, 1));
      },
      { concurrency: 8 },
    ),
  );
  await Promise.all(consumers.map((consumer) => consumer.ready()));
  await publish("jobs", numbers(400));
  await until(() => seen.flat().length >= 400, "everything is consumed");
  t.same(
    seen.flat().sort((a, b) => a - b),
    numbers(400),
  );
  t.ok(
    seen.every((values) => values.length > 0),
    "both had some",
  );
  await Promise.all(consumers.map((consumer) => consumer.close()));
  const { lag, leased, consumers: count } = await client.subscriptions.describe("jobs", "workers");
  t.match({ lag, leased, count }, { lag: 0, leased: 0, count: 0 });
});

t.test("consumers that come at once share the subscription that none of them finds", async (t) => {
  await client.topics.create("rush", { partitions: 1 });
  const problems: unknown[] = [];
  const consumers = numbers(5).map(() => {
    const consumer = client.consume("rush", { subscription: "all", mode: "queue" }, () => {});
    consumer.on("error", ({ error }) => problems.push(error));
    return consumer;
  });
  await Promise.all(consumers.map((consumer) => consumer.ready()));
  t.same(problems, []);
  t.match(await client.subscriptions.describe("rush", "all"), { consumers: 5 });
  await Promise.all(consumers.map((consumer) => consumer.close()));
});

t.test("queue: what fails comes again after the back-off, and is dead in the end; redrive", async (t) => {
  await client.topics.create("mails", { partitions: 1 });
  const deliveries: [unknown, number][] = [];
  let isFixed = false;
  const consumer = client.consume(
    "mails",
    { subscription: "senders", mode: "queue", maxDeliveries: 3, backoffMinMs: 10, backoffMaxMs: 20 },
    ({ value, deliveryCount }) => {
      deliveries.push([value, deliveryCount]);
      if (value === "bad" && !isFixed) throw new Error("no such mailbox");
    },
  );
  await consumer.ready();
  await publish("mails", ["bad"]);
  await publish("mails", ["good"]);
  await until(() => deliveries.length >= 4, "three tries and the good one");
  t.same(
    deliveries.filter(([value]) => value === "bad"),
    [
      ["bad", 1],
      ["bad", 2],
      ["bad", 3],
    ],
  );
  await until(async () => (await client.deadLetters.list("mails")).length === 1, "it is dead");
  const [letter] = await client.deadLetters.list("mails");
  t.match(letter, {
    topic: "mails.dlq",
    value: "bad",
    subscription: "senders",
    deliveryCount: 3,
    origin: { topic: "mails", partition: 0, offset: 0 },
  });
  isFixed = true;
  t.equal(await client.deadLetters.redrive("mails"), 1);
  await until(() => deliveries.length >= 5, "it is delivered again");
  t.same(deliveries.at(-1), ["bad", 1]);
  await until(async () => (await client.deadLetters.list("mails")).length === 0, "and done with");
  await consumer.close();
});

t.test("queue: a lease that is not renewed ends, and a late ack is refused", async (t) => {
  await client.topics.create("slow", { partitions: 1, durability: "written" });
  const options = { subscription: "s", mode: "queue", leaseMs: 1_000, maxLeaseMs: 500 } as const;
  const first = client.consume("slow", options)[Symbol.asyncIterator]();
  const message = first.next();
  await until(
    async () => (await client.subscriptions.list("slow")).length === 1,
    "the subscription is there",
  );
  await publish("slow", ["x"]);
  const late = (await inTime(message, "the first delivery")).value as Message;
  t.equal(late.deliveryCount, 1);
  const second = client.consume("slow", { ...options, maxLeaseMs: 60_000 })[Symbol.asyncIterator]();
  const again = (await inTime(second.next(), "the second delivery")).value as Message;
  t.equal(again.deliveryCount, 2);
  await t.rejects(late.ack(), { code: "LEASE_EXPIRED" });
  t.ok(late.signal.aborted);
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  await again.ack();
  t.notOk(again.signal.aborted, "it was renewed");
  await first.return?.();
  await second.return?.();
});

t.test("keyed: one of a key at a time, in order", async (t) => {
  await client.topics.create("payments", { partitions: 2, durability: "written" });
  const byKey = new Map<string, number[]>();
  const atWork = new Set<string>();
  const problems: string[] = [];
  let count = 0;
  const consumer = client.consume(
    "payments",
    { subscription: "book", mode: "keyed", from: "earliest", backoffMinMs: 5 },
    async ({ key, value, deliveryCount }) => {
      const account = key as string;
      if (atWork.has(account)) problems.push(`two of ${account}`);
      atWork.add(account);
      await new Promise((resolve) => setTimeout(resolve, 1));
      atWork.delete(account);
      if ((value as number) % 10 === 0 && deliveryCount === 1) throw new Error("again");
      byKey.set(account, [...(byKey.get(account) ?? []), value as number]);
      count += 1;
    },
    { concurrency: 16 },
  );
  await consumer.ready();
  await Promise.all(["a", "b", "c", "d"].map((key) => publish("payments", numbers(50), key)));
  await until(() => count >= 200, "everything is consumed");
  t.same(problems, []);
  for (const values of byKey.values()) t.same(values, numbers(50));
  await consumer.close();
});

t.test("stream: members share the partitions, and go on where the cursor is", async (t) => {
  await client.topics.create("events", { partitions: 4, durability: "written" });
  const other = await connectedClient(t, broker.url, { closeTimeoutMs: 2_000 });
  const seen: string[][] = [[], []];
  const consume = (one: typeof client, index: number) =>
    one.consume(
      "events",
      { subscription: "group", mode: "stream", from: "earliest" },
      ({ partition, offset }) => void seen[index]?.push(`${partition}@${offset}`),
      { concurrency: 4 },
    );
  const first = consume(client, 0);
  await first.ready();
  const producer = client.producer("events");
  const fill = async (): Promise<void> => {
    await Promise.all(numbers(40).map((i) => producer.send({ value: i, partition: i % 4 })));
  };
  await fill();
  await until(() => seen.flat().length >= 40, "one has them all");
  let moved = 0;
  const second = consume(other, 1);
  second.on("assigned", () => {
    moved += 1;
  });
  await until(() => moved >= 2, "half of the partitions have moved");
  await fill();
  await until(() => new Set(seen.flat()).size >= 80, "everything is consumed");
  await until(() => (seen[1]?.length ?? 0) > 0, "the second has some");
  await first.close();
  await fill();
  await until(() => new Set(seen.flat()).size >= 120, "the second takes over");
  await second.close();
  t.equal(seen.flat().length, 120, "nothing twice");
  t.equal((await client.subscriptions.describe("events", "group")).lag, 0);
  await client.subscriptions.seek("events", "group", "earliest");
  t.equal((await client.subscriptions.describe("events", "group")).lag, 120);
});

t.test("peek and pause", async (t) => {
  await client.topics.create("peeked", { partitions: 1, durability: "written" });
  await client.subscriptions.create("peeked", "s", { mode: "queue" });
  await client.subscriptions.pause("peeked", "s");
  await publish("peeked", ["a", "b"]);
  const consumer = client.consume("peeked", { subscription: "s" });
  const next = consumer[Symbol.asyncIterator]().next();
  const peeked = await client.subscriptions.peek("peeked", "s");
  t.match(peeked, [
    { value: "a", state: "available", deliveryCount: 0 },
    { value: "b", state: "available" },
  ]);
  await client.subscriptions.resume("peeked", "s");
  const message = (await inTime(next, "the first message")).value as Message;
  t.equal(message.value, "a");
  await message.ack();
  await consumer.close();
  t.match(await client.subscriptions.peek("peeked", "s"), [{ value: "b" }]);
});

t.test("patterns: also topics that are made later, from their beginning", async (t) => {
  await client.topics.create("rooms.red", { partitions: 1, durability: "written" });
  const values: unknown[] = [];
  const live = client.consume(
    "rooms.*",
    { mode: "live" },
    ({ topic, value }) => void values.push([topic, value]),
  );
  await live.ready();
  await client.topics.create("rooms.blue", { partitions: 1, durability: "written" });
  await publish("rooms.blue", ["b"]);
  await until(() => values.length >= 1, "the new topic's record");
  await publish("rooms.red", ["r"]);
  await until(() => values.length >= 2, "the old topic's record");
  t.same(values, [
    ["rooms.blue", "b"],
    ["rooms.red", "r"],
  ]);
  await live.close();
});

t.test("live: last value per key", async (t) => {
  await client.topics.create("prices", { partitions: 1, durability: "written" });
  for (const [key, value] of [
    ["a", 1],
    ["b", 2],
    ["a", 3],
  ] as const) {
    await publish("prices", [value], key);
  }
  const values: unknown[] = [];
  const live = client.consume(
    "prices",
    { mode: "live", lastValuePerKey: {} },
    ({ value }) => void values.push(value),
  );
  await until(() => values.length >= 2, "the last values");
  await publish("prices", [4], "b");
  await until(() => values.length >= 3, "what is new");
  t.same(values, [2, 3, 4]);
  await live.close();
});

t.test("request and reply", async (t) => {
  await client.topics.create("sums", { partitions: 2, durability: "memory" });
  await t.rejects(client.request("sums", [1, 2]), { code: "NO_RESPONDERS" });
  const other = await connectedClient(t, broker.url, { closeTimeoutMs: 2_000 });
  const responder = other.respond(
    "sums",
    ({ value }) => {
      if (!Array.isArray(value)) throw new Error("not a list");
      return (value as number[]).reduce((a, b) => a + b, 0);
    },
    { concurrency: 8 },
  );
  await responder.ready();
  const replies = await inTime(
    Promise.all(numbers(50).map((i) => client.request("sums", [i, 1]))),
    "the replies",
  );
  t.same(
    replies.map(({ value }) => value),
    numbers(50).map((i) => i + 1),
  );
  await t.rejects(client.request("sums", "x"), { code: "REQUEST_FAILED", message: "not a list" });
  await responder.close();
});

t.test("over a restart of the broker", async (t) => {
  const dataDir = temporaryFolder(t);
  const before = await BrokerProcess.start(t, { dataDir });
  const relay = await TcpRelay.start(t, before.port);
  const client = await connectedClient(t, relay.url);
  await client.topics.create("kept", { partitions: 2 });
  const producer = client.producer("kept");
  await Promise.all(numbers(20).map((value) => producer.send({ value })));
  const seen = new Set<number>();
  const acked = new Set<number>();
  const problems: string[] = [];
  const consumer = client.consume(
    "kept",
    { subscription: "s", mode: "queue", from: "earliest" },
    async (message) => {
      const value = message.value as number;
      if (acked.has(value)) problems.push(`${value} came again after its ack was confirmed`);
      seen.add(value);
      await message.ack();
      acked.add(value);
    },
    { concurrency: 2 },
  );
  await until(() => acked.size >= 5, "some are acked");
  await before.kill();
  relay.targetPort = (await BrokerProcess.start(t, { dataDir })).port;
  await until(() => seen.size === 20, "all are consumed");
  await until(async () => (await client.subscriptions.describe("kept", "s")).lag === 0, "all are acked");
  t.same(problems, []);
  await consumer.close();
});
