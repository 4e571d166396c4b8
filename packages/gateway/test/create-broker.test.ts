import type { Topic } from "@millrace/broker/internal";
import { MillraceError } from "@millrace/protocol";
import t from "tap";
import { createBroker, createBrokerOf } from "../src/create-broker.ts";
import type { Listener, ListenerHandler } from "../src/listener.ts";
import { SYSTEM_CLOCK } from "../src/system-clock.ts";
import { listenWithUws } from "../src/uws-listener.ts";
import { publishFrame } from "./support/batches.ts";
import { FakeNode } from "./support/fake-node.ts";
import { serve } from "./support/served.ts";
import { WireClient } from "./support/wire-client.ts";

const silent = { log: (): void => {} };

t.test("options are checked before anything is opened", async (t) => {
  await t.rejects(createBroker({ dataDir: "unused", host: "0.0.0.0" }), { code: "INSECURE_HOST" });
  await t.rejects(createBroker({ dataDir: "unused", host: "::" }), { code: "INSECURE_HOST" });
  await t.rejects(createBroker({ dataDir: "unused", port: 70_000 }), { name: "RangeError" });
  await t.rejects(createBroker({ dataDir: "unused", autoCreateTopics: { partitions: 0 } }), {
    code: "INVALID_TOPIC_CONFIG",
  });
  const { broker } = await serve((close) => t.teardown(close), { host: "0.0.0.0", insecure: true });
  t.match(broker.url, /^ws:\/\/0\.0\.0\.0:\d+$/);
  await (await WireClient.connect(`ws://127.0.0.1:${broker.port}`)).roundTrip();
});

t.test("health is answered during recovery; upgrades wait for its end", async (t) => {
  let recovered: (() => void) | undefined;
  const node = new FakeNode({ auto: true });
  node.recovery = new Promise((resolve) => {
    recovered = resolve;
  });
  let listening: ((port: number) => void) | undefined;
  const port = new Promise<number>((resolve) => {
    listening = resolve;
  });
  const starting = serve((close) => t.teardown(close), {
    node,
    parts: {
      listen: async (options, handler) => {
        const listener = await listenWithUws(options, handler);
        listening?.(listener.port);
        return listener;
      },
    },
  });
  const url = `http://127.0.0.1:${await port}`;
  t.equal((await fetch(`${url}/healthz`)).status, 200);
  const notReady = await fetch(`${url}/readyz`);
  t.equal(notReady.status, 503);
  t.match(await notReady.json(), { status: "not-ready", reason: /recovering/ });
  await t.rejects(WireClient.connect(url.replace("http", "ws")), { message: "status 503" });
  recovered?.();
  const { broker } = await starting;
  t.equal((await fetch(`${url}/readyz`)).status, 200);
  await (await WireClient.connect(broker.url)).roundTrip();
  t.same(node.calls, ["attach", "start"]);
});

t.test("routes", async (t) => {
  const { httpUrl, node } = await serve((close) => t.teardown(close));
  const get = async (path: string, init?: RequestInit): Promise<[number, unknown]> => {
    const response = await fetch(`${httpUrl}${path}`, init);
    return [response.status, await response.json()];
  };
  t.match(await get("/healthz"), [200, { status: "ok" }]);
  t.match(await get("/readyz?verbose=1"), [200, { status: "ready" }]);
  t.match(await get("/"), [404, { error: "NOT_FOUND" }]);
  t.match(await get("/nope"), [404, { error: "NOT_FOUND" }]);
  t.match(await get("/healthz", { method: "POST", body: "x".repeat(100_000) }), [
    405,
    { error: "METHOD_NOT_ALLOWED" },
  ]);
  t.match(await get("/readyz", { method: "DELETE" }), [405, { error: "METHOD_NOT_ALLOWED" }]);
  t.equal((await fetch(`${httpUrl}/healthz`, { method: "HEAD" })).status, 405);
  const conditions = ["the disk is low: publishes are refused"];
  Object.assign(node, { conditions });
  t.same(await get("/readyz"), [200, { status: "ready", conditions }], "consumers are served");
  node.fail(1);
  t.match(await get("/healthz"), [200, { status: "ok" }]);
  t.match(await get("/readyz"), [503, { status: "not-ready", reason: /shard 1/, conditions }]);
});

t.test("origins", async (t) => {
  const { broker } = await serve((close) => t.teardown(close), {
    allowOrigins: ["https://app.example.com/"],
  });
  const { port, url } = broker;
  const allowed = [
    undefined,
    `http://127.0.0.1:${port}`,
    `http://localhost:${port}`,
    `https://LOCALHOST:${port}`,
    `http://[::1]:${port}`,
    "https://app.example.com",
    "https://app.example.com:443",
  ];
  for (const origin of allowed) {
    const client = await WireClient.connect(url, origin === undefined ? {} : { origin });
    t.pass(`${origin} is allowed`);
    await client.close();
  }
  const foreign = [
    "http://evil.example",
    "null",
    `http://127.0.0.1:${port + 1}`,
    "http://127.0.0.1",
    `http://127.0.0.1.evil.example:${port}`,
    "http://app.example.com",
    "https://app.example.com.evil.example",
  ];
  for (const origin of foreign) {
    await t.rejects(WireClient.connect(url, { origin }), { message: "status 403" }, origin);
  }
  await t.rejects(WireClient.connect(`${url}/elsewhere`), { message: "status 404" });

  const open = await serve((close) => t.teardown(close), { allowOrigins: ["*"] });
  await (await WireClient.connect(open.broker.url, { origin: "http://evil.example" })).close();
});

t.test("close lets nothing hang: what was taken is acknowledged, the rest refused", async (t) => {
  const node = new FakeNode({ shards: 2 });
  const topic: Topic = node.addTopic("flights", { partitions: 2 });
  const { broker, httpUrl } = await serve((close) => t.teardown(close), { node });
  const client = await WireClient.connect(broker.url);
  client.sendBytes(publishFrame(topic.topicId, 0, 0, ["held"]));
  const full = node.shards[1];
  if (full === undefined) throw new Error("no shard");
  full.capacityBytes = 0;
  client.sendBytes(publishFrame(topic.topicId, 1, 0, ["parked"]));
  await client.roundTrip();

  let drained: (() => void) | undefined;
  const drain = node.drain.bind(node);
  node.drain = async () => {
    await new Promise<void>((resolve) => {
      drained = resolve;
    });
    await drain();
  };
  const closing = broker.close();
  t.equal(broker.close(), closing, "a second close is the first");
  t.match(await client.next("GOAWAY"), { code: 13, name: "SERVER_DRAINING" });
  t.match(await client.next("ERROR"), {
    name: "SERVER_DRAINING",
    details: { partition: 1, firstSequence: 0 },
  });
  client.sendBytes(publishFrame(topic.topicId, 0, 1, ["late"]));
  t.match(await client.next("ERROR"), {
    name: "SERVER_DRAINING",
    retriable: true,
    details: { firstSequence: 1 },
  });
  client.send({ name: "CREATE_TOPIC", value: { requestId: 1, name: "late", config: {} } });
  t.match(await client.next("ERROR"), { name: "SERVER_DRAINING", requestId: 1 });
  client.send({ name: "LIST_TOPICS", value: { requestId: 2 } });
  await client.next("TOPICS");
  await t.rejects(WireClient.connect(broker.url));
  await t.rejects(fetch(`${httpUrl}/healthz`), "nobody listens any more");
  drained?.();
  t.match(await client.next("ACK"), { ranges: [{ partition: 0, firstSequence: 0 }] });
  t.match(await client.closed, { code: 1001, reason: "SERVER_DRAINING" });
  await closing;
  t.same(node.calls, ["attach", "start", "drain", "close"]);
});

t.test("what fails at the start leaves nothing behind", async (t) => {
  const listeners: { closed: boolean }[] = [];
  const listen = async (_options: unknown, _handler: ListenerHandler): Promise<Listener> => {
    const it = { closed: false };
    listeners.push(it);
    return {
      port: 1,
      stopAccepting: () => {},
      close: () => {
        it.closed = true;
      },
    };
  };
  const node = new FakeNode();
  node.recovery = Promise.reject(new MillraceError("JOURNAL_DAMAGED", "segment 3"));
  const parts = { openNode: () => Promise.resolve(node), listen, clock: SYSTEM_CLOCK };
  await t.rejects(createBrokerOf(parts, { dataDir: "unused", logger: silent }), { code: "JOURNAL_DAMAGED" });
  t.same(listeners, [{ closed: true }]);
  t.same(node.calls, ["attach", "start", "close"]);

  const broken = new FakeNode();
  broken.recovery = Promise.reject(new MillraceError("JOURNAL_DAMAGED", "segment 3"));
  broken.close = () => Promise.reject(new Error("close failed as well"));
  await t.rejects(
    createBrokerOf({ ...parts, openNode: () => Promise.resolve(broken) }, { dataDir: "unused" }),
    { code: "JOURNAL_DAMAGED" },
    "the first error is the one that is told",
  );

  const second = new FakeNode();
  await t.rejects(
    createBrokerOf(
      {
        ...parts,
        openNode: () => Promise.resolve(second),
        listen: () => Promise.reject(new MillraceError("PORT_IN_USE", "taken")),
      },
      { dataDir: "unused" },
    ),
    { code: "PORT_IN_USE" },
  );
  t.same(second.calls, ["attach", "close"]);
});
