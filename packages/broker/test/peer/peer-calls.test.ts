import { MillraceError } from "@millrace/protocol";
import t from "tap";
import { BROKER_LIMITS } from "../../src/limits.ts";
import { GUEST, GuestNode, OwnerNode, until } from "../harness/linked-nodes.ts";

t.test("calls are answered, in whatever order, by whoever is registered when they come", async (t) => {
  const owner = await OwnerNode.listen(t);
  const guest = await GuestNode.joined(t, owner);
  let release: (() => void) | undefined;
  owner.rpc.set(
    "slow",
    (args) =>
      new Promise((resolve) => {
        release = () => resolve(args);
      }),
  );
  owner.rpc.set("who", (_args, caller) => caller);
  const slow = guest.link.call("slow", [1, "two", Buffer.from([3]), { four: null }]);
  t.match(await guest.link.call("who", []), { nodeId: GUEST });
  release?.();
  t.same(await slow, [1, "two", Buffer.from([3]), { four: null }]);
  t.equal(
    await guest.link.call("who", []).then((caller) => typeof (caller as { run: number }).run),
    "number",
  );
  const answers = await Promise.all(
    Array.from({ length: 300 }, (_, i) => {
      owner.rpc.set(`n${i}`, () => Buffer.alloc(i * 100, i));
      return guest.link.call(`n${i}`, []);
    }),
  );
  t.ok(answers.every((answer, i) => (answer as Buffer).equals(Buffer.alloc(i * 100, i))));
});

t.test("what a call fails with", async (t) => {
  const owner = await OwnerNode.listen(t);
  const guest = await GuestNode.joined(t, owner);
  const details = { topicId: 7, nested: { a: [1] } };
  owner.rpc.set("refuse", () => {
    throw new MillraceError("TOPIC_EXISTS", "there is one", { details });
  });
  owner.rpc.set("break", async () => {
    throw new TypeError("oops");
  });
  owner.rpc.set("silence", () => new Promise(() => {}));
  owner.rpc.set("huge", () => Buffer.alloc(BROKER_LIMITS.peerRecordBytesMax));
  const code = (method: string, args: unknown[] = [], timeoutMs?: number): Promise<unknown> =>
    guest.link.call(method, args, timeoutMs).then(
      () => "answered",
      (error: MillraceError) => error.code,
    );
  await t.rejects(guest.link.call("refuse", []), { code: "TOPIC_EXISTS", message: "there is one", details });
  await t.rejects(guest.link.call("break", []), { code: "INTERNAL", message: "break failed: oops" });
  t.ok(owner.log.has("peer-call-failed", "oops"));
  t.equal(await code("nobody"), "NOT_FOUND");
  t.equal(await code("silence", [], 20), "INTERNAL");
  t.equal(await code("huge"), "REQUEST_TOO_LARGE");
  t.equal(await code("nobody", [Buffer.alloc(BROKER_LIMITS.peerRecordBytesMax)]), "REQUEST_TOO_LARGE");
  const many = Array.from({ length: BROKER_LIMITS.peerCallsMax }, () => code("silence", [], 50));
  t.equal(await code("silence"), "THROTTLED");
  const outcomes = await Promise.all(many);
  t.equal(outcomes.pop(), "THROTTLED", "the owner still works on the call that was given up above");
  t.same(new Set(outcomes), new Set(["INTERNAL"]));
  const lost = [code("silence"), code("silence")];
  await owner.server.close();
  t.same(await Promise.all(lost), ["SHARD_RESTARTED", "SHARD_RESTARTED"]);
  t.equal(await code("silence"), "SHARD_RESTARTED", "nothing waits for the link to come back");
});

t.test("an answer as large as a record may be, beside the traffic of a shard", async (t) => {
  const owner = await OwnerNode.listen(t);
  const guest = await GuestNode.joined(t, owner);
  const large = Buffer.alloc(BROKER_LIMITS.peerRecordBytesMax - 64, 3);
  owner.rpc.set("large", ([value]) => value);
  const answer = guest.link.call("large", [large]);
  for (let sequence = 0; sequence < 20; sequence += 1) guest.publish(0, sequence, Buffer.alloc(100));
  t.ok(large.equals((await answer) as Buffer));
  await until(() => guest.acks.length === 20);
});

t.test("pushes reach every guest from its coming on, in their order", async (t) => {
  const owner = await OwnerNode.listen(t);
  owner.server.push("before", 0);
  const guest = await GuestNode.joined(t, owner);
  for (let i = 0; i < 100; i += 1) owner.server.push("count", { i });
  await until(() => guest.pushes.length === 100);
  t.same(
    guest.pushes,
    Array.from({ length: 100 }, (_, i) => ["count", { i }]),
  );
  t.throws(() => owner.server.push("huge", Buffer.alloc(BROKER_LIMITS.peerRecordBytesMax)), RangeError);
});
