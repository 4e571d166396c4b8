import type { Message } from "@millrace/client";
import { BatchReader } from "@millrace/protocol";
import t, { type Test } from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { connectedClient } from "../harness/connected-client.ts";
import { RawClient } from "../harness/raw-client.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { inTime } from "../harness/waiting.ts";

const PARTITIONS = 16;
const SHARDS = 4;
/** In each partition, and as many again while the first are worked on. */
const BACKLOG = 5;
const TOTAL = PARTITIONS * BACKLOG * 2;
/** Deliveries from one of a partition to the next of it, while it has a backlog: two turns of all. */
const WAIT_MAX = 2 * PARTITIONS;

const broker = await BrokerProcess.start(t, {
  dataDir: temporaryFolder(t),
  args: ["--shards", String(SHARDS)],
});
const client = await connectedClient(t, broker.url);

async function makeTopic(t: Test, topic: string): Promise<void> {
  await client.topics.create(topic, { partitions: PARTITIONS, durability: "written" });
  const { partitionInfo } = await client.topics.describe(topic);
  t.equal(new Set(partitionInfo.map(({ shard }) => shard)).size, SHARDS, "on all shards");
}

/** One batch after the other, in each partition. */
async function publish(topic: string): Promise<void> {
  const producer = client.producer(topic, { lingerMs: 0 });
  for (let i = 0; i < BACKLOG; i += 1) {
    const partitions = Array.from({ length: PARTITIONS }, (_, partition) => partition);
    // In keyed mode each partition has a few keys to choose from.
    await Promise.all(
      partitions.map((partition) => producer.send({ partition, key: `${partition}/${i % 3}`, value: "x" })),
    );
  }
  await producer.close();
}

/** The longest that a partition with a backlog has waited for its turn, in deliveries of others. */
function longestWait(partitions: readonly number[]): number {
  let longest = 0;
  for (let partition = 0; partition < PARTITIONS; partition += 1) {
    let last = -1;
    for (const [at, served] of partitions.entries()) {
      if (served !== partition) continue;
      longest = Math.max(longest, at - last);
      last = at;
    }
  }
  return longest;
}

for (const mode of ["queue", "keyed"] as const) {
  t.test(
    `${mode}: one slot over ${PARTITIONS} partitions is one message at a time, from each in turn`,
    async (t) => {
      const topic = `one-slot-${mode}`;
      await makeTopic(t, topic);
      await publish(topic);
      const raw = await RawClient.connect(t, broker.url);
      const requestId = raw.nextRequestId();
      const create = { mode, from: ["earliest"] };
      const settings = { topic, subscription: "s", mode, slots: 1, creditLimit: 4_000_000 };
      raw.send("CONSUME", { requestId, ...settings, create, extensions: {} });
      const { consumerId } = await raw.next("CONSUMING");
      const served: number[] = [];
      const reader = new BatchReader();
      let publishing: Promise<void> | undefined;
      while (served.length < TOTAL) {
        const { rows } = await raw.next("LEASED");
        const [row] = rows;
        if (row === undefined || rows.length > 1 || row.count !== 1) return t.fail("one message at a time");
        reader.reset(row.batch, 0, row.batch.length);
        if (reader.count !== 1) return t.fail("and no more than it in the frame");
        // Twice, what was sent too much would have come by now.
        await raw.ping();
        if (raw.waiting.length > 0) return t.fail(`${raw.waiting[0]?.name} while the slot was taken`);
        const { partition, leaseEpoch, leaseCounter, baseOffset } = row;
        served.push(partition);
        const token = { partition, leaseEpoch, leaseCounter, firstOffset: baseOffset };
        raw.send("SETTLE", {
          consumerId,
          rows: [{ settleId: served.length, action: 0, ...token, count: 1 }],
        });
        await raw.next("SETTLED");
        if (served.length === TOTAL / 4) publishing = publish(topic);
      }
      await publishing;
      t.ok(
        longestWait(served) <= WAIT_MAX,
        `no partition waited for more than ${longestWait(served)} deliveries`,
      );
      t.equal((await client.subscriptions.describe(topic, "s")).lag, 0);
      raw.terminate();
    },
  );
}

t.test("a handler without further settings has one slot", async (t) => {
  const topic = "one-slot-handler";
  await makeTopic(t, topic);
  await publish(topic);
  await publish(topic);
  const served: number[] = [];
  let atWork = 0;
  let mostAtWork = 0;
  let done: () => void = () => {};
  const finished = new Promise<void>((resolve) => {
    done = resolve;
  });
  const consumer = client.consume(
    topic,
    { subscription: "s", mode: "queue", from: "earliest" },
    async (message: Message) => {
      atWork += 1;
      mostAtWork = Math.max(mostAtWork, atWork);
      served.push(message.partition);
      const { leased } =
        served.length % 50 === 0 ? await client.subscriptions.describe(topic, "s") : { leased: 1 };
      if (leased !== 1) t.fail(`${leased} are leased`);
      atWork -= 1;
      if (served.length === TOTAL) done();
    },
  );
  await inTime(finished, "everything to be handled");
  t.equal(mostAtWork, 1);
  t.ok(
    longestWait(served) <= WAIT_MAX,
    `no partition waited for more than ${longestWait(served)} deliveries`,
  );
  await consumer.close();
});
