import t from "tap";
import { connectedClient } from "../harness/connected-client.ts";
import { startCrashableBroker } from "../harness/crashable-broker.ts";
import { StreamMember } from "../harness/stream-member.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { pauseMs, until } from "../harness/waiting.ts";

const SHARDS = 4;
const PARTITIONS = 12;
const CRASHES = 4;

// Home shards and partitions' shards die under members that come and go: in the end every record was processed by one
// that held its partition, and the cursors stand at the ends.
t.test("members of a stream subscription outlive their shards", async (t) => {
  const { broker, node } = await startCrashableBroker(t, temporaryFolder(t), SHARDS, 2);
  const client = await connectedClient(t, broker.url);
  await client.topics.create("flights", { partitions: PARTITIONS });
  const members = [await StreamMember.join(t, broker.url, "flights", "board")];
  const all: StreamMember[] = [...members];
  const producer = client.producer("flights");
  let sent = 0;
  const publish = (records: number): void => {
    for (let i = 0; i < records; i += 1, sent += 1) {
      void producer.append({ value: `${sent}`, partition: sent % PARTITIONS });
    }
  };
  const work = async (ms: number): Promise<void> => {
    for (let spentMs = 0; spentMs < ms; spentMs += 20) {
      publish(10);
      for (const member of members) {
        member.work();
        member.commitSoon();
      }
      await pauseMs(20);
    }
  };
  for (let crash = 0; crash < CRASHES; crash += 1) {
    const member = await StreamMember.join(t, broker.url, "flights", "board");
    members.push(member);
    all.push(member);
    await work(120);
    await node.crashShardThread(crash % SHARDS);
    await work(200);
    if (members.length > 3) members.shift()?.client.terminate();
  }
  await producer.flush();
  await until(() => {
    for (const member of members) member.work();
    const held = members.flatMap((member) => [...member.held.keys()]);
    const ends = members.flatMap((member) => [...member.held.values()].map(({ next }) => next));
    return new Set(held).size === PARTITIONS && ends.reduce((sum, next) => sum + next, 0) === sent;
  }, "everything is processed");
  const values = new Set(all.flatMap((member) => member.records.map(({ value }) => value)));
  t.equal(values.size, sent, "nothing is missing");
  t.same(
    members.flatMap((member) => [...member.held.keys()]).sort((a, b) => a - b),
    Array.from({ length: PARTITIONS }, (_, partition) => partition),
    "each partition is one's",
  );
  const [topic] = [...node.topics()].filter(({ name }) => name === "flights");
  const subscription = node.subscription(topic?.topicId ?? 0, "board");
  for (const member of members) member.commitSoon();
  await until(async () => {
    const states = subscription === undefined ? [] : await node.subscriptionState(subscription);
    return states.reduce((sum, { position }) => sum + position, 0) === sent;
  }, "the cursors stand at the ends");
});
