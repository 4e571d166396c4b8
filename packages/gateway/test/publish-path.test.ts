import { crc32, DURABILITY, ERROR_CODES, encodePublish, FrameWriter, LIMITS } from "@millrace/protocol";
import t from "tap";
import { publishFrame, storedBatch } from "./support/batches.ts";
import { InMemoryGateway } from "./support/in-memory.ts";

const CHECKSUM_TRAILER_BYTES = 5;

/** A PUBLISH frame with every part of the caller's choice. */
function frameOf(
  topicId: number,
  options: { batch?: Uint8Array; checksum?: number; extra?: boolean } = {},
): Uint8Array {
  const writer = new FrameWriter();
  const batch = options.batch ?? storedBatch("x").subarray(0, -CHECKSUM_TRAILER_BYTES);
  encodePublish(writer, {
    topicId,
    partition: 0,
    producerId: 0,
    producerEpoch: 3,
    baseSequence: 5,
    batch,
    checksum: options.checksum,
  });
  return writer.take();
}

t.test("a publish reaches its shard as it was sent, and its ack the client", async (t) => {
  const bench = new InMemoryGateway();
  const topic = bench.node.addTopic("flights", { partitions: 3 });
  const client = bench.connect();
  client.sendBytes(publishFrame(topic.topicId, 2, 40, ["a", "bc"], Number.MAX_SAFE_INTEGER));
  const [publish] = bench.node.publishes;
  t.match(publish, {
    topicId: topic.topicId,
    partition: 2,
    producerId: Number.MAX_SAFE_INTEGER,
    producerEpoch: 0,
    baseSequence: 40,
    count: 2,
    hasChecksum: true,
  });
  t.same(publish?.stored, storedBatch("a", "bc"));
  await bench.settle();
  t.match(client.socket.all("ACK"), [
    {
      ranges: [
        {
          topicId: topic.topicId,
          partition: 2,
          producerId: Number.MAX_SAFE_INTEGER,
          firstSequence: 40,
          count: 2,
          baseOffset: 0,
          logEpoch: 1,
          durability: DURABILITY.fsynced,
        },
      ],
    },
  ]);
});

t.test("the stored payload ends with the checksum, however the client encodes it", async (t) => {
  const batch = storedBatch("x").subarray(0, -CHECKSUM_TRAILER_BYTES);
  const checksum = crc32(batch, 0, batch.length);
  const bench = new InMemoryGateway();
  const topic = bench.node.addTopic("flights");
  const client = bench.connect();

  client.sendBytes(frameOf(topic.topicId));
  t.match(bench.node.publishes.at(-1), { hasChecksum: false, checksum: 0, producerEpoch: 3 });
  t.same(bench.node.publishes.at(-1)?.stored, Uint8Array.of(...batch, 0xce, 0, 0, 0, 0));

  client.sendBytes(frameOf(topic.topicId, { checksum }));
  t.match(bench.node.publishes.at(-1), { hasChecksum: true, checksum });
  t.same(bench.node.publishes.at(-1)?.stored, storedBatch("x"));

  // As an uint64: allowed, and not what is stored.
  const short = frameOf(topic.topicId);
  const wide = new Uint8Array(short.length + 8);
  wide.set(short.subarray(0, -1));
  wide.set([0xcf, 0, 0, 0, 0], short.length - 1);
  new DataView(wide.buffer).setUint32(wide.length - 4, checksum);
  client.sendBytes(wide);
  t.match(bench.node.publishes.at(-1), { hasChecksum: true, checksum });
  t.same(bench.node.publishes.at(-1)?.stored, storedBatch("x"));

  // A newer client's extra element is passed over.
  const extra = Uint8Array.of(...frameOf(topic.topicId, { checksum }), 0x01);
  extra[0] = 0x99;
  client.sendBytes(extra);
  t.same(bench.node.publishes.at(-1)?.stored, storedBatch("x"));
  t.equal(bench.node.publishes.length, 4);
});

t.test("a publish that cannot be taken is refused with its sequence, and the session lives", async (t) => {
  const bench = new InMemoryGateway();
  const topic = bench.node.addTopic("flights", { partitions: 2 });
  const client = bench.connect();
  const cases: [string, Uint8Array][] = [
    ["UNKNOWN_TOPIC", publishFrame(99, 0, 1, ["x"])],
    ["UNKNOWN_TOPIC", publishFrame(0, 0, 1, ["x"])],
    ["UNKNOWN_PARTITION", publishFrame(topic.topicId, 2, 1, ["x"])],
    ["UNKNOWN_PARTITION", publishFrame(topic.topicId, 0xffff_ffff, 1, ["x"])],
    ["INVALID_BATCH", publishFrame(topic.topicId, 0, Number.MAX_SAFE_INTEGER, ["x"])],
    ["UNSUPPORTED_FEATURE", withBatchByte(topic.topicId, 3, 1)],
    ["UNSUPPORTED_FEATURE", withBatchByte(topic.topicId, 2, 4)],
    ["UNSUPPORTED_FEATURE", withBatchByte(topic.topicId, 1, 2)],
    ["INVALID_BATCH", emptyBatch(topic.topicId)],
  ];
  for (const [name, frame] of cases) {
    client.sendBytes(frame);
    bench.clock.settle();
    const error = client.socket.all("ERROR").at(-1);
    t.match(error, { name, code: ERROR_CODES[name as "INTERNAL"].code, requestId: undefined }, name);
    t.match(error?.details, { producerId: Number, firstSequence: Number, count: Number, partition: Number });
    client.socket.take();
  }
  t.equal(bench.node.publishes.length, 0);
  t.equal(client.socket.closed, undefined);
  client.sendBytes(publishFrame(topic.topicId, 0, 0, ["x"]));
  t.equal(bench.node.publishes.length, 1);
});

/** A frame whose batch has `value` at index `at`: 1 version, 2 flags, 3 codec. */
function withBatchByte(topicId: number, at: number, value: number): Uint8Array {
  const batch = storedBatch("x").slice(0, -CHECKSUM_TRAILER_BYTES);
  batch[at] = value;
  return frameOf(topicId, { batch });
}

function emptyBatch(topicId: number): Uint8Array {
  return frameOf(topicId, { batch: Uint8Array.of(0x97, 1, 0, 0, 0, 0, 0, 0xc4, 0) });
}

t.test("a malformed PUBLISH ends the session, at every cut", async (t) => {
  const bench = new InMemoryGateway();
  const topic = bench.node.addTopic("flights");
  const whole = publishFrame(topic.topicId, 0, 0, ["abc", "de"]);
  // From the second byte on the type is readable.
  for (let length = 2; length < whole.length; length += 1) {
    const client = bench.connect();
    client.sendBytes(whole.subarray(0, length));
    t.match(client.socket.closed, { code: 1002, reason: "MALFORMED_FRAME" }, `cut at ${length}`);
    t.equal(client.socket.all("ERROR")[0]?.name, "MALFORMED_FRAME");
  }
  const client = bench.connect();
  client.sendBytes(Uint8Array.of(...whole, 0xc0));
  t.equal(client.socket.closed?.code, 1002, "bytes behind the frame");
  t.equal(bench.node.publishes.length, 0);
});

t.test("a full ring parks publishes in order; other shards' pass", async (t) => {
  const { FakeNode } = await import("./support/fake-node.ts");
  const node = new FakeNode({ shards: 2 });
  const bench = new InMemoryGateway({ node });
  const topic = node.addTopic("flights", { partitions: 2 });
  const client = bench.connect();
  const [full] = node.shards;
  if (full === undefined) throw new Error("no shard");
  full.capacityBytes = 0;
  for (let i = 0; i < 5; i += 1) client.sendBytes(publishFrame(topic.topicId, 0, i, [`v${i}`]));
  client.sendBytes(publishFrame(topic.topicId, 1, 0, ["other"]));
  t.same(
    node.publishes.map(({ partition }) => partition),
    [1],
  );
  full.capacityBytes = Number.POSITIVE_INFINITY;
  // What comes now goes behind those that wait.
  client.sendBytes(publishFrame(topic.topicId, 0, 5, ["v5"]));
  t.equal(node.publishes.length, 1);
  bench.gateway.node.onSpace(0);
  t.same(
    node.publishes.slice(1).map(({ baseSequence }) => baseSequence),
    [0, 1, 2, 3, 4, 5],
  );
  t.same(node.publishes[1]?.stored, storedBatch("v0"));
  await bench.settle();
  t.equal(client.socket.all("ERROR").length, 0);
});

t.test("what is parked for too long is throttled, and its credit comes back", async (t) => {
  const bench = new InMemoryGateway();
  const topic = bench.node.addTopic("flights");
  const client = bench.connect();
  const [shard] = bench.node.shards;
  if (shard === undefined) throw new Error("no shard");
  shard.capacityBytes = 0;
  const available = bench.gateway.availableCredit;
  const frame = publishFrame(topic.topicId, 0, 0, ["a"]);
  client.sendBytes(frame);
  bench.clock.advance(600);
  client.sendBytes(publishFrame(topic.topicId, 0, 1, ["b"]));
  t.equal(client.socket.all("ERROR").length, 0);
  bench.clock.advance(600);
  t.match(client.socket.all("ERROR"), [
    { name: "THROTTLED", retriable: true, details: { firstSequence: 0, count: 1, retryAfterMs: 250 } },
  ]);
  bench.clock.advance(1_000);
  t.match(client.socket.all("ERROR")[1], { name: "THROTTLED", details: { firstSequence: 1 } });
  t.equal(bench.node.publishes.length, 0);
  // Half of the window is left, so the client has not been granted more yet.
  t.equal(bench.gateway.availableCredit, available + 2 * frame.length);
});

t.test("frames of a closed session are not published any more", async (t) => {
  const bench = new InMemoryGateway();
  const topic = bench.node.addTopic("flights");
  const client = bench.connect();
  const before = bench.gateway.availableCredit + LIMITS.publishCreditInitialBytes;
  const [shard] = bench.node.shards;
  if (shard === undefined) throw new Error("no shard");
  shard.capacityBytes = 0;
  const frame = publishFrame(topic.topicId, 0, 0, ["a"]);
  client.sendBytes(frame);
  client.socket.close();
  t.equal(bench.gateway.availableCredit, before - frame.length, "its memory stays reserved");
  shard.capacityBytes = Number.POSITIVE_INFINITY;
  bench.gateway.node.onSpace(0);
  t.equal(bench.node.publishes.length, 0);
  t.equal(bench.gateway.availableCredit, before);
});

t.test("a lost shard fails what it held and what waited for it, once a partition", async (t) => {
  const { FakeNode } = await import("./support/fake-node.ts");
  const node = new FakeNode({ shards: 2 });
  const bench = new InMemoryGateway({ node });
  const topic = node.addTopic("flights", { partitions: 4 });
  const client = bench.connect();
  const idle = bench.connect();
  client.sendBytes(publishFrame(topic.topicId, 0, 0, ["acked"]));
  await bench.settle();
  client.socket.take();
  for (const partition of [0, 1, 2]) client.sendBytes(publishFrame(topic.topicId, partition, 1, ["held"]));
  const [shard] = node.shards;
  if (shard === undefined) throw new Error("no shard");
  shard.capacityBytes = 0;
  client.sendBytes(publishFrame(topic.topicId, 2, 2, ["parked"]));
  node.kill(0);
  bench.clock.settle();
  const errors = client.socket.all("ERROR");
  t.match(errors, [
    {
      name: "SHARD_RESTARTED",
      retriable: true,
      details: { topicId: topic.topicId, partition: 0, retryAfterMs: 100 },
    },
    { name: "SHARD_RESTARTED", details: { topicId: topic.topicId, partition: 2 } },
  ]);
  t.equal(errors.length, 2, "partition 1 lives in another shard");
  t.notOk(errors.some(({ details }) => "firstSequence" in details));
  t.equal(idle.socket.all("ERROR").length, 0);

  client.socket.take();
  client.sendBytes(publishFrame(topic.topicId, 0, 1, ["again"]));
  bench.clock.settle();
  t.match(client.socket.all("ERROR"), [
    { name: "SHARD_RESTARTED", details: { firstSequence: 1, count: 1, retryAfterMs: 100 } },
  ]);

  shard.capacityBytes = Number.POSITIVE_INFINITY;
  node.revive(0);
  client.socket.take();
  client.sendBytes(publishFrame(topic.topicId, 0, 1, ["again"]));
  await bench.settle();
  t.equal(client.socket.all("ERROR").length, 0);
  // One for partition 1, which was never in trouble.
  t.equal(client.socket.all("ACK").length, 2);

  client.sendBytes(publishFrame(topic.topicId, 0, 2, ["held"]));
  client.socket.take();
  node.fail(0);
  client.sendBytes(publishFrame(topic.topicId, 0, 3, ["late"]));
  bench.clock.settle();
  t.match(client.socket.all("ERROR"), [
    { name: "JOURNAL_FAILED", retriable: false, details: { partition: 0 } },
    { name: "JOURNAL_FAILED", retriable: false, details: { partition: 0, firstSequence: 3 } },
  ]);
  t.match(bench.gateway.notReadyReason(), /journal of shard 0/);
});
