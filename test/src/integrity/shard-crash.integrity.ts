import type { Client, Gap, PublishResult, ReceivedRecord } from "@millrace/client";
import t from "tap";
import { connectedClient } from "../harness/connected-client.ts";
import { type CrashableBroker, startCrashableBroker } from "../harness/crashable-broker.ts";
import { PublishingLoad } from "../harness/publishing-load.ts";
import { publishFrame, RawClient } from "../harness/raw-client.ts";
import { byPartition, offsetsOf, readAll, valuesOf } from "../harness/reading.ts";
import { SeededRandom, seedOf } from "../harness/seeded-random.ts";
import { problemsOfLog } from "../harness/stored-log.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { recordValue } from "../harness/test-records.ts";
import { inTime, pauseMs, until } from "../harness/waiting.ts";

const SHARDS = 4;
/** Shard s runs on thread s % THREADS: what dies with one leaves the other. */
const THREADS = 2;
const PARTITIONS = 8;
/** One of thread 0. */
const DOOMED_SHARD = 0;

/** Partitions of the topic by the thread that they live on: doomed ones, spared ones. */
async function partitionsByThread(client: Client, topic: string): Promise<[number[], number[]]> {
  const threads: [number[], number[]] = [[], []];
  for (const { partition, shard } of (await client.topics.describe(topic)).partitionInfo) {
    threads[(shard % THREADS) as 0 | 1].push(partition);
  }
  return threads;
}

async function crash({ node, restarts }: CrashableBroker, shardId: number): Promise<void> {
  const before = restarts();
  await node.crashShardThread(shardId);
  await until(() => restarts() > before, "the shard thread is back");
}

t.test("publishes in flight fail as retriable, and are stored once when they are sent again", async (t) => {
  const crashable = await startCrashableBroker(t, temporaryFolder(t), SHARDS, THREADS);
  const { broker } = crashable;
  const client = await connectedClient(t, broker.url);
  const { topicId } = await client.topics.create("crashed", { partitions: PARTITIONS });
  const [doomed, spared] = await partitionsByThread(client, "crashed");
  const [partition, other] = [doomed[0] as number, spared[0] as number];

  const raw = await RawClient.connect(t, broker.url);
  const bystander = await RawClient.connect(t, broker.url);
  const value = (sequence: number): Buffer => recordValue("crash", sequence, 4000);
  const publish = (sequence: number): Promise<void> =>
    raw.publish(
      publishFrame({ topicId, partition, producerId: 11, sequence, records: [{ value: value(sequence) }] }),
    );
  const acked = (): Set<number> => sequencesOf(raw);
  let count = 0;
  const crashing = crash(crashable, DOOMED_SHARD);
  // Goes on until the first is lost: some are under way when the thread dies, or come while there is none.
  while (!raw.waiting.some(({ name }) => name === "ERROR")) {
    await publish(count++);
    await raw.ping();
  }
  await crashing;
  await raw.ping();
  const errors = raw.waiting.flatMap((frame) => (frame.name === "ERROR" ? [frame.value] : []));
  t.match(errors[0], { code: 41, name: "SHARD_RESTARTED", retriable: true, details: { topicId, partition } });
  t.ok(
    errors.every(({ retriable }) => retriable),
    "all that failed may be sent again",
  );
  t.ok(acked().size < count, `${acked().size} of ${count} were acknowledged`);

  // In order, from the first without an ack, as the protocol asks for.
  for (let sequence = acked().size; sequence < count; sequence += 1) await publish(sequence);
  await until(() => acked().size === count, "the rest to be acknowledged");
  const records = byPartition(await readAll(client, "crashed")).get(partition) ?? [];
  t.same(
    offsetsOf(records),
    Array.from({ length: count }, (_, i) => i),
  );
  t.ok(records.every((record, i) => value(i).equals(record.value as Uint8Array)));

  await bystander.publish(publishFrame({ topicId, partition: other, records: [{ value: "elsewhere" }] }));
  t.match(await bystander.next("ACK"), { ranges: [{ partition: other, count: 1 }] });
  t.same(bystander.waiting, [], "who works with other shards has heard nothing");
});

/** Every sequence that was acknowledged so far. */
function sequencesOf(client: RawClient): Set<number> {
  const sequences = new Set<number>();
  for (const { frame } of client.history) {
    if (frame.name !== "ACK") continue;
    for (const { firstSequence, count } of frame.value.ranges) {
      for (let i = 0; i < count; i += 1) sequences.add(firstSequence + i);
    }
  }
  return sequences;
}

t.test("the SDK survives crashes of shard threads under load", async (t) => {
  const random = new SeededRandom(seedOf(t));
  const crashable = await startCrashableBroker(t, temporaryFolder(t), SHARDS, THREADS);
  const { broker } = crashable;
  const client = await connectedClient(t, broker.url);
  await client.topics.create("loaded", { partitions: PARTITIONS });
  const gaps: Gap[] = [];
  const followed: ReceivedRecord[] = [];
  const follower = await connectedClient(t, broker.url);
  const subscription = follower.subscribe("loaded", { from: "earliest", onGap: (gap) => gaps.push(gap) });
  void (async () => {
    for await (const record of subscription) followed.push(record);
  })();
  const load = new PublishingLoad(
    [0, 1, 2].map((i) => ({
      name: `p${i}`,
      client,
      topic: "loaded",
      partitions: PARTITIONS,
      valueBytesMax: 100_000,
    })),
    random,
  );
  for (let round = 0; round < 4; round += 1) {
    const before = load.acked.length;
    load.run();
    await until(() => load.acked.length > before + 300, "acks");
    await pauseMs(random.below(50));
    await crash(crashable, random.below(SHARDS));
    await load.settle();
  }
  t.same(load.failed, []);
  const records = await readAll(client, "loaded");
  t.same(problemsOfLog(records, load.acked, [], { isComplete: true }).slice(0, 10), []);
  t.equal(records.length, load.acked.length, "each record once");
  await until(() => followed.length >= records.length, "the follower has everything");
  t.same(
    problemsOfLog(followed, load.acked, gaps, { isComplete: true }).slice(0, 10),
    [],
    "a follower saw each once",
  );
  t.equal((await broker.status()).failedShards.length, 0);
});

t.test("clients of other shards see nothing of a crash", async (t) => {
  const crashable = await startCrashableBroker(t, temporaryFolder(t), SHARDS, THREADS);
  const { broker } = crashable;
  const client = await connectedClient(t, broker.url);
  await client.topics.create("apart", { partitions: PARTITIONS });
  const [doomed, spared] = await partitionsByThread(client, "apart");
  const noises: string[] = [];
  const happy = await connectedClient(t, broker.url);
  happy.on("disconnected", (error) => noises.push(`disconnected: ${error.message}`));
  happy.on("gap", (gap) => noises.push(`gap: ${JSON.stringify(gap)}`));
  const seen: ReceivedRecord[] = [];
  const subscription = happy.subscribe("apart", { from: "earliest", partitions: spared });
  void (async () => {
    for await (const record of subscription) seen.push(record);
  })();
  await subscription.ready();

  const producer = happy.producer("apart");
  let isDone = false;
  const acks: PublishResult[] = [];
  const publishing = (async () => {
    for (let i = 0; !isDone; i += 1) {
      acks.push(await producer.send({ value: i, partition: spared[i % spared.length] }));
    }
  })();
  for (let i = 0; i < 2; i += 1) await crash(crashable, DOOMED_SHARD);
  isDone = true;
  await inTime(publishing, "the publishes to other shards");
  t.same(noises, []);
  await until(() => seen.length === acks.length, "all of it was delivered");
  t.same(
    valuesOf(seen).sort(byNumber),
    acks.map((_, i) => i),
  );

  const [first] = doomed;
  const again = await client.producer("apart").send({ value: "back", partition: first });
  t.match(again, { partition: first, offset: 0 }, "the crashed shards serve again");
});

function byNumber(a: unknown, b: unknown): number {
  return (a as number) - (b as number);
}

t.test("weak topics after a crash of their shard thread", async (t) => {
  const crashable = await startCrashableBroker(t, temporaryFolder(t), 2, 1);
  const client = await connectedClient(t, crashable.broker.url);
  await client.topics.create("weak", { durability: "memory" });
  const producer = client.producer("weak");
  const before = await producer.send({ value: "before" });
  const gaps: Gap[] = [];
  const records = client
    .subscribe("weak", { from: "earliest", onGap: (gap) => gaps.push(gap) })
    [Symbol.asyncIterator]();
  await inTime(records.next(), "the first record");
  await crash(crashable, 0);
  const after = await inTime(producer.send({ value: "after" }), "a publish after the crash");
  t.ok(after.offset > before.offset, "no offset is given twice");
  t.ok(after.logEpoch > before.logEpoch, "the logEpoch is raised");
  const next = await inTime(records.next(), "the record behind the gap");
  t.match(next.value, { value: "after", offset: after.offset });
  t.ok(gaps.length > 0, "and the gap is reported");
});
