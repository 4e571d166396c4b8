// Runs against one process: it is about a cluster, which it starts itself.
import type { Client } from "@millrace/client";
import t from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { connectedClient } from "../harness/connected-client.ts";
import { take, valuesOf } from "../harness/reading.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { inTime, until } from "../harness/waiting.ts";

interface Status {
  readonly coordinator: number;
  readonly nodes: readonly { readonly nodeId: number; readonly url: string; readonly ready?: boolean }[];
}

const broker = await BrokerProcess.start(t, { dataDir: temporaryFolder(t), target: "cluster" });

async function status(): Promise<Status> {
  const response = await fetch(`${broker.url.replace(/^ws/, "http")}/v1/status`);
  return (await response.json()) as Status;
}

await until(async () => (await status()).nodes.every(({ ready }) => ready === true), "all nodes serve");
/** One of each node, and nowhere else. */
const clients = await Promise.all(
  (await status()).nodes.map(({ nodeId, url }) =>
    connectedClient(t, url, { name: `client ${nodeId}`, direct: false }),
  ),
);

function at(node: number): Client {
  return clients[node % clients.length] as Client;
}

t.test("what was made, altered and deleted at one node is so at every other one at once", async (t) => {
  for (let round = 0; round < 3; round += 1) {
    const name = `everywhere-${round}`;
    const { topicId } = await at(round).topics.create(name, { partitions: 5 });
    for (const client of clients) t.equal((await client.topics.describe(name)).topicId, topicId);
    await at(round + 1).topics.alter(name, { retentionMs: 60_000 + round });
    for (const client of clients) t.equal((await client.topics.describe(name)).retentionMs, 60_000 + round);
    await at(round + 2).subscriptions.create(name, "work", { mode: "queue" });
    await at(round).subscriptions.pause(name, "work");
    for (const client of clients) t.ok((await client.subscriptions.describe(name, "work")).paused);
    await at(round + 1).subscriptions.delete(name, "work");
    for (const client of clients) {
      await t.rejects(client.subscriptions.describe(name, "work"), { code: "UNKNOWN_SUBSCRIPTION" });
    }
    await at(round).topics.delete(name);
    for (const client of clients) {
      t.notOk((await client.topics.list()).some((topic) => topic.name === name));
      await t.rejects(client.topics.describe(name), { code: "UNKNOWN_TOPIC" });
    }
  }
});

t.test("a name is given once, whoever asks for it", async (t) => {
  const made = await Promise.allSettled(clients.map((client) => client.topics.create("once")));
  t.equal(made.filter(({ status }) => status === "fulfilled").length, 1);
  for (const outcome of made) {
    if (outcome.status === "rejected") t.match(outcome.reason, { code: "TOPIC_EXISTS" });
  }
  const consumers = clients.map((client) =>
    client.consume("once", { subscription: "shared", mode: "queue" }, () => {}),
  );
  await until(
    async () => (await describe(at(0), "once", "shared"))?.consumers === clients.length,
    "all consume the subscription that all have made",
  );
  await Promise.all(consumers.map((consumer) => consumer.close()));
});

t.test("patterns see topics of all nodes", async (t) => {
  const subscription = at(0).subscribe("wild.>", { from: "earliest" });
  t.teardown(() => subscription.close());
  await subscription.ready();
  for (let node = 0; node < clients.length; node += 1) {
    await at(node).topics.create(`wild.${node}`);
    await at(node + 1)
      .producer(`wild.${node}`)
      .send({ value: `of ${node}` });
  }
  const records = await take(subscription[Symbol.asyncIterator](), clients.length);
  t.same(
    valuesOf(records)
      .map((value) => Buffer.from(value as Uint8Array).toString())
      .sort(),
    clients.map((_, node) => `of ${node}`),
  );
});

t.test("requests find their responders, and replies their requesters, at any node", async (t) => {
  await at(0).topics.create("questions", { partitions: 3 });
  await t.rejects(at(1).request("questions", "anybody?"), { code: "NO_RESPONDERS" });
  const responder = at(1).respond("questions", ({ value }) => `re: ${Buffer.from(value as Uint8Array)}`);
  for (const client of clients) {
    await until(
      async () => (await describe(client, "questions", "responders"))?.consumers === 1,
      "the responder is known",
    );
    const replies = await inTime(
      Promise.all(Array.from({ length: 20 }, (_, i) => client.request("questions", `question ${i}`))),
      "replies",
    );
    replies.forEach(({ value }, i) => {
      t.equal(Buffer.from(value as Uint8Array).toString(), `re: question ${i}`);
    });
  }
  await responder.close();
});

t.test("members of all nodes share the partitions, and everybody sees who has which", async () => {
  await at(0).topics.create("shared", { partitions: 6 });
  const seen = clients.map(() => 0);
  const consumers = clients.map((client, node) =>
    client.consume("shared", { subscription: "members", mode: "stream" }, () => {
      seen[node] = (seen[node] ?? 0) + 1;
    }),
  );
  for (const client of clients) {
    await until(async () => {
      const found = await describe(client, "shared", "members");
      const holders = new Set(found?.partitions.map(({ consumer }) => consumer));
      return holders.size === clients.length && !holders.has(null);
    }, "every member has partitions");
  }
  const producer = at(1).producer("shared");
  await Promise.all(
    Array.from({ length: 120 }, (_, i) => producer.send({ partition: i % 6, value: `record ${i}` })),
  );
  await until(() => seen.every((count) => count === 120 / clients.length), "each reads its share");
  await Promise.all(consumers.map((consumer) => consumer.close()));
});

async function describe(
  client: Client,
  topic: string,
  name: string,
): Promise<Awaited<ReturnType<Client["subscriptions"]["describe"]>> | undefined> {
  return client.subscriptions.describe(topic, name).catch((error: { code?: unknown }) => {
    if (error.code !== "UNKNOWN_SUBSCRIPTION") throw error;
    return undefined;
  });
}
