import t from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { connectedClient } from "../harness/connected-client.ts";
import { StreamMember } from "../harness/stream-member.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { until } from "../harness/waiting.ts";

const PARTITIONS = 8;
const ARGS = ["--shards", "3"];

const dataDir = temporaryFolder(t);
let broker = await BrokerProcess.start(t, { dataDir, args: ARGS });

async function publish(topic: string, from: number, to: number): Promise<void> {
  const client = await connectedClient(t, broker.url);
  const producer = client.producer(topic);
  for (let i = from; i < to; i += 1) void producer.append({ value: `${i}`, partition: i % PARTITIONS });
  await producer.flush();
  await client.close();
}

async function withTopic(name: string, records: number): Promise<void> {
  const client = await connectedClient(t, broker.url);
  await client.topics.create(name, { partitions: PARTITIONS });
  await client.close();
  await publish(name, 0, records);
}

/** Lets all members work until that is so. */
async function working(members: readonly StreamMember[], what: string, isSo: () => boolean): Promise<void> {
  await until(() => {
    for (const member of members) member.work();
    return isSo();
  }, what);
}

function holds(...members: StreamMember[]): number[] {
  return members.flatMap((member) => [...member.held.keys()]).sort((a, b) => a - b);
}

const ALL = Array.from({ length: PARTITIONS }, (_, partition) => partition);

t.test(
  "two members share the partitions; one dies, and the other goes on from what it had committed",
  async (t) => {
    await withTopic("shared", 400);
    const one = await StreamMember.join(t, broker.url, "shared", "board");
    await working([one], "all records", () => one.records.length === 400);
    t.same(holds(one), ALL);
    t.ok((await one.commit()).outcomes.every(({ outcome }) => outcome === 0));

    const two = await StreamMember.join(t, broker.url, "shared", "board");
    await working([one, two], "an even share", () => one.held.size === 4 && two.held.size === 4);
    t.same(holds(one, two), ALL, "each partition is one's");
    t.ok(
      [...two.held.values()].every(({ startOffset }) => startOffset === 50),
      "what was committed does not come again",
    );
    await publish("shared", 400, 800);
    await working([one, two], "new records", () => one.records.length + two.records.length === 800);
    t.equal(two.records.length, 200);

    two.client.send("DESCRIBE_SUBSCRIPTION", { requestId: 98, topic: "shared", name: "board" });
    const { subscription } = await two.client.next("SUBSCRIPTION");
    t.match(subscription, { mode: "stream", state: { consumers: 2, leased: 0 } });
    t.ok(subscription.state?.partitions.every(({ consumerName }) => consumerName === "raw-client"));

    // Half of it is committed, then there is more, then nothing is heard of it any more.
    await two.commit();
    await publish("shared", 800, 1200);
    await working([one, two], "more records", () => one.records.length + two.records.length === 1200);
    const theirs = [...two.held.keys()];
    two.client.terminate();
    await working([one], "all partitions", () => one.held.size === PARTITIONS && one.records.length === 1000);
    for (const partition of theirs) t.equal(one.held.get(partition)?.startOffset, 100);
    const seen = new Set([...one.records, ...two.records].map(({ value }) => value));
    t.equal(seen.size, 1200, "nothing is missing");
    const last = await one.commit();
    t.same(
      last.outcomes.filter(({ outcome }) => outcome !== 0),
      [],
    );
  },
);

t.test("a member is moved, with all its partitions", async (t) => {
  await withTopic("sought", 80);
  const one = await StreamMember.join(t, broker.url, "sought", "board");
  await working([one], "all records", () => one.records.length === 80);
  await one.commit();
  const before = [...one.held.values()].map(({ epoch }) => epoch);
  const admin = await StreamMember.join(t, broker.url, "sought", "other");
  admin.client.send("SEEK_SUBSCRIPTION", {
    requestId: 99,
    topic: "sought",
    name: "board",
    from: { kind: "offset", offset: 5 },
  });
  await admin.client.next("SUBSCRIPTION");
  await working([one], "what is behind it", () => one.records.length === 80 + PARTITIONS * 5);
  t.ok([...one.held.values()].every(({ epoch }, i) => epoch > (before[i] as number)));
  t.ok((await one.commit()).outcomes.every(({ outcome }) => outcome === 0));
});

t.test("cursors outlive kill -9", async (t) => {
  await withTopic("kept", 80);
  const one = await StreamMember.join(t, broker.url, "kept", "board");
  await working([one], "all records", () => one.records.length === 80);
  await one.commit();
  await publish("kept", 80, 160);
  await working([one], "more records", () => one.records.length === 160);
  const epochs = new Map([...one.held.values()].map(({ partition, epoch }) => [partition, epoch]));
  await broker.kill();
  broker = await BrokerProcess.start(t, { dataDir, args: ARGS });
  const again = await StreamMember.join(t, broker.url, "kept", "board");
  await working([again], "what was not committed", () => again.records.length === 80);
  t.ok(again.records.every(({ offset }) => offset >= 10));
  for (const { partition, epoch } of again.held.values()) t.ok(epoch > (epochs.get(partition) as number));
});
