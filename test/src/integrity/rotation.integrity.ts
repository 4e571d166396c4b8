// Runs against one process: its segments are small, which is nothing that a node of a cluster can be told.
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Client, PartitionInfo } from "@millrace/client";
import t, { type Test } from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { monotonicMs, wallMs } from "../harness/clock.ts";
import { connectedClient } from "../harness/connected-client.ts";
import { runCommandProcess } from "../harness/millrace-command.ts";
import { PublishingLoad } from "../harness/publishing-load.ts";
import { RetainedTopic } from "../harness/retained-topic.ts";
import { SeededRandom, seedOf } from "../harness/seeded-random.ts";
import { TcpRelay } from "../harness/tcp-relay.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { type SeenRecord, TopicFollower } from "../harness/topic-follower.ts";
import { inTime, pauseMs, until } from "../harness/waiting.ts";

/** Written in all, while old records expire; MILLRACE_ROTATION_GB sets another amount for a long run. */
const GIGABYTES = Number(process.env.MILLRACE_ROTATION_GB ?? 0.4);
const TOTAL_BYTES = GIGABYTES * 1e9;
/** Bytes between two comparisons. */
const COMPARE_BYTES = TOTAL_BYTES / 10;
const MIB = 1024 * 1024;
/** So small that all goes round dozens of times; as on a large disk where much is written. */
const SEGMENT_BYTES = 2 ** Math.floor(Math.log2(Math.min(64 * MIB, Math.max(MIB, TOTAL_BYTES / 256))));
const RETENTION_BYTES = Math.min(8 * SEGMENT_BYTES, 256 * MIB);
const SHORT_RETENTION_MS = 4_000;
const SHARDS = 2;
/**
 * What a shard may keep beside what retention wants: the segments and checkpoints of the journal, what waits to be
 * settled, and files that are rewritten once half of them is dead.
 */
const SLACK_BYTES = SHARDS * 12 * SEGMENT_BYTES;
/** Written up to the next kill, at most. */
const TURN_BYTES_MAX = Math.min(300e6, TOTAL_BYTES / 16);
const PROBLEMS_SHOWN = 10;
const COMPARE_PATIENCE_MS = 300_000;
const ROUNDS_MAX = 60;
/** A hang becomes a message; the test itself measures nothing. */
const TIMEOUT_MS = 240_000 + GIGABYTES * 180_000;
/** Of the bytes of `big` the dawdler reads one in so many: it falls behind what is kept. */
const DAWDLER_SHARE = 6;

interface RotatedTopic {
  readonly name: string;
  readonly partitions: number;
  readonly retentionBytes?: number;
  readonly retentionMs?: number;
  readonly valueBytesMin: number;
  readonly valueBytesMax: number;
}

const TOPICS: readonly RotatedTopic[] = [
  {
    name: "big",
    partitions: 1,
    retentionBytes: RETENTION_BYTES,
    valueBytesMin: 60_000,
    valueBytesMax: 200_000,
  },
  {
    name: "wide",
    partitions: 16,
    retentionBytes: RETENTION_BYTES,
    valueBytesMin: 2_000,
    valueBytesMax: 60_000,
  },
  {
    name: "short",
    partitions: 2,
    retentionMs: SHORT_RETENTION_MS,
    valueBytesMin: 500,
    valueBytesMax: 20_000,
  },
];
const FOLLOWED = ["wide", "short"] as const;

/** A broker that is killed and started again, those who write and read meanwhile, and what must be there. */
class Rotation {
  readonly #t: Test;
  readonly #random: SeededRandom;
  readonly #dataDir: string;
  readonly #relay: TcpRelay;
  readonly #load: PublishingLoad;
  readonly #topics: ReadonlyMap<string, RetainedTopic> = new Map(
    TOPICS.map(({ name }) => [name, new RetainedTopic()]),
  );
  /** They read what is written, at once; and one that is always too late. */
  readonly #followers: ReadonlyMap<string, TopicFollower>;
  readonly #dawdler: TopicFollower;
  #broker: BrokerProcess;
  #isEnding = false;
  #compared = 0;
  #checked = 0;
  #kills = 0;
  #slowestStartMs = 0;
  #slowestShardMs = 0;
  #peakRssBytes = 0;

  static async start(t: Test): Promise<Rotation> {
    const random = new SeededRandom(seedOf(t));
    const dataDir = temporaryFolder(t);
    const args = ["--shards", String(SHARDS)];
    const broker = await BrokerProcess.start(t, { dataDir, segmentBytes: SEGMENT_BYTES, args });
    const relay = await TcpRelay.start(t, broker.port);
    const clients = await Promise.all(TOPICS.map(() => connectedClient(t, relay.url)));
    for (const { name, partitions, retentionBytes, retentionMs } of TOPICS) {
      await (clients[0] as Client).topics.create(name, {
        partitions,
        ...(retentionBytes === undefined ? {} : { retentionBytes }),
        ...(retentionMs === undefined ? {} : { retentionMs }),
      });
    }
    const readers = await Promise.all([0, 1].map(() => connectedClient(t, relay.url)));
    return new Rotation(t, random, dataDir, relay, broker, clients, readers);
  }

  private constructor(
    t: Test,
    random: SeededRandom,
    dataDir: string,
    relay: TcpRelay,
    broker: BrokerProcess,
    clients: readonly Client[],
    readers: readonly Client[],
  ) {
    this.#t = t;
    this.#random = random;
    this.#dataDir = dataDir;
    this.#relay = relay;
    this.#broker = broker;
    const producers = TOPICS.map((topic, i) => ({
      ...topic,
      topic: topic.name,
      client: clients[i] as Client,
    }));
    this.#load = new PublishingLoad(producers, random);
    const [follower, dawdler] = readers as [Client, Client];
    this.#followers = new Map(
      FOLLOWED.map((topic) => [
        topic,
        new TopicFollower({ client: follower, topic, isEmpty: true, remembers: true }),
      ]),
    );
    const dawdle = (): Promise<void> => this.#dawdle();
    this.#dawdler = new TopicFollower({ client: dawdler, topic: "big", isEmpty: true, dawdle });
  }

  get writtenBytes(): number {
    return this.#sum(({ writtenBytes }) => writtenBytes);
  }

  /** Writes for a while, kills the broker most of the time, and compares everything now and then. */
  async turn(): Promise<void> {
    const random = this.#random;
    await this.#write(random.between(1e6, TURN_BYTES_MAX));
    if (this.#kills === 0 || random.below(3) > 0) await this.#kill();
    if (this.writtenBytes - this.#compared < COMPARE_BYTES && this.writtenBytes < TOTAL_BYTES) return;
    await this.#compareAll();
  }

  /** What has expired leaves the disk, and what is left there is sound. */
  async end(): Promise<void> {
    const t = this.#t;
    this.#isEnding = true;
    await this.#dawdler.stop();
    t.same(this.#dawdler.problems.slice(0, PROBLEMS_SHOWN), [], "who is late is told of all that is gone");
    t.ok(this.#dawdler.gaps > 0, `and some is gone: ${this.#dawdler.missed} records`);
    t.ok(this.#kills > 0, `${this.#kills} times killed`);
    const wanted = TOPICS.reduce((sum, { retentionBytes }) => sum + (retentionBytes ?? 0), 0);
    t.ok(TOTAL_BYTES > 2 * (wanted + SLACK_BYTES), "more was written than may lie about");
    for (let rounds = 0; folderBytes(this.#dataDir) > wanted + SLACK_BYTES; rounds += 1) {
      if (rounds === ROUNDS_MAX) throw new Error("what has expired does not leave the disk");
      await this.#writeOn();
    }
    await this.#compareAll();
    for (const { name, partitions } of TOPICS) {
      const topic = this.#topic(name);
      const stuck = Array.from({ length: partitions }, (_, i) => i).filter((i) => topic.logStart(i) === 0);
      t.same(stuck, [], `each partition of ${name} has lost its oldest records`);
    }
    for (const follower of this.#followers.values()) await follower.stop();
    this.#noteBroker();
    t.equal((await this.#broker.stop()).code, 0, "the broker stops in order");
    const doctor = await runCommandProcess(t, ["doctor", "--data", this.#dataDir]);
    t.equal(doctor.code, 0, `and leaves everything sound: ${doctor.stderr}`);
    this.#report();
  }

  #report(): void {
    const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`;
    const readers = [...this.#followers.values(), this.#dawdler];
    const lines = {
      written: gigabytes(this.writtenBytes),
      expired: `${gigabytes(this.#sum(({ expiredBytes }) => expiredBytes))} in ${this.#sum(({ expiredRecords }) => expiredRecords)} records`,
      kills: this.#kills,
      "slowest recovery": `${Math.round(this.#slowestStartMs)} ms from start to listening, ${Math.round(this.#slowestShardMs)} ms of one shard`,
      "records checked": this.#checked + readers.reduce((sum, { records }) => sum + records, 0),
      gaps: `${readers.reduce((sum, { gaps }) => sum + gaps, 0)} of retention, told to readers, of ${readers.reduce((sum, { missed }) => sum + missed, 0)} records; no other`,
      "peak RSS": `${Math.round(this.#peakRssBytes / MIB)} MiB`,
      segments: `${SEGMENT_BYTES / MIB} MiB`,
    };
    for (const [name, value] of Object.entries(lines)) this.#t.comment(`${name}: ${value}`);
  }

  async #kill(): Promise<void> {
    this.#noteBroker();
    await this.#broker.kill();
    this.#kills += 1;
    const since = monotonicMs();
    this.#broker = await BrokerProcess.start(this.#t, {
      dataDir: this.#dataDir,
      segmentBytes: SEGMENT_BYTES,
    });
    this.#slowestStartMs = Math.max(this.#slowestStartMs, monotonicMs() - since);
    this.#relay.targetPort = this.#broker.port;
  }

  /** What is known of a broker only while it runs. */
  #noteBroker(): void {
    this.#peakRssBytes = Math.max(this.#peakRssBytes, this.#broker.peakRssBytes());
    for (const { recoveryMs } of this.#broker.logged("shard-recovered")) {
      this.#slowestShardMs = Math.max(this.#slowestShardMs, Number(recoveryMs));
    }
  }

  #takeAcks(): void {
    for (const record of this.#load.acked.splice(0)) this.#topic(record.ack.topic).acknowledged(record);
  }

  async #dawdle(): Promise<void> {
    while (!this.#isEnding && this.#topic("big").writtenBytes < this.#dawdler.bytes * DAWDLER_SHARE) {
      await pauseMs(10);
    }
  }

  /**
   * Files go behind checkpoints, which are taken as something is written. With that it ends: a broker that has nothing to do
   * does not hurry either.
   */
  async #writeOn(): Promise<void> {
    await this.#write(2 * SHARDS * SEGMENT_BYTES);
    await this.#load.settle();
    await pauseMs(1_000);
  }

  /** Goes on writing, until so many bytes more are acknowledged. */
  async #write(bytes: number): Promise<void> {
    const enough = this.writtenBytes + bytes;
    this.#load.run();
    await until(() => {
      this.#takeAcks();
      return this.writtenBytes >= enough;
    }, `${bytes} bytes are written`);
  }

  async #compareAll(): Promise<void> {
    await this.#load.settle();
    this.#takeAcks();
    this.#compared = this.writtenBytes;
    this.#t.same(this.#load.failed.slice(0, PROBLEMS_SHOWN), [], "every record found its way in the end");
    for (const topic of TOPICS) await this.#compare(topic);
  }

  /** Reads all that is left of a topic and compares it with what was acknowledged; nothing is under way meanwhile. */
  async #compare(topic: RotatedTopic): Promise<void> {
    const { name } = topic;
    const known = this.#topic(name);
    const client = await connectedClient(this.#t, this.#broker.url);
    const { partitionInfo: before } = await client.topics.describe(name);
    const reader = new TopicFollower({
      client,
      topic: name,
      isEmpty: false,
      untilEnd: true,
      remembers: true,
    });
    await inTime(reader.ended(), `the end of ${name}`, COMPARE_PATIENCE_MS);
    const problems = [...reader.problems];
    const seen = reader.takeSeen();
    this.#checked += seen.length;
    const found = new Set(seen.map(({ partition, offset }) => `${partition}/${offset}`));
    problems.push(...mistaken(seen, known));
    const follower = this.#followers.get(name);
    if (follower !== undefined) problems.push(...(await this.#catchUp(name, follower, before)));

    const { partitionInfo } = await client.topics.describe(name);
    const nowMs = wallMs();
    for (const info of partitionInfo) {
      const { partition, logStartOffset } = info;
      if (logStartOffset < known.logStart(partition)) {
        problems.push(
          `the start of ${partition} went back: ${known.logStart(partition)} to ${logStartOffset}`,
        );
      }
      for (const one of [reader, follower, name === "big" ? this.#dawdler : undefined]) {
        const dropped = one?.droppedThrough(partition) ?? 0;
        if (dropped > logStartOffset) problems.push(`${dropped} was reported dropped, not ${logStartOffset}`);
      }
      problems.push(...wronglyExpired(topic, known, info, nowMs));
      for (const { ack } of known.records(partition)) {
        if (!found.has(`${partition}/${ack.offset}`))
          problems.push(`${partition}/${ack.offset} was not read`);
      }
    }
    this.#t.same(
      problems.slice(0, PROBLEMS_SHOWN),
      [],
      `${name}: ${seen.length} records, ${Math.round(reader.bytes / 1e6)} MB kept`,
    );
    await client.close();
  }

  /** Who follows a topic has read to its end, and has got what was acknowledged. */
  async #catchUp(
    name: string,
    follower: TopicFollower,
    partitionInfo: readonly PartitionInfo[],
  ): Promise<string[]> {
    const behind = (): boolean =>
      partitionInfo.some(({ partition, highWatermark }) => follower.position(partition) < highWatermark);
    await until(() => follower.problems.length > 0 || !behind(), `the follower is at the end of ${name}`);
    return [...follower.problems, ...mistaken(follower.takeSeen(), this.#topic(name))].map(
      (problem) => `follower: ${problem}`,
    );
  }

  #topic(name: string): RetainedTopic {
    return this.#topics.get(name) as RetainedTopic;
  }

  #sum(amount: (topic: RetainedTopic) => number): number {
    return [...this.#topics.values()].reduce((sum, topic) => sum + amount(topic), 0);
  }
}

t.setTimeout(TIMEOUT_MS);
t.test(
  "retention in rotation, with kill -9 at random: what is kept is whole, and nothing else is dropped",
  { timeout: TIMEOUT_MS },
  async (t) => {
    const rotation = await Rotation.start(t);
    while (rotation.writtenBytes < TOTAL_BYTES) await rotation.turn();
    await rotation.end();
  },
);

/** What was read and is not what was acknowledged there. */
function mistaken(seen: readonly SeenRecord[], topic: RetainedTopic): string[] {
  return seen.flatMap(({ partition, offset, producer, sequence, bytes }) => {
    const place = `${partition}/${offset}`;
    const known = topic.find(partition, offset);
    if (known === undefined) return [`${place} was never acknowledged, or had expired`];
    return known.producer === producer && known.sequence === sequence && known.bytes === bytes
      ? []
      : [
          `${place} is ${producer}:${sequence} of ${bytes} bytes instead of ${known.producer}:${known.sequence}`,
        ];
  });
}

/** Takes what is below the log's start for expired. What should not have? */
function wronglyExpired(
  { retentionBytes, retentionMs, partitions }: RotatedTopic,
  topic: RetainedTopic,
  info: PartitionInfo,
  nowMs: number,
): string[] {
  const { partition } = info;
  const expired = topic.expire(info);
  const problems: string[] = [];
  if (retentionMs !== undefined) {
    for (const { ack, sentMs } of expired) {
      if (sentMs + retentionMs <= nowMs) continue;
      problems.push(`${partition}/${ack.offset} has expired ${nowMs - sentMs} ms after it was sent`);
    }
  }
  const { written, kept } = topic.bytes(partition);
  // What the broker counts is a little more than values.
  const least = Math.min((retentionBytes ?? 0) / partitions, written) * 0.9;
  if (retentionBytes !== undefined && kept < least) {
    problems.push(`only ${kept} bytes of ${partition} are kept, of at least ${least}`);
  }
  return problems;
}

/** Bytes of all files; a name that goes meanwhile counts nothing, a second name of a file nothing either. */
function folderBytes(path: string): number {
  const counted = new Set<number>();
  let bytes = 0;
  for (const entry of readdirSync(path, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const stat = statSync(join(entry.parentPath, entry.name), { throwIfNoEntry: false });
    if (stat === undefined || counted.has(stat.ino)) continue;
    counted.add(stat.ino);
    bytes += stat.size;
  }
  return bytes;
}
