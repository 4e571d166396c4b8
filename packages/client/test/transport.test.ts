import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { LIMITS } from "@millrace/protocol";
import t from "tap";
import { WebSocket } from "ws";
import * as browserDoor from "../src/browser.ts";
import { connect as connectBrowser } from "../src/browser.ts";
import * as nodeDoor from "../src/index.ts";
import { connect as connectNode } from "../src/index.ts";
import { entryOf, FakeBroker, topicInfo } from "./fake-broker.ts";

// Real sockets. The browser's transport runs on the `ws` package's class, which has the browser's interface.
const globals = globalThis as unknown as { WebSocket: unknown };
globals.WebSocket = WebSocket;

t.test("both doors lead to the same names", async (t) => {
  t.same(Object.keys(browserDoor).sort(), Object.keys(nodeDoor).sort());
});

t.test("the browser's door leads to nothing of Node", async (t) => {
  const seen = new Set<string>();
  const outside = new Set<string>();
  const visit = (file: URL): void => {
    if (seen.has(file.href)) return;
    seen.add(file.href);
    const source = readFileSync(file, "utf8");
    t.notMatch(source, /\b(Buffer|process|require)\b/, file.pathname);
    for (const [, name = ""] of source.matchAll(/^(?:import|export)[^;]*?from "([^"]+)";$/gm)) {
      if (name.startsWith(".")) visit(new URL(name, file));
      else outside.add(name);
    }
  };
  visit(new URL("../src/browser.js", import.meta.url));
  t.ok(seen.size > 20);
  t.same([...outside], ["@millrace/protocol"]);
});

for (const [name, connect] of [
  ["node", connectNode],
  ["browser", connectBrowser],
] as const) {
  t.test(`${name}: records of every size there and back`, async (t) => {
    const broker = await FakeBroker.start();
    t.teardown(() => broker.stop());
    const client = await connect(broker.url, { name });
    const session = await broker.session();
    const producer = client.producer("t", { lingerMs: 0, batchBytes: 1024 });
    const sizes = [0, 1, 20, 100, 125, 126, 1_000, 65_400, 65_536, 300_000, 1_000_000];
    const sent = sizes.map((size) => producer.send({ partition: 0, value: "v".repeat(size) }));
    const lengths: number[] = [];
    for (let offset = 0; offset < sizes.length; ) {
      const publish = await session.publish();
      lengths.push(...publish.values.map((value) => value.length));
      session.ack(publish, offset);
      offset += publish.count;
    }
    t.same(lengths, sizes);
    t.same(
      (await Promise.all(sent)).map(({ offset }) => offset),
      sizes.map((_, i) => i),
    );

    const subscription = client.subscribe("t", { from: "earliest" });
    const { requestId, subscriptionId } = await session.expect("SUBSCRIBE");
    const bounds = {
      partition: 0,
      streamId: 1,
      startOffset: 0,
      logStartOffset: 0,
      highWatermark: 0,
      logEpoch: 1,
    };
    session.send("SUBSCRIBED", { requestId, subscriptionId, topicId: 7, streams: [bounds] });
    const large = new Uint8Array(900_000).fill(3);
    const records = [{ value: "small" }, { value: large }];
    session.send("DELIVER", { streamId: 1, nextOffset: 2, entries: [entryOf(0, records)] });
    const values: unknown[] = [];
    for await (const { value } of subscription) {
      values.push(value);
      if (values.length === 2) break;
    }
    t.equal(values[0], "small");
    t.ok(values[1] instanceof Uint8Array && Buffer.compare(values[1], large) === 0);
    await session.expect("UNSUBSCRIBE");
    await client.close();
    t.equal(await session.closed, 1000);
  });

  t.test(`${name}: comes back when the broker does, on the same port`, async (t) => {
    const first = await FakeBroker.start();
    const { port } = first;
    const client = await connect(first.url, { reconnectBackoffMinMs: 1, reconnectBackoffMaxMs: 20 });
    await first.session();
    const lost = new Promise((resolve) => client.on("disconnected", resolve));
    await first.stop();
    t.match(await lost, { code: "CONNECTION_LOST" });
    const second = await FakeBroker.start({}, port);
    t.teardown(() => second.stop());
    const back = new Promise((resolve) => client.on("connected", resolve));
    await second.session();
    t.match(await back, { serverName: "fake" });
    await client.close();
  });

  t.test(`${name}: nobody listens`, async (t) => {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    await t.rejects(connect(`ws://127.0.0.1:${port}`), { code: "CONNECT_FAILED" });
  });

  t.test(`${name}: not a WebSocket URL`, async (t) => {
    await t.rejects(connect("nonsense"), { code: "CONNECT_FAILED", message: /nonsense/ });
    await t.rejects(connect("ftp://127.0.0.1"), { code: "CONNECT_FAILED" });
  });

  t.test(`${name}: text ends the session`, async (t) => {
    const broker = await FakeBroker.start({ welcomes: false });
    t.teardown(() => broker.stop());
    const connecting = connect(broker.url);
    const session = await broker.session();
    session.sendText("hello");
    await t.rejects(connecting, { code: "MALFORMED_FRAME" });
    await session.closed;
  });

  t.test(`${name}: aborting a connection under way`, async (t) => {
    const broker = await FakeBroker.start({ welcomes: false });
    t.teardown(() => broker.stop());
    const controller = new AbortController();
    const connecting = connect(broker.url, { signal: controller.signal });
    const session = await broker.session();
    controller.abort();
    await t.rejects(connecting, { code: "ABORTED" });
    await session.closed;
  });
}

t.test("node: a list of topics in pages of the largest size", async (t) => {
  const broker = await FakeBroker.start();
  t.teardown(() => broker.stop());
  const client = await connectNode(broker.url);
  const session = await broker.session();
  const page = LIMITS.topicsPerPageMax;
  const names = Array.from({ length: 2 * page + 1 }, (_, i) =>
    `${i}`.padStart(5, "0").padEnd(LIMITS.topicNameBytesMax, "x"),
  );
  const listed = client.topics.list();
  for (let start = 0; start < names.length; start += page) {
    const { requestId, after } = await session.expect("LIST_TOPICS");
    t.equal(after, names[start - 1]);
    const topics = names
      .slice(start, start + page)
      .map((name) => topicInfo(name, 1, { partitionInfo: undefined }));
    session.send("TOPICS", { requestId, topics, more: start + page < names.length });
  }
  t.same(
    (await listed).map(({ name }) => name),
    names,
  );
  t.equal(session.pending.length, 0);
  await client.close();
});

t.test("node: many small frames of one turn stay in order", async (t) => {
  const broker = await FakeBroker.start();
  t.teardown(() => broker.stop());
  const client = await connectNode(broker.url);
  const session = await broker.session();
  const producer = client.producer("t", { lingerMs: 0, batchBytes: 1024, maxBufferedBytes: 1 << 30 });
  await producer.ready();
  const count = 20_000;
  for (let i = 0; i < count; i += 1) void producer.append({ partition: 0, value: `${i}` });
  const values: string[] = [];
  while (values.length < count) {
    const publish = await session.publish();
    session.ack(publish, values.length);
    values.push(...publish.values);
  }
  t.ok(values.every((value, i) => value === `${i}`));
  t.notOk(session.creditExceeded);
  await producer.flush();
  await client.close();
});
