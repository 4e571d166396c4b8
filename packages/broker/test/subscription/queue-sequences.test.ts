import assert from "node:assert/strict";
import t from "tap";
import { ModelledQueue } from "../harness/modelled-queue.ts";

type Step = (queue: ModelledQueue) => void;

/** Each settling works on the lease with the lowest offset. */
function onLease(settle: (queue: ModelledQueue, counter: number, offset: number) => void): Step {
  return (queue) => {
    const [counter, lease] = [...queue.leases].sort(([, a], [, b]) => a.offset - b.offset)[0] ?? [];
    if (counter !== undefined && lease !== undefined) settle(queue, counter, Math.min(...lease.open));
  };
}

const STEPS: Record<string, Step> = {
  lease: (queue) => void queue.dispatch(1, 1),
  leaseRun: (queue) => void queue.dispatch(2, 3),
  ack: onLease((queue, counter, offset) => queue.ack(counter, offset, 1)),
  nack: onLease((queue, counter, offset) => queue.nack(counter, offset, 1, 50)),
  release: onLease((queue, counter, offset) => queue.release(counter, offset, 32)),
  expire: (queue) => {
    queue.advance(100);
    queue.expire(0);
  },
  skipFirst: (queue) => queue.truncate(1),
  deadSecond: (queue) => queue.dead(1),
  crash: (queue) => queue.crash(0, 10),
  checkpoint: (queue) => queue.checkpoint(),
  seekSecond: (queue) => queue.seek(1),
};
/** Steps that every sequence begins with, and those of all kinds that follow. */
const SEQUENCES: readonly { readonly beginning: readonly string[]; readonly length: number }[] = [
  { beginning: [], length: 3 },
  { beginning: ["lease", "lease"], length: 4 },
];

/** Runs every sequence of steps on a queue of a few records, each to its end; how many there were. */
function runAll(keyed: boolean, spanMax: number, keys: readonly (number | undefined)[]): number {
  const names = Object.keys(STEPS);
  let total = 0;
  for (const { beginning, length } of SEQUENCES) {
    for (let sequence = 0; sequence < names.length ** length; sequence += 1, total += 1) {
      const steps = [...beginning];
      for (
        let rest = sequence;
        steps.length < beginning.length + length;
        rest = Math.floor(rest / names.length)
      ) {
        steps.push(names[rest % names.length] as string);
      }
      const queue = new ModelledQueue({ keyed, start: 0, spanMax });
      for (const key of keys) queue.publish(key);
      try {
        for (const step of steps) STEPS[step]?.(queue);
        finish(queue);
      } catch (error) {
        throw new Error(`${steps.join(", ")}: ${(error as Error).message}`, { cause: error });
      }
    }
  }
  return total;
}

function finish(queue: ModelledQueue): void {
  for (let rounds = 0; queue.unfinishedCount > 0; rounds += 1) {
    assert.ok(rounds < 20, "a queue that is not emptied");
    for (const [counter, lease] of queue.leases) queue.ack(counter, lease.offset, 32);
    while (queue.dispatch(1, 3) >= 0) {}
    if (queue.leases.size === 0) queue.advance(500);
  }
}

t.test("every short sequence of operations on three records keeps the rules", async (t) => {
  t.pass(`${runAll(false, 1000, [undefined, undefined, undefined])} of a queue`);
});

t.test("every short sequence on two keys keeps the rules", async (t) => {
  t.pass(`${runAll(true, 1000, [1, 1, 2])} when keyed`);
});

t.test("every short sequence within a span of two keeps the rules", async (t) => {
  t.pass(`${runAll(true, 2, [1, 2, 1])} when keyed`);
});
