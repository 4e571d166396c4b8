import type { FrameValues } from "@millrace/protocol";
import { BatchReader } from "@millrace/protocol";
import t from "tap";
import { entryOf, topicInfo } from "./fake-broker.ts";
import { microtasks } from "./manual-clock.ts";
import { type Publish, ScriptedClient } from "./scripted-client.ts";
import { consuming, lease, settled, settles, subscriptionInfo } from "./scripted-consumer.ts";
import { accept, stream } from "./scripted-subscription.ts";

const NO_STATE = {
  available: 0,
  leased: 0,
  waiting: 0,
  redelivered: 0,
  dead: 0,
  lag: 0,
  oldestAgeMs: null,
  blockedByKey: null,
  partitions: [],
};

/** Answers what comes before the PUBLISH of a request, which is returned. */
async function published(script: ScriptedClient, consumers = 1): Promise<Publish> {
  for (let turns = 0; turns < 20; turns += 1) {
    await microtasks();
    script.clock.advance(0);
    const frame = await script.next();
    if (frame === undefined) continue;
    if (frame.name === "CREATE_TOPIC") {
      const { requestId, name, config } = frame.value as FrameValues["CREATE_TOPIC"];
      t.match(name, /^inbox\.[a-z0-9]+$/);
      t.match(config, { partitions: 1, durability: "memory" });
      const { partitionInfo: _, ...topic } = topicInfo(name, 1);
      script.topics.set(name, topicInfo(name, 1));
      await script.reply("TOPIC", { requestId, topic });
    } else if (frame.name === "DESCRIBE_SUBSCRIPTION") {
      const { requestId } = frame.value as FrameValues["DESCRIBE_SUBSCRIPTION"];
      const subscription = subscriptionInfo({ state: { consumers, ...NO_STATE } });
      await script.reply("SUBSCRIPTION", { requestId, subscription });
    } else if (frame.name === "SUBSCRIBE") {
      await accept(script, frame.value as FrameValues["SUBSCRIBE"], [stream(0)]);
    } else if (frame.name === "PUBLISH") {
      const value = frame.value as FrameValues["PUBLISH"];
      return { ...value, values: [], count: 1, frameBytes: frame.frameBytes };
    }
  }
  throw new Error("no publish came");
}

function headersOf({ batch }: Publish): Readonly<Record<string, unknown>> {
  const reader = new BatchReader();
  reader.reset(batch, 0, batch.length);
  return reader.recordAt(0).headers ?? {};
}

async function reply(
  script: ScriptedClient,
  offset: number,
  headers: Record<string, string>,
  value: string,
): Promise<void> {
  const entries = [entryOf(offset, [{ headers, value }])];
  await script.reply("DELIVER", { streamId: 10, nextOffset: offset + 1, entries });
}

t.test("a request and its reply", async (t) => {
  const script = await ScriptedClient.connected();
  const answer = script.client.request("t", "2 + 2", { headers: { lang: "en" }, timeoutMs: 5_000 });
  const publish = await published(script);
  const headers = headersOf(publish);
  t.match(headers, { lang: "en", "reply-to": /^inbox\./, "correlation-id": "1", expiration: "5000" });
  await script.ack(publish, 0);
  await reply(script, 0, { "correlation-id": "99" }, "nobody's");
  await reply(script, 1, { "correlation-id": "1" }, "4");
  t.match(await answer, { value: "4", topic: headers["reply-to"] });

  const next = script.client.request("t", "again");
  const second = await published(script);
  t.equal(headersOf(second)["correlation-id"], "2");
  await reply(script, 2, { "correlation-id": "2", error: "cannot" }, "");
  await t.rejects(next, { code: "REQUEST_FAILED", message: "cannot" });

  const closing = script.client.close();
  await script.ack(second, 1);
  for (let frame = await script.next(); frame !== undefined; frame = await script.next()) {
    if (frame.name !== "DELETE_TOPIC") continue;
    const { requestId, topic } = frame.value as FrameValues["DELETE_TOPIC"];
    t.equal(topic, headers["reply-to"]);
    await script.reply("TOPIC_DELETED", { requestId, name: topic, catalogPosition: 1 });
  }
  await closing;
});

t.test("the inbox is deleted also where a consumer keeps the client from closing at once", async (t) => {
  const script = await ScriptedClient.connected();
  const answer = script.client.request("t", "x");
  const publish = await published(script);
  await script.ack(publish, 0);
  await reply(script, 0, { "correlation-id": "1" }, "y");
  await answer;
  const consumer = script.client.consume("t", { subscription: "s", mode: "queue" }, () => {});
  await consuming(script, await script.expect("CONSUME"));
  await consumer.ready();
  const closing = script.client.close();
  const names: string[] = [];
  for (let turns = 0; turns < 20 && !names.includes("DELETE_TOPIC"); turns += 1) {
    await microtasks();
    script.clock.advance(0);
    const frame = await script.next();
    if (frame === undefined) continue;
    names.push(frame.name);
    if (frame.name === "STOP_CONSUMING") {
      const { requestId, consumerId } = frame.value as FrameValues["STOP_CONSUMING"];
      await script.reply("CONSUMING_STOPPED", { requestId, consumerId });
    } else if (frame.name === "DELETE_TOPIC") {
      const { requestId, topic } = frame.value as FrameValues["DELETE_TOPIC"];
      t.equal(topic, headersOf(publish)["reply-to"]);
      await script.reply("TOPIC_DELETED", { requestId, name: topic, catalogPosition: 1 });
    }
  }
  t.ok(names.includes("STOP_CONSUMING"));
  t.ok(names.includes("DELETE_TOPIC"));
  await closing;
});

t.test("nobody answers: at once, or after the time", async (t) => {
  const script = await ScriptedClient.connected();
  const nobody = script.client.request("t", "x");
  nobody.catch(() => {});
  await t.rejects(published(script, 0), /no publish came/);
  await t.rejects(nobody, { code: "NO_RESPONDERS", retriable: true });
  const late = script.client.request("t", "x", { timeoutMs: 2_000 });
  await published(script);
  script.clock.advance(2_000);
  await t.rejects(late, { code: "TIMEOUT" });
  const controller = new AbortController();
  const aborted = script.client.request("t", "x", { signal: controller.signal });
  controller.abort();
  await t.rejects(aborted, { code: "ABORTED" });
  await t.rejects(script.client.request("t", "x", { timeoutMs: -1 }), RangeError);
});

t.test("a topic is believed to have responders for a second", async (t) => {
  const script = await ScriptedClient.connected();
  const asked = async (): Promise<boolean> => {
    const request = script.client.request("t", "x", { timeoutMs: 100 });
    request.catch(() => {});
    await microtasks();
    script.clock.advance(0);
    const names: string[] = [];
    for (let frame = await script.next(); frame !== undefined; frame = await script.next()) {
      names.push(frame.name);
      if (frame.name !== "DESCRIBE_SUBSCRIPTION") continue;
      const { requestId } = frame.value as FrameValues["DESCRIBE_SUBSCRIPTION"];
      const subscription = subscriptionInfo({ state: { consumers: 1, ...NO_STATE } });
      await script.reply("SUBSCRIPTION", { requestId, subscription });
    }
    script.clock.advance(100);
    return names.includes("DESCRIBE_SUBSCRIPTION");
  };
  void script.client.request("t", "x", { timeoutMs: 1 }).catch(() => {});
  await published(script);
  t.equal(await asked(), false);
  script.clock.advance(1_000);
  t.equal(await asked(), true);
});

t.test("a responder replies to the inbox, with what its handler returns or throws", async (t) => {
  const script = await ScriptedClient.connected();
  script.topics.set("inbox.x", topicInfo("inbox.x", 1));
  const responder = script.client.respond("t", ({ value }) => {
    if (value === "bad") throw new Error("cannot");
    return `re: ${value}`;
  });
  const consume = await script.expect("CONSUME");
  t.match(consume, {
    topic: "t",
    subscription: "responders",
    mode: "queue",
    slots: 1,
    create: { mode: "queue" },
  });
  await consuming(script, consume);
  await responder.ready();
  for (const [index, [value, expected]] of [
    ["hello", undefined],
    ["bad", "cannot"],
  ].entries()) {
    const headers = { "reply-to": "inbox.x", "correlation-id": `c${index}` };
    await lease(script, [{ base: index, values: [{ headers, value }] }]);
    await script.isQuiet();
    script.clock.advance(0);
    const publish = await script.expect("PUBLISH");
    const sent = { ...publish, values: [], count: 1 };
    t.match(headersOf(sent), { "correlation-id": `c${index}` });
    t.equal(headersOf(sent).error, expected);
    t.ok(await script.isQuiet(), "the request is acked once the reply is stored");
    await script.ack(sent, index);
    await settled(script, await settles(script));
  }
  await lease(script, [{ base: 5, values: [{ value: "no inbox" }] }]);
  t.match(await settles(script), [{ action: 0, firstOffset: 5 }], "nobody wants the result");
});

t.test("requests that nobody waits for any more are passed over", async (t) => {
  const script = await ScriptedClient.connected();
  let calls = 0;
  script.client.respond("t", () => {
    calls += 1;
  });
  await consuming(script, await script.expect("CONSUME"));
  script.clock.advance(10_000);
  // WELCOME said 1 ms; the batch was appended at 1,000 ms.
  await lease(script, [{ base: 0, values: [{ headers: { expiration: "5000" }, value: "late" }] }]);
  await settled(script, await settles(script));
  t.equal(calls, 0);
  await lease(script, [{ base: 1, values: [{ headers: { expiration: "20000" }, value: "in time" }] }]);
  await settles(script);
  t.equal(calls, 1);
});
