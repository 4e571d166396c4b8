import { encodePing, errorFrameOf, FrameWriter, LIMITS, MillraceError } from "@millrace/protocol";
import t from "tap";
import type { ClientState } from "../src/index.ts";
import { topicInfo } from "./fake-broker.ts";
import { microtasks } from "./manual-clock.ts";
import { ScriptedClient } from "./scripted-client.ts";

function record(script: ScriptedClient): {
  states: ClientState[];
  lost: string[];
  closed: (string | undefined)[];
} {
  const log = { states: [] as ClientState[], lost: [] as string[], closed: [] as (string | undefined)[] };
  script.client.on("state", (state) => log.states.push(state));
  script.client.on("disconnected", ({ code }) => log.lost.push(code));
  script.client.on("closed", (error) => log.closed.push(error?.code));
  return log;
}

t.test("HELLO and WELCOME", async (t) => {
  const script = new ScriptedClient({ name: "tester" });
  t.match(await script.welcome(), {
    versionMin: 1,
    versionMax: 1,
    clientName: "tester",
    features: [],
    auth: null,
  });
  const client = await script.connecting;
  t.equal(client.state, "connected");
  t.equal(client.url, "ws://memory");
});

t.test("the first connection fails clearly", async (t) => {
  const down = new ScriptedClient();
  down.network.isUp = false;
  await t.rejects(down.connecting, { code: "CONNECT_FAILED", message: /ws:\/\/memory/, retriable: true });

  const silent = new ScriptedClient({ connectTimeoutMs: 500 });
  await microtasks();
  silent.clock.advance(499);
  await microtasks();
  t.ok(await silent.expect("HELLO"));
  silent.clock.advance(1);
  await t.rejects(silent.connecting, { code: "CONNECT_FAILED", message: /500 ms/ });

  for (const code of ["NOT_AUTHORIZED", "TOO_MANY_SESSIONS", "UNSUPPORTED_VERSION"] as const) {
    const refused = new ScriptedClient();
    await microtasks();
    await refused.expect("HELLO");
    await refused.reply("ERROR", errorFrameOf(new MillraceError(code, "no")));
    await t.rejects(refused.connecting, { code });
  }

  const stranger = new ScriptedClient();
  await microtasks();
  stranger.session.handlers.onText();
  await t.rejects(stranger.connecting, { code: "MALFORMED_FRAME" });

  const newer = new ScriptedClient();
  await microtasks();
  await newer.expect("HELLO");
  await newer.reply("WELCOME", {
    version: 2,
    features: [],
    limits: {},
    sessionId: 1,
    serverTimeMs: 1,
    serverName: "",
    publishCredit: 0,
    extensions: {},
  });
  await t.rejects(newer.connecting, { code: "UNSUPPORTED_VERSION" });

  const controller = new AbortController();
  const aborted = new ScriptedClient({ signal: controller.signal });
  controller.abort();
  await t.rejects(aborted.connecting, { code: "ABORTED" });
  await t.rejects(new ScriptedClient({ signal: controller.signal }).connecting, { code: "ABORTED" });
  await t.rejects(new ScriptedClient({ connectTimeoutMs: 0 }).connecting, /connectTimeoutMs/);
  await t.rejects(new ScriptedClient({ pingIntervalMs: 10, deadAfterMs: 5 }).connecting, /deadAfterMs/);
});

t.test("retryFirstConnect goes on trying, but not against a refusal", async (t) => {
  const script = new ScriptedClient({ retryFirstConnect: true });
  script.network.isUp = false;
  for (let i = 0; i < 5; i += 1) {
    await microtasks();
    script.clock.advance(10_000);
  }
  t.ok(script.network.sessions.length > 3);
  script.network.isUp = true;
  await microtasks();
  script.clock.advance(10_000);
  await microtasks();
  await script.expect("HELLO");
  await script.reply("ERROR", errorFrameOf(new MillraceError("NOT_AUTHORIZED", "no")));
  await t.rejects(script.connecting, { code: "NOT_AUTHORIZED" });
});

t.test("reconnects with exponential back-off and full jitter", async (t) => {
  const script = await ScriptedClient.connected({ reconnectBackoffMinMs: 100, reconnectBackoffMaxMs: 500 });
  const log = record(script);
  script.network.isUp = false;
  script.session.cut();
  const pauses: number[] = [];
  for (let i = 0; i < 5; i += 1) {
    await microtasks();
    pauses.push(script.clock.nextInMs);
    script.clock.advance(script.clock.nextInMs);
  }
  // The script's random fraction is a half.
  t.same(pauses, [50, 100, 200, 250, 250]);
  script.network.isUp = true;
  await microtasks();
  script.clock.advance(500);
  await script.welcome();
  t.same(log.states, ["reconnecting", "connected"]);
  t.same(new Set(log.lost), new Set(["CONNECTION_LOST", "CONNECT_FAILED"]));

  // A session that does not last is no reason to hurry.
  script.session.cut();
  await microtasks();
  t.equal(script.clock.nextInMs, 250);
  script.clock.advance(250);
  await script.welcome();
  script.clock.advance(60_000);
  script.session.cut();
  t.equal(script.clock.nextInMs, 50);
});

t.test("reconnect: false closes the client instead", async (t) => {
  const script = await ScriptedClient.connected({ reconnect: false });
  const log = record(script);
  const pending = script.client.topics.list();
  const subscription = script.client.subscribe("t");
  script.session.cut();
  t.equal(script.client.state, "closed");
  t.same(log.closed, ["CONNECTION_LOST"]);
  await t.rejects(pending, { code: "CLOSED" });
  await t.rejects(subscription.batches().next(), { code: "CONNECTION_LOST" });
  t.throws(() => script.client.producer("t"), { code: "CONNECTION_LOST" });
  t.equal(script.clock.pending, 0, "no timer is left");
});

t.test("pings, and a peer that went silent", async (t) => {
  const script = await ScriptedClient.connected({ pingIntervalMs: 15_000, deadAfterMs: 45_000 });
  const log = record(script);
  script.clock.advance(15_000);
  const { nonce } = await script.expect("PING");
  await script.reply("PONG", { nonce });
  script.clock.advance(15_000);
  await script.expect("PING");
  script.clock.advance(29_999);
  await script.expect("PING");
  t.equal(script.client.state, "connected");
  script.clock.advance(1);
  t.same(log.lost, ["CONNECTION_LOST"]);
  t.equal(script.client.state, "reconnecting");
  script.clock.advance(10_000);
  await script.welcome();
  await script.reply("PING", { nonce: 42 });
  t.equal((await script.expect("PONG")).nonce, 42);
});

t.test("GOAWAY: what is under way is finished, the rest goes to the next session", async (t) => {
  const script = await ScriptedClient.connected();
  const producer = await script.readyProducer("t");
  const log = record(script);
  const sent = producer.send({ partition: 0, value: "a" });
  script.clock.advance(0);
  const publish = await script.publish();
  const listing = script.client.topics.list();
  const { requestId } = await script.expect("LIST_TOPICS");
  await script.reply("GOAWAY", { code: 13, name: "SERVER_DRAINING", message: "bye" });
  t.equal(script.client.state, "draining");
  const later = producer.send({ partition: 0, value: "b" });
  script.clock.advance(0);
  const subscription = script.client.subscribe("t");
  t.ok(await script.isQuiet(), "nothing new in this session");
  await script.ack(publish, 5);
  t.equal((await sent).offset, 5);
  t.equal(script.client.state, "draining");
  await script.reply("TOPICS", { requestId, topics: [topicInfo("t", 1)], more: false });
  t.match(await listing, [{ name: "t", topicId: 7 }]);
  t.equal(script.client.state, "reconnecting");
  t.same(log.lost, ["SERVER_DRAINING"]);
  script.clock.advance(10_000);
  await script.welcome();
  const again = await script.publish();
  t.same(again.values, ["b"]);
  await script.ack(again, 6);
  t.equal((await later).offset, 6);
  await script.expect("SUBSCRIBE");
  await subscription.close();
});

t.test("GOAWAY with nothing under way, and a broker that never answers", async (t) => {
  const script = await ScriptedClient.connected();
  await script.reply("GOAWAY", { code: 13, name: "SERVER_DRAINING", message: "bye" });
  t.equal(script.client.state, "reconnecting");
  script.clock.advance(10_000);
  await script.welcome();
  const producer = await script.readyProducer("t");
  void producer.append({ partition: 0, value: "a" });
  script.clock.advance(0);
  await script.publish();
  await script.reply("GOAWAY", { code: 13, name: "SERVER_DRAINING", message: "bye" });
  script.clock.advance(9_999);
  t.equal(script.client.state, "draining");
  script.clock.advance(1);
  t.equal(script.client.state, "reconnecting");
});

t.test("an error of the session is the reason of the close that follows", async (t) => {
  const script = await ScriptedClient.connected();
  const lost: MillraceError[] = [];
  script.client.on("disconnected", (error) => lost.push(error));
  await script.reply("ERROR", errorFrameOf(new MillraceError("CREDIT_EXCEEDED", "too much")));
  script.session.cut();
  t.match(lost, [{ code: "CREDIT_EXCEEDED", message: "too much" }]);
});

t.test("topics: every request and its answer", async (t) => {
  const script = await ScriptedClient.connected();
  const { topics } = script.client;
  const created = topics.create("new", { partitions: 3, retentionMs: null });
  const create = await script.expect("CREATE_TOPIC");
  t.match(create, { name: "new", config: { partitions: 3, retentionMs: null } });
  await script.reply("TOPIC", { requestId: create.requestId, topic: topicInfo("new", 3) });
  t.match(await created, { name: "new", partitions: 3, durability: "fsynced" });
  t.notOk("partitionInfo" in (await created));

  const described = topics.describe("t");
  await script.isQuiet();
  t.match(await described, { name: "t", partitionInfo: [{ partition: 0 }, { partition: 1 }] });

  const altered = topics.alter("new", { retentionMs: null, retentionBytes: undefined, durability: "memory" });
  const alter = await script.expect("ALTER_TOPIC");
  t.match(alter, { topic: "new" });
  t.same(alter.config, { retentionMs: null, durability: "memory" }, "only what is stated");
  await script.reply("TOPIC", { requestId: alter.requestId, topic: topicInfo("new", 3) });
  t.notOk("partitionInfo" in (await altered));

  for (const [before, wire] of [
    ["latest", { kind: "latest" }],
    [{ offset: 7 }, { kind: "offset", offset: 7 }],
    [{ time: 1000.5 }, { kind: "time", timeMs: 1000 }],
    [{ time: new Date(2000) }, { kind: "time", timeMs: 2000 }],
  ] as const) {
    const truncated = topics.truncate("new", { before, partitions: [2, 0] });
    const truncate = await script.expect("TRUNCATE_TOPIC");
    t.match(truncate, { topic: "new", partitions: [2, 0], before: wire });
    const partitions = [{ partition: 2, logStartOffset: 7, highWatermark: 9 }];
    await script.reply("TRUNCATED", { requestId: truncate.requestId, topicId: 7, partitions });
    t.same(await truncated, partitions);
  }
  for (const before of [{ offset: -1 }, { time: Number.NaN }, { offset: 1.5 }, "earliest", undefined]) {
    await t.rejects(topics.truncate("new", { before: before as never }), { code: "INVALID_FROM" });
  }

  const deleted = topics.delete("new");
  const remove = await script.expect("DELETE_TOPIC");
  t.equal(remove.topic, "new");
  await script.reply("TOPIC_DELETED", { requestId: remove.requestId, name: "new", catalogPosition: 2 });
  t.equal(await deleted, undefined);

  const exists = topics.create("t");
  const { requestId } = await script.expect("CREATE_TOPIC");
  await script.reply("ERROR", errorFrameOf(new MillraceError("TOPIC_EXISTS", "there is one"), requestId));
  await t.rejects(exists, { code: "TOPIC_EXISTS", message: "there is one" });
  await script.reply("TOPICS", { requestId: 999, topics: [], more: false });
});

t.test("topics: what may be repeated after a lost connection is, and what may not is not", async (t) => {
  const script = await ScriptedClient.connected();
  const { topics } = script.client;
  const alter = topics.alter("a", { retentionMs: 1 });
  const offset = topics.truncate("a", { before: { offset: 1 } });
  const latest = topics.truncate("a", { before: "latest" });
  for (const name of ["ALTER_TOPIC", "TRUNCATE_TOPIC", "TRUNCATE_TOPIC"] as const) await script.expect(name);
  const lost = t.rejects(latest, { code: "CONNECTION_LOST", retriable: true });
  await script.reconnect();
  await lost;
  const again = await script.expect("ALTER_TOPIC");
  await script.reply("TOPIC", { requestId: again.requestId, topic: topicInfo("a", 1) });
  await alter;
  const { requestId, before } = await script.expect("TRUNCATE_TOPIC");
  t.same(before, { kind: "offset", offset: 1 });
  await script.reply("TRUNCATED", { requestId, topicId: 7, partitions: [] });
  t.same(await offset, []);
});

t.test("topics: a list of several pages is one list", async (t) => {
  const script = await ScriptedClient.connected({ requestTimeoutMs: 1_000 });
  const { topics } = script.client;
  const answer = async (names: readonly string[], more: boolean): Promise<string | undefined> => {
    const { requestId, after } = await script.expect("LIST_TOPICS");
    await script.reply("TOPICS", { requestId, topics: names.map((name) => topicInfo(name, 1)), more });
    return after;
  };
  const listed = topics.list({ timeoutMs: 20_000 });
  t.equal(await answer(["A", "a"], true), undefined);
  await script.expect("LIST_TOPICS");
  await script.reconnect();
  t.equal(await answer(["b"], true), "a", "goes on in the next session");
  t.equal(await answer([], false), "b");
  const all = await listed;
  t.equal(all.length, 3);
  t.match(all, [{ name: "A" }, { name: "a" }, { name: "b", partitionInfo: undefined }]);

  const late = topics.list();
  script.clock.advance(999);
  t.equal(await answer(["a"], true), undefined);
  script.clock.advance(1);
  await t.rejects(late, { code: "TIMEOUT", message: /the rest/ }, "the pages share the time of one");
  await script.expect("LIST_TOPICS");

  const controller = new AbortController();
  const aborted = topics.list({ signal: controller.signal });
  await answer(["a"], true);
  controller.abort();
  await t.rejects(aborted, { code: "ABORTED" });
  await script.expect("LIST_TOPICS");

  const empty = topics.list();
  await answer([], true);
  await t.rejects(empty, { code: "MALFORMED_FRAME" }, "more after nothing");
  const circle = topics.list();
  await answer(["a"], true);
  await answer(["a"], true);
  await t.rejects(circle, { code: "MALFORMED_FRAME" }, "the same page again");
  t.ok(await script.isQuiet());
});

t.test("requests: time limit, abort, lost connections", async (t) => {
  const script = await ScriptedClient.connected({ requestTimeoutMs: 1_000 });
  const { topics } = script.client;
  const late = topics.list();
  const longer = topics.list({ timeoutMs: 2_000 });
  const controller = new AbortController();
  const aborted = topics.list({ signal: controller.signal });
  controller.abort();
  await t.rejects(aborted, { code: "ABORTED" });
  await t.rejects(topics.list({ signal: controller.signal }), { code: "ABORTED" });
  script.clock.advance(1_000);
  await t.rejects(late, { code: "TIMEOUT" });
  const creating = topics.create("new");
  script.session.cut();
  await t.rejects(creating, { code: "CONNECTION_LOST", retriable: true });
  const whileAway = topics.create("later");
  script.clock.advance(100);
  await script.welcome();
  const { requestId } = await script.expect("LIST_TOPICS");
  await script.reply("TOPICS", { requestId, topics: [], more: false });
  t.same(await longer, [], "repeated by itself");
  t.equal((await script.expect("CREATE_TOPIC")).name, "later");

  const many = Array.from({ length: LIMITS.requestsInFlightMax + 1 }, () => topics.list());
  await t.rejects(many.at(-1) as Promise<unknown>, { code: "TOO_MANY_REQUESTS" });
  const settled = Promise.allSettled([...many, whileAway]);
  await script.client.close();
  t.ok((await settled).every(({ status }) => status === "rejected"));
});

t.test("close: flushes, ends subscriptions, then everything is refused", async (t) => {
  const script = await ScriptedClient.connected();
  const log = record(script);
  const producer = await script.readyProducer("t", { lingerMs: 1e6 });
  const subscription = script.client.subscribe("t");
  await script.expect("SUBSCRIBE");
  const next = subscription.batches().next();
  const sent = producer.send({ partition: 0, value: "last words" });
  const closed = script.client.close();
  t.equal(script.client.close(), closed);
  t.match(await next, { done: true });
  const publish = await script.publish();
  t.same(publish.values, ["last words"]);
  await script.ack(publish, 1);
  t.equal((await sent).offset, 1);
  await closed;
  t.equal(script.session.closeCode, 1000);
  t.same(log.states, ["closed"]);
  t.same(log.closed, [undefined]);
  await t.rejects(script.client.topics.list(), { code: "CLOSED" });
  t.throws(() => script.client.producer("t"), { code: "CLOSED" });
  t.throws(() => script.client.subscribe("t"), { code: "CLOSED" });
  await t.rejects(producer.send({ value: "x" }), { code: "CLOSED" });
  await t.rejects(producer.flush(), { code: "CLOSED" });
  t.equal(script.clock.pending, 0, "no timer is left");
});

t.test("close gives up after its time", async (t) => {
  const script = await ScriptedClient.connected({ closeTimeoutMs: 3_000 });
  const producer = await script.readyProducer("t");
  const sent = producer.send({ partition: 0, value: "never acknowledged" });
  sent.catch(() => {});
  script.clock.advance(0);
  await script.publish();
  const closed = script.client.close();
  await microtasks();
  script.clock.advance(3_000);
  await closed;
  await t.rejects(sent, { code: "CLOSED" });
  t.equal(script.clock.pending, 0);
});

t.test("a signal that fires later closes the client", async (t) => {
  const controller = new AbortController();
  const script = await ScriptedClient.connected({ signal: controller.signal });
  const log = record(script);
  const next = script.client.subscribe("t").batches().next();
  controller.abort();
  await t.rejects(next, { code: "ABORTED" });
  t.same(log.closed, ["ABORTED"]);
  t.equal(script.clock.pending, 0);
});

t.test("frames of an unknown type are ignored, those after a close are not read", async (t) => {
  const script = await ScriptedClient.connected();
  const writer = new FrameWriter();
  writer.arrayHeader(2);
  writer.uint(200);
  writer.str("from the future");
  script.session.handlers.onMessage(writer.take());
  t.equal(script.client.state, "connected");
  await script.client.close();
  writer.reset();
  encodePing(writer, { nonce: 1 });
  script.session.handlers.onMessage(writer.take());
  t.ok(await script.isQuiet());
});

t.test("a listener that was removed hears nothing", async (t) => {
  const script = await ScriptedClient.connected();
  const heard: string[] = [];
  const off = script.client.on("state", (state) => heard.push(state));
  off();
  script.session.cut();
  t.same(heard, []);
  await script.client.close();
});
