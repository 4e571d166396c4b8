import assert from "node:assert/strict";
import t from "tap";
import { Partition } from "../../src/shard/partition.ts";
import { PendingAcks } from "../../src/shard/pending-acks.ts";
import { forSeeds, type Seeded } from "../harness/seeded.ts";

const ROUNDS = 300;
const STEPS = 600;

interface Publish {
  readonly position: number;
  readonly cycle: number;
  readonly sessionId: number;
  readonly partition: Partition;
  readonly producerId: number;
  readonly sequence: number;
  readonly count: number;
  readonly baseOffset: number;
}

interface Run {
  position: number;
  readonly cycle: number;
  readonly sessionId: number;
  readonly partition: Partition;
  readonly producerId: number;
  readonly sequence: number;
  count: number;
  readonly baseOffset: number;
}

/** The rule of merging in plain words: the newest run, same cycle and publisher, and it continues both numbers. */
function joins(last: Run | undefined, publish: Publish): last is Run {
  return (
    last !== undefined &&
    last.cycle === publish.cycle &&
    last.sessionId === publish.sessionId &&
    last.partition === publish.partition &&
    last.producerId === publish.producerId &&
    last.sequence + last.count === publish.sequence &&
    last.baseOffset + last.count === publish.baseOffset
  );
}

function pushBoth(table: PendingAcks, model: Run[], publish: Publish): void {
  const { position, cycle, sessionId, partition, producerId, sequence, count, baseOffset } = publish;
  const last = model.at(-1);
  const joined = joins(last, publish);
  if (joined) {
    last.count += count;
    last.position = position;
  } else model.push({ ...publish });
  const isNew = table.push(position, cycle, sessionId, partition, producerId, sequence, count, baseOffset);
  assert.equal(isNew, !joined);
}

function releaseBoth(table: PendingAcks, model: Run[], position: number): void {
  for (let run = table.peek(position); run >= 0; run = table.peek(position)) {
    const expected = model.shift();
    assert.ok(expected !== undefined && expected.position <= position);
    assert.equal(table.sessionAt(run), expected.sessionId);
    assert.equal(table.partitionAt(run), expected.partition);
    assert.equal(table.producerIdAt(run), expected.producerId);
    assert.equal(table.firstSequenceAt(run), expected.sequence);
    assert.equal(table.countAt(run), expected.count);
    assert.equal(table.baseOffsetAt(run), expected.baseOffset);
    table.shift();
  }
  assert.ok(model.length === 0 || (model[0] as Run).position > position);
  assert.equal(table.size, model.length);
}

function fuzz(random: Seeded): void {
  const table = new PendingAcks();
  const model: Run[] = [];
  const partitions = [0, 1, 2].map((partition) => new Partition(1, partition, 2));
  const nextOffsets = [2 ** 33, 0, 0];
  const nextSequences = [0, 0];
  let cycle = random.pick([0, 0x7fff_fffe]);
  let position = 0;
  // Some runs release rarely, so that the table grows several times and wraps.
  const releaseRarity = random.pick([2, 10, 200]);
  for (let step = 0; step < STEPS; step += 1) {
    const batches = random.below(8);
    for (let i = 0; i < batches; i += 1) {
      const at = random.below(random.pick([1, 3]));
      const producer = random.below(2);
      const count = 1 + random.below(5);
      position += 8 * (12 + random.below(50));
      pushBoth(table, model, {
        position,
        cycle,
        sessionId: random.pick([1, 1, 1, 2]),
        partition: partitions[at] as Partition,
        producerId: producer === 0 ? 0 : 2 ** 52,
        sequence: nextSequences[producer] as number,
        count,
        baseOffset: nextOffsets[at] as number,
      });
      nextSequences[producer] = (nextSequences[producer] as number) + count;
      nextOffsets[at] = (nextOffsets[at] as number) + count;
    }
    cycle = (cycle + 1) | 0;
    if (random.oneIn(releaseRarity)) releaseBoth(table, model, position - random.below(4000));
  }
  releaseBoth(table, model, position);
}

t.test("PendingAcks behaves like a list of runs", async (t) => {
  forSeeds(ROUNDS, fuzz);
  t.pass(`${ROUNDS} seeds`);
});

t.test("a run joins only the newest run of its own cycle", async (t) => {
  const table = new PendingAcks();
  const partition = new Partition(1, 0, 2);
  t.ok(table.push(100, 1, 5, partition, 9, 0, 2, 50));
  t.notOk(table.push(200, 1, 5, partition, 9, 2, 3, 52), "continues sequence and offset");
  t.equal(table.peek(199), -1, "the run waits for its last batch");
  t.ok(table.push(300, 2, 5, partition, 9, 5, 1, 55), "another cycle may be committed later");
  t.equal(table.countAt(table.peek(200)), 5);
});

t.test("a table that was emptied does not join what comes next to what is gone", async (t) => {
  const table = new PendingAcks();
  const partition = new Partition(1, 0, 2);
  table.push(100, 1, 5, partition, 9, 0, 2, 50);
  table.shift();
  t.ok(table.push(200, 1, 5, partition, 9, 2, 3, 52));
  t.equal(table.size, 1);
});
