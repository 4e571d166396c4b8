import type { Client, Gap } from "@millrace/client";
import t, { type Test } from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { connectedClient } from "../harness/connected-client.ts";
import { offsetsOf, readAll, take, valuesOf } from "../harness/reading.ts";
import { TcpRelay } from "../harness/tcp-relay.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { inTime } from "../harness/waiting.ts";

const RECORDS = 50;

async function publish(client: Client, topic: string, name: string): Promise<number[]> {
  const producer = client.producer(topic);
  const acks = await Promise.all(
    Array.from({ length: RECORDS }, (_, i) => producer.send({ value: `${name} ${i}`, partition: 0 })),
  );
  return acks.map(({ offset }) => offset);
}

async function bounds(client: Client, topic: string): Promise<{ highWatermark: number; logEpoch: number }> {
  const { partitionInfo } = await client.topics.describe(topic);
  const { highWatermark = -1, logEpoch = -1 } = partitionInfo[0] ?? {};
  return { highWatermark, logEpoch };
}

for (const durability of ["memory", "written"] as const) {
  t.test(`${durability}: an unclean stop skips offsets, raises the logEpoch, and says so`, async (t) => {
    const dataDir = temporaryFolder(t);
    let broker = await BrokerProcess.start(t, { dataDir, args: ["--shards", "2"] });
    const relay = await TcpRelay.start(t, broker.port);
    const follower = await connectedClient(t, relay.url);
    let client = await connectedClient(t, broker.url);
    await client.topics.create("weak", { durability });
    await client.topics.create("strong", { durability: "fsynced" });
    const gaps: Gap[] = [];
    const records = follower
      .subscribe("weak", { from: "earliest", onGap: (gap) => gaps.push(gap) })
      [Symbol.asyncIterator]();

    const given = new Set<number>();
    let last = -1;
    let epochBefore = (await bounds(client, "weak")).logEpoch;
    for (let round = 1; round <= 3; round += 1) {
      const offsets = await publish(client, "weak", `round ${round}`);
      await publish(client, "strong", `round ${round}`);
      t.notOk(
        offsets.some((offset) => given.has(offset)),
        "no offset is given twice",
      );
      for (const offset of offsets) given.add(offset);
      t.ok((offsets[0] ?? 0) > last, "offsets only rise");
      last = offsets.at(-1) ?? 0;
      await take(records, RECORDS);

      await broker.kill();
      broker = await BrokerProcess.start(t, { dataDir });
      relay.targetPort = broker.port;
      client = await connectedClient(t, broker.url);
      const after = await bounds(client, "weak");
      t.ok(after.logEpoch > epochBefore, `the logEpoch is ${after.logEpoch} after ${epochBefore}`);
      t.ok(after.highWatermark > last, "what was given out is below the high watermark");
      epochBefore = after.logEpoch;
    }
    const offsets = await publish(client, "weak", "at last");
    const rest = await take(records, RECORDS);
    t.same(offsetsOf(rest), offsets, "the follower goes on behind the gap");
    t.ok(
      gaps.some(({ reason }) => reason === "log-epoch"),
      "and was told that records may be gone",
    );
    t.same(
      await bounds(client, "strong"),
      { highWatermark: 3 * RECORDS, logEpoch: 0 },
      "a fsynced topic has no gap",
    );
    await checkReplay(t, client, offsets);
  });
}

async function checkReplay(t: Test, client: Client, lastOffsets: readonly number[]): Promise<void> {
  const gaps: Gap[] = [];
  const records = await readAll(client, "weak", { onGap: (gap) => gaps.push(gap) });
  // Where each gap ends a record stands, and between the gaps none is missing.
  const offsets = offsetsOf(records);
  t.same(offsets.slice(-RECORDS), lastOffsets);
  let next = 0;
  const unexplained = offsets.filter((offset) => {
    const gap = gaps.find(({ fromOffset, toOffset }) => fromOffset === next && toOffset === offset);
    const isExplained = offset === next || gap !== undefined;
    next = offset + 1;
    return !isExplained;
  });
  t.same(unexplained, [], "every jump of a replay is a reported gap");
  t.ok(
    gaps.every(({ reason }) => reason === "gap"),
    "of offsets that hold no record",
  );
}

t.test("after a clean stop weak topics go on without a gap", async (t) => {
  const dataDir = temporaryFolder(t);
  const first = await BrokerProcess.start(t, { dataDir });
  let client = await connectedClient(t, first.url);
  for (const durability of ["memory", "written"] as const) {
    await client.topics.create(durability, { durability });
    await publish(client, durability, "before");
  }
  const before = await bounds(client, "memory");
  t.equal((await first.stop()).code, 0);

  const second = await BrokerProcess.start(t, { dataDir });
  client = await connectedClient(t, second.url);
  t.same(await bounds(client, "memory"), before);
  for (const topic of ["memory", "written"]) {
    const offsets = await publish(client, topic, "after");
    t.same(
      offsets,
      Array.from({ length: RECORDS }, (_, i) => RECORDS + i),
    );
    const values = valuesOf(await inTime(readAll(client, topic), "all records"));
    t.same([values.length, values[0], values.at(-1)], [2 * RECORDS, "before 0", `after ${RECORDS - 1}`]);
  }
});
