import { gatewayOf } from "@millrace/broker/internal";
import t from "tap";
import { storedBatch } from "./support/batches.ts";
import { FakeNode } from "./support/fake-node.ts";
import { InMemoryGateway } from "./support/in-memory.ts";
import { consumeFrame } from "./support/queue-bench.ts";

const GATEWAY = 126;

t.test("ids of sessions, streams and consumers carry the gateway's number", async (t) => {
  const node = new FakeNode();
  node.gateway = GATEWAY;
  const bench = new InMemoryGateway({ node });
  const topic = node.addTopic("orders");
  const client = bench.connect();
  const [welcome] = client.socket.all("WELCOME");
  t.equal(gatewayOf(welcome?.sessionId ?? 0), GATEWAY);
  const other = bench.connect();
  t.not(other.socket.all("WELCOME")[0]?.sessionId, welcome?.sessionId);

  client.subscribe(1, "orders");
  await bench.settle();
  const [subscribed] = client.socket.all("SUBSCRIBED");
  const streamId = subscribed?.streams[0]?.streamId ?? 0;
  t.equal(gatewayOf(streamId), GATEWAY);
  node.append(topic, 0, 1, storedBatch(new Uint8Array(10)));
  await bench.settle();
  const [moved] = client.socket.all("STREAM");
  t.match(moved, { fromStreamId: streamId, subscriptionId: 1 });
  t.equal(gatewayOf(moved?.toStreamId ?? 0), GATEWAY, "also that of a tail group");
  t.equal(client.socket.all("DELIVER")[0]?.streamId, moved?.toStreamId);

  client.send(consumeFrame(9, {}));
  await bench.settle();
  const [consuming] = client.socket.all("CONSUMING");
  t.equal(gatewayOf(consuming?.consumerId ?? 0), GATEWAY);
});

t.test("consumer ids are far from the subscription ids that a client counts up", async (t) => {
  const bench = new InMemoryGateway();
  bench.node.addTopic("orders");
  const client = bench.connect();
  client.send(consumeFrame(9, {}));
  await bench.settle();
  const [consuming] = client.socket.all("CONSUMING");
  t.ok((consuming?.consumerId ?? 0) >= 2 ** 23);
  t.equal(gatewayOf(consuming?.consumerId ?? -1), 0);
});

t.test("a gateway that starts again gives out other ids", async (t) => {
  const node = new FakeNode();
  node.gateway = GATEWAY;
  node.idStart = 3_000_000_001;
  node.addTopic("orders");
  const bench = new InMemoryGateway({ node });
  const client = bench.connect();
  client.subscribe(1, "orders");
  client.send(consumeFrame(9, {}));
  await bench.settle();
  const ids = [
    client.socket.all("WELCOME")[0]?.sessionId,
    client.socket.all("SUBSCRIBED")[0]?.streams[0]?.streamId,
    client.socket.all("CONSUMING")[0]?.consumerId,
  ];
  for (const id of ids) {
    t.equal(gatewayOf(id ?? 0), GATEWAY);
    t.ok(((id ?? 0) & 0x7f_ffff) > 1000, `${id}`);
  }
});
