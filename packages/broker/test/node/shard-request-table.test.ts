import { ERROR_CODES } from "@millrace/protocol";
import { Packr } from "msgpackr";
import t from "tap";
import { BROKER_LIMITS } from "../../src/limits.ts";
import { GatewayIds } from "../../src/link/gateway-ids.ts";
import { ShardRequestTable } from "../../src/node/shard-request-table.ts";

const packr = new Packr({ useRecords: false });

/** A table, and what it sent. */
function rig(): {
  table: ShardRequestTable;
  sent: { requestId: number; request: unknown }[];
  send: (requestId: number, payload: Uint8Array) => boolean;
} {
  const sent: { requestId: number; request: unknown }[] = [];
  return {
    table: new ShardRequestTable(new GatewayIds(0)),
    sent,
    send: (requestId, payload) => {
      sent.push({ requestId, request: packr.unpack(payload) });
      return true;
    },
  };
}

t.test("an answer settles its own request, in any order", async (t) => {
  const { table, sent, send } = rig();
  const first = table.ask(0, "time", [1, 2, 3], send);
  const second = table.ask(1, "close", [9], send);
  t.same(
    sent.map(({ request }) => request),
    [
      ["time", 1, 2, 3],
      ["close", 9],
    ],
  );
  t.not(sent[0]?.requestId, sent[1]?.requestId);
  table.onReply(sent[1]?.requestId ?? 0, packr.pack([0, 4]));
  table.onReply(sent[0]?.requestId ?? 0, packr.pack([0, 77]));
  t.equal(await second, 4);
  t.equal(await first, 77);
});

t.test("a refusal rejects with the shard's error", async (t) => {
  const { table, sent, send } = rig();
  const asked = table.ask(0, "deleteTopic", ["flights"], send);
  const number = ERROR_CODES.UNKNOWN_TOPIC.code;
  table.onReply(sent[0]?.requestId ?? 0, packr.pack([number, "no such topic", { topic: "flights" }]));
  await t.rejects(asked, { code: "UNKNOWN_TOPIC", message: "no such topic", details: { topic: "flights" } });
});

t.test("a shard that is gone answers nothing: its requests are retriable, others wait on", async (t) => {
  const { table, sent, send } = rig();
  const lost: Promise<unknown>[] = [table.ask(3, "status", [], send), table.ask(3, "catalog", [0], send)];
  const other = table.ask(4, "close", [1], send);
  table.rejectShard(3);
  for (const asked of lost) {
    await t.rejects(asked, { code: "SHARD_RESTARTED", retriable: true, details: { shardId: 3 } });
  }
  // Whatever still arrives from before is nobody's.
  table.onReply(sent[0]?.requestId ?? 0, packr.pack([0, 1]));
  table.onReply(sent[2]?.requestId ?? 0, packr.pack([0, 1]));
  t.equal(await other, 1);
});

t.test("a request that cannot be sent is retriable", async (t) => {
  const { table } = rig();
  await t.rejects(
    table.ask(0, "status", [], () => false),
    { code: "SHARD_RESTARTED" },
  );
});

/** Replaces the timers while `run` starts a request: the table has no clock of its own, and a test does not wait 30 s. */
function withTimers<T>(run: () => T): {
  result: T;
  started: { run: () => void; ms: number }[];
  cleared: number;
} {
  const { setTimeout, clearTimeout } = globalThis;
  const seen: { started: { run: () => void; ms: number }[]; cleared: number } = { started: [], cleared: 0 };
  globalThis.setTimeout = ((run: () => void, ms: number) => {
    seen.started.push({ run, ms });
    return 0;
  }) as unknown as typeof globalThis.setTimeout;
  globalThis.clearTimeout = () => {
    seen.cleared += 1;
  };
  try {
    return Object.assign(seen, { result: run() });
  } finally {
    Object.assign(globalThis, { setTimeout, clearTimeout });
  }
}

t.test("a sender that throws leaves no timer behind", async (t) => {
  const { table } = rig();
  const { result, started, cleared } = withTimers(() =>
    table.ask(0, "status", [], () => {
      throw new RangeError("too large");
    }),
  );
  await t.rejects(result, { message: "too large" });
  t.equal(started.length, 1);
  t.equal(cleared, 1);
});

t.test("a shard that does not answer is given up", async (t) => {
  const { table, send } = rig();
  const { result, started } = withTimers(() => table.ask(2, "status", [], send));
  t.equal(started[0]?.ms, BROKER_LIMITS.controlTimeoutMs);
  started[0]?.run();
  await t.rejects(result, { code: "INTERNAL", message: /shard 2 did not answer status/ });
});
