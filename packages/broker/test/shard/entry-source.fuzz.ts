import assert from "node:assert/strict";
import t from "tap";
import { PROGRESS_RETENTION } from "../../src/link/outbound-layout.ts";
import { COMING, HERE } from "../../src/shard/entry-source.ts";
import type { Partition } from "../../src/shard/partition.ts";
import { DURABILITY_FSYNCED, DURABILITY_MEMORY, DURABILITY_WRITTEN } from "../../src/topic.ts";
import { batchOf, valuesOf } from "../harness/batches.ts";
import { forSeeds, type Seeded } from "../harness/seeded.ts";
import { openingOf, ShardRig } from "../harness/shard-rig.ts";

const ROUNDS = 60;
const STEPS = 400;
const TOPICS = [5, 6, 7];
const DURABILITIES = [DURABILITY_FSYNCED, DURABILITY_MEMORY, DURABILITY_WRITTEN];

/** Outcomes over all seeds. */
const seen = { cached: 0, fetched: 0, gone: 0 };

/** Somebody who wants an offset and asks again when it is told to. */
interface Seeker {
  readonly partition: Partition;
  offset: number;
  isWaiting: boolean;
}

/** A shard whose logs grow, are truncated, deleted and settled, while some walk and jump about in them. */
function fuzz(random: Seeded): void {
  const partitions = TOPICS.map((topicId, i) => [topicId, 0, DURABILITIES[i] as number] as const);
  const rig = ShardRig.started(partitions, {
    inboundBytes: 4096 << random.below(3),
    outboundBytes: 8192 << random.below(3),
    readerRingBytes: 4096 << random.below(3),
    segmentSizeBytes: 8192 << random.below(2),
    settling: { batchBytes: random.pick([1, 20_000, 1e9]), afterMs: 0, adoptBytesMin: 1 },
  });
  const logs = new Map<Partition, string[]>();
  const seekers: Seeker[] = [];
  const open = (topicId: number): void => {
    const partition = rig.shard.state.find(topicId, 0) as Partition;
    logs.set(partition, []);
    for (let i = 0; i < 2; i += 1) seekers.push({ partition, offset: 0, isWaiting: false });
  };
  for (const topicId of TOPICS) open(topicId);
  let topics = [...TOPICS];
  let lastTopicId = 7;

  const valuesFor = (log: string[], topicId: number): string[] => {
    const values = Array.from({ length: 1 + random.below(4) }, (_, i) => `${topicId}/${log.length + i}`);
    if (random.oneIn(3)) values[0] = `${values[0]}`.padEnd(random.below(350), ".");
    return values;
  };
  const publish = (): void => {
    const topicId = random.pick(topics);
    const log = logs.get(rig.shard.state.find(topicId, 0) as Partition) as string[];
    const values = valuesFor(log, topicId);
    if (rig.gateway.publish({ topicId, count: values.length, stored: batchOf(values) })) log.push(...values);
  };
  const appendOwn = (): void => {
    const topicId = random.pick(topics);
    const partition = rig.shard.state.find(topicId, 0) as Partition;
    const log = logs.get(partition) as string[];
    if (partition.nextOffset !== log.length) return;
    const values = valuesFor(log, topicId);
    rig.shard.ownAppends.append(partition, values.length, batchOf(values));
    log.push(...values);
  };
  const truncate = (): void => {
    const partition = rig.shard.state.find(random.pick(topics), 0) as Partition;
    const { topicId, logStartOffset, highWatermark } = partition;
    const offset = logStartOffset + random.below(1 + (highWatermark - logStartOffset) / 2);
    rig.gateway.ask("truncate", [topicId, [[0, offset]]]);
  };
  const replaceTopic = (): void => {
    const topicId = random.pick(topics);
    rig.settle();
    const partition = rig.shard.state.find(topicId, 0) as Partition;
    rig.answer("close", [topicId]);
    assert.equal(partition.fetched?.stretchCount ?? 0, 0, "a deleted topic leaves nothing");
    logs.delete(partition);
    seekers.splice(0, seekers.length, ...seekers.filter((seeker) => seeker.partition !== partition));
    lastTopicId += 1;
    rig.answer("open", [[openingOf([lastTopicId, 0, random.pick(DURABILITIES)])]]);
    topics = topics.map((id) => (id === topicId ? lastTopicId : id));
    open(lastTopicId);
  };

  const seek = (seeker: Seeker): void => {
    const { partition, offset } = seeker;
    const { entries } = rig.shard;
    const outcome = entries.locate(partition, offset);
    if (outcome === COMING) {
      seeker.isWaiting = offset < partition.highWatermark;
      return;
    }
    seeker.isWaiting = false;
    const log = logs.get(partition) as string[];
    assert.ok(offset < partition.highWatermark, "it is not to be seen yet");
    if (outcome === HERE) {
      const { bytes, start, storedBytes, baseOffset, count } = entries;
      const values = valuesOf(new Uint8Array(bytes.subarray(start, start + storedBytes)));
      assert.ok(baseOffset <= offset && offset < baseOffset + count);
      assert.ok(baseOffset + count <= partition.highWatermark);
      assert.deepEqual(values, log.slice(baseOffset, baseOffset + count));
      if (bytes.buffer instanceof SharedArrayBuffer) seen.cached += 1;
      else seen.fetched += 1;
      seeker.offset = random.oneIn(30) ? random.below(partition.highWatermark) : baseOffset + count;
    } else {
      // No publisher left a gap.
      assert.equal(entries.reason, PROGRESS_RETENTION);
      assert.equal(entries.nextOffset, partition.logStartOffset);
      seen.gone += 1;
      seeker.offset = entries.nextOffset;
    }
  };
  rig.shard.entries.onArrived = (partition) => {
    for (const seeker of seekers) if (seeker.partition === partition && seeker.isWaiting) seek(seeker);
  };
  const seekAny = (): void => {
    const free = seekers.filter(({ isWaiting }) => !isWaiting);
    if (free.length > 0) seek(random.pick(free));
  };

  const weights = [
    { weight: 1 + random.below(10), act: publish },
    { weight: random.below(3), act: appendOwn },
    { weight: 2 + random.below(10), act: seekAny },
    { weight: 1 + random.below(4), act: () => void rig.cycle() },
    { weight: 1 + random.below(3), act: () => void rig.sync() },
    { weight: 1 + random.below(3), act: () => void rig.reader.serveFetches(1 + random.below(3)) },
    { weight: 1 + random.below(3), act: () => void rig.reader.fetchAnswers.poll() },
    { weight: random.below(2), act: () => void rig.reader.readAhead() },
    { weight: random.below(2), act: () => rig.clock.advance(random.below(400)) },
  ];
  const turns = weights.flatMap(({ weight, act }) => Array.from({ length: weight }, () => act));
  for (let step = 0; step < STEPS; step += 1) {
    if (random.oneIn(60)) truncate();
    else if (random.oneIn(150)) replaceTopic();
    else random.pick(turns)();
    rig.gateway.events.length = 0;
  }
  // In the end nobody waits, and everybody gets to the end.
  for (let rounds = 0; ; rounds += 1) {
    assert.ok(rounds < 2000, "somebody waits for ever");
    rig.settle();
    rig.clock.advance(10);
    const left = seekers.filter(({ partition, offset }) => offset < partition.highWatermark);
    if (left.length === 0) break;
    for (const seeker of left) {
      assert.ok(!seeker.isWaiting, `nobody was told: offset ${seeker.offset}`);
      seek(seeker);
    }
  }
}

t.test("whoever looks for a record finds it, wherever it is by then", async (t) => {
  forSeeds(ROUNDS, fuzz);
  t.ok(seen.cached > 0, `${seen.cached} batches in the cache`);
  t.ok(seen.fetched > 0, `${seen.fetched} batches that were fetched`);
  t.ok(seen.gone > 0, `${seen.gone} that were given up`);
});
