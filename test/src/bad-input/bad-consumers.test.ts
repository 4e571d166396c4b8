import {
  ERROR_CODES,
  type FrameTypeName,
  type FrameValues,
  LIMITS,
  type SettleRow,
} from "@millrace/protocol";
import { pack } from "msgpackr";
import t, { type Test } from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { publishFrame, RawClient } from "../harness/raw-client.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { Witness } from "../harness/witness.ts";

const PARTITIONS = 2;
const RECORDS = 4;
const EXPIRED = ERROR_CODES.LEASE_EXPIRED.code;
const UNKNOWN = ERROR_CODES.UNKNOWN_CONSUMER.code;

const broker = await BrokerProcess.start(t, { dataDir: temporaryFolder(t) });
const witness = await Witness.start(t, broker);
const victim = await RawClient.connect(t, broker.url);
const attacker = await RawClient.connect(t, broker.url);
const { topicId } = await victim.createTopic("jobs", { partitions: PARTITIONS });
await publish();

async function publish(): Promise<void> {
  for (let partition = 0; partition < PARTITIONS; partition += 1) {
    const records = Array.from({ length: RECORDS }, (_, i) => ({ value: `${i}` }));
    await victim.publish(publishFrame({ topicId, partition, records }));
    await victim.next("ACK");
  }
}

function consumeFields(changes: Partial<FrameValues["CONSUME"]>): FrameValues["CONSUME"] {
  return {
    requestId: 1,
    topic: "jobs",
    subscription: "s",
    mode: "queue",
    slots: 100,
    creditLimit: 1_000_000,
    create: { mode: "queue", from: ["earliest"] },
    extensions: {},
    ...changes,
  };
}

async function consume(client: RawClient, changes: Partial<FrameValues["CONSUME"]> = {}): Promise<number> {
  client.send("CONSUME", consumeFields({ requestId: client.nextRequestId(), ...changes }));
  return (await client.next("CONSUMING")).consumerId;
}

/** What becomes of the rows. */
async function settle(
  client: RawClient,
  consumerId: number,
  rows: readonly Omit<SettleRow, "settleId">[],
): Promise<number[]> {
  client.send("SETTLE", { consumerId, rows: rows.map((row, i) => ({ settleId: i, ...row })) });
  const outcomes: number[] = [];
  let answered = 0;
  while (answered < rows.length) {
    for (const { settleId, outcome } of (await client.next("SETTLED")).rows) {
      outcomes[settleId] = outcome;
      answered += 1;
    }
  }
  return outcomes;
}

/** The error that answers a request; the session goes on. */
async function refused<Name extends FrameTypeName>(
  t: Test,
  code: string,
  name: Name,
  value: FrameValues[Name] & { readonly requestId: number },
): Promise<void> {
  attacker.send(name, value);
  const error = await attacker.next("ERROR");
  const { requestId: _, ...what } = value;
  t.match(error, { requestId: value.requestId, name: code }, `${name} ${JSON.stringify(what).slice(0, 150)}`);
  await attacker.ping();
}

t.test("nobody settles what another one has, or what was never leased", async (t) => {
  const mine = await consume(victim);
  const leases = [];
  while (leases.length < PARTITIONS) leases.push(...(await victim.next("LEASED")).rows);
  const [lease] = leases;
  if (lease === undefined) return t.fail("nothing was leased");
  const { partition, leaseEpoch, leaseCounter, baseOffset } = lease;
  const row = { action: 0, partition, leaseEpoch, leaseCounter, firstOffset: baseOffset, count: 1 };
  t.equal(lease.count, RECORDS);
  const own = await consume(attacker);
  const other = await consume(attacker, { subscription: "other" });
  for (let rows = 0; rows < PARTITIONS; ) rows += (await attacker.next("LEASED")).rows.length;

  for (const action of [0, 1, 2, 3, 4]) {
    const rows = [{ ...row, action, argument: action === 3 ? "mine" : undefined }];
    t.same(await settle(attacker, mine, rows), [UNKNOWN], `action ${action} as another session's consumer`);
    t.same(await settle(attacker, own, rows), [EXPIRED], `action ${action} on another consumer's lease`);
    t.same(
      await settle(attacker, other, rows),
      [EXPIRED],
      `action ${action} on another subscription's lease`,
    );
  }
  t.same(await settle(attacker, 4_000_000_000, [row]), [UNKNOWN], "a consumer that never was");
  for (const guess of [
    { leaseEpoch: 0 },
    { leaseEpoch: leaseEpoch + 1 },
    { leaseEpoch: 2 ** 32 - 1 },
    { leaseCounter: 0 },
    { leaseCounter: leaseCounter + 2 ** 20 },
    { leaseCounter: Number.MAX_SAFE_INTEGER },
    { firstOffset: Number.MAX_SAFE_INTEGER },
    { firstOffset: baseOffset + RECORDS },
    { firstOffset: baseOffset + RECORDS - 1, count: 2 },
    { count: RECORDS + 1 },
    { count: LIMITS.leaseRecordsMax },
  ]) {
    t.same(await settle(victim, mine, [{ ...row, ...guess }]), [EXPIRED], JSON.stringify(guess));
  }
  for (const unknown of [PARTITIONS, 1_000_000, 2 ** 32 - 1]) {
    const [outcome] = await settle(victim, mine, [{ ...row, partition: unknown }]);
    t.not(outcome, 0, `partition ${unknown}: ${outcome}`);
  }
  const twice = [row, { ...row, action: 1 }, { ...row, count: RECORDS }, { ...row, action: 3 }];
  t.same(await settle(victim, mine, twice), [0, EXPIRED, EXPIRED, EXPIRED], "what is settled is settled");

  const rest = leases.map(({ count, baseOffset: firstOffset, ...token }) => ({
    ...token,
    firstOffset,
    count,
    action: 0,
  }));
  rest[0] = { ...row, firstOffset: baseOffset + 1, count: RECORDS - 1 } as (typeof rest)[0];
  t.same(
    await settle(victim, mine, rest),
    leases.map(() => 0),
    "all of it was the victim's all the time",
  );
  attacker.send("DESCRIBE_SUBSCRIPTION", { requestId: 900, topic: "jobs", name: "s" });
  t.match((await attacker.next("SUBSCRIPTION")).subscription.state, { lag: 0, leased: 0, dead: 0 });
  await attacker.ping();
  t.same(attacker.waiting, [], "and nothing of it has gone to anybody else");
  for (const [client, consumerId] of [
    [victim, mine],
    [attacker, own],
    [attacker, other],
  ] as const) {
    client.send("STOP_CONSUMING", { requestId: client.nextRequestId(), consumerId });
    await client.next("CONSUMING_STOPPED");
  }
  t.same(await settle(victim, mine, [row]), [UNKNOWN], "a consumer that has left");
});

t.test("settings and numbers beyond all limits end the session that states them", async (t) => {
  const row = { action: 0, partition: 0, leaseEpoch: 1, leaseCounter: 1, firstOffset: 0, count: 1 };
  const settleFrame = (consumerId: number, changes: Partial<SettleRow>): unknown[] => {
    const all = { settleId: 1, ...row, ...changes };
    const { settleId, action, partition, leaseEpoch, leaseCounter, firstOffset, count, argument } = all;
    const values = [settleId, action, partition, leaseEpoch, leaseCounter, firstOffset, count];
    return [72, consumerId, [[...values, argument ?? null]]];
  };
  for (const changes of [
    { count: 0 },
    { count: LIMITS.leaseRecordsMax + 1 },
    { action: 1, argument: LIMITS.nackDelayMsMax + 1 },
    { action: 1, argument: Number.MAX_SAFE_INTEGER },
    { action: 1, argument: "soon" },
    { action: 3, argument: "x".repeat(LIMITS.deadLetterReasonBytesMax + 1) },
    { action: 3, argument: 7 },
    { action: 4, argument: LIMITS.leaseMsMax + 1 },
    { action: 5 },
    { action: 2 ** 40 },
  ]) {
    const client = await RawClient.connect(t, broker.url);
    client.sendBytes(pack(settleFrame(await consume(client, { slots: 1 }), changes)));
    const { error, closed } = await client.refusal();
    t.match([error.name, closed.code], ["MALFORMED_FRAME", 1002], JSON.stringify(changes).slice(0, 100));
  }
  for (const slots of [0, LIMITS.slotsMax + 1]) {
    const client = await RawClient.connect(t, broker.url);
    client.sendBytes(pack([64, 1, "jobs", "s", "queue", slots, 1_000_000, null, {}]));
    const error = await client.next("ERROR");
    t.equal(error.name, "MALFORMED_FRAME", `${slots} slots`);
    client.terminate();
  }
});

t.test("consumers that cannot be", async (t) => {
  const start = (code: string, changes: Partial<FrameValues["CONSUME"]>): Promise<void> =>
    refused(t, code, "CONSUME", consumeFields({ requestId: attacker.nextRequestId(), ...changes }));
  await start("UNKNOWN_TOPIC", { topic: "nowhere" });
  await start("UNKNOWN_TOPIC", { topic: "$catalog" });
  await start("UNKNOWN_SUBSCRIPTION", { subscription: "nobody", create: undefined });
  await start("SUBSCRIPTION_MODE", { mode: "keyed" });
  await start("SUBSCRIPTION_MODE", { mode: "stream", slots: 0 });
  await start("SUBSCRIPTION_MODE", { create: { mode: "keyed" } });
  await start("UNSUPPORTED_FEATURE", { extensions: { filter: "a" } });
  for (const name of ["", "a b", "../x", "$x", "a..b", "n".repeat(250)])
    await start("INVALID_SUBSCRIPTION_NAME", { subscription: name });
  for (const config of [
    {},
    { mode: "live" },
    { leaseMs: 0 },
    { leaseMs: LIMITS.leaseMsMax + 1 },
    { leaseMs: "1s" },
    { maxDeliveries: -1 },
    { maxDeliveries: LIMITS.deliveriesMax + 1 },
    { backoffMinMs: 10, backoffMaxMs: 9 },
    { backoffMaxMs: 1.5 },
    { from: ["yesterday"] },
    { from: ["snapshot", "x"] },
    { from: ["offsets", [[0]]] },
    { paused: true },
    { constructor: 1 },
  ]) {
    const create = Object.keys(config).length === 0 ? {} : { mode: "queue", ...config };
    await start("INVALID_SUBSCRIPTION_CONFIG", { subscription: "new", create });
  }
  await start("OFFSET_OUT_OF_RANGE", {
    subscription: "new",
    create: { mode: "queue", from: ["offset", 999] },
  });
  const offsets = (partition: number): Record<string, unknown> => ({
    mode: "queue",
    from: ["offsets", [[partition, 0]]],
  });
  await start("UNKNOWN_PARTITION", { subscription: "new", create: offsets(PARTITIONS) });
  await start("UNKNOWN_PARTITION", { subscription: "new", create: offsets(2 ** 40) });
  const requestId = attacker.nextRequestId();
  await refused(t, "UNKNOWN_SUBSCRIPTION", "DESCRIBE_SUBSCRIPTION", {
    requestId,
    topic: "jobs",
    name: "new",
  });
  await refused(t, "UNKNOWN_CONSUMER", "STOP_CONSUMING", { requestId, consumerId: 4_000_000_000 });
  await refused(t, "UNKNOWN_CONSUMER", "COMMIT", { requestId, consumerId: 4_000_000_000, positions: [] });
  attacker.send("CONSUMER_CREDIT", { consumerId: 4_000_000_000, slots: 1, creditLimit: 1 });
  attacker.send("RELEASE", { consumerId: 4_000_000_000, partitions: [{ partition: 7, assignmentEpoch: 9 }] });
  attacker.send("UNWATCH_TOPICS", { watchId: 4_000_000_000 });
  await attacker.ping();
  t.same(attacker.waiting, [], "what may have crossed with the end is no error");
});

t.test("what is not there is neither peeked at, sought, snapshot nor redriven", async (t) => {
  const jobs = { topic: "jobs", name: "s" };
  const none = { topic: "jobs", name: "nobody" };
  const id = (): { requestId: number } => ({ requestId: attacker.nextRequestId() });
  await publish();
  await refused(t, "UNKNOWN_SUBSCRIPTION", "PEEK", {
    ...id(),
    ...none,
    partition: 0,
    fromOffset: 0,
    limit: 1,
  });
  await refused(t, "UNKNOWN_PARTITION", "PEEK", { ...id(), ...jobs, partition: 9, fromOffset: 0, limit: 1 });
  const beyond = { ...jobs, partition: 0, fromOffset: Number.MAX_SAFE_INTEGER, limit: 1 };
  attacker.send("PEEK", { ...id(), ...beyond });
  t.same((await attacker.next("PEEKED")).records, [], "nothing is beyond the end");
  await refused(t, "OFFSET_OUT_OF_RANGE", "SEEK_SUBSCRIPTION", {
    ...id(),
    ...jobs,
    from: { kind: "offset", offset: 2 ** 50 },
  });
  await refused(t, "UNKNOWN_PARTITION", "SEEK_SUBSCRIPTION", {
    ...id(),
    ...jobs,
    from: { kind: "offsets", offsets: [[77, 0]] },
  });
  const snapshot = { ...jobs, snapshot: "none" };
  await refused(t, "UNKNOWN_SNAPSHOT", "SEEK_SUBSCRIPTION", {
    ...id(),
    ...jobs,
    from: { kind: "snapshot", name: "none" },
  });
  await refused(t, "UNKNOWN_SNAPSHOT", "SNAPSHOT_SUBSCRIPTION", { ...id(), ...snapshot, action: "delete" });
  await refused(t, "INVALID_SUBSCRIPTION_NAME", "SNAPSHOT_SUBSCRIPTION", {
    ...id(),
    ...jobs,
    snapshot: "a b",
    action: "create",
  });
  await refused(t, "INVALID_PATTERN", "WATCH_TOPICS", { ...id(), watchId: 1, pattern: "a.>.b" });
  await refused(t, "UNKNOWN_SUBSCRIPTION", "DELETE_SUBSCRIPTION", { ...id(), ...none });
  await refused(t, "INVALID_SUBSCRIPTION_CONFIG", "ALTER_SUBSCRIPTION", {
    ...id(),
    ...jobs,
    changes: { mode: "keyed" },
  });

  const redrive = (topic: string, partition: number, offset: number, subscription: string = "s") => ({
    ...id(),
    topic,
    rows: [{ partition, offset, subscription }],
  });
  await refused(t, "UNKNOWN_TOPIC", "REDRIVE", redrive("nowhere", 0, 0));
  await refused(t, "UNKNOWN_TOPIC", "REDRIVE", redrive("jobs", 0, 0));
  await refused(t, "UNKNOWN_TOPIC", "REDRIVE", redrive("jobs.dlq", 0, 0));

  const mine = await consume(victim, { slots: 1 });
  const row = (await victim.next("LEASED")).rows[0];
  if (row === undefined) return t.fail("nothing was leased");
  const { partition, leaseEpoch, leaseCounter, baseOffset: firstOffset } = row;
  const dead = { action: 3, partition, leaseEpoch, leaseCounter, firstOffset, count: 1, argument: "bad" };
  t.same(await settle(victim, mine, [dead]), [0], "a dead letter");
  victim.send("STOP_CONSUMING", { requestId: victim.nextRequestId(), consumerId: mine });
  await victim.next("CONSUMING_STOPPED");
  await refused(t, "UNKNOWN_TOPIC", "REDRIVE", redrive("jobs", partition, 0));
  await refused(t, "UNKNOWN_PARTITION", "REDRIVE", redrive("jobs.dlq", 1_000, 0));
  await refused(t, "UNKNOWN_SUBSCRIPTION", "REDRIVE", redrive("jobs.dlq", partition, 0, "nobody"));
  const count = async (offset: number, to: string = "s", at: number = partition): Promise<number> => {
    attacker.send("REDRIVE", redrive("jobs.dlq", at, offset, to));
    return (await attacker.next("REDRIVEN")).count;
  };
  t.equal(await count(1), 0, "beyond the end");
  t.equal(await count(Number.MAX_SAFE_INTEGER), 0, "far beyond the end");
  t.equal(await count(0, "s", 1 - partition), 0, "an empty partition");
  t.equal(await count(0, "other"), 1, "the one that is there, to whom of its topic one likes");
  t.equal(await count(0, "other"), 0, "but once");
  t.equal(await count(0), 0, "whoever asks");
});

t.test("the others have noticed nothing of all that", async (t) => {
  await witness.check(t, "after bad consumers");
  const client = await RawClient.connect(t, broker.url);
  client.send("DESCRIBE_SUBSCRIPTION", { requestId: 1, topic: "jobs", name: "s" });
  const { state } = (await client.next("SUBSCRIPTION")).subscription;
  t.match(state, { consumers: 0, leased: 0, lag: PARTITIONS * RECORDS - 1 });
  const consumerId = await consume(client);
  let left = PARTITIONS * RECORDS - 1;
  while (left > 0) {
    for (const row of (await client.next("LEASED")).rows) {
      const { partition, leaseEpoch, leaseCounter, baseOffset: firstOffset, count } = row;
      const token = { partition, leaseEpoch, leaseCounter, firstOffset, count };
      t.same(await settle(client, consumerId, [{ action: 0, ...token }]), [0]);
      left -= count;
    }
  }
  await client.ping();
  t.same(client.waiting, [], "each message was there once");
  t.match(await broker.stop(), { code: 0 });
});
