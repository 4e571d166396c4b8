import t from "tap";
import { BROKER_LIMITS } from "../../src/limits.ts";
import {
  ProducerState,
  ProducerTable,
  SEQUENCE_DUPLICATE,
  SEQUENCE_FENCED,
  SEQUENCE_GAP,
  SEQUENCE_NEW,
} from "../../src/shard/producer-table.ts";

function stateAfter(...counts: number[]): ProducerState {
  const state = new ProducerState(7, 0, 0, 0);
  let sequence = 0;
  for (const count of counts) {
    state.record(0, sequence, count, 100 + sequence, 0);
    sequence += count;
  }
  return state;
}

t.test(
  "the next sequence is new, a later one is a gap, an earlier one a duplicate with its offset",
  async (t) => {
    const state = stateAfter(3, 2);
    t.equal(state.nextSequence, 5);
    t.equal(state.check(0, 5, 1), SEQUENCE_NEW);
    t.equal(state.check(0, 6, 1), SEQUENCE_GAP);
    t.equal(state.check(0, 3, 2), SEQUENCE_DUPLICATE);
    t.equal(state.duplicateOffset, 103);
    t.equal(state.check(0, 0, 3), SEQUENCE_DUPLICATE);
    t.equal(state.duplicateOffset, 100);
  },
);

t.test("a retry that reaches past what is stored is not taken for a duplicate", async (t) => {
  const state = stateAfter(5);
  t.equal(state.check(0, 3, 4), SEQUENCE_GAP, "sequences 5 and 6 were never stored");
});

t.test("a producer that is alone on its partition has one run", async (t) => {
  t.same(stateAfter(1, 2, 3, 4).runs, [0, 10, 100]);
});

t.test("offsets of the newest runs are remembered, of older ones only that they are stored", async (t) => {
  const state = new ProducerState(7, 0, 0, 0);
  const runs = BROKER_LIMITS.producerRunsMax + 6;
  // Every batch lands behind somebody else's: no two make one run.
  for (let i = 0; i < runs; i += 1) state.record(0, i, 1, i * 2, 0);
  t.equal(state.runs.length, BROKER_LIMITS.producerRunsMax * 3);
  t.equal(state.check(0, runs - 1, 1), SEQUENCE_DUPLICATE);
  t.equal(state.duplicateOffset, (runs - 1) * 2);
  t.equal(state.check(0, 6, 1), SEQUENCE_DUPLICATE);
  t.equal(state.duplicateOffset, 12);
  t.equal(state.check(0, 5, 1), SEQUENCE_DUPLICATE);
  t.ok(Number.isNaN(state.duplicateOffset), "no longer known");
});

t.test("a higher epoch starts at sequence 0 and fences the lower one", async (t) => {
  const state = stateAfter(5);
  t.equal(state.check(1, 5, 1), SEQUENCE_GAP);
  t.equal(state.check(1, 0, 2), SEQUENCE_NEW);
  t.equal(state.check(0, 5, 1), SEQUENCE_NEW, "asking alone fences nobody");
  state.record(1, 0, 2, 200, 0);
  t.equal(state.check(0, 5, 1), SEQUENCE_FENCED);
  t.equal(state.check(0, 0, 5), SEQUENCE_FENCED);
  t.equal(state.check(1, 2, 1), SEQUENCE_NEW);
  t.equal(state.check(1, 0, 2), SEQUENCE_DUPLICATE);
  t.equal(state.duplicateOffset, 200, "of the new epoch, not of the old");
});

t.test("the runs survive a checkpoint", async (t) => {
  const state = stateAfter(3);
  state.record(0, 3, 2, 500, 9);
  const restored = new ProducerState(7, state.epoch, state.nextSequence, state.lastActiveMs);
  restored.restoreRuns([...state.runs]);
  t.equal(restored.check(0, 3, 2), SEQUENCE_DUPLICATE);
  t.equal(restored.duplicateOffset, 500);
  t.equal(restored.check(0, 5, 1), SEQUENCE_NEW);
});

/** Two partitions with `idleMs.length` producers between them, and the table that counts them. */
function tableOf(lastActiveMs: readonly number[]): {
  table: ProducerTable;
  partitions: { producers: Map<number, ProducerState> }[];
} {
  const table = new ProducerTable();
  const partitions = [
    { producers: new Map<number, ProducerState>() },
    { producers: new Map<number, ProducerState>() },
  ];
  lastActiveMs.forEach((activeMs, i) => {
    partitions[i % 2]?.producers.set(i + 1, new ProducerState(i + 1, 0, 0, activeMs));
    table.added();
  });
  return { table, partitions };
}

t.test("the sweep drops what was idle for too long", async (t) => {
  const nowMs = BROKER_LIMITS.producerIdleMsMax + 1000;
  const { table, partitions } = tableOf([0, 999, 1000, 1001, nowMs]);
  table.sweep(partitions, nowMs);
  t.equal(table.count, 2);
  t.same([...partitions.flatMap(({ producers }) => [...producers.keys()])].sort(), [4, 5]);
});

t.test("a full table drops the longest idle tenth, not the others", async (t) => {
  const max = BROKER_LIMITS.producersPerShardMax;
  const { table, partitions } = tableOf(Array.from({ length: max }, (_, i) => i));
  t.ok(table.isFull);
  table.sweep(partitions, max);
  t.equal(table.count, max * 0.9);
  t.notOk(table.isFull);
  t.notOk(partitions.some(({ producers }) => [...producers.values()].some((p) => p.lastActiveMs < max / 10)));
});

t.test("a full table of producers of the same moment loses a tenth too", async (t) => {
  const max = BROKER_LIMITS.producersPerShardMax;
  const { table, partitions } = tableOf(Array.from({ length: max }, () => 5));
  table.sweep(partitions, 5);
  t.equal(table.count, max * 0.9);
});
