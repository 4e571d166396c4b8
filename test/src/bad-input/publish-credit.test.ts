import { join } from "node:path";
import { LIMITS } from "@millrace/protocol";
import t, { type Test } from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { connectedClient } from "../harness/connected-client.ts";
import { publishFrame, RawClient } from "../harness/raw-client.ts";
import { readAll } from "../harness/reading.ts";
import { straceArguments, whyNoStrace } from "../harness/strace.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { recordValue } from "../harness/test-records.ts";
import { inTime, pauseMs, until } from "../harness/waiting.ts";
import { Witness } from "../harness/witness.ts";

/** Connections of the flood; 10,000 need `ulimit -n` above that for both processes. */
const CONNECTIONS = Number(process.env.MILLRACE_CONNECTIONS ?? 500);
const FLOOD_BYTES = 80 * 1024 * 1024;
const FLOOD_FRAME_BYTES = 8192;
const SYNC_DELAY_MS = 400;
const MIB = 1024 * 1024;
/** Rings, credit pool, caches and Node itself; far below what the flood sends. */
const RSS_BYTES_MAX = 400 * MIB;

t.test("a client that ignores its credit is closed at once", async (t) => {
  const broker = await BrokerProcess.start(t, { dataDir: temporaryFolder(t) });
  const witness = await Witness.start(t, broker);
  const client = await RawClient.connect(t, broker.url);
  const { topicId } = await client.createTopic("credit");
  const frame = publishFrame({ topicId, records: [{ value: Buffer.alloc(client.publishCredit) }] });
  client.publishBeyondCredit(frame);
  const { error, closed } = await client.refusal();
  t.match(error, { name: "CREDIT_EXCEEDED", details: { frameBytes: frame.length } });
  t.same(closed, { code: 1008, reason: "CREDIT_EXCEEDED" });

  const many = await RawClient.connect(t, broker.url);
  const small = publishFrame({ topicId, records: [{ value: Buffer.alloc(1000) }] });
  for (let i = 0; i < 1000; i += 1) many.publishBeyondCredit(small);
  t.equal((await many.refusal()).error.name, "CREDIT_EXCEEDED", "nor may it be done in small pieces");

  for (const limit of [LIMITS.publishCreditInitialBytes + 1, 2 ** 53 - 1]) {
    const liar = await RawClient.connect(t, broker.url);
    liar.send("CREDIT_RETURNED", { publishCreditLimit: limit });
    t.equal((await liar.refusal()).error.name, "CREDIT_EXCEEDED", "a credit that was never granted");
  }
  const wishful = await RawClient.connect(t, broker.url);
  wishful.send("CREDIT_REQUEST", { bytes: 2 ** 53 - 1 });
  const { publishCreditLimit } = await wishful.next("CREDIT");
  t.ok(
    publishCreditLimit <= LIMITS.frameBytesMax,
    `what is granted is at most a frame: ${publishCreditLimit}`,
  );

  const reader = await connectedClient(t, broker.url);
  const stored = await readAll(reader, "credit");
  t.ok(
    stored.every(({ value }) => (value as Uint8Array).length === 1000),
    "what went beyond the credit is not stored",
  );
  t.ok(stored.length < LIMITS.publishCreditInitialBytes / 1000 + 1);
  await witness.check(t, "after credit was ignored");
});

t.test(`${CONNECTIONS} connections that spend all of their credit while the disk is slow`, async (t) => {
  const reason = whyNoStrace(t);
  if (reason !== undefined) t.comment(`the disk is as fast as it is: ${reason}`);
  const folder = temporaryFolder(t);
  const delay = `inject=fdatasync:delay_enter=${SYNC_DELAY_MS * 1000}`;
  const broker = await BrokerProcess.start(t, {
    dataDir: join(folder, "data"),
    args: ["--shards", "2"],
    wrapper: reason === undefined ? straceArguments(join(folder, "trace"), ["fdatasync"], "-e", delay) : [],
  });
  const admin = await connectedClient(t, broker.url);
  const { topicId } = await admin.topics.create("flooded");
  const idleBytes = broker.rssBytes();
  let highestBytes = idleBytes;
  let isOver = false;
  const watching = (async () => {
    while (!isOver) {
      highestBytes = Math.max(highestBytes, broker.rssBytes());
      await pauseMs(20);
    }
  })();

  const flooders: Flooder[] = [];
  for (let i = 0; i < CONNECTIONS; i += 1)
    flooders.push(new Flooder(await RawClient.connect(t, broker.url), topicId));
  const each = Math.max(2, Math.floor(FLOOD_BYTES / FLOOD_FRAME_BYTES / CONNECTIONS));
  const flooding = Promise.all(flooders.map((flooder) => flooder.flood(each)));
  await others(t, broker);
  await flooding;
  await until(() => flooders.every((flooder) => flooder.isAnswered), "every publish to be answered");
  isOver = true;
  await watching;

  const acked = flooders.reduce((sum, flooder) => sum + flooder.acked, 0);
  const throttled = flooders.reduce((sum, flooder) => sum + flooder.throttled, 0);
  t.comment(`${acked} acknowledged, ${throttled} throttled`);
  t.same(
    flooders.flatMap((flooder) => flooder.otherErrors),
    [],
    "nothing but THROTTLED is refused",
  );
  t.ok(acked > 0);
  const { partitionInfo } = await admin.topics.describe("flooded");
  t.equal(partitionInfo[0]?.highWatermark, acked, "what was acknowledged is stored, nothing else");
  const text = `resident ${Math.round(highestBytes / MIB)} MiB at most, ${Math.round(idleBytes / MIB)} MiB before`;
  t.ok(highestBytes < RSS_BYTES_MAX, text);
  t.same(
    broker.log.filter(({ level }) => level === "error"),
    [],
  );
});

/** Others publish and read on meanwhile, to topics that need no sync for it. */
async function others(t: Test, broker: BrokerProcess): Promise<void> {
  const client = await connectedClient(t, broker.url);
  const names = ["beside-0", "beside-1"];
  for (const name of names) await client.topics.create(name, { durability: "memory" });
  for (const name of names) {
    const producer = client.producer(name, { lingerMs: 0 });
    for (let i = 0; i < 20; i += 1) await inTime(producer.send({ value: i }), `publish ${i} to ${name}`);
    t.equal((await readAll(client, name)).length, 20, `${name} works while others wait`);
  }
}

class Flooder {
  readonly #client: RawClient;
  readonly #topicId: number;
  #sent = 0;

  constructor(client: RawClient, topicId: number) {
    this.#client = client;
    this.#topicId = topicId;
  }

  /** Publishes so many frames, as fast as the credit allows. */
  async flood(frames: number): Promise<void> {
    const records = [{ value: recordValue("flood", 0, FLOOD_FRAME_BYTES) }];
    for (; this.#sent < frames; this.#sent += 1) {
      await this.#client.publish(publishFrame({ topicId: this.#topicId, sequence: this.#sent, records }));
    }
  }

  get acked(): number {
    let count = 0;
    for (const { frame } of this.#client.history) {
      if (frame.name === "ACK") for (const range of frame.value.ranges) count += range.count;
    }
    return count;
  }

  get throttled(): number {
    let count = 0;
    for (const { frame } of this.#client.history) {
      if (frame.name === "ERROR" && frame.value.name === "THROTTLED")
        count += Number(frame.value.details.count);
    }
    return count;
  }

  get otherErrors(): string[] {
    return this.#client.history.flatMap(({ frame }) =>
      frame.name === "ERROR" && frame.value.name !== "THROTTLED" ? [frame.value.name] : [],
    );
  }

  get isAnswered(): boolean {
    return this.acked + this.throttled === this.#sent;
  }
}
