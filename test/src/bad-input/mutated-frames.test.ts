import { type Frame, LIMITS } from "@millrace/protocol";
import t from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { monotonicMs } from "../harness/clock.ts";
import { frameBytes, publishFrame, RawClient } from "../harness/raw-client.ts";
import { SeededRandom as Random, type SeededRandom, seedOf } from "../harness/seeded-random.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { inTime } from "../harness/waiting.ts";
import { Witness } from "../harness/witness.ts";

/** How long the mutations go on; MILLRACE_FUZZ_MS sets another time. */
const FUZZ_MS = Number(process.env.MILLRACE_FUZZ_MS ?? 4000);
const SESSIONS = 8;
const FRAMES_PER_SESSION = 40;
const RSS_BYTES_MAX = 400 * 1024 * 1024;
/** Every way in which a session may end, by docs/reference/wire-protocol.md. */
const CLOSE_CODES: ReadonlySet<number> = new Set([1002, 1003, 1008, 1009]);

function validFrames(topicId: number): Uint8Array[] {
  const position = { partition: 1, offset: 0, logEpoch: 0 };
  const frames: Frame[] = [
    { name: "PING", value: { nonce: 4_000_000 } },
    { name: "CREDIT_REQUEST", value: { bytes: 5000 } },
    { name: "CREDIT_RETURNED", value: { publishCreditLimit: LIMITS.publishCreditInitialBytes } },
    { name: "LIST_TOPICS", value: { requestId: 1 } },
    { name: "DESCRIBE_TOPIC", value: { requestId: 2, topic: "fuzzed" } },
    {
      name: "CREATE_TOPIC",
      value: { requestId: 3, name: "fuzzed", config: { partitions: 2, durability: "written" } },
    },
    { name: "FLOW", value: { subscriptionId: 4, creditLimit: 1_000_000 } },
    { name: "UNSUBSCRIBE", value: { requestId: 5, subscriptionId: 4 } },
    {
      name: "ERROR",
      value: { requestId: 1, code: 1, name: "X", retriable: false, message: "m", details: { a: 1 } },
    },
  ];
  const starts = [
    { kind: "earliest" },
    { kind: "time", timeMs: 1_700_000_000_000 },
    { kind: "resume", topicId, positions: [position] },
  ] as const;
  for (const [i, from] of starts.entries()) {
    frames.push({
      name: "SUBSCRIBE",
      value: {
        requestId: 10 + i,
        subscriptionId: 10 + i,
        topic: "fuzzed",
        partitions: [1],
        from,
        creditLimit: 2 ** 31,
        mode: "stream",
        extensions: {},
      },
    });
  }
  frames.push(...consumerFrames());
  const record = {
    key: "k",
    headers: { h: Buffer.from([1, 2]) },
    value: { a: [1, 2] },
    timestamp: 1_700_000_000_000,
  };
  return [
    ...frames.map(({ name, value }) => frameBytes(name, value as never)),
    publishFrame({ topicId, partition: 1, records: [{ value: "one" }] }),
    publishFrame({ topicId, partition: 0, producerId: 2 ** 50, records: [record, record, record] }),
  ];
}

/** Of sessions that consume: some of their consumers are there, since ids are given from 1 on. */
function consumerFrames(): Frame[] {
  const named = { topic: "fuzzed", name: "s" };
  const row = {
    settleId: 1,
    partition: 1,
    leaseEpoch: 1,
    leaseCounter: 2 ** 20 + 1,
    firstOffset: 0,
    count: 1,
  };
  const consumers = (["queue", "keyed", "stream"] as const).map((mode, i): Frame => {
    const create = { mode, from: ["earliest"], leaseMs: 1000, maxDeliveries: 3, backoffMinMs: 1 };
    const slots = mode === "stream" ? 0 : 10;
    const settings = { subscription: `s-${mode}`, mode, slots, creditLimit: 100_000, create };
    return { name: "CONSUME", value: { requestId: 20 + i, topic: "fuzzed", ...settings, extensions: {} } };
  });
  const settles = [0, 1, 2, 3, 4].map((action): Frame => {
    const argument = action === 3 ? "no use" : action === 0 ? undefined : 10;
    return {
      name: "SETTLE",
      value: {
        consumerId: 1,
        rows: [
          { ...row, action, argument },
          { ...row, action: 0 },
        ],
      },
    };
  });
  const position = { partition: 1, assignmentEpoch: 1, offset: 1, logEpoch: 0 };
  return [
    ...consumers,
    ...settles,
    { name: "RELEASE", value: { consumerId: 1, partitions: [{ partition: 1, assignmentEpoch: 1 }] } },
    { name: "COMMIT", value: { requestId: 30, consumerId: 1, positions: [position] } },
    { name: "CONSUMER_CREDIT", value: { consumerId: 1, slots: 20, creditLimit: 200_000 } },
    { name: "STOP_CONSUMING", value: { requestId: 31, consumerId: 1 } },
    {
      name: "CREATE_SUBSCRIPTION",
      value: { requestId: 32, ...named, config: { mode: "queue", leaseMs: 5000 } },
    },
    { name: "DESCRIBE_SUBSCRIPTION", value: { requestId: 33, ...named } },
    { name: "LIST_SUBSCRIPTIONS", value: { requestId: 34, topic: "fuzzed", after: ["fuzzed", "a"] } },
    { name: "ALTER_SUBSCRIPTION", value: { requestId: 35, ...named, changes: { maxDeliveries: 7 } } },
    {
      name: "SEEK_SUBSCRIPTION",
      value: { requestId: 36, ...named, from: { kind: "offsets", offsets: [[1, 0]] } },
    },
    { name: "DELETE_SUBSCRIPTION", value: { requestId: 37, ...named } },
    { name: "PEEK", value: { requestId: 38, ...named, partition: 1, fromOffset: 0, limit: 10 } },
    {
      name: "REDRIVE",
      value: {
        requestId: 39,
        topic: "fuzzed.dlq",
        rows: [{ partition: 1, offset: 0, subscription: "s-queue" }],
      },
    },
    { name: "SNAPSHOT_SUBSCRIPTION", value: { requestId: 40, ...named, snapshot: "x", action: "create" } },
    { name: "WATCH_TOPICS", value: { requestId: 41, watchId: 1, pattern: "fuzzed.>" } },
    { name: "UNWATCH_TOPICS", value: { watchId: 1 } },
  ];
}

/** One to eight changes of any kind; sometimes none, so that sessions get further than their first frame. */
function mutated(frame: Uint8Array, random: SeededRandom): Uint8Array {
  let bytes = Buffer.from(frame);
  for (let changes = random.below(5) === 0 ? 0 : random.between(1, 8); changes > 0; changes -= 1) {
    const at = random.below(bytes.length + 1);
    switch (random.below(6)) {
      case 0:
        bytes = bytes.subarray(0, at);
        break;
      case 1:
        bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from([random.below(256)]), bytes.subarray(at)]);
        break;
      case 2:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(random.below(bytes.length + 1))]);
        break;
      case 3:
        // The bytes that lengths and types are made of.
        if (at < bytes.length)
          bytes[at] = random.pick([0, 0x7f, 0x80, 0x90, 0xc0, 0xc1, 0xc6, 0xcf, 0xdb, 0xdd, 0xdf, 0xff]);
        break;
      default:
        if (at < bytes.length) bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
    }
  }
  return bytes;
}

t.test("frames that were altered at random do no harm", async (t) => {
  const random = new Random(seedOf(t));
  const broker = await BrokerProcess.start(t, { dataDir: temporaryFolder(t) });
  const witness = await Witness.start(t, broker);
  const maker = await RawClient.connect(t, broker.url);
  const { topicId } = await maker.createTopic("fuzzed", { partitions: 2 });
  const frames = validFrames(topicId);
  const ends = new Map<string, number>();
  let sent = 0;

  const session = async (): Promise<void> => {
    const client = await RawClient.open(t, broker.url);
    if (random.below(10) > 0) await client.hello();
    for (let i = 0; i < FRAMES_PER_SESSION; i += 1) {
      client.sendBytes(mutated(random.pick(frames), random));
      sent += 1;
      if (i % 8 === 7) await new Promise(setImmediate);
    }
    // Whoever is still there after all of that can only be ended by ourselves.
    client.sendText("");
    const { code } = await inTime(client.closed, "the session to end");
    const error = client.history.findLast(
      ({ frame }) => frame.name === "ERROR" && frame.value.requestId === undefined,
    );
    const name = error?.frame.name === "ERROR" ? error.frame.value.name : "none";
    ends.set(`${code} ${name}`, (ends.get(`${code} ${name}`) ?? 0) + 1);
  };
  const endMs = monotonicMs() + FUZZ_MS;
  while (monotonicMs() < endMs) await Promise.all(Array.from({ length: SESSIONS }, session));

  t.comment(`${sent} frames; sessions ended with ${JSON.stringify(Object.fromEntries(ends))}`);
  const codes = [...ends.keys()].map((end) => Number(end.split(" ")[0]));
  t.same(
    codes.filter((code) => !CLOSE_CODES.has(code)),
    [],
    "each session ended in a documented way",
  );
  t.ok(broker.rssBytes() < RSS_BYTES_MAX, `resident: ${Math.round(broker.rssBytes() / 1024 / 1024)} MiB`);
  await witness.check(t, "after mutated frames");
  t.match(await broker.stop(), { code: 0 });
});
