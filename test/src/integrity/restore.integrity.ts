// Runs against one process: a restored folder is the same whoever serves it.
import { join } from "node:path";
import type { Client, Gap, PartitionPosition, ReceivedRecord } from "@millrace/client";
import t from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { connectedClient } from "../harness/connected-client.ts";
import { runCommand } from "../harness/millrace-command.ts";
import { take } from "../harness/reading.ts";
import { restoredBroker } from "../harness/restored-broker.ts";
import { TcpRelay } from "../harness/tcp-relay.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { inTime, until } from "../harness/waiting.ts";

t.test("who reads on from the old broker learns that records may be gone", async (t) => {
  const root = temporaryFolder(t);
  const dataDir = join(root, "data");
  const broker = await BrokerProcess.start(t, { dataDir, args: ["--shards", "2"] });
  const client = await connectedClient(t, broker.url);
  await client.topics.create("orders", { partitions: 2 });
  const producer = client.producer("orders");
  await producer.send({ value: "in the backup", partition: 0 });
  t.equal((await runCommand(t, ["backup", join(root, "backup"), "--data", dataDir])).code, 0);
  await producer.send({ value: "seen, and gone with the restore", partition: 0 });
  const reading = client.subscribe("orders", { from: "earliest", untilEnd: true });
  let seen = 0;
  for await (const _ of reading) seen += 1;
  t.equal(seen, 2);
  const [positions, topicId] = [reading.positions(), reading.topicId];
  t.same(positions.find(({ partition }) => partition === 0)?.offset, 2);
  await client.topics.create("later", {});
  const { topicId: laterId } = await client.topics.describe("later");
  await broker.stop();

  const restored = await restoredBroker(t, join(root, "backup"), join(root, "new"));
  const other = await connectedClient(t, restored.url);
  const gaps: Gap[] = [];
  const again = other.subscribe("orders", {
    from: { offsets: positions, topicId },
    onGap: (gap) => gaps.push(gap),
  });
  await again.ready();
  await other.producer("orders").send({ value: "of the new life", partition: 0 });
  const [{ value, offset }] = (await take(again[Symbol.asyncIterator](), 1)) as [ReceivedRecord];
  t.equal(value, "of the new life");
  t.ok(offset > 2, `an offset that was seen is not given to another record: ${offset}`);
  const told = gaps.filter(({ reason }) => reason === "log-epoch").map(({ partition }) => partition);
  t.same(told.sort(), [0, 1], "also of the partition that lost nothing, since nobody can know");
  await other.topics.create("later", {});
  t.not(
    (await other.topics.describe("later")).topicId,
    laterId,
    "ids that somebody may know are not given out",
  );
  const { partitionInfo } = await other.topics.describe("orders");
  const epochs = partitionInfo.map(({ logEpoch }) => logEpoch);
  await restored.stop();
  const restarted = await BrokerProcess.start(t, { dataDir: join(root, "new") });
  const third = await connectedClient(t, restarted.url);
  const after = (await third.topics.describe("orders")).partitionInfo.map(({ logEpoch }) => logEpoch);
  t.same(after, epochs, "the next start raises nothing");
  await restarted.stop();
  const twice = await restoredBroker(t, join(root, "backup"), join(root, "newer"), ["--link"]);
  const fourth = await connectedClient(t, twice.url);
  for (const { logEpoch } of (await fourth.topics.describe("orders")).partitionInfo) {
    t.notOk(epochs.includes(logEpoch), "another restore has another epoch");
  }
});

/** Values of partition 0 by offset, and the gaps that are told on the way, up to the end of the log. */
async function goOn(
  client: Client,
  positions: readonly PartitionPosition[],
  topicId: number | undefined,
): Promise<{ values: string[]; gaps: Gap[]; positions: PartitionPosition[] }> {
  const gaps: Gap[] = [];
  const { highWatermark = 0 } = (await client.topics.describe("orders")).partitionInfo[0] ?? {};
  const reading = client.subscribe("orders", {
    from: { offsets: positions, topicId },
    onGap: (gap) => gaps.push(gap),
  });
  const values: string[] = [];
  const iterator = reading[Symbol.asyncIterator]();
  for (let last = -1; last < highWatermark - 1; ) {
    const { value: record } = await inTime(iterator.next(), `the record at ${highWatermark - 1}`);
    values.push(`${record.value}`);
    last = record.offset;
  }
  // That it was consumed is known once its successor is asked for.
  void iterator.next();
  const stored = JSON.parse(JSON.stringify(reading.positions()));
  await reading.close();
  return { values, gaps, positions: stored };
}

t.test("who has seen one restore of a backup reads all that another one holds", async (t) => {
  const root = temporaryFolder(t);
  const dataDir = join(root, "data");
  const [monday, tuesday] = [join(root, "monday"), join(root, "tuesday")];
  const original = await BrokerProcess.start(t, { dataDir });
  const client = await connectedClient(t, original.url);
  await client.topics.create("orders", {});
  const publish = async (to: Client, name: string, count: number): Promise<void> => {
    const producer = to.producer("orders");
    for (let i = 0; i < count; i += 1) await producer.send({ value: `${name} ${i}` });
    await producer.close();
  };
  await publish(client, "before monday", 3);
  t.equal((await runCommand(t, ["backup", monday, "--data", dataDir])).code, 0);
  await publish(client, "before tuesday", 2);
  t.equal((await runCommand(t, ["backup", tuesday, "--data", dataDir])).code, 0);
  const { topicId } = await client.topics.describe("orders");
  const last = await goOn(client, [{ partition: 0, offset: 0 }], topicId);
  t.equal(last.values.length, 5);

  let next = 0;
  const restore = async (backup: string): Promise<{ broker: BrokerProcess; client: Client }> => {
    // Log epochs after a restore count seconds.
    const second = Math.floor(Date.now() / 1000);
    await until(() => Math.floor(Date.now() / 1000) > second + 1, "it is another second");
    next += 1;
    const broker = await restoredBroker(t, backup, join(root, `restored-${next}`));
    return { broker, client: await connectedClient(t, broker.url) };
  };
  const first = await restore(monday);
  await publish(first.client, "first", 6);
  const inFirst = await goOn(first.client, last.positions, topicId);
  t.same(
    inFirst.values,
    Array.from({ length: 6 }, (_, i) => `first ${i}`),
  );
  t.match(inFirst.gaps, [
    { reason: "log-epoch", fromOffset: 5, toOffset: 3 },
    { reason: "gap", fromOffset: 3, toOffset: 2 ** 30 + 3 },
  ]);
  await first.broker.stop();

  // Its new records stand at offsets that the consumer has passed in the first.
  for (const [backup, ahead, left] of [
    [monday, 4, []],
    [tuesday, 9, ["before tuesday 0", "before tuesday 1"]],
  ] as const) {
    const again = await restore(backup);
    await publish(again.client, "again", ahead);
    const { values, gaps, positions } = await goOn(again.client, inFirst.positions, topicId);
    t.same(
      values,
      [...left, ...Array.from({ length: ahead }, (_, i) => `again ${i}`)],
      "nothing is left out",
    );
    t.match(gaps[0], { reason: "log-epoch", fromOffset: 2 ** 30 + 9, toOffset: 3 });
    const end = 2 ** 30 + 3 + left.length;
    t.match(gaps.slice(1), [{ reason: "gap", fromOffset: 3 + left.length, toOffset: end }]);
    await again.broker.kill();
    const restarted = await BrokerProcess.start(t, { dataDir: join(root, `restored-${next}`) });
    const client = await connectedClient(t, restarted.url);
    await publish(client, "later", 1);
    const later = await goOn(client, positions, topicId);
    t.same(later.values, ["later 0"], "a restart of it changes nothing for its consumers");
    t.same(later.gaps, []);
    await restarted.stop();
  }

  const back = await goOn(client, inFirst.positions, topicId);
  t.same(back.values, ["before tuesday 0", "before tuesday 1"], "in the log of before, too");
  t.match(back.gaps, [{ reason: "log-epoch", fromOffset: 2 ** 30 + 9, toOffset: 3 }]);
});

t.test("a consumer that lives through both restores goes back by itself", async (t) => {
  const root = temporaryFolder(t);
  const [dataDir, backup] = [join(root, "data"), join(root, "backup")];
  const original = await BrokerProcess.start(t, { dataDir });
  const relay = await TcpRelay.start(t, original.port);
  const follower = await connectedClient(t, relay.url);
  const publisher = await connectedClient(t, original.url);
  await publisher.topics.create("orders", {});
  await publisher.producer("orders").send({ value: "in the backup" });
  t.equal((await runCommand(t, ["backup", backup, "--data", dataDir])).code, 0);
  const gaps: string[] = [];
  const records = follower
    .subscribe("orders", {
      from: "earliest",
      onGap: ({ reason, fromOffset, toOffset }) => gaps.push(`${reason} ${fromOffset}-${toOffset}`),
    })
    [Symbol.asyncIterator]();
  t.equal((await take(records, 1))[0]?.value, "in the backup");
  await original.stop();
  const jump = 2 ** 30 + 1;
  for (const name of ["first", "second"]) {
    const second = Math.floor(Date.now() / 1000);
    await until(() => Math.floor(Date.now() / 1000) > second + 1, "it is another second");
    const broker = await restoredBroker(t, backup, join(root, name));
    const producer = (await connectedClient(t, broker.url)).producer("orders");
    for (let i = 0; i < 5; i += 1) await producer.send({ value: `${name} ${i}` });
    relay.targetPort = broker.port;
    const values = (await take(records, 5)).map(({ value }) => value);
    t.same(
      values,
      Array.from({ length: 5 }, (_, i) => `${name} ${i}`),
    );
    await broker.stop();
  }
  t.same(gaps, ["log-epoch 1-1", `gap 1-${jump}`, `log-epoch ${jump + 5}-1`, `gap 1-${jump}`]);
});
