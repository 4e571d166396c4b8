import {
  DELIVER_ENTRY_HEAD_BYTES,
  DELIVER_HEAD_BYTES,
  writeDeliverEntryHead,
  writeDeliverHead,
} from "@millrace/protocol/internal";
import t from "tap";
import { BROKER_LIMITS } from "../../src/limits.ts";
import { PROGRESS_DAMAGE, PROGRESS_GAP, PROGRESS_RETENTION } from "../../src/link/outbound-layout.ts";
import type { ColdRead, ColdReads } from "../../src/shard/delivery.ts";
import { COMING, EntrySource, GONE, HERE } from "../../src/shard/entry-source.ts";
import { shardOfFetch } from "../../src/shard/fetch-listener.ts";
import { Partition } from "../../src/shard/partition.ts";
import { ShardState } from "../../src/shard/shard-state.ts";
import type { TailMemory } from "../../src/shard/tail-memory.ts";
import { DURABILITY_FSYNCED } from "../../src/topic.ts";
import { batchOf, valuesOf } from "../harness/batches.ts";
import { ManualClock } from "../harness/manual-clock.ts";

const SHARD = 3;
const { fetchesMax, fetchWantsMax, fetchBytesMax, fetchLostMs, fetchRetryMsMin, fetchedBytesMax } =
  BROKER_LIMITS;

/** A reader that answers when, and what, the test says. */
class FakeReader implements ColdReads {
  readonly reads: ColdRead[] = [];
  hasRoom = true;

  submit(read: ColdRead): boolean {
    if (this.hasRoom) this.reads.push(read);
    return this.hasRoom;
  }

  /** The oldest read that was not answered. */
  take(): ColdRead {
    const read = this.reads.shift();
    if (read === undefined) throw new Error("nothing was asked for");
    return read;
  }
}

class SourceRig {
  readonly reader: FakeReader = new FakeReader();
  readonly arrived: Partition[] = [];
  readonly source: EntrySource;
  nowMs = 1_000_000;

  constructor() {
    // No tail: everything has to be fetched.
    this.source = new EntrySource(SHARD, { start: 0 } as TailMemory, this.reader);
    this.source.onArrived = (partition) => this.arrived.push(partition);
    this.cycle();
  }

  /** A partition with this many records. */
  partition(highWatermark: number, number = 0): Partition {
    const partition = new Partition(5, number, DURABILITY_FSYNCED);
    partition.nextOffset = partition.highWatermark = highWatermark;
    return partition;
  }

  /** One cycle. @returns who was told that something has come */
  cycle(advanceMs = 0): Partition[] {
    this.nowMs += advanceMs;
    this.source.doWork(this.nowMs);
    return this.arrived.splice(0);
  }

  /** Answers with batches of one record of so many bytes; the value says the offset. */
  deliver({ id, offset }: ColdRead, count: number, valueBytes = 20): void {
    const batches = Array.from({ length: count }, (_, i) =>
      batchOf([`${offset + i}`.padEnd(valueBytes, ".")]),
    );
    const bytes = batches.reduce((sum, { length }) => sum + DELIVER_ENTRY_HEAD_BYTES + length, 0);
    // Somewhere in a ring.
    const ring = Buffer.alloc(64 + DELIVER_HEAD_BYTES + bytes + 64, 0xff);
    writeDeliverHead(ring, 64, id, offset + count, count);
    let at = 64 + DELIVER_HEAD_BYTES;
    batches.forEach((batch, i) => {
      writeDeliverEntryHead(ring, at, offset + i, 1, 1_700_000_000_000 + offset + i);
      ring.set(batch, at + DELIVER_ENTRY_HEAD_BYTES);
      at += DELIVER_ENTRY_HEAD_BYTES + batch.length;
    });
    this.source.listener.onFetched(id, ring, 64, at);
    ring.fill(0xff);
  }

  /** The offset that the value found says. */
  value(): number {
    const { bytes, start, storedBytes, baseOffset, appendTimeMs } = this.source;
    const [value = ""] = valuesOf(bytes.subarray(start, start + storedBytes));
    if (appendTimeMs !== 1_700_000_000_000 + baseOffset) throw new Error(`appendTimeMs=${appendTimeMs}`);
    return Number.parseInt(value, 10);
  }
}

t.test("what is fetched is here, batch by batch, in any order", async (t) => {
  const rig = new SourceRig();
  const partition = rig.partition(100);
  t.equal(rig.source.locate(partition, 10), COMING);
  t.equal(rig.source.locate(partition, 10), COMING);
  t.equal(rig.reader.reads.length, 1, "asked for once");
  const read = rig.reader.take();
  t.match(read, {
    kind: "fetch",
    topicId: 5,
    partition: 0,
    offset: 10,
    limitOffset: 100,
    maxBytes: fetchBytesMax,
  });
  t.equal(shardOfFetch(read.id), SHARD);
  t.same(rig.cycle(), []);
  rig.deliver(read, 20);
  t.same(rig.cycle(), [partition], "told once");
  t.same(rig.cycle(), []);
  for (const offset of [10, 11, 12, 29, 15, 14, 10, 28, 29]) {
    t.equal(rig.source.locate(partition, offset), HERE);
    t.match(rig.source, { baseOffset: offset, count: 1 });
    t.equal(rig.value(), offset);
  }
  t.equal(rig.source.locate(partition, 30), COMING);
  t.match(rig.reader.take(), { offset: 30, limitOffset: 100 });
  t.equal(rig.source.locate(partition, 5), COMING);
  t.equal(rig.reader.reads.length, 0, "one at a time of a partition");
});

t.test("nothing at or above the high watermark is shown, or asked for", async (t) => {
  const rig = new SourceRig();
  const partition = rig.partition(20);
  for (const offset of [20, 21, 1000]) t.equal(rig.source.locate(partition, offset), COMING);
  t.same(rig.reader.reads, []);
  t.equal(rig.source.nextTimerMs(rig.nowMs), Number.POSITIVE_INFINITY);
});

t.test("where nothing stands it is gone, for a reason that is remembered", async (t) => {
  const rig = new SourceRig();
  const partition = rig.partition(100);
  partition.logStartOffset = 7;
  t.equal(rig.source.locate(partition, 3), GONE);
  t.match(rig.source, { nextOffset: 7, reason: PROGRESS_RETENTION });
  for (const [offset, next, reason] of [
    [10, 30, PROGRESS_GAP],
    [30, 33, PROGRESS_DAMAGE],
  ] as const) {
    t.equal(rig.source.locate(partition, offset), COMING);
    rig.source.listener.onNothingThere(rig.reader.take().id, next, reason);
    t.same(rig.cycle(), [partition]);
    for (const at of [offset, next - 1]) {
      t.equal(rig.source.locate(partition, at), GONE);
      t.match(rig.source, { nextOffset: next, reason });
    }
  }
  t.equal(rig.source.locate(partition, 8), COMING);
  t.match(rig.reader.take(), { offset: 8, limitOffset: 10 }, "up to what is known");
});

t.test("what has moved under a fetch is asked for again by whoever wants it", async (t) => {
  const rig = new SourceRig();
  const partition = rig.partition(100);
  rig.source.locate(partition, 10);
  rig.source.listener.onNothingThere(rig.reader.take().id, 10, PROGRESS_GAP);
  t.same(rig.cycle(), [partition]);
  t.same(rig.reader.reads, []);
  t.equal(rig.source.locate(partition, 10), COMING);
  t.equal(rig.reader.take().offset, 10);
});

t.test("a batch that is larger than a stretch comes with a second fetch", async (t) => {
  const rig = new SourceRig();
  const partition = rig.partition(100);
  rig.source.locate(partition, 10);
  rig.source.listener.onNeedsBytes(rig.reader.take().id, 1_500_000);
  rig.cycle();
  const again = rig.reader.take();
  t.match(again, { offset: 10, maxBytes: 1_500_000 });
  rig.deliver(again, 1, 900_000);
  t.same(rig.cycle(), [partition]);
  t.equal(rig.source.locate(partition, 10), HERE);
  rig.source.locate(partition, 11);
  t.equal(rig.reader.take().maxBytes, fetchBytesMax);
});

t.test("the offsets that a partition's subscriptions want take turns", async (t) => {
  const rig = new SourceRig();
  const partition = rig.partition(10_000);
  for (const offset of [0, 1000, 2000]) rig.source.locate(partition, offset);
  const order: number[] = [];
  for (let i = 0; i < 9; i += 1) {
    const read = rig.reader.take();
    order.push(read.offset);
    rig.deliver(read, 10);
    rig.cycle();
    // Whoever was served wants more at once; the others still wait.
    rig.source.locate(partition, read.offset + 10);
  }
  t.same(order, [0, 1000, 2000, 10, 1010, 2010, 20, 1020, 2020]);
});

t.test("partitions take turns, and only some fetches of a shard are under way", async (t) => {
  const rig = new SourceRig();
  const partitions = Array.from({ length: 30 }, (_, i) => rig.partition(1000, i));
  for (const partition of partitions) for (const offset of [0, 500]) rig.source.locate(partition, offset);
  const order: number[] = [];
  while (rig.reader.reads.length > 0) {
    t.ok(rig.reader.reads.length <= fetchesMax);
    const read = rig.reader.take();
    order.push(read.partition);
    rig.deliver(read, 5);
    rig.cycle();
  }
  const once = partitions.map(({ partition }) => partition);
  t.same(order, [...once, ...once]);
});

t.test("a partition has so many wants; one more has to be asked for again", async (t) => {
  const rig = new SourceRig();
  const partition = rig.partition(100_000);
  const offsets = Array.from({ length: fetchWantsMax + 5 }, (_, i) => i * 100);
  const served = new Set<number>();
  for (let rounds = 0; served.size < offsets.length; rounds += 1) {
    if (rounds > 100) throw new Error("somebody is never served");
    for (const offset of offsets) if (rig.source.locate(partition, offset) === HERE) served.add(offset);
    if (rig.reader.reads.length > 0) rig.deliver(rig.reader.take(), 1);
    rig.cycle();
  }
  t.equal(rig.reader.reads.length, 0);
});

t.test("a full ring delays a fetch", async (t) => {
  const rig = new SourceRig();
  const partition = rig.partition(100);
  rig.reader.hasRoom = false;
  t.equal(rig.source.locate(partition, 10), COMING);
  rig.cycle();
  t.ok(rig.source.nextTimerMs(rig.nowMs) <= 20, "nobody rings when there is room again");
  rig.reader.hasRoom = true;
  rig.cycle(5);
  rig.deliver(rig.reader.take(), 1);
  rig.cycle();
  t.equal(rig.source.locate(partition, 10), HERE);
});

t.test("what cannot be read is tried again, less and less often, and holds up nothing else", async (t) => {
  const rig = new SourceRig();
  const partition = rig.partition(100);
  rig.source.locate(partition, 10);
  rig.source.locate(partition, 50);
  for (let failures = 0; failures < 3; failures += 1) {
    rig.source.listener.onFetchFailed(rig.reader.take().id);
    if (failures === 0) {
      t.same(rig.cycle(), []);
      rig.deliver(rig.reader.take(), 1);
      t.same(rig.cycle(), [partition]);
      t.equal(rig.source.locate(partition, 50), HERE);
    }
    const delayMs = fetchRetryMsMin * 2 ** failures;
    t.equal(rig.source.locate(partition, 10), COMING);
    t.same(rig.cycle(delayMs - 1), []);
    t.equal(rig.source.nextTimerMs(rig.nowMs), 1);
    t.equal(rig.source.locate(partition, 10), COMING);
    t.same(rig.reader.reads, []);
    t.same(rig.cycle(1), [partition]);
    t.equal(rig.source.nextTimerMs(rig.nowMs), Number.POSITIVE_INFINITY);
    t.equal(rig.source.locate(partition, 10), COMING);
    t.equal(rig.reader.reads.length, 1);
  }
  rig.deliver(rig.reader.take(), 5);
  t.same(rig.cycle(), [partition]);
  t.equal(rig.source.locate(partition, 10), HERE);
});

t.test("a fetch that is never answered is asked for again, and a late answer harms nobody", async (t) => {
  const rig = new SourceRig();
  const partition = rig.partition(100);
  rig.source.locate(partition, 10);
  const lost = rig.reader.take();
  rig.cycle(fetchLostMs - 1);
  t.same(rig.reader.reads, []);
  t.equal(rig.source.nextTimerMs(rig.nowMs), 1);
  rig.cycle(1);
  const again = rig.reader.take();
  t.equal(again.offset, 10);
  t.not(again.id, lost.id);
  rig.deliver(lost, 5);
  rig.source.listener.onFetchFailed(lost.id);
  rig.source.listener.onNeedsBytes(lost.id, 10_000);
  t.same(rig.cycle(), []);
  rig.deliver(again, 5);
  rig.deliver(again, 5);
  t.same(rig.cycle(), [partition]);
  t.equal(rig.source.locate(partition, 14), HERE);
});

t.test("memory is bounded: what was used least recently goes first", async (t) => {
  const rig = new SourceRig();
  const partition = rig.partition(100_000);
  const fetch = (offset: number): void => {
    t.equal(rig.source.locate(partition, offset), COMING);
    rig.deliver(rig.reader.take(), 4, 65_000);
    rig.cycle();
  };
  const stretches = Math.ceil(fetchedBytesMax / (4 * 65_000));
  fetch(0);
  fetch(4);
  for (let i = 2; i < stretches + 20; i += 1) {
    fetch(i * 4);
    // Somebody goes on using the first of all.
    t.equal(rig.source.locate(partition, 1), HERE);
    t.ok(rig.source.fetchedBytes <= fetchedBytesMax);
  }
  t.ok(rig.source.fetchedBytes > fetchedBytesMax * 0.95);
  t.equal(rig.source.locate(partition, 4), COMING, "and the second had to go");
});

t.test("many partitions get less each, so that none drives out what another has not used", async (t) => {
  const rig = new SourceRig();
  const partitions = Array.from({ length: 1000 }, (_, i) => rig.partition(1000, i));
  for (const partition of partitions) rig.source.locate(partition, 0);
  let leastBytes: number = fetchBytesMax;
  while (rig.reader.reads.length > 0) {
    const read = rig.reader.take();
    leastBytes = Math.min(leastBytes, read.maxBytes);
    rig.deliver(read, 1, Math.min(read.maxBytes, 20_000) - 1000);
    rig.cycle();
  }
  t.ok(leastBytes * partitions.length <= fetchedBytesMax);
  for (const partition of partitions) {
    if (rig.source.locate(partition, 0) !== HERE) t.fail(`driven out: ${partition.partition}`);
  }
});

t.test("a topic that is deleted is forgotten, also what is still to come of it", async (t) => {
  const rig = new SourceRig();
  const state = new ShardState(SHARD, 4, new ManualClock());
  const partition = state.open(5, 0, DURABILITY_FSYNCED);
  const other = rig.partition(100, 1);
  partition.nextOffset = partition.highWatermark = 100;
  rig.source.locate(partition, 0);
  rig.deliver(rig.reader.take(), 10);
  t.same(rig.cycle(), [partition]);
  rig.source.locate(partition, 50);
  rig.source.locate(partition, 70);
  state.close(partition);
  t.equal(rig.source.fetchedBytes, 0);
  rig.deliver(rig.reader.take(), 10);
  rig.source.locate(other, 0);
  t.same(rig.cycle(), []);
  t.equal(rig.source.fetchedBytes, 0);
  t.equal(rig.reader.take().partition, 1, "what else was wanted of it is not asked for");
  t.same(rig.reader.reads, []);
});

t.test("what is truncated is forgotten, also if it comes later", async (t) => {
  const rig = new SourceRig();
  const partition = rig.partition(100);
  for (const offset of [0, 10, 20]) {
    rig.source.locate(partition, offset);
    rig.deliver(rig.reader.take(), 10);
    rig.cycle();
  }
  const before = rig.source.fetchedBytes;
  rig.source.locate(partition, 30);
  partition.logStartOffset = 15;
  partition.fetched?.dropBefore(15);
  t.ok(rig.source.fetchedBytes < before);
  t.equal(rig.source.locate(partition, 14), GONE);
  t.equal(rig.source.locate(partition, 15), HERE);
  partition.logStartOffset = 60;
  partition.fetched?.dropBefore(60);
  t.equal(rig.source.fetchedBytes, 0);
  rig.deliver(rig.reader.take(), 10);
  t.same(rig.cycle(), [partition], "whoever waits is told all the same");
  t.equal(rig.source.fetchedBytes, 0);
  t.equal(rig.source.locate(partition, 30), GONE);
  t.match(rig.source, { nextOffset: 60, reason: PROGRESS_RETENTION });
});

t.test("the log of another epoch is another log", async (t) => {
  const rig = new SourceRig();
  const partition = rig.partition(100);
  rig.source.locate(partition, 0);
  rig.deliver(rig.reader.take(), 10);
  rig.cycle();
  rig.source.locate(partition, 50);
  partition.logEpoch = 1;
  t.equal(rig.source.locate(partition, 0), COMING);
  t.equal(rig.source.fetchedBytes, 0);
  rig.deliver(rig.reader.take(), 10);
  rig.cycle();
  t.equal(rig.source.fetchedBytes, 0, "it was read from the old one");
  t.match(rig.reader.take(), { offset: 0, logEpoch: 1 });
});

t.test("what is here is found without allocating anything", async (t) => {
  const rig = new SourceRig();
  const partition = rig.partition(10_000);
  for (let offset = 0; offset < 2000; offset += 500) {
    rig.source.locate(partition, offset);
    rig.deliver(rig.reader.take(), 500);
    rig.cycle();
  }
  const walk = (): number => {
    let found = 0;
    for (let i = 0; i < 100_000; i += 1)
      if (rig.source.locate(partition, (i * 7) % 2000) === HERE) found += 1;
    return found;
  };
  // What is compiled meanwhile, or printed, takes some of the heap as well; what each call took would show every time.
  let perCall = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 5; round += 1) {
    const before = process.memoryUsage().heapUsed;
    t.equal(walk(), 100_000);
    const used = process.memoryUsage().heapUsed - before;
    if (used >= 0) perCall = Math.min(perCall, used / 100_000);
  }
  t.ok(perCall < 8, `${perCall} bytes a call`);
});
