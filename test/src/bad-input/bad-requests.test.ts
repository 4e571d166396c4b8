import type { FrameValues, SubscribeFrom } from "@millrace/protocol";
import { pack } from "msgpackr";
import t, { type Test } from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { publishFrame, RawClient } from "../harness/raw-client.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { Witness } from "../harness/witness.ts";

const broker = await BrokerProcess.start(t, { dataDir: temporaryFolder(t) });
const witness = await Witness.start(t, broker);
const client = await RawClient.connect(t, broker.url);
const { topicId } = await client.createTopic("target", { partitions: 2 });
await client.publish(publishFrame({ topicId, records: [{ value: "one" }, { value: "two" }] }));
await client.next("ACK");

/** The error that answers the request; the session goes on. */
async function answer(
  t: Test,
  requestId: number,
  code: string,
  title: string,
): Promise<FrameValues["ERROR"]> {
  const error = await client.next("ERROR");
  t.match(error, { requestId, name: code }, title);
  await client.ping();
  return error;
}

async function subscribe(t: Test, code: string, changes: Partial<FrameValues["SUBSCRIBE"]>): Promise<void> {
  const requestId = client.nextRequestId();
  const from: SubscribeFrom = { kind: "earliest" };
  client.send("SUBSCRIBE", {
    requestId,
    subscriptionId: 1000 + requestId,
    topic: "target",
    from,
    creditLimit: 100_000,
    mode: "stream",
    extensions: {},
    ...changes,
  });
  const error = await answer(t, requestId, code, JSON.stringify(changes));
  t.equal(error.details.subscriptionId, changes.subscriptionId ?? 1000 + requestId);
}

t.test("subscriptions that cannot be", async (t) => {
  await subscribe(t, "UNKNOWN_TOPIC", { topic: "nowhere" });
  await subscribe(t, "UNKNOWN_TOPIC", { topic: "" });
  await subscribe(t, "UNKNOWN_TOPIC", { topic: "$catalog" });
  await subscribe(t, "UNKNOWN_PARTITION", { partitions: [0, 2] });
  await subscribe(t, "UNKNOWN_PARTITION", { partitions: [2 ** 40] });
  await subscribe(t, "UNKNOWN_PARTITION", { partitions: [] });
  await subscribe(t, "UNSUPPORTED_FEATURE", { mode: "queue" });
  await subscribe(t, "UNSUPPORTED_FEATURE", { mode: "" });
  await subscribe(t, "UNSUPPORTED_FEATURE", { extensions: { filter: "a" } });
  await subscribe(t, "OFFSET_OUT_OF_RANGE", { from: { kind: "offset", offset: 3 } });
  await subscribe(t, "OFFSET_OUT_OF_RANGE", { from: { kind: "offset", offset: 2 ** 53 - 1 } });
  const position = { partition: 0, offset: 0, logEpoch: 0 };
  const resume = (positions: (typeof position)[], id: number = topicId): SubscribeFrom => ({
    kind: "resume",
    topicId: id,
    positions,
  });
  await subscribe(t, "INVALID_FROM", { from: resume([position]) });
  await subscribe(t, "LOG_EPOCH_CHANGED", { from: resume([{ ...position, logEpoch: 7 }]), partitions: [0] });
  await subscribe(t, "LOG_EPOCH_CHANGED", { from: resume([position], topicId + 100), partitions: [0] });
  await subscribe(t, "OFFSET_OUT_OF_RANGE", { from: resume([{ ...position, offset: 9 }]), partitions: [0] });
  const requestId = client.nextRequestId();
  client.sendBytes(pack([32, requestId, requestId, "target", null, ["yesterday"], 1000]));
  await answer(t, requestId, "INVALID_FROM", "a start of another kind");
});

t.test("ids of subscriptions", async (t) => {
  const { subscriptionId } = await client.subscribe("target", { kind: "latest" }, 1000);
  await subscribe(t, "SUBSCRIPTION_EXISTS", { subscriptionId });
  const requestId = client.nextRequestId();
  client.send("UNSUBSCRIBE", { requestId, subscriptionId: 4_000_000 });
  await answer(t, requestId, "UNKNOWN_SUBSCRIPTION", "to end what never began");
  client.send("FLOW", { subscriptionId: 4_000_000, creditLimit: 5 });
  await client.ping();
  t.same(client.waiting, [], "credit for a subscription that has ended is no error");
  client.send("UNSUBSCRIBE", { requestId: requestId + 1, subscriptionId });
  t.match(await client.next("UNSUBSCRIBED"), { subscriptionId });
});

t.test("topics that cannot be", async (t) => {
  const request = async (code: string, name: string, config: Record<string, unknown>): Promise<void> => {
    const requestId = client.nextRequestId();
    client.send("CREATE_TOPIC", { requestId, name, config });
    await answer(t, requestId, code, `${name} ${JSON.stringify(config)}`);
  };
  await request("TOPIC_EXISTS", "target", {});
  await request("INVALID_TOPIC_NAME", "$catalog", {});
  await request("INVALID_TOPIC_NAME", "../etc/passwd", {});
  await request("INVALID_TOPIC_NAME", "n".repeat(250), {});
  await request("INVALID_TOPIC_CONFIG", "t", { partitions: 1025 });
  await request("INVALID_TOPIC_CONFIG", "t", { partitions: "4" });
  await request("INVALID_TOPIC_CONFIG", "t", { partitions: null });
  await request("INVALID_TOPIC_CONFIG", "t", { retentionMs: 1.5 });
  await request("INVALID_TOPIC_CONFIG", "t", { durability: "replicated" });
  await request("INVALID_TOPIC_CONFIG", "t", { compaction: true });
  await request("INVALID_TOPIC_CONFIG", "t", { __proto__: null, constructor: 1 });
  for (const topic of ["nowhere", "$catalog", "", "a b"]) {
    const requestId = client.nextRequestId();
    client.send("DESCRIBE_TOPIC", { requestId, topic });
    await answer(t, requestId, "UNKNOWN_TOPIC", `describe ${topic}`);
    client.send("DELETE_TOPIC", { requestId: requestId + 1, topic });
    client.nextRequestId();
    await answer(t, requestId + 1, "UNKNOWN_TOPIC", `delete ${topic}`);
  }
});

t.test("more subscriptions and requests than a session may have", async (t) => {
  const greedy = await RawClient.connect(t, broker.url);
  const count = 1100;
  for (let i = 1; i <= count; i += 1) {
    greedy.send("SUBSCRIBE", {
      requestId: i,
      subscriptionId: i,
      topic: "target",
      partitions: [0],
      from: { kind: "latest" },
      creditLimit: 0,
      mode: "live",
      extensions: {},
    });
  }
  await greedy.ping();
  const accepted = (): number => greedy.waiting.filter(({ name }) => name === "SUBSCRIBED").length;
  const refused = (): string[] =>
    greedy.waiting.flatMap((frame) => (frame.name === "ERROR" ? [frame.value.name] : []));
  while (accepted() + refused().length < count) await greedy.ping();
  t.ok(accepted() <= 1024, `${accepted()} accepted`);
  t.ok(
    refused().every((name) => name === "TOO_MANY_SUBSCRIPTIONS" || name === "TOO_MANY_REQUESTS"),
    [...new Set(refused())].join(),
  );

  const busy = await RawClient.connect(t, broker.url);
  for (let i = 1; i <= 5000; i += 1) busy.send("DESCRIBE_TOPIC", { requestId: i, topic: "target" });
  const answered = (): number =>
    busy.waiting.filter(
      ({ name, value }) => name === "TOPIC" || (name === "ERROR" && value.name === "TOO_MANY_REQUESTS"),
    ).length;
  while (answered() < 5000) await busy.ping();
  t.pass("each of 5000 requests at once is answered or refused");
});

t.test("the others have noticed nothing of all that", (t) => witness.check(t, "after bad requests"));
