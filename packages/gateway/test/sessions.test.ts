import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { LIMITS } from "@millrace/protocol";
import t from "tap";
import { GATEWAY_LIMITS } from "../src/limits.ts";
import type { Session } from "../src/session.ts";
import { FakeSocket } from "./support/fake-socket.ts";
import { InMemoryGateway } from "./support/in-memory.ts";

/** Moves time on by whole seconds, so that the gateway's tick runs. */
function seconds(bench: InMemoryGateway, count: number): void {
  for (let i = 0; i < count; i += 1) bench.clock.advance(1_000);
}

t.test("PING goes out every 15 s and is answered by PONG", async (t) => {
  const bench = new InMemoryGateway();
  const client = bench.connect();
  client.socket.take();
  for (let second = 0; second < 45; second += 1) {
    seconds(bench, 1);
    for (const { nonce } of client.socket.all("PING")) {
      client.send({ name: "PONG", value: { nonce } });
    }
  }
  t.equal(client.socket.all("PING").length, 3);
  client.send({ name: "PING", value: { nonce: 77 } });
  t.match(client.socket.all("PONG"), [{ nonce: 77 }]);
  t.equal(client.socket.closed, undefined);
});

t.test("the pings of many sessions are spread over time", async (t) => {
  const bench = new InMemoryGateway();
  const clients = Array.from({ length: 60 }, () => bench.connect());
  for (let second = 0; second < 15; second += 1) {
    for (const { socket } of clients) socket.take();
    seconds(bench, 1);
    t.equal(clients.filter(({ socket }) => socket.all("PING").length > 0).length, 4);
  }
});

t.test("who is silent for 45 s is closed, nobody else", async (t) => {
  const bench = new InMemoryGateway();
  const silent = bench.connect();
  const alive = bench.connect();
  for (let second = 0; second < 46; second += 1) {
    t.equal(silent.socket.closed, undefined);
    seconds(bench, 1);
    alive.send({ name: "PONG", value: { nonce: 0 } });
  }
  t.match(silent.socket.all("ERROR"), [{ name: "SESSION_TIMEOUT" }]);
  t.match(silent.socket.closed, { code: 1008, reason: "SESSION_TIMEOUT" });
  t.equal(alive.socket.closed, undefined);
  t.equal(bench.gateway.sessionCount, 1);
});

t.test("who does not say HELLO within 10 s is closed", async (t) => {
  const bench = new InMemoryGateway();
  const client = bench.connect(false);
  seconds(bench, LIMITS.helloTimeoutMs / 1_000);
  t.equal(client.socket.closed, undefined);
  seconds(bench, 1);
  t.match(client.socket.all("ERROR"), [{ name: "HELLO_TIMEOUT" }]);
  t.match(client.socket.closed, { code: 1008 });
});

t.test("session ids are not reused while a session lives", async (t) => {
  const bench = new InMemoryGateway();
  const ids = Array.from({ length: 50 }, () => bench.connect().socket.all("WELCOME")[0]?.sessionId);
  t.equal(new Set(ids).size, 50);
  t.ok(ids.every((id) => id !== undefined && id > 0 && id < 2 ** 31));
});

t.test("a drain event that never comes does not silence a session", async (t) => {
  const bench = new InMemoryGateway();
  const topic = bench.node.addTopic("flights");
  const client = bench.connect();
  let backlog = 0;
  client.socket.bufferedAmount = () => backlog;
  const { send } = client.socket;
  client.socket.send = (frame) => {
    send.call(client.socket, frame);
    return backlog > 0 ? 0 : 1;
  };
  backlog = GATEWAY_LIMITS.outputHighWaterBytes;
  client.send({ name: "PING", value: { nonce: 1 } });
  bench.gateway.node.onAck(1, topic.topicId, 0, 7, 0, 1, 0, 1, 2);
  bench.gateway.node.onDrainEnd();
  t.equal(client.socket.all("ACK").length, 0);
  backlog = 0;
  seconds(bench, 1);
  t.equal(client.socket.all("ACK").length, 1);
});

t.test("all sockets together hold a bounded number of bytes", async (t) => {
  const bench = new InMemoryGateway();
  const { output } = bench.gateway;
  const clients = Array.from({ length: 300 }, () => bench.connect());
  t.equal(output.highWaterBytes, GATEWAY_LIMITS.outputHighWaterBytes);
  for (const client of clients.slice(0, 200)) {
    client.socket.bufferedAmount = () => 1_000_000;
    client.socket.stalled = true;
    client.send({ name: "PING", value: { nonce: 1 } });
  }
  t.equal(output.highWaterBytes, GATEWAY_LIMITS.outputHighWaterTightBytes, "past the bound the mark sinks");
  t.equal(clients[0]?.socket.handler && output.totalBytes, 200_000_000);
  t.ok(output.isTight);
  for (const client of clients.slice(200)) {
    client.socket.bufferedAmount = () => 2_000_000;
    client.socket.stalled = true;
    client.send({ name: "PING", value: { nonce: 1 } });
  }
  const closed = (): number => clients.filter(({ socket }) => socket.closed !== undefined).length;
  t.equal(closed(), 100 - 34, "past twice the bound, who is sent more and does not read is closed");
  t.ok(output.totalBytes <= 2 * GATEWAY_LIMITS.outputTotalBytesMax);
  // Backlogs that grow without a send of ours, as far as the gateway knows.
  for (const client of clients.slice(0, 100)) output.update(client.socket.handler as Session, 3_000_000);
  seconds(bench, 1);
  t.ok(
    output.totalBytes <= 2 * GATEWAY_LIMITS.outputTotalBytesMax,
    "the worst are closed, as many as needed",
  );
});

t.test("who asks without reading the answers is closed", async (t) => {
  const bench = new InMemoryGateway();
  for (let i = 0; i < 2_000; i += 1) bench.node.addTopic(`${"long-".repeat(40)}${i}`);
  const client = bench.connect();
  client.socket.stalled = true;
  let requests = 0;
  while (client.socket.closed === undefined && requests < 1_000) {
    client.send({ name: "LIST_TOPICS", value: { requestId: requests } });
    await Promise.resolve();
    requests += 1;
  }
  t.equal(client.socket.closed?.code, 1006);
  t.ok(client.socket.backlogMax <= GATEWAY_LIMITS.outputBytesMax + 1_000_000);
});

t.test("requests in flight are bounded", async (t) => {
  const bench = new InMemoryGateway();
  bench.node.addTopic("flights");
  let answer: (() => void) | undefined;
  const held = new Promise<void>((resolve) => {
    answer = resolve;
  });
  const { bounds } = bench.node;
  bench.node.bounds = async (...args) => {
    await held;
    return bounds.apply(bench.node, args);
  };
  const client = bench.connect();
  for (let requestId = 0; requestId <= LIMITS.requestsInFlightMax; requestId += 1) {
    client.send({ name: "DESCRIBE_TOPIC", value: { requestId, topic: "flights" } });
  }
  t.match(client.socket.all("ERROR"), [
    { name: "TOO_MANY_REQUESTS", requestId: LIMITS.requestsInFlightMax, retriable: true },
  ]);
  answer?.();
  await bench.settle();
  t.equal(client.socket.all("TOPIC").length, LIMITS.requestsInFlightMax);
  client.send({ name: "DESCRIBE_TOPIC", value: { requestId: 1, topic: "flights" } });
  await bench.settle();
  t.equal(client.socket.all("TOPIC").length, LIMITS.requestsInFlightMax + 1);
});

t.test("what fails inside is answered with INTERNAL, and not told to the client", async (t) => {
  const bench = new InMemoryGateway();
  bench.node.addTopic("flights");
  bench.node.bounds = () => Promise.reject(new Error("secret path /var/x"));
  const client = bench.connect();
  client.send({ name: "DESCRIBE_TOPIC", value: { requestId: 4, topic: "flights" } });
  await bench.settle();
  const [error] = client.socket.all("ERROR");
  t.match(error, { name: "INTERNAL", requestId: 4, retriable: true });
  t.notMatch(error?.message, /secret/);
  t.match(
    bench.logged.find(({ event }) => event === "request-failed"),
    { level: "error", fields: { error: /secret/ } },
  );
  t.equal(client.socket.closed, undefined);
});

t.test("a handler that throws ends that session with INTERNAL", async (t) => {
  const bench = new InMemoryGateway();
  const socket = new FakeSocket();
  const handler = bench.gateway.open(socket);
  socket.handler = handler;
  handler.onFailure(new TypeError("oops"));
  t.match(socket.all("ERROR"), [{ name: "INTERNAL" }]);
  t.match(socket.closed, { code: 1011 });
  t.match(
    bench.logged.find(({ event }) => event === "session-failed"),
    { fields: { error: /oops/ } },
  );
});

t.test("too many sessions are refused at the door", async (t) => {
  const bench = new InMemoryGateway();
  for (let i = 0; i < GATEWAY_LIMITS.sessionsMax; i += 1) bench.gateway.open(new FakeSocket());
  t.equal(bench.gateway.sessionCount, GATEWAY_LIMITS.sessionsMax);
  const late = bench.connect(false);
  t.match(late.socket.all("ERROR"), [{ name: "TOO_MANY_SESSIONS" }]);
  t.match(late.socket.closed, { code: 1013 });
  late.hello();
  t.equal(late.socket.frames.length, 1, "it is not heard");
  t.equal(bench.gateway.sessionCount, GATEWAY_LIMITS.sessionsMax);
});

t.test("an idle session is small", async (t) => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const bench = new InMemoryGateway();
  const sockets = Array.from({ length: 2_000 }, () => new FakeSocket());
  collect();
  const before = process.memoryUsage().heapUsed;
  for (const socket of sockets) socket.handler = bench.gateway.open(socket);
  collect();
  const each = (process.memoryUsage().heapUsed - before) / sockets.length;
  t.ok(each < 2_048, `${Math.round(each)} bytes a session`);
});
