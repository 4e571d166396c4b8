import { join } from "node:path";
import type { Gap, ReceivedRecord } from "@millrace/client";
import t from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { connectedClient } from "../harness/connected-client.ts";
import { runCommand } from "../harness/millrace-command.ts";
import { take } from "../harness/reading.ts";
import { restoredBroker } from "../harness/restored-broker.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";

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
