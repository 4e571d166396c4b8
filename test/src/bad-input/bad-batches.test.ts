import { BatchBuilder, BatchReader, crc32, type FrameValues, FrameWriter, LIMITS } from "@millrace/protocol";
import t, { type Test } from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { connectedClient } from "../harness/connected-client.ts";
import { publishFrame, RawClient } from "../harness/raw-client.ts";
import { readAll, valuesOf } from "../harness/reading.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { Witness } from "../harness/witness.ts";

const PUBLISH = 16;

const broker = await BrokerProcess.start(t, { dataDir: temporaryFolder(t) });
const witness = await Witness.start(t, broker);
const client = await RawClient.connect(t, broker.url);

/** The parts of a PUBLISH frame, each of which may lie. */
interface BatchParts {
  readonly version?: number;
  readonly flags?: number;
  readonly codec?: number;
  readonly count?: number;
  readonly uncompressedBytes?: number;
  readonly schemaId?: number;
  readonly records?: Uint8Array;
  /** "right" unless stated; null leaves it to the broker. */
  readonly checksum?: number | null;
}

function recordsOf(...values: readonly string[]): Uint8Array {
  const builder = new BatchBuilder(LIMITS.batchBytesMax);
  for (const value of values) builder.appendValue(value);
  // Behind the head of 20 bytes, before the checksum of 5.
  return builder.finish().slice(20, -5);
}

function batchOf(parts: BatchParts): Uint8Array {
  const records = parts.records ?? recordsOf("a", "b");
  const writer = new FrameWriter();
  writer.arrayHeader(7);
  writer.uint(parts.version ?? 1);
  writer.uint(parts.flags ?? 0);
  writer.uint(parts.codec ?? 0);
  writer.uint(parts.count ?? 2);
  writer.uint(parts.uncompressedBytes ?? records.length);
  writer.uint(parts.schemaId ?? 0);
  writer.bin(records);
  return writer.take();
}

function frameOf(topicId: number, sequence: number, parts: BatchParts, partition: number = 0): Uint8Array {
  const batch = batchOf(parts);
  const writer = new FrameWriter();
  writer.arrayHeader(8);
  for (const field of [PUBLISH, topicId, partition, 0, 0, sequence]) writer.uint(field);
  writer.raw(batch);
  const { checksum = crc32(batch, 0, batch.length) } = parts;
  if (checksum === null) writer.nil();
  else writer.u32(checksum);
  return writer.take();
}

let nextSequence = 0;

/** Publishes what must be refused; the session goes on. */
async function refused(
  t: Test,
  topicId: number,
  parts: BatchParts,
  codes: readonly string[],
  title: string,
  partition: number = 0,
): Promise<FrameValues["ERROR"]> {
  const sequence = nextSequence++;
  await client.publish(frameOf(topicId, sequence, parts, partition));
  const error = await client.next("ERROR");
  t.ok(codes.includes(error.name), `${title}: ${error.name}`);
  t.match(error, {
    requestId: undefined,
    details: { topicId, partition, producerId: 0, firstSequence: sequence },
  });
  await client.ping();
  return error;
}

t.test("batches that lie about themselves", async (t) => {
  const { topicId } = await client.createTopic("lies");
  const lie = (parts: BatchParts, codes: readonly string[], title: string): Promise<unknown> =>
    refused(t, topicId, parts, codes, title);
  const two = recordsOf("a", "b");
  const invalid = ["INVALID_BATCH"];
  const counted = ["COUNT_MISMATCH"];

  await lie({ count: 1 }, counted, "one record less than there are");
  await lie({ count: 3 }, counted, "one record more than there are");
  await lie({ count: 2 ** 31 }, counted, "2^31 records");
  await lie({ count: 2 ** 32 - 1 }, counted, "2^32-1 records");
  await lie({ count: 0 }, invalid, "no record, it says");
  await lie({ count: 0, records: new Uint8Array(0) }, invalid, "no record at all");
  await lie({ checksum: 0 }, ["CHECKSUM_MISMATCH"], "a checksum of zero");
  await lie({ checksum: 0xffff_ffff }, ["CHECKSUM_MISMATCH"], "a checksum of ones");
  await lie({ records: two.subarray(0, -1) }, invalid, "the last record is cut off");
  await lie(
    { records: Buffer.concat([two, Buffer.from([0xc4])]) },
    invalid,
    "half a head behind the last record",
  );
  await lie(
    { records: Buffer.concat([two, Buffer.from([0xc6, 0xff, 0xff, 0xff, 0xff])]) },
    invalid,
    "a record of 4 GiB",
  );
  await lie(
    { records: Buffer.concat([two, Buffer.from([0xc6, 0x7f, 0xff, 0xff, 0xff])]) },
    invalid,
    "a record of 2 GiB",
  );
  await lie({ records: Buffer.from("not records at all") }, invalid, "bytes of no meaning");
  await lie(
    { count: 4, records: Buffer.concat([two, Buffer.from([0x01, 0x02])]) },
    invalid,
    "integers instead of records",
  );

  const unsupported = ["UNSUPPORTED_FEATURE"];
  await lie({ version: 2 }, unsupported, "a batch of version 2");
  await lie({ codec: 1 }, unsupported, "a compressed batch");
  await lie({ schemaId: 5 }, unsupported, "a batch with a schema");
  for (const [name, flag] of Object.entries({
    DELIVER_AT: 4,
    TTL: 8,
    PRIORITY: 16,
    DEDUP_ID: 32,
    unknown: 256,
  })) {
    await lie({ flags: flag }, unsupported, `the flag ${name}`);
  }
  const large = recordsOf("x".repeat(LIMITS.recordBytesMax - 9));
  await client.publish(frameOf(topicId, nextSequence++, { count: 1, records: large }));
  t.match(await client.next("ACK"), { ranges: [{ baseOffset: 0 }] }, "the largest record is taken");
  // One byte more in the value, and in the length of the record that holds it.
  const larger = Buffer.concat([large, Buffer.from([0x78])]);
  larger.writeUInt32BE(LIMITS.recordBytesMax + 1, 1);
  await lie({ count: 1, records: larger }, ["RECORD_TOO_LARGE"], "a record above the limit");

  await client.publish(frameOf(topicId, nextSequence++, { checksum: null }));
  t.match(await client.next("ACK"), { ranges: [{ baseOffset: 1, count: 2 }] }, "without a checksum");
  const reader = await connectedClient(t, broker.url);
  const stored = await readAll(reader, "lies");
  t.same(
    valuesOf(stored).slice(1),
    ["a", "b"],
    "only what was acknowledged is stored, with a checksum that holds",
  );
  await client.subscribe("lies", { kind: "offset", offset: 1 }, 1000);
  const [entry] = (await client.next("DELIVER")).entries;
  t.equal(entry?.checksum, crc32(entry?.batch ?? new Uint8Array(0), 0, entry?.batch.length ?? 0));
  new BatchReader().reset(entry?.batch ?? new Uint8Array(0), 0, entry?.batch.length ?? 0);
});

t.test("publishes to what is not there", async (t) => {
  const { topicId } = await client.createTopic("there", { partitions: 2 });
  await refused(t, topicId, {}, ["UNKNOWN_PARTITION"], "partition 2 of 2", 2);
  await refused(t, topicId, {}, ["UNKNOWN_PARTITION"], "partition 2^31", 2 ** 31);
  await refused(t, topicId + 1, {}, ["UNKNOWN_TOPIC"], "a topic that will be there next");
  await refused(t, 2 ** 32 - 1, {}, ["UNKNOWN_TOPIC"], "topic 2^32-1");
  await refused(t, 0, {}, ["UNKNOWN_TOPIC"], "the broker's own catalog");
  client.send("DELETE_TOPIC", { requestId: 1, topic: "there" });
  await client.next("TOPIC_DELETED");
  await refused(t, topicId, {}, ["UNKNOWN_TOPIC", "TOPIC_DELETED"], "a topic that was deleted");
});

/** Runs of acknowledged sequences of a producer and partition whose offsets the broker still knows. */
const REMEMBERED_RUNS = 64;

t.test("sequences that do not follow", async (t) => {
  const { topicId } = await client.createTopic("sequences");
  const publish = async (
    producerId: number,
    producerEpoch: number,
    sequence: number,
    ...values: string[]
  ): Promise<string> => {
    const records = values.map((value) => ({ value }));
    await client.publish(publishFrame({ topicId, producerId, producerEpoch, sequence, records }));
    await client.ping();
    for (;;) {
      const answer = client.waiting.find(({ name }) => name === "ACK" || name === "ERROR");
      if (answer?.name === "ACK") {
        const [range] = (await client.next("ACK")).ranges;
        return `ACK ${range?.firstSequence} x${range?.count} @${range?.baseOffset}`;
      }
      if (answer?.name === "ERROR") return (await client.next("ERROR")).name;
      await client.ping();
    }
  };
  t.equal(await publish(5, 0, 3, "x"), "UNKNOWN_PRODUCER", "a new producer begins with 0");
  t.equal(await publish(5, 0, 0, "a", "b"), "ACK 0 x2 @0");
  t.equal(await publish(5, 0, 3, "d"), "OUT_OF_SEQUENCE", "a gap");
  t.equal(await publish(5, 0, 1, "b", "c"), "OUT_OF_SEQUENCE", "half of it is new");
  t.equal(await publish(5, 0, 2, "c"), "ACK 2 x1 @2");
  t.equal(await publish(5, 0, 0, "a", "b"), "ACK 0 x2 @0", "the same again has the same offsets");
  t.equal(await publish(5, 0, 1, "b"), "ACK 1 x1 @1", "a part of it too");
  t.equal(await publish(6, 9, 0, "other"), "ACK 0 x1 @3");
  t.equal(await publish(5, 0, 3, "d"), "ACK 3 x1 @4");
  t.equal(await publish(5, 1, 4, "e"), "OUT_OF_SEQUENCE", "a new epoch begins with 0");
  t.equal(await publish(5, 1, 0, "e"), "ACK 0 x1 @5");
  t.equal(await publish(5, 0, 4, "late"), "PRODUCER_FENCED", "the old epoch is over");
  t.equal(await publish(0, 0, 77, "free"), "ACK 77 x1 @6", "producer 0 is not checked");
  t.equal(await publish(0, 0, 77, "free"), "ACK 77 x1 @7");

  // Two producers in turn: each batch is a run of its own, and only so many are remembered.
  const rounds = REMEMBERED_RUNS + 10;
  for (let i = 0; i < rounds; i += 1) {
    await publish(21, 0, i, `first ${i}`);
    await publish(22, 0, i, `second ${i}`);
  }
  t.equal(await publish(21, 0, 0, "first 0"), "DUPLICATE_SEQUENCE", "stored, too long ago to say where");
  t.equal(await publish(21, 0, rounds - REMEMBERED_RUNS, "again"), `ACK 10 x1 @28`);
  const reader = await connectedClient(t, broker.url);
  const values = valuesOf(await readAll(reader, "sequences"));
  t.same(values.slice(0, 8), ["a", "b", "c", "other", "d", "e", "free", "free"]);
  t.equal(values.length, 8 + 2 * rounds);
});

t.test("the others have noticed nothing of all that", (t) => witness.check(t, "after bad batches"));
