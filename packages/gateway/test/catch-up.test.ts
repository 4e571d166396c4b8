import type { CatalogWanted } from "@millrace/broker/internal";
import { ERROR_CODES, MillraceError } from "@millrace/protocol";
import t from "tap";
import { publishFrame } from "./support/batches.ts";
import { HttpCall } from "./support/http-caller.ts";
import { InMemoryGateway } from "./support/in-memory.ts";

const AWAY = new MillraceError("SHARD_RESTARTED", "the coordinator cannot be reached");

t.test("what other nodes have made is waited for before a client is told that it is not there", async (t) => {
  const bench = new InMemoryGateway();
  const { node } = bench;
  const asked: CatalogWanted[] = [];
  node.onCatchUp = async (wanted) => {
    asked.push(wanted);
    if ("topic" in wanted && wanted.topic === "made") node.addTopic("made");
    if ("topic" in wanted && wanted.topic === "away") throw AWAY;
  };
  const client = bench.connect();
  for (const [requestId, topic] of ["made", "unknown", "away", "$catalog"].entries()) {
    client.send({ name: "DESCRIBE_TOPIC", value: { requestId, topic } });
  }
  await bench.settle();
  t.match(client.socket.all("TOPIC"), [{ requestId: 0, topic: { name: "made" } }]);
  t.same(
    client.socket
      .all("ERROR")
      .map(({ requestId, name }) => [requestId, name])
      .sort(),
    [
      [1, "UNKNOWN_TOPIC"],
      [2, "SHARD_RESTARTED"],
      [3, "UNKNOWN_TOPIC"],
    ],
  );
  client.send({ name: "DESCRIBE_TOPIC", value: { requestId: 9, topic: "made" } });
  await bench.settle();
  t.same(
    asked,
    [{ topic: "made" }, { topic: "unknown" }, { topic: "away" }],
    "what is known is not asked for",
  );
});

t.test("publishes to a topic of another node wait for it, in their order", async (t) => {
  const bench = new InMemoryGateway();
  const { node } = bench;
  let arrive: () => void = () => {};
  const asked: CatalogWanted[] = [];
  node.onCatchUp = (wanted) => {
    asked.push(wanted);
    return new Promise((resolve) => {
      arrive = resolve;
    });
  };
  const client = bench.connect();
  client.sendBytes(publishFrame(1, 0, 0, ["a"]));
  client.sendBytes(publishFrame(1, 0, 1, ["b"]));
  await bench.settle();
  t.same(node.publishes, []);
  const topic = node.addTopic("made");
  node.handler?.onTopicCreated(topic);
  client.sendBytes(publishFrame(1, 0, 2, ["c"]));
  t.same(
    node.publishes.map(({ baseSequence }) => baseSequence),
    [0, 1, 2],
  );
  arrive();
  await bench.settle();
  t.equal(node.publishes.length, 3);
  t.same(asked, [{ topicId: 1 }], "asked once");
  t.match(client.socket.all("ACK").at(-1), { ranges: [{ topicId: 1, firstSequence: 0, count: 3 }] });
});

t.test("publishes to a topic that nobody has are refused, once that is sure", async (t) => {
  const bench = new InMemoryGateway();
  let looks = 0;
  bench.node.onCatchUp = async () => {
    looks += 1;
    if (looks === 2) throw AWAY;
  };
  const client = bench.connect();
  const gone = bench.connect();
  const free = bench.gateway.availableCredit;
  client.sendBytes(publishFrame(7, 0, 0, ["a"]));
  gone.sendBytes(publishFrame(7, 0, 0, ["b"]));
  gone.socket.handler?.onClose(1006);
  await bench.settle();
  client.sendBytes(publishFrame(7, 0, 1, ["c"]));
  await bench.settle();
  t.same(
    client.socket.all("ERROR").map(({ code, retriable }) => [code, retriable]),
    [
      [ERROR_CODES.UNKNOWN_TOPIC.code, false],
      [ERROR_CODES.SHARD_RESTARTED.code, true],
    ],
  );
  t.ok(bench.gateway.availableCredit >= free, "nothing stays reserved");
});

t.test("publishes that wait for a topic are given up when the broker ends", async (t) => {
  const bench = new InMemoryGateway();
  bench.node.onCatchUp = () => new Promise(() => {});
  const client = bench.connect();
  client.sendBytes(publishFrame(7, 0, 0, ["a"]));
  bench.gateway.goAway();
  await bench.settle();
  t.match(client.socket.all("ERROR"), [{ code: ERROR_CODES.SERVER_DRAINING.code }]);
});

t.test("whoever makes what another node has made at the same time gets that", async (t) => {
  const bench = new InMemoryGateway({
    autoCreate: { partitions: 1, retentionMs: 0, retentionBytes: 0, durability: "fsynced" },
  });
  const { node } = bench;
  const looks: CatalogWanted[] = [];
  node.onCatchUp = async (wanted) => {
    looks.push(wanted);
    if (looks.length === 2) node.addTopic("shared");
  };
  node.createTopic = () => Promise.reject(new MillraceError("TOPIC_EXISTS", "shared"));
  const client = bench.connect();
  client.send({ name: "DESCRIBE_TOPIC", value: { requestId: 1, topic: "shared" } });
  await bench.settle();
  t.match(client.socket.all("TOPIC"), [{ requestId: 1, topic: { name: "shared" } }]);

  const topic = node.topicByName("shared");
  if (topic === undefined) throw new Error("there is no topic");
  const create = node.createSubscription.bind(node);
  node.createSubscription = async () => {
    throw new MillraceError("SUBSCRIPTION_EXISTS", "work");
  };
  node.onCatchUp = async () => {
    const config = { mode: "queue", leaseMs: 1, maxDeliveries: 0, backoffMinMs: 1, backoffMaxMs: 1 } as const;
    await create(topic, "work", { ...config, paused: false }, []);
  };
  client.send({
    name: "CONSUME",
    value: {
      requestId: 2,
      topic: "shared",
      subscription: "work",
      mode: "queue",
      create: { mode: "queue" },
      slots: 1,
      creditLimit: 1_000_000,
      extensions: {},
    },
  });
  await bench.settle();
  t.match(client.socket.all("CONSUMING"), [{ requestId: 2, subscription: { name: "work" } }]);
});

t.test("consumers at other nodes are counted, and named", async (t) => {
  const bench = new InMemoryGateway();
  const { node } = bench;
  const topic = node.addTopic("flights", { partitions: 2 });
  const config = { mode: "stream", leaseMs: 1, maxDeliveries: 0, backoffMinMs: 1, backoffMaxMs: 1 } as const;
  const { subscriptionId } = await node.createSubscription(topic, "all", { ...config, paused: false }, []);
  node.elsewhere = new Map([[subscriptionId, { count: 3, holders: [[1, "far away"]] }]]);
  node.states = [0, 1].map((partition) => ({
    partition,
    position: 0,
    logStartOffset: 0,
    highWatermark: 0,
    available: 0,
    leased: 0,
    waiting: 0,
    redelivered: 0,
    dead: 0,
    oldestAgeMs: null,
    blockedOffset: null,
  }));
  const client = bench.connect();
  client.send({ name: "DESCRIBE_SUBSCRIPTION", value: { requestId: 1, topic: "flights", name: "all" } });
  await bench.settle();
  t.match(client.socket.all("SUBSCRIPTION"), [
    {
      subscription: {
        state: { consumers: 3, partitions: [{ consumerName: null }, { consumerName: "far away" }] },
      },
    },
  ]);
  t.same(bench.gateway.node.consumersOf(subscriptionId), { count: 0, holders: [] });
});

t.test("the status is answered also while the broker is not ready, one look for all who ask", async (t) => {
  const bench = new InMemoryGateway();
  bench.node.ready = false;
  let looks = 0;
  const { clusterStatus } = bench.node;
  bench.node.clusterStatus = () => {
    looks += 1;
    return clusterStatus();
  };
  const origin = "http://localhost:7070";
  const calls = [{}, { origin }, { origin: "http://elsewhere" }, { method: "POST" }].map(
    (options) => new HttpCall(bench, "/v1/status", { method: "GET", ...options }),
  );
  await bench.settle();
  t.same(
    calls.map(({ reply }) => reply?.status),
    [200, 200, 403, 405],
  );
  t.match(calls[0]?.body, { nodes: [{ nodeId: 0, ready: false }], supervisor: { pid: null } });
  t.match(calls[1]?.reply?.headers, { "access-control-allow-origin": origin });
  t.equal(looks, 1);
  bench.node.clusterStatus = () => Promise.reject(AWAY);
  const failed = new HttpCall(bench, "/v1/status", { method: "GET" });
  await bench.settle();
  t.match([failed.reply?.status, failed.body], [503, { error: "SHARD_RESTARTED" }]);
});
