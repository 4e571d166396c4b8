import { DURABILITY, ERROR_CODES, LIMITS } from "@millrace/protocol";
import t from "tap";
import { publishFrame, storedBatch } from "./support/batches.ts";
import { InMemoryGateway } from "./support/in-memory.ts";

t.test("a publish reaches its shard as it was sent, and its ack the client", async (t) => {
  const bench = new InMemoryGateway();
  const topic = bench.node.addTopic("flights", { partitions: 3 });
  const client = bench.connect();
  client.sendBytes(publishFrame(topic.topicId, 2, 40, ["a", "bc"], 0x1f_ffff_ffff_ffff));
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
