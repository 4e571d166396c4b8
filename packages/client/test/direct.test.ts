import { setTimeout as sleep } from "node:timers/promises";
import { ERROR_CODES, MillraceError } from "@millrace/protocol";
import t, { type Test } from "tap";
import { type Client, connect, type Producer } from "../src/index.ts";
import { FakeBroker, type FakeSession, topicInfo } from "./fake-broker.ts";

const TOPIC = "wide";

interface Cluster {
  /** Where the client connects. */
  readonly entry: FakeBroker;
  readonly owner: FakeBroker;
  readonly client: Client;
  readonly main: FakeSession;
}

/** A topic of two partitions on two shards; the second shard's owner takes clients itself. */
async function startCluster(
  t: Test,
  options: { direct?: boolean; ownerUrl?: (port: number) => string; ownersCluster?: string } = {},
): Promise<Cluster> {
  const entry = await FakeBroker.start();
  const owner = await FakeBroker.start({ clusterId: options.ownersCluster ?? "fake" });
  const described = topicInfo(TOPIC, 2);
  entry.topics.set(TOPIC, {
    ...described,
    partitionInfo: described.partitionInfo?.map((info) => ({ ...info, shard: info.partition })),
    owners: [{ shard: 1, url: options.ownerUrl?.(owner.port) ?? owner.url }],
  });
  const client = await connect(entry.url, {
    reconnectBackoffMinMs: 1,
    ...(options.direct === undefined ? {} : { direct: options.direct }),
  });
  t.teardown(async () => {
    await client.close();
    await entry.stop();
    await owner.stop();
  });
  return { entry, owner, client, main: await entry.session() };
}

/** The session that gets the next PUBLISH. */
async function receiver(sessions: readonly FakeSession[]): Promise<FakeSession> {
  for (;;) {
    const session = sessions.find(({ pending }) => pending.length > 0);
    if (session !== undefined) return session;
    await sleep(1);
  }
}

/** Sends records to the partition with an owner until one takes the straight way; returns that way and how many it took. */
async function openWay(
  { main, owner }: Cluster,
  producer: Producer,
): Promise<{ direct: FakeSession; sent: number; producerId: number }> {
  let direct: FakeSession | undefined;
  for (let sent = 0; ; sent += 1) {
    const result = producer.send({ partition: 1, value: `opening ${sent}` });
    if (direct === undefined) {
      const publish = await main.publish();
      main.ack(publish, sent);
      await result;
      direct = await owner.session();
      continue;
    }
    const session = await receiver([main, direct]);
    const publish = await session.publish();
    t.equal(publish.baseSequence, sent);
    session.ack(publish, sent);
    await result;
    if (session === direct) return { direct, sent: sent + 1, producerId: publish.producerId };
  }
}

t.test(
  "a partition is published to its owner, and by the client's own connection when that is lost",
  async (t) => {
    const cluster = await startCluster(t);
    const { client, main } = cluster;
    const producer = client.producer(TOPIC, { lingerMs: 0 });
    const { direct, sent, producerId } = await openWay(cluster, producer);

    const forwarded = producer.send({ partition: 0, value: "no owner is known" });
    const publish = await main.publish();
    t.same(publish.values, ["no owner is known"]);
    main.ack(publish, 10);
    t.equal((await forwarded).offset, 10);

    const pending = [0, 1, 2].map((i) => producer.send({ partition: 1, value: `pending ${i}` }));
    const unanswered = await direct.publish();
    t.equal(unanswered.producerId, producerId);
    t.equal(unanswered.baseSequence, sent);
    direct.cut();
    const again = await main.publish();
    t.same(again.values, unanswered.values, "what has no answer goes again by the other way");
    t.equal(again.producerId, producerId);
    t.equal(again.baseSequence, sent, "under its sequence, so that it is stored once");
    main.ack(again, 30);
    t.same(
      (await Promise.all(pending)).map(({ offset }) => offset),
      [30, 31, 32],
    );
  },
);

t.test("an owner that is about to stop gets nothing new, and answers what it has", async (t) => {
  const cluster = await startCluster(t);
  const { client, main } = cluster;
  const producer = client.producer(TOPIC, { lingerMs: 0 });
  const { direct, sent } = await openWay(cluster, producer);
  const before = producer.send({ partition: 1, value: "before" });
  const underWay = await direct.publish();
  direct.send("GOAWAY", { code: ERROR_CODES.SERVER_DRAINING.code, name: "SERVER_DRAINING", message: "" });
  direct.send("PING", { nonce: 1 } as never);
  await direct.expect("PONG");
  const after = producer.send({ partition: 1, value: "after" });
  direct.ack(underWay, sent);
  t.equal((await before).offset, sent);
  const publish = await main.publish();
  t.same(publish.values, ["after"]);
  t.equal(publish.baseSequence, sent + 1);
  main.ack(publish, 40);
  t.equal((await after).offset, 40);
});

t.test("what an owner refuses for now goes there again", async (t) => {
  const cluster = await startCluster(t);
  const producer = cluster.client.producer(TOPIC, { lingerMs: 0, retryBackoffMs: 1 });
  const { direct, sent } = await openWay(cluster, producer);
  const result = producer.send({ partition: 1, value: "refused once" });
  direct.refuse(await direct.publish(), new MillraceError("SHARD_RESTARTED", "moving"));
  const again = await direct.publish();
  t.equal(again.baseSequence, sent);
  direct.ack(again, 50);
  t.equal((await result).offset, 50);
});

t.test("what is left of a topic that is gone comes back from an owner that is lost", async (t) => {
  const cluster = await startCluster(t);
  const { client, main } = cluster;
  const producer = client.producer(TOPIC, { lingerMs: 0, batchBytes: 0 });
  const { direct } = await openWay(cluster, producer);
  const refused = producer.send({ partition: 1, value: "refused" });
  const left = producer.send({ partition: 1, value: "left" });
  const first = await direct.publish();
  await direct.publish();
  direct.refuse(first, new MillraceError("TOPIC_DELETED", "gone"));
  await t.rejects(refused, { code: "TOPIC_DELETED" });
  direct.cut();
  const again = await main.publish();
  t.same(again.values, ["left"]);
  main.ack(again, 60);
  t.equal((await left).offset, 60);
});

t.test("of a broker that listens everywhere an owner is where the broker was found", async (t) => {
  const cluster = await startCluster(t, { ownerUrl: (port) => `ws://0.0.0.0:${port}` });
  const { sent } = await openWay(cluster, cluster.client.producer(TOPIC, { lingerMs: 0 }));
  t.ok(sent > 0);
});

t.test("without a way to the owner, or without wanting one, everything goes by one connection", async (t) => {
  const gone = await FakeBroker.start();
  const { url } = gone;
  await gone.stop();
  for (const options of [{ ownerUrl: () => url }, { direct: false }, { ownersCluster: "another" }]) {
    const { client, main, owner } = await startCluster(t, options);
    const producer = client.producer(TOPIC, { lingerMs: 0 });
    for (let i = 0; i < 20; i += 1) {
      const sent = producer.send({ partition: 1, value: String(i) });
      main.ack(await main.publish(), i);
      t.equal((await sent).offset, i);
    }
    if (options.ownersCluster === undefined) {
      t.equal(owner.sessionCount, 0);
      continue;
    }
    // What another broker acknowledged would be lost.
    const stranger = await owner.session();
    await stranger.closed;
    t.same(stranger.pending, []);
  }
});
