import assert from "node:assert/strict";
import t from "tap";
import { QueueState } from "../../src/subscription/queue-state.ts";
import { forSeeds, type Seeded } from "../harness/seeded.ts";

const ROUNDS = 150;
const STEPS = 200;
const OFFSETS = 300;
const SIZE_MAX = 40;

interface Selected {
  /** It was asked for once, so that it holds its key or stands in its line. */
  entered: boolean;
  leased: boolean;
  deliveries: number;
  notBeforeMs: number;
}

/** A selected queue beside a map of what was selected and is not finished. */
class ModelledSelection {
  readonly records: Map<number, Selected> = new Map();
  nowMs = 100;
  state: QueueState;
  readonly #keyed: boolean;

  constructor(keyed: boolean) {
    this.#keyed = keyed;
    this.state = new QueueState({ keyed, selected: true, start: 0, spanMax: SIZE_MAX });
  }

  keyOf(offset: number): number | undefined {
    return this.#keyed && offset % 7 !== 0 ? offset % 5 : undefined;
  }

  select(offset: number): void {
    const accepted = this.records.size < SIZE_MAX && !this.records.has(offset);
    assert.equal(this.state.select(offset), accepted);
    if (accepted) this.records.set(offset, { entered: false, leased: false, deliveries: 0, notBeforeMs: 0 });
  }

  dispatch(max: number): void {
    for (;;) {
      const offset = this.state.next(this.nowMs, OFFSETS);
      if (offset < 0) break;
      const record = this.records.get(offset);
      assert.ok(
        record !== undefined && !record.leased && record.notBeforeMs <= this.nowMs,
        "selected and due",
      );
      const count = this.state.take(offset, max, this.keyOf(offset));
      record.entered = true;
      for (let at = offset; at < offset + count; at += 1) this.#lease(at);
      if (count > 0) return;
    }
    for (const [offset, { leased, notBeforeMs }] of this.records) {
      if (leased || notBeforeMs > this.nowMs) continue;
      assert.ok(this.#isHeldByOther(offset), `offset ${offset} may be given`);
    }
  }

  finish(offset: number): void {
    assert.equal(this.state.ack(offset, 1), this.records.delete(offset) ? 1 : 0);
  }

  retry(offset: number, delayMs: number): void {
    const record = this.records.get(offset) as Selected;
    record.leased = false;
    record.deliveries += 1;
    record.notBeforeMs = this.nowMs + delayMs;
    assert.ok(this.state.retry(offset, record.deliveries, record.notBeforeMs));
  }

  crash(): void {
    this.state = QueueState.decode(this.state.encode(this.nowMs, 5000), this.nowMs + 7, 5000, SIZE_MAX);
    this.nowMs += 7;
    for (const record of this.records.values()) {
      record.notBeforeMs = record.leased ? 0 : record.notBeforeMs + 7;
      record.leased = false;
      record.entered = false;
    }
  }

  check(): void {
    const leased = [...this.records.values()].filter((record) => record.leased).length;
    const counts = this.state.counts(this.nowMs, OFFSETS);
    assert.equal(counts.leased, leased);
    assert.equal(counts.available + counts.waiting, this.records.size - leased);
    const listed: number[] = [];
    this.state.unfinished(0, OFFSETS, this.nowMs, OFFSETS, (offset) => listed.push(offset));
    assert.deepEqual(
      listed,
      [...this.records.keys()].sort((a, b) => a - b),
    );
  }

  #lease(offset: number): void {
    const record = this.records.get(offset) as Selected;
    assert.equal(this.state.deliveries, record.deliveries + 1);
    assert.ok(record.notBeforeMs <= this.nowMs && !record.leased);
    for (const [other, { leased }] of this.records) {
      if (leased && this.keyOf(other) !== undefined) assert.notEqual(this.keyOf(other), this.keyOf(offset));
    }
    record.leased = true;
    record.entered = true;
  }

  #isHeldByOther(offset: number): boolean {
    const key = this.keyOf(offset);
    if (key === undefined) return false;
    return [...this.records].some(
      ([other, { entered }]) => other !== offset && entered && this.keyOf(other) === key,
    );
  }
}

function fuzz(random: Seeded): void {
  const selection = new ModelledSelection(random.oneIn(2));
  const pickLeased = (): number | undefined => {
    const leased = [...selection.records].filter(([, record]) => record.leased);
    return leased.length === 0 ? undefined : random.pick(leased)[0];
  };
  for (let step = 0; step < STEPS; step += 1) {
    const leased = pickLeased();
    const choice = random.below(12);
    if (choice < 4) selection.select(random.below(OFFSETS));
    else if (choice < 7) selection.dispatch(random.pick([1, 8]));
    else if (choice === 7) selection.finish(random.below(OFFSETS));
    else if (choice === 8) selection.nowMs += random.below(40);
    else if (choice === 9 && random.oneIn(4)) selection.crash();
    else if (leased !== undefined && choice === 10) selection.retry(leased, random.pick([0, 30]));
    else if (leased !== undefined) selection.finish(leased);
    selection.check();
  }
  for (let rounds = 0; selection.records.size > 0; rounds += 1) {
    assert.ok(rounds < 1000, "a queue that is not emptied");
    selection.dispatch(8);
    const leased = pickLeased();
    if (leased === undefined) selection.nowMs += 50;
    else selection.finish(leased);
  }
}

t.test("a selected queue gives what was selected, each until it is finished", async (t) => {
  forSeeds(ROUNDS, fuzz);
  t.pass(`${ROUNDS} seeds`);
});
