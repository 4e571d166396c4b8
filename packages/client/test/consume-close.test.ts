import { SETTLE_ACTION } from "@millrace/protocol";
import t from "tap";
import type { Message } from "../src/index.ts";
import { microtasks } from "./manual-clock.ts";
import { ScriptedClient } from "./scripted-client.ts";
import { consuming, lease, plain, settled, settles, startConsumer } from "./scripted-consumer.ts";

const { ACK, RELEASE } = SETTLE_ACTION;

async function stopped(script: ScriptedClient): Promise<void> {
  const { requestId, consumerId } = await script.expect("STOP_CONSUMING");
  await script.reply("CONSUMING_STOPPED", { requestId, consumerId });
}

t.test("a close finishes what is in hand and gives the rest back at once", async (t) => {
  const { script, consumer, handler } = await startConsumer({ mode: "queue", prefetch: 3 });
  await lease(script, [{ base: 0, values: ["a", "b", "c"] }]);
  const closing = consumer.close();
  t.match(await script.expect("CONSUMER_CREDIT"), { consumerId: 77, slots: 0 });
  const released = await settles(script);
  t.same(plain(released), [[RELEASE, 0, 1, 2]]);
  await settled(script, released);
  t.ok(await script.isQuiet(), "the handler is at work");
  await lease(script, [{ base: 8, values: ["late"] }]);
  await settled(script, await settles(script));
  await handler.finish(0);
  const rows = await settles(script);
  t.same(plain(rows), [[ACK, 0, 0, 1]]);
  t.ok(await script.isQuiet(), "its ack has no answer");
  await settled(script, rows);
  await stopped(script);
  await closing;
  await consumer.closed;
  t.equal(consumer.close(), closing, "once");
  t.same(handler.values, ["a"]);
  await script.reconnect();
  t.ok(await script.isQuiet());
});

t.test("what is not finished within the bound goes back", async (t) => {
  const { script, consumer, handler, errors } = await startConsumer({ mode: "queue" });
  await lease(script, [{ base: 0, values: ["a"] }]);
  const { signal } = handler.messages[0] as Message;
  const closing = consumer.close({ timeoutMs: 5_000 });
  await script.expect("CONSUMER_CREDIT");
  script.clock.advance(5_000);
  t.ok(await microtasks().then(() => signal.aborted));
  await stopped(script);
  await closing;
  await t.rejects((handler.messages[0] as Message).ack(), { code: "CLOSED" });
  await handler.finish(0);
  t.same(errors, []);
});

t.test("without a connection there is only the handler to wait for", async (t) => {
  const { script, consumer, handler } = await startConsumer({ mode: "queue" });
  await lease(script, [{ base: 0, values: ["a"] }]);
  script.session.cut();
  await microtasks();
  const closing = consumer.close();
  await handler.finish(0);
  await closing;
  script.clock.advance(10_000);
  await script.welcome();
  t.ok(await script.isQuiet());
});

t.test("leaving the loop closes; what is in hand can still be settled", async (t) => {
  const script = await ScriptedClient.connected();
  const consumer = script.client.consume("t", { subscription: "s", mode: "queue", prefetch: 2 });
  await consuming(script, await script.expect("CONSUME"));
  await lease(script, [{ base: 0, values: ["a", "b"] }]);
  let message: Message | undefined;
  for await (const one of consumer) {
    message = one;
    break;
  }
  await script.expect("CONSUMER_CREDIT");
  const released = await settles(script);
  t.same(plain(released), [[RELEASE, 0, 1, 1]]);
  await settled(script, released);
  const acked = message?.ack();
  await settled(script, await settles(script));
  await acked;
  await stopped(script);
  await consumer.closed;
});

t.test("a client that closes closes its consumers first", async (t) => {
  const { script, consumer, handler } = await startConsumer({ mode: "queue" });
  await lease(script, [{ base: 0, values: ["a"] }]);
  const closing = script.client.close();
  await script.expect("CONSUMER_CREDIT");
  await handler.finish(0);
  await settled(script, await settles(script));
  await stopped(script);
  await closing;
  await consumer.closed;
  t.equal(script.session.closeCode, 1000);
});

t.test("a client that closes does not wait for ever", async (t) => {
  const { script, consumer, handler, errors } = await startConsumer({ mode: "queue" });
  await lease(script, [{ base: 0, values: ["a"] }]);
  const { signal } = handler.messages[0] as Message;
  const closing = script.client.close();
  script.clock.advance(10_000);
  await closing;
  t.ok(signal.aborted);
  await handler.finish(0);
  await consumer.close();
  t.same(errors, []);
});

t.test("the signal of the options closes", async (t) => {
  const controller = new AbortController();
  const { script, consumer } = await startConsumer({ mode: "queue", signal: controller.signal });
  controller.abort();
  await script.expect("CONSUMER_CREDIT");
  await stopped(script);
  await consumer.closed;
  const script2 = await ScriptedClient.connected();
  const refused = script2.client.consume("t", {
    subscription: "s",
    mode: "queue",
    signal: controller.signal,
  });
  await t.rejects(refused.ready(), { code: "ABORTED" });
});

t.test("a broker that drains gets everything back, and the handlers' acks", async (t) => {
  const { script, handler } = await startConsumer({ mode: "queue", prefetch: 2 });
  await lease(script, [{ base: 0, values: ["a", "b"] }]);
  await script.reply("GOAWAY", { code: 13, name: "SERVER_DRAINING", message: "m" });
  t.match(await script.expect("CONSUMER_CREDIT"), { slots: 0 });
  const released = await settles(script);
  t.same(plain(released), [[RELEASE, 0, 1, 1]]);
  await settled(script, released);
  await handler.finish(0);
  const rows = await settles(script);
  t.same(plain(rows), [[ACK, 0, 0, 1]]);
  t.notOk(script.session.isClosed);
  await settled(script, rows);
  t.ok(script.session.isClosed, "nothing is under way any more");
  script.clock.advance(10_000);
  await script.welcome();
  t.match(await script.expect("CONSUME"), { slots: 2 });
});
