import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Doorbell, OneToOneRingBuffer } from "@millrace/core";
import { InlineSyncer, Journal, RealStorage, shardDirectoryName } from "@millrace/journal/internal";
import t, { type Test } from "tap";
import { allocateLink, LINK_STATE } from "../../src/link/link-buffers.ts";
import { allocateReaderLink, type ReaderLinkBuffers } from "../../src/link/reader-link-buffers.ts";
import { ReaderThread } from "../../src/node/reader-thread.ts";
import { FetchAnswers } from "../../src/reader/fetch-answers.ts";
import { RingColdReads } from "../../src/reader/ring-cold-reads.ts";
import { COMING, HERE } from "../../src/shard/entry-source.ts";
import type { Partition } from "../../src/shard/partition.ts";
import { Shard } from "../../src/shard/shard.ts";
import { ShardRecovery } from "../../src/shard/shard-recovery.ts";
import { ShardState } from "../../src/shard/shard-state.ts";
import { SYSTEM_CLOCK, SYSTEM_ENTROPY } from "../../src/system-clock.ts";
import { DURABILITY_FSYNCED } from "../../src/topic.ts";
import { batchOf, valuesOf } from "../harness/batches.ts";
import { RecordingGateway } from "../harness/recording-gateway.ts";
import { openingOf } from "../harness/shard-rig.ts";
import { SteppedBackground } from "../harness/stepped-background.ts";

const TOPIC = 5;
const PARTITIONS = 12;
const RECORDS = 120;
const SHARD_ID = 1;

function recordOf(partition: number, offset: number): string {
  return `${partition}/${offset}`.padEnd(1000, ".");
}

/** Its id is that of a shard which nobody listens for. */
const OTHER_FETCH = {
  kind: "fetch",
  id: SHARD_ID + 1,
  topicId: TOPIC,
  offset: 0,
  timeMs: 0,
  logEpoch: 0,
  maxBytes: 262_144,
} as const;

/** A shard on this thread, and a reader thread that it asks. */
class Life {
  readonly doorbellBuffer: SharedArrayBuffer = Doorbell.allocate();
  readonly doorbell: Doorbell = Doorbell.attach(this.doorbellBuffer);
  readonly gateway: RecordingGateway;
  readonly shard: Shard;
  readonly coldReads: RingColdReads;
  readonly answers: FetchAnswers;
  readonly arrived: Set<Partition> = new Set();

  constructor(dataDir: string, reader: ReaderThread, readerLink: ReaderLinkBuffers) {
    const storage = new RealStorage();
    const directory = join(dataDir, shardDirectoryName(SHARD_ID));
    mkdirSync(directory, { recursive: true });
    const state = new ShardState(SHARD_ID, 2, SYSTEM_CLOCK);
    const journal = Journal.open({
      storage,
      directory,
      shardId: SHARD_ID,
      syncer: (context) => new InlineSyncer(storage, context),
      background: new SteppedBackground(storage, false),
      clock: SYSTEM_CLOCK,
      entropy: SYSTEM_ENTROPY,
      segmentSizeBytes: 262_144,
      settling: { batchBytes: 1, afterMs: 0, adoptBytesMin: 1 },
      replay: new ShardRecovery(state),
    });
    const link = { ...allocateLink(), inbound: OneToOneRingBuffer.allocate(65_536) };
    this.gateway = new RecordingGateway(link);
    const readerDoorbell = Doorbell.attach(reader.doorbellBuffer);
    const rings = {
      reads: OneToOneRingBuffer.attach(readerLink.reads),
      fetches: OneToOneRingBuffer.attach(readerLink.fetches),
    };
    this.coldReads = new RingColdReads(SHARD_ID, journal, rings, readerDoorbell);
    this.shard = new Shard({
      shardId: SHARD_ID,
      shardCount: 2,
      state,
      journal,
      link,
      gatewayDoorbell: Doorbell.attach(Doorbell.allocate()),
      coldReads: this.coldReads,
      clock: SYSTEM_CLOCK,
      segmentBytes: 262_144,
    });
    this.answers = new FetchAnswers(readerLink, readerDoorbell);
    this.answers.register(SHARD_ID, this.shard.entries.listener);
    this.shard.entries.onArrived = (partition) => this.arrived.add(partition);
    reader.attach(0, readerLink, this.doorbellBuffer);
    const openings = Array.from({ length: PARTITIONS }, (_, i) => openingOf([TOPIC, i, DURABILITY_FSYNCED]));
    this.gateway.ask("reconcile", [openings, false]);
    this.run();
  }

  partition(number: number): Partition {
    return this.shard.state.find(TOPIC, number) as Partition;
  }

  /** Cycles until the shard has nothing to do by itself. */
  run(): void {
    for (let idle = 0; idle < 3; ) {
      if (this.answers.poll() + this.shard.doWork() + this.gateway.hear() > 0) idle = 0;
      else idle += 1;
    }
  }

  fill(): void {
    for (let offset = 0; offset < RECORDS; offset += 1) {
      for (let partition = 0; partition < PARTITIONS; partition += 1) {
        const stored = batchOf([recordOf(partition, offset)]);
        if (!this.gateway.publish({ topicId: TOPIC, partition, count: 1, stored }))
          throw new Error("ring full");
      }
      this.run();
    }
    this.gateway.events.length = 0;
  }

  /** Waits for the record, and checks it. */
  async find(t: Test, number: number, offset: number): Promise<void> {
    const { entries } = this.shard;
    const partition = this.partition(number);
    for (let waits = 0; entries.locate(partition, offset) === COMING; waits += 1) {
      if (waits > 5000) throw new Error(`it never comes: partition=${number} offset=${offset}`);
      this.arrived.delete(partition);
      for (let i = 0; !this.arrived.has(partition) && i < 5000; i += 1) {
        await pause(1);
        this.run();
      }
    }
    t.equal(entries.locate(partition, offset), HERE);
    const { bytes, start, storedBytes } = entries;
    t.same(valuesOf(new Uint8Array(bytes.subarray(start, start + storedBytes))), [recordOf(number, offset)]);
  }
}

async function readerOf(t: Test, dataDir: string): Promise<ReaderThread> {
  const reader = new ReaderThread({
    shardsDirectory: dataDir,
    threads: 1,
    gatewayDoorbell: Doorbell.allocate(),
    replies: { onReply: () => {} },
    onPoke: () => {},
    onLog: ({ event, fields }) => t.fail(`${event} ${JSON.stringify(fields)}`),
    onDied: (error) => t.fail(error),
  });
  t.teardown(() => reader.terminate());
  return reader;
}

/** A link whose ring for answers holds few of them. */
function smallLink(): ReaderLinkBuffers {
  return { ...allocateReaderLink(), fetched: OneToOneRingBuffer.allocate(262_144) };
}

t.test("what a reader thread fetches comes back to the shard thread that asked", async (t) => {
  const dataDir = t.testdir();
  const reader = await readerOf(t, dataDir);
  const life = new Life(dataDir, reader, allocateReaderLink());
  life.fill();
  for (const offset of [0, 1, 50, 0, 100]) await life.find(t, 3, offset);
  t.equal(life.shard.journal.settledFiles.length > 0, true, "some of it from settled files");

  // A shard thread that sleeps is woken by the answer.
  t.equal(life.shard.entries.locate(life.partition(7), 0), COMING);
  life.doorbell.prepareSleep();
  if (life.answers.poll() === 0) {
    const startedMs = performance.now();
    life.doorbell.wait(10_000);
    t.ok(performance.now() - startedMs < 9_000, "rung");
    t.ok(life.answers.poll() > 0);
  }
  life.doorbell.cancelSleep();
  await life.find(t, 7, 0);
});

t.test("a shard thread that does not look holds up nobody, nor does one that is gone", async (t) => {
  const dataDir = t.testdir();
  const reader = await readerOf(t, dataDir);
  const link = smallLink();
  const first = new Life(dataDir, reader, link);
  first.fill();
  // The shard itself would not ask for more than fits; others of its thread share the ring.
  for (let partition = 0; partition < PARTITIONS; partition += 1) {
    t.ok(first.coldReads.submit({ ...OTHER_FETCH, partition, limitOffset: RECORDS }));
  }
  const want = (life: Life): void => {
    for (let partition = 0; partition < PARTITIONS; partition += 1) {
      for (const offset of [0, 40]) life.shard.entries.locate(life.partition(partition), offset);
    }
  };
  want(first);
  const state = new Int32Array(link.state);
  for (let waits = 0; Atomics.load(state, LINK_STATE.SHARD_WAITS) === 0; waits += 1) {
    if (waits > 5000) throw new Error("the ring for answers does not fill up");
    await pause(1);
  }
  // The reads of the gateway are answered all the same.
  first.gateway.read(40, TOPIC, 0, 4096, 2);
  for (let waits = 0; first.gateway.take("deliver").length === 0; waits += 1) {
    if (waits > 5000) throw new Error("the gateway is not answered");
    first.shard.doWork();
    reader.outbound.drain(first.gateway, Number.MAX_SAFE_INTEGER);
    await pause(1);
  }
  for (let partition = 0; partition < PARTITIONS; partition += 1) {
    await first.find(t, partition, 0);
    await first.find(t, partition, 40);
  }

  // The thread dies with fetches under way, and answers in its ring, that nobody will take.
  for (let partition = 0; partition < PARTITIONS; partition += 1) {
    first.shard.entries.locate(first.partition(partition), 90);
  }
  first.shard.journal.close();
  const second = new Life(dataDir, reader, smallLink());
  want(second);
  for (let partition = 0; partition < PARTITIONS; partition += 1) {
    await second.find(t, partition, 40);
    await second.find(t, partition, 0);
  }
  second.shard.journal.close();
});
