import assert from "node:assert/strict";
import t from "tap";
import { DURABILITY_FSYNCED, DURABILITY_MEMORY, DURABILITY_WRITTEN } from "../../src/topic.ts";
import { batchOf } from "../harness/batches.ts";
import { forSeeds, type Seeded } from "../harness/seeded.ts";
import { ShardRig } from "../harness/shard-rig.ts";
import { TailingStreams } from "../harness/tailing-streams.ts";

const ROUNDS = 80;
const STEPS = 500;
const STORED_OVERHEAD_BYTES = 100;
const DELIVER_OVERHEAD_BYTES = 93;

const TOPICS = [
  { topicId: 5, durability: DURABILITY_FSYNCED },
  { topicId: 6, durability: DURABILITY_MEMORY },
  { topicId: 7, durability: DURABILITY_WRITTEN },
];

/** How many records came each way, over all seeds. */
const seen = { read: 0, tail: 0, own: 0, scattered: 0 };

/** A gateway, a shard, a sync thread and a reader, each of which does a little whenever it is its turn. */
function fuzz(random: Seeded): void {
  const gateways = 1 + random.below(3);
  const inboundBytes = 4096 << random.below(3);
  const outboundBytes = 4096 << random.below(3);
  const rig = ShardRig.started(
    TOPICS.map(({ topicId, durability }) => [topicId, 0, durability]),
    {
      inboundBytes,
      outboundBytes,
      readerRingBytes: 4096 << random.below(3),
      segmentSizeBytes: 16_384,
      gateways,
    },
  );
  const valueMax = Math.min(inboundBytes, outboundBytes) / 8 - STORED_OVERHEAD_BYTES - DELIVER_OVERHEAD_BYTES;
  const published = new Map<number, string[]>(TOPICS.map(({ topicId }) => [topicId, []]));
  const streams = new TailingStreams(
    TOPICS.map(({ topicId }) => topicId),
    1 + random.below(3),
    outboundBytes / 8 - 64,
    random,
    (topicId, offset) => published.get(topicId)?.[offset],
    gateways,
  );
  const publish = (): void => {
    const { topicId } = random.pick(TOPICS);
    const log = published.get(topicId) as string[];
    const values = Array.from({ length: 1 + random.below(3) }, (_, i) => `${topicId}/${log.length + i}`);
    if (random.oneIn(2)) values[0] = `${values[0]}`.padEnd(random.below(valueMax), ".");
    if (rig.gateway.publish({ topicId, count: values.length, stored: batchOf(values) })) log.push(...values);
  };
  // The shard appends between the publishers' batches, where the offset that it gets is known.
  const appendOwn = (): void => {
    const { topicId } = random.pick(TOPICS);
    const log = published.get(topicId) as string[];
    const partition = rig.shard.state.find(topicId, 0);
    if (partition?.nextOffset !== log.length) return;
    const values = Array.from({ length: 1 + random.below(3) }, (_, i) => `${topicId}/own ${log.length + i}`);
    assert.equal(rig.shard.ownAppends.append(partition, values.length, batchOf(values)), log.length);
    log.push(...values);
    seen.own += values.length;
  };
  const ownAppends = random.below(3);
  const hearAll = (): void => streams.hear(rig.gateway.takeAll().map(({ event }) => event));
  const hear = (bytesMax: number): void => {
    rig.gateway.hear(bytesMax);
    hearAll();
  };
  // In some runs the gateway seldom listens, in some the disk is slow, in some nobody publishes much.
  const weights = [
    { weight: 1 + random.below(12), act: publish },
    { weight: ownAppends, act: appendOwn },
    { weight: 1 + random.below(6), act: () => streams.act(rig.gateway) },
    { weight: 1 + random.below(4), act: () => void rig.shard.doWork() },
    { weight: 1 + random.below(4), act: () => hear(random.oneIn(4) ? inboundBytes : 1) },
    { weight: 1 + random.below(3), act: () => void rig.sync() },
    { weight: 1 + random.below(2), act: () => void rig.serveColdReads(1 + random.below(2)) },
    { weight: random.below(2), act: () => rig.clock.advance(random.below(400)) },
  ];
  const turns = weights.flatMap(({ weight, act }) => Array.from({ length: weight }, () => act));
  // Now and then the gateway hears nothing for long, while it goes on publishing.
  let deafUntil = 0;
  for (let step = 0; step < STEPS; step += 1) {
    if (random.oneIn(150)) deafUntil = step + random.below(300);
    if (step < deafUntil) random.pick([publish, publish, () => rig.shard.doWork(), () => rig.sync()])();
    else random.pick(turns)();
    hearAll();
  }
  // Then everybody comes to an end.
  const endOf = (topicId: number): number => published.get(topicId)?.length ?? 0;
  for (let rounds = 0; !streams.allAt(endOf); rounds += 1) {
    assert.ok(rounds < 2000, `streams do not get to the end: ${streams}`);
    streams.readAll(rig.gateway);
    rig.settle();
    hearAll();
  }
  seen.read += streams.readRecords;
  seen.tail += streams.tailRecords;
  seen.scattered += streams.scattered;
}

t.test("every consumer gets every record once and in order, whoever waits for whom", async (t) => {
  forSeeds(ROUNDS, fuzz);
  t.ok(seen.read > 0, `${seen.read} records by reads`);
  t.ok(seen.tail > 0, `${seen.tail} records at the tail`);
  t.ok(seen.own > 0, `${seen.own} records of the shard's own`);
  t.ok(seen.scattered > 0, `${seen.scattered} times a group had to read for itself`);
});
