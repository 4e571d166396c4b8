import { ERROR_CODES } from "@millrace/protocol";
import t from "tap";
import { ACK_QUEUE_FULL, ACKED, AckQueue } from "../src/ack-queue.ts";
import { GATEWAY_LIMITS } from "../src/limits.ts";
import { InMemoryGateway } from "./support/in-memory.ts";

const THROTTLED = ERROR_CODES.THROTTLED.code;

t.test("one ACK frame a session and drain, neighbouring runs merged", async (t) => {
  const bench = new InMemoryGateway();
  const { gateway } = bench;
  const client = bench.connect();
  const other = bench.connect();
  gateway.node.onAck(1, 5, 0, 7, 0, 3, 100, 1, 2);
  gateway.node.onAck(1, 5, 1, 7, 0, 1, 50, 1, 2);
  gateway.node.onAck(1, 5, 0, 7, 3, 2, 103, 1, 2);
  gateway.node.onAck(2, 5, 0, 7, 9, 1, 105, 1, 2);
  // Not continued: a gap in the offsets, another epoch, another durability.
  gateway.node.onAck(1, 5, 0, 7, 5, 1, 120, 1, 2);
  gateway.node.onAck(1, 5, 0, 7, 6, 1, 121, 2, 2);
  gateway.node.onAck(1, 5, 0, 7, 7, 1, 122, 2, 1);
  gateway.node.onAck(99, 5, 0, 7, 7, 1, 122, 2, 1);
  t.equal(client.socket.all("ACK").length, 0, "nothing before the end of the drain");
  gateway.node.onDrainEnd();
  gateway.node.onDrainEnd();
  const acks = client.socket.all("ACK");
  t.equal(acks.length, 1);
  t.same(
    acks[0]?.ranges.map((run) => [run.partition, run.firstSequence, run.count, run.baseOffset, run.logEpoch]),
    [
      [0, 0, 5, 100, 1],
      [1, 0, 1, 50, 1],
      [0, 5, 1, 120, 1],
      [0, 6, 1, 121, 2],
      [0, 7, 1, 122, 2],
    ],
  );
  t.match(acks[0]?.ranges.at(-1), { durability: 2 });
  t.match(other.socket.all("ACK"), [{ ranges: [{ firstSequence: 9 }] }]);
});

t.test("acks and errors come in the order in which they happened", async (t) => {
  const bench = new InMemoryGateway();
  const { gateway } = bench;
  const client = bench.connect();
  client.socket.take();
  gateway.node.onAck(1, 5, 0, 7, 0, 1, 0, 1, 2);
  gateway.node.onPublishError(1, 5, 0, 7, 1, 1, THROTTLED, 30);
  gateway.node.onPublishError(1, 5, 0, 7, 2, 2, THROTTLED, 30);
  gateway.node.onPublishError(1, 5, 0, 7, 4, 1, ERROR_CODES.OUT_OF_SEQUENCE.code, 0);
  gateway.node.onAck(1, 5, 0, 7, 1, 1, 1, 1, 2);
  gateway.node.onAck(1, 5, 0, 7, 2, 1, 2, 1, 2);
  gateway.node.onDrainEnd();
  const told = client.socket
    .take()
    .map(({ name, value }) =>
      name === "ACK"
        ? ["ACK", value.ranges[0]?.firstSequence, value.ranges[0]?.count]
        : name === "ERROR"
          ? [value.name, value.details.firstSequence, value.details.count]
          : name,
    );
  t.same(told, [
    ["ACK", 0, 1],
    ["THROTTLED", 1, 3],
    ["OUT_OF_SEQUENCE", 4, 1],
    ["ACK", 1, 2],
  ]);
});

t.test("a session that does not read keeps its acks, merged, until it drains", async (t) => {
  const bench = new InMemoryGateway();
  const { gateway, node } = bench;
  const topic = node.addTopic("flights");
  const client = bench.connect();
  const { socket } = client;
  node.append(topic, 0, 1, new Uint8Array(GATEWAY_LIMITS.outputHighWaterBytes));
  socket.stalled = true;
  // Not a real batch, so it must not be decoded: the socket only counts.
  socket.onFrame = () => {};
  socket.send = (frame) => {
    backlog += frame.length;
    return 0;
  };
  socket.bufferedAmount = () => backlog;
  let backlog = GATEWAY_LIMITS.outputHighWaterBytes + 1;
  // The gateway learns of the backlog by a send.
  client.send({ name: "PING", value: { nonce: 1 } });
  const held = backlog;
  for (let i = 0; i < 10_000; i += 1) {
    gateway.node.onAck(1, topic.topicId, 0, 7, i, 1, i, 1, 2);
    gateway.node.onDrainEnd();
  }
  t.equal(backlog, held, "nothing is sent above the high-water mark");
  backlog = 0;
  socket.send = (frame) => {
    sent.push(Uint8Array.from(frame));
    return 1;
  };
  const sent: Uint8Array[] = [];
  socket.handler?.onDrain();
  t.equal(sent.length, 1, "one frame");
  t.ok((sent[0]?.length ?? 0) < 60, "with one run");
});

t.test("a session that never reads its acks is closed", async (t) => {
  const bench = new InMemoryGateway();
  const client = bench.connect();
  client.socket.bufferedAmount = () => GATEWAY_LIMITS.outputHighWaterBytes;
  client.socket.stalled = true;
  client.send({ name: "PING", value: { nonce: 1 } });
  for (let i = 0; i <= GATEWAY_LIMITS.ackRunsMax; i += 1)
    bench.gateway.node.onAck(1, 5, 0, 7, 2 * i, 1, 2 * i, 1, 2);
  t.equal(client.socket.closed?.code, 1006);
  t.equal(bench.gateway.sessionCount, 0);
});

t.test("AckQueue: a run is continued only by the next record of the same producer and partition", (t) => {
  const queue = new AckQueue();
  queue.addAck(1, 0, 7, 0, 1, 0, 1, 2);
  queue.addAck(1, 0, 8, 1, 1, 1, 1, 2);
  queue.addAck(1, 1, 7, 1, 1, 1, 1, 2);
  queue.addAck(2, 0, 7, 1, 1, 1, 1, 2);
  t.equal(queue.length, 4);
  queue.addAck(1, 0, 7, 1, 1, 1, 1, 2);
  t.equal(queue.length, 4);
  t.equal(queue.count(0), 2);
  queue.addError(THROTTLED, 1, 0, 7, 2, 1, 0);
  queue.addError(THROTTLED, 1, 0, 7, -1, 0, 0);
  queue.addAck(1, 0, 7, 2, 1, 2, 1, 2);
  t.equal(queue.length, 7, "nothing moves across an error");
  t.equal(queue.kind(6), ACKED);
  queue.clear();
  for (let i = 0; i < GATEWAY_LIMITS.ackRunsMax; i += 1) {
    if (queue.addAck(1, 0, 7, 2 * i, 1, 2 * i, 1, 2) !== 0) t.fail("full too early");
  }
  t.equal(queue.addAck(1, 0, 7, 1e9, 1, 1e9, 1, 2), ACK_QUEUE_FULL);
  t.end();
});
