import type { ReceivedRecord } from "@millrace/client";
import { LIMITS } from "@millrace/protocol";
import t from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { connectedClient } from "../harness/connected-client.ts";
import { publishFrame, RawClient } from "../harness/raw-client.ts";
import { readAll, take } from "../harness/reading.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { nameOfValue, recordValue } from "../harness/test-records.ts";
import { inTime, until } from "../harness/waiting.ts";

const MIB = 1024 * 1024;

const broker = await BrokerProcess.start(t, { dataDir: temporaryFolder(t) });
const client = await connectedClient(t, broker.url);

/** Follows one partition each: every offset once, in order, and in it what was sent. */
class OrderCheck {
  readonly #next: Map<number, number> = new Map();
  readonly problems: string[] = [];
  seen = 0;

  add(record: ReceivedRecord): void {
    const { partition, offset, value } = record;
    const expected = this.#next.get(partition) ?? 0;
    if (offset !== expected)
      this.problems.push(`partition ${partition}: offset ${offset} instead of ${expected}`);
    const { producer, sequence } = nameOfValue(value as Uint8Array);
    if (producer !== `p${partition}` || sequence !== offset) {
      this.problems.push(`partition ${partition} offset ${offset}: ${producer}:${sequence}`);
    }
    this.#next.set(partition, offset + 1);
    this.seen += 1;
  }
}

t.test("from the past to the present without a gap or a repeat, while publishing goes on", async (t) => {
  const topic = "catch-up";
  const partitions = 3;
  const preloaded = 20_000;
  const total = 80_000;
  await client.topics.create(topic, { partitions, durability: "written" });
  const producer = client.producer(topic, { batchBytes: 8192 });
  const send = async (from: number, to: number): Promise<void> => {
    for (let i = from; i < to; i += 1) {
      if (!producer.hasRoom) await producer.room();
      const partition = i % partitions;
      void producer.append({
        partition,
        value: recordValue(`p${partition}`, Math.floor(i / partitions), 100),
      });
      // The consumers live in this process too.
      if (i % 500 === 0) await new Promise(setImmediate);
    }
    await producer.flush();
  };
  await send(0, preloaded);

  const readers = await Promise.all([0, 1, 2].map(() => connectedClient(t, broker.url)));
  const checks = readers.map(() => new OrderCheck());
  const read = async (index: number): Promise<void> => {
    const check = checks[index] as OrderCheck;
    for await (const record of (readers[index] ?? client).subscribe(topic, { from: "earliest" })) {
      check.add(record);
      if (check.seen === total) break;
    }
  };
  const sending = send(preloaded, total);
  const reading = [read(0), read(1)];
  await until(() => (checks[0]?.seen ?? 0) > preloaded, "the first consumer has caught up");
  reading.push(read(2));
  await sending;
  await inTime(Promise.all(reading), "all consumers to read everything");
  for (const check of checks) t.same(check.problems.slice(0, 5), []);
});

t.test("a consumer that does not read costs nobody else anything", async (t) => {
  const topic = "slow-and-fast";
  const total = 48;
  await client.topics.create(topic, { durability: "written" });
  const slow = await connectedClient(t, broker.url);
  const deaf = await RawClient.connect(t, broker.url);
  await deaf.subscribe(topic, { kind: "earliest" }, 1024 * MIB);
  // Its credit is endless, and it never reads from its socket.
  deaf.pause();

  // The smallest window: the broker may send 2 MiB, then has to wait.
  const slowRecords = slow.subscribe(topic, { from: "earliest", windowBytes: 1 })[Symbol.asyncIterator]();
  const fast = client.subscribe(topic, { from: "earliest" });
  await fast.ready();
  const producer = client.producer(topic);
  const sent = Array.from({ length: total }, (_, i) =>
    producer.send({ value: recordValue("p0", i, 900_000) }),
  );
  const [first] = await take(slowRecords, 1);
  const check = new OrderCheck();
  await inTime(Promise.all(sent), "the producer");
  for await (const record of fast) {
    check.add(record);
    if (check.seen === total) break;
  }
  t.same(check.problems, [], "the fast one has everything while the slow one has taken one record");
  t.ok(broker.rssBytes() < 300 * MIB, `resident: ${Math.round(broker.rssBytes() / MIB)} MiB`);

  const slowCheck = new OrderCheck();
  if (first !== undefined) slowCheck.add(first);
  for (const record of await take(slowRecords, total - 1)) slowCheck.add(record);
  t.same(slowCheck.problems, [], "the slow one gets everything too, when it wants it");
  deaf.resume();
  await until(
    () => deaf.history.some(({ frame }) => frame.name === "DELIVER" && frame.value.nextOffset === total),
    "the deaf one hears all",
  );
});

t.test("many small batches leave as one frame", async (t) => {
  const raw = await RawClient.connect(t, broker.url);
  const { topicId } = await raw.createTopic("small", { durability: "written" });
  const burst = 40;
  const reader = await RawClient.connect(t, broker.url);
  await reader.subscribe("small", { kind: "latest" }, 64 * MIB);
  await reader.ping();
  // A broker that is quicker than the publisher, or is given the processor after each batch, has nothing to join.
  let publishes = 0;
  const offsets: number[] = [];
  let frames = burst;
  for (let bursts = 0; frames >= burst && bursts < 50; bursts += 1) {
    for (const end = publishes + burst; publishes < end; publishes += 1) {
      const records = [{ value: `v${publishes}` }];
      await raw.publish(publishFrame({ topicId, sequence: publishes, records }));
    }
    const live = await entriesUpTo(reader, publishes);
    offsets.push(...live.offsets);
    frames = live.frames;
  }
  t.same(
    offsets,
    Array.from({ length: publishes }, (_, i) => i),
  );
  t.ok(frames < burst, `${burst} batches came live in ${frames} frames`);

  const late = await RawClient.connect(t, broker.url);
  await late.subscribe("small", { kind: "earliest" }, 64 * MIB);
  const replayed = await entriesUpTo(late, publishes);
  t.same(replayed.offsets, offsets);
  t.equal(replayed.frames, 1, "and are replayed in one");
});

async function entriesUpTo(client: RawClient, end: number): Promise<{ offsets: number[]; frames: number }> {
  const offsets: number[] = [];
  for (let frames = 1; ; frames += 1) {
    const { entries, nextOffset } = await client.next("DELIVER");
    offsets.push(...entries.map(({ baseOffset }) => baseOffset));
    if (nextOffset >= end) return { offsets, frames };
  }
}

t.test("a subscription gets no more than its credit", async (t) => {
  const raw = await RawClient.connect(t, broker.url);
  const { topicId } = await raw.createTopic("credit", { durability: "written" });
  const value = recordValue("credit", 0, 10_000);
  const count = 50;
  for (let i = 0; i < count; i += 1)
    await raw.publish(publishFrame({ topicId, sequence: i, records: [{ value }] }));
  for (let acked = 0; acked < count; ) {
    acked = (await raw.next("ACK")).ranges.reduce((sum, range) => sum + range.count, acked);
  }

  let limit = 64_000;
  const reader = await RawClient.connect(t, broker.url);
  const { subscriptionId } = await reader.subscribe("credit", { kind: "earliest" }, limit);
  let received = 0;
  let nextOffset = 0;
  while (nextOffset < count) {
    // Whatever it sends now it has sent before it answers.
    await reader.ping();
    await reader.ping();
    const frames = reader.waiting.filter(({ name }) => name === "DELIVER").length;
    for (let i = 0; i < frames; i += 1) {
      const { value: frame, byteLength } = await reader.nextWithSize("DELIVER");
      received += byteLength;
      nextOffset = frame.nextOffset;
    }
    if (received > limit) break;
    if (frames === 0 && limit - received > 20_000) continue;
    limit += 32_000;
    reader.send("FLOW", { subscriptionId, creditLimit: limit });
  }
  t.equal(nextOffset, count);
  t.ok(received <= limit, `${received} bytes of ${limit}`);
  t.ok(limit - received < 100_000, "and it uses what it is given");
});

t.test("a batch that no credit of the client can hold is named", async (t) => {
  const raw = await RawClient.connect(t, broker.url);
  const { topicId } = await raw.createTopic("too-small");
  await raw.publish(publishFrame({ topicId, records: [{ value: recordValue("x", 0, 100_000) }] }));
  await raw.next("ACK");
  const { subscriptionId } = await raw.subscribe("too-small", { kind: "earliest" }, 50_000);
  const error = await raw.next("ERROR");
  t.match(error, { name: "CREDIT_TOO_SMALL", code: 54, details: { subscriptionId, partition: 0 } });
  raw.send("FLOW", { subscriptionId, creditLimit: Number(error.details.neededBytes) });
  t.equal((await raw.next("DELIVER")).nextOffset, 1, "it goes on as soon as there is enough");

  raw.send("UNSUBSCRIBE", { requestId: 99, subscriptionId });
  t.match(await raw.next("UNSUBSCRIBED"), { requestId: 99, subscriptionId });
  await raw.publish(publishFrame({ topicId, sequence: 1, records: [{ value: "unseen" }] }));
  await raw.next("ACK");
  await raw.ping();
  t.notOk(
    raw.waiting.some(({ name }) => name === "DELIVER"),
    "nothing comes after the end",
  );
});

t.test("a batch of the largest frame travels", async (t) => {
  const raw = await RawClient.connect(t, broker.url);
  const { topicId } = await raw.createTopic("largest-frame");
  const values = [recordValue("part", 0, 1_000_000), recordValue("part", 1, 1_000_000)];
  const frameOf = (): Uint8Array => publishFrame({ topicId, records: values.map((value) => ({ value })) });
  // What is left, less the head and envelope of one more record.
  values.push(recordValue("part", 2, LIMITS.batchBytesMax - frameOf().length - 10));
  const frame = frameOf();
  t.ok(frame.length > LIMITS.batchBytesMax - 100 && frame.length <= LIMITS.frameBytesMax);
  await raw.publish(frame);
  t.match(await raw.next("ACK"), { ranges: [{ baseOffset: 0, count: 3 }] });
  const records = await readAll(client, "largest-frame");
  t.ok(
    values.every((value, i) => value.equals(records[i]?.value as Uint8Array)),
    "byte for byte",
  );
});
