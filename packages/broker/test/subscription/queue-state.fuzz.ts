import assert from "node:assert/strict";
import t from "tap";
import { ModelledQueue } from "../harness/modelled-queue.ts";
import { forSeeds, type Seeded } from "../harness/seeded.ts";

const ROUNDS = 120;
const STEPS = 250;

function fuzz(random: Seeded, losesRows = false): void {
  const queue = new ModelledQueue({
    losesRows,
    keyed: random.oneIn(2),
    start: random.pick([0, 4090, 2 ** 33]),
    spanMax: random.pick([4, 16, 40, 1000]),
  });
  const keys = random.pick([1, 3, 20]);
  const gaps = random.pick([0, 3, 20]);
  const publish = (): void => {
    for (let left = random.below(12); left > 0; left -= 1) {
      queue.publish(random.oneIn(5) ? undefined : random.below(keys), gaps === 0 || !random.oneIn(gaps));
    }
  };
  for (let step = 0; step < STEPS; step += 1) {
    if (queue.unfinishedCount < 80 && random.oneIn(4)) publish();
    operate(queue, random);
  }
  finishAll(queue, random);
}

function operate(queue: ModelledQueue, random: Seeded): void {
  const counter = random.pick([...queue.leases.keys(), -1]);
  const lease = queue.leases.get(counter);
  if (lease === undefined || random.oneIn(3)) {
    withoutLease(queue, random);
    return;
  }
  const first = lease.offset + random.below(5) - 1;
  const count = random.pick([1, 2, 40]);
  switch (random.below(8)) {
    case 0:
      queue.nack(counter, first, count, random.pick([0, 5, 50, 400]));
      break;
    case 1:
      queue.release(counter, first, count);
      break;
    case 2:
      queue.extend(counter, random.below(300));
      break;
    default:
      queue.ack(counter, first, count);
  }
}

function withoutLease(queue: ModelledQueue, random: Seeded): void {
  const length = queue.highWatermark - queue.start;
  const somewhere = queue.start + random.below(Math.max(1, length));
  switch (random.below(40)) {
    case 0:
    case 1:
      if (random.oneIn(2)) queue.checkpoint();
      queue.crash(random.pick([0, 30, 5000]), random.pick([0, 50, 1_000_000]));
      break;
    case 2:
      if (random.oneIn(4)) queue.seek(somewhere);
      else if (random.oneIn(3)) queue.snapshot();
      else queue.returnToSnapshot();
      break;
    case 3:
      if (length > 0) queue.dead(somewhere);
      break;
    case 4:
      if (random.oneIn(3)) queue.truncate(queue.start + random.below(length + 1));
      break;
    case 5:
      queue.detach(random.below(3));
      break;
    case 6:
      queue.checkpoint();
      break;
    case 7:
    case 8:
    case 9:
      queue.advance(random.pick([1, 10, 120]));
      queue.expire(random.pick([0, 20]));
      break;
    default:
      if (queue.leases.size < 60) queue.dispatch(random.below(3), random.pick([1, 3, 32]));
  }
}

/** Whatever happened: consumers that acknowledge everything see the end of it. */
function finishAll(queue: ModelledQueue, random: Seeded): void {
  for (let rounds = 0; queue.unfinishedCount > 0; rounds += 1) {
    assert.ok(rounds < 1000, "a queue that is not emptied");
    for (const [counter, lease] of queue.leases) queue.ack(counter, lease.offset, 32);
    while (queue.leases.size < 60 && queue.dispatch(random.below(3), 32) >= 0) {}
    if (queue.leases.size === 0) queue.advance(500);
  }
}

t.test("a queue gives what its rules allow and loses nothing", async (t) => {
  forSeeds(ROUNDS, (random) => fuzz(random));
  t.pass(`${ROUNDS} seeds`);
});

t.test("a journal that loses a row is noticed", async (t) => {
  t.throws(() => forSeeds(ROUNDS, (random) => fuzz(random, true)), /MILLRACE_SEED=/);
});
