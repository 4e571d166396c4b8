import t from "tap";
import { QueueState, type RecordState } from "../../src/subscription/queue-state.ts";

const SPAN = 1_048_576;

/** Takes what comes next, of a key; -1: it waits. */
function takeNext(queue: QueueState, nowMs: number, highWatermark: number, hash?: number): number {
  const offset = queue.next(nowMs, highWatermark);
  return queue.take(offset, 1, hash) === 1 ? offset : -1;
}

function list(
  queue: QueueState,
  nowMs: number,
  highWatermark: number,
): [number, RecordState, number, number][] {
  const rows: [number, RecordState, number, number][] = [];
  queue.unfinished(0, 1000, nowMs, highWatermark, (...row) => rows.push(row));
  return rows;
}

t.test("runs are as long as the caller says, at most 32, and of one delivery count", async (t) => {
  const queue = new QueueState({ keyed: false, start: 10 });
  t.equal(queue.next(0, 100), 10);
  t.equal(queue.take(10, 1000, undefined), 32);
  t.equal(queue.deliveries, 1);
  t.equal(queue.take(10, 1, undefined), 0, "next() has been answered");
  for (let offset = 10; offset < 42; offset += 1) queue.retry(offset, offset < 20 ? 1 : 2, 50);
  queue.ack(15, 1);
  t.equal(queue.next(49, 100), 42, "fresh ones while retries wait");
  t.equal(queue.nextTimerMs(), 50);
  t.equal(queue.next(50, 100), 10);
  t.equal(queue.take(10, 32, undefined), 5, "ends at what is finished");
  t.equal(queue.deliveries, 2);
  t.equal(queue.next(50, 100), 16);
  t.equal(queue.take(16, 32, undefined), 4, "ends at another count");
  t.equal(queue.next(50, 100), 20);
  t.equal(queue.take(20, 3, undefined), 3);
  t.equal(queue.deliveries, 3);
  t.same(queue.counts(50, 100), { available: 19 + 58, leased: 12, waiting: 0 });
});

t.test("a key waits while its oldest record is out, other keys go on", async (t) => {
  const queue = new QueueState({ keyed: true, start: 0 });
  const [a, b] = [1, 2];
  t.equal(takeNext(queue, 1, 10, a), 0);
  t.equal(takeNext(queue, 1, 10, a), -1, "1 waits behind 0");
  t.equal(takeNext(queue, 1, 10, b), 2);
  t.equal(takeNext(queue, 1, 10), 3, "no key, no order");
  t.equal(takeNext(queue, 1, 10), 4);
  t.equal(takeNext(queue, 1, 10, a), -1, "5 waits behind 1");
  t.ok(queue.retry(0, 1, 100));
  t.equal(queue.next(50, 6), -1, "a nack holds the key");
  t.same(list(queue, 50, 7), [
    [0, "waiting", 1, 100],
    [1, "waiting", 0, -1],
    [2, "leased", 1, 0],
    [3, "leased", 1, 0],
    [4, "leased", 1, 0],
    [5, "waiting", 0, -1],
    [6, "available", 0, 0],
  ]);
  t.same(queue.counts(50, 7), { available: 1, leased: 3, waiting: 3 });
  t.equal(takeNext(queue, 100, 6, a), 0);
  t.equal(queue.deliveries, 2);
  t.ok(queue.release(0, 1));
  t.equal(takeNext(queue, 100, 6, a), 0, "a release keeps its place");
  t.equal(queue.deliveries, 2, "and is not counted");
  t.ok(queue.dead(0));
  t.equal(takeNext(queue, 100, 6, a), 1, "a dead letter frees the key");
  t.equal(queue.ack(1, 1), 1);
  t.equal(takeNext(queue, 100, 6, a), 5, "an ack frees the key");
  t.equal(queue.ack(1, 1), 0);
  t.notOk(queue.dead(0));
  t.notOk(queue.retry(0, 1, 0), "finished is finished");
});

t.test("what became due first comes first", async (t) => {
  const queue = new QueueState({ keyed: true, start: 0 });
  for (let offset = 0; offset < 3; offset += 1) takeNext(queue, 1, 3, offset);
  takeNext(queue, 1, 4, 0);
  queue.retry(2, 1, 20);
  queue.retry(1, 1, 20);
  queue.next(15, 4);
  queue.ack(0, 1);
  t.equal(takeNext(queue, 30, 4, 0), 3, "a record whose key got free before");
  t.equal(takeNext(queue, 30, 4, 1), 1);
  t.equal(takeNext(queue, 30, 4, 2), 2);
});

t.test("one blocked key lets a million records of others by, then says so", async (t) => {
  const queue = new QueueState({ keyed: true, start: 5 });
  const end = 5 + SPAN;
  t.equal(takeNext(queue, 1, end + 10, 1), 5);
  let sizeMax = 0;
  for (let offset = 6; offset < end; offset += 1) {
    if (takeNext(queue, 1, end + 10, 2 + (offset % 1000)) !== offset) t.fail(`offset ${offset} waits`);
    if (queue.ack(offset, 1) !== 1) t.fail(`offset ${offset}`);
    if (offset % 4096 === 0) sizeMax = Math.max(sizeMax, queue.byteSize);
  }
  t.equal(queue.next(1, end + 10), -1);
  t.equal(queue.blockedOffset(), 5);
  t.ok(sizeMax < 50_000, `${sizeMax} bytes`);
  t.same(queue.counts(1, end + 10), { available: 10, leased: 1, waiting: 0 });
  queue.ack(5, 1);
  t.equal(queue.blockedOffset(), -1);
  t.equal(queue.floor, end);
  t.equal(queue.next(1, end + 10), end);
});

t.test("a whole span behind one key is bounded, and its memory is given back", async (t) => {
  const queue = new QueueState({ keyed: true, start: 0, spanMax: 100_000 });
  takeNext(queue, 1, 200_000, 7);
  for (let offset = 1; offset < 100_000; offset += 1) takeNext(queue, 1, 200_000, 7);
  t.equal(queue.next(1, 200_000), -1);
  t.equal(queue.counts(1, 200_000).waiting, 99_999);
  t.ok(queue.byteSize / 100_000 < 50, `${queue.byteSize / 100_000} bytes each`);
  for (let offset = 0; offset < 100_000; offset += 1) {
    if (queue.ack(offset, 1) !== 1) t.fail(`offset ${offset}`);
    if (offset < 99_999 && takeNext(queue, 1, 100_000, 7) !== offset + 1)
      t.fail(`offset ${offset + 1} is next`);
  }
  t.equal(queue.floor, 100_000);
  t.ok(queue.byteSize < 30_000, `${queue.byteSize} bytes`);
});

t.test("memory is flat over ten million messages", async (t) => {
  const queue = new QueueState({ keyed: false, start: 0 });
  const messages = 10_000_000;
  const window = 4096;
  let [taken, highWatermark, sizeMax] = [0, 0, 0];
  for (let acked = 0; acked < messages; ) {
    highWatermark = Math.min(messages, highWatermark + 1000);
    for (;;) {
      const offset = taken - acked > window ? -1 : queue.next(1, highWatermark);
      if (offset < 0) break;
      taken += queue.take(offset, Math.min(32, highWatermark - offset), undefined);
    }
    // The newest half of what is out first: everything is finished out of order.
    const middle = acked + ((taken - acked) >> 1);
    for (let offset = taken - 1; offset >= middle; offset -= 1) queue.ack(offset, 1);
    sizeMax = Math.max(sizeMax, queue.byteSize);
    queue.ack(acked, middle - acked);
    acked = taken;
  }
  t.equal(queue.floor, messages);
  t.ok(sizeMax <= window, `${sizeMax} bytes at most`);
});

t.test("a restart keeps what is finished, the counts and the times", async (t) => {
  const queue = new QueueState({ keyed: true, start: 0 });
  for (let offset = 0; offset < 6; offset += 1) takeNext(queue, 1000, 6, 10 + (offset % 3));
  queue.ack(1, 1);
  queue.retry(0, 3, 1500);
  t.equal(takeNext(queue, 1000, 6, 11), 4);
  const bytes = queue.encode(1000, 5_000_000);

  const again = QueueState.decode(bytes, 10, 5_000_200);
  t.ok(again.keyed);
  t.equal(again.cursor, 0);
  t.equal(takeNext(again, 10, 6, 10), -1, "0 holds its key, not due yet");
  t.equal(again.nextTimerMs(), 310);
  t.equal(takeNext(again, 10, 6, 12), 2, "1 is finished; 2 was leased");
  t.equal(again.deliveries, 1);
  t.equal(takeNext(again, 10, 6, 10), -1, "3 waits behind 0");
  t.equal(takeNext(again, 10, 6, 11), 4);
  t.equal(takeNext(again, 10, 6, 12), -1);
  t.equal(again.next(309, 6), -1);
  t.equal(takeNext(again, 310, 6, 10), 0);
  t.equal(again.deliveries, 4);

  const setBack = QueueState.decode(bytes, 10, 1_000_000);
  takeNext(setBack, 10, 6, 10);
  t.equal(setBack.nextTimerMs(), 510, "a wall clock that was put back makes nobody wait longer");
  t.throws(() => QueueState.decode(bytes.subarray(0, bytes.length - 1), 0, 0), RangeError);
  t.throws(() => QueueState.decode(new Uint8Array(bytes.length), 0, 0), RangeError);
});

t.test("a lease that is out keeps the count of the deliveries before it", async (t) => {
  const queue = new QueueState({ keyed: false, start: 0 });
  takeNext(queue, 1, 1);
  queue.retry(0, 1, 1);
  takeNext(queue, 1, 1);
  const again = QueueState.decode(queue.encode(5, 5), 0, 5);
  t.equal(takeNext(again, 0, 1), 0);
  t.equal(again.deliveries, 2);
});

t.test("the journal's rows may be ahead of the cursor", async (t) => {
  const queue = new QueueState({ keyed: false, start: 0 });
  queue.ack(2, 3);
  queue.retry(1, 4, 100);
  queue.retry(6, 1, 0);
  t.equal(queue.next(50, 8), 0);
  t.equal(queue.take(0, 8, undefined), 1, "a run ends before what is known");
  t.equal(queue.next(50, 8), 5);
  t.equal(queue.take(5, 3, undefined), 1);
  t.equal(queue.next(50, 8), 6);
  t.equal(queue.take(6, 2, undefined), 1);
  t.equal(queue.deliveries, 2);
  t.equal(takeNext(queue, 50, 8), 7);
  t.equal(queue.next(99, 8), -1);
  t.equal(takeNext(queue, 100, 8), 1);
  t.equal(queue.deliveries, 5);
});

t.test("a long way over what waits since before a restart is gone in steps", async (t) => {
  const queue = new QueueState({ keyed: false, start: 0 });
  const waiting = 20_000;
  for (let offset = 0; offset < waiting; offset += 1) queue.retry(offset, 1, 500);
  let steps = 0;
  while (queue.next(100, waiting + 1) < 0 && queue.nextTimerMs() <= 100) steps += 1;
  t.ok(steps > 1 && steps < 10, `${steps} steps`);
  t.equal(queue.next(100, waiting + 1), waiting);
  t.equal(queue.nextTimerMs(), 500);
  t.equal(queue.availableUpTo(100, 500, waiting + 1), 100);
});

t.test("seek goes back and forth and forgets what was", async (t) => {
  const queue = new QueueState({ keyed: true, start: 0 });
  takeNext(queue, 1, 10, 5);
  takeNext(queue, 1, 10, 5);
  queue.retry(0, 1, 1000);
  queue.seek(8);
  t.same(queue.counts(1, 10), { available: 2, leased: 0, waiting: 0 });
  t.equal(queue.ack(0, 2), 0);
  t.equal(takeNext(queue, 1, 10, 5), 8);
  queue.ack(8, 2);
  queue.seek(0);
  t.equal(takeNext(queue, 1, 10, 5), 0, "the key is free again");
  t.equal(queue.deliveries, 1);
  t.same(queue.counts(1, 10), { available: 9, leased: 1, waiting: 0 });
});

t.test("a queue returns to where it was", async (t) => {
  const queue = new QueueState({ keyed: true, start: 0 });
  t.ok(queue.isPlain);
  takeNext(queue, 1, 10, 5);
  t.ok(queue.isPlain, "a lease is nothing that must be kept");
  takeNext(queue, 1, 10, 6);
  queue.retry(1, 2, 30);
  t.notOk(queue.isPlain);
  const bytes = queue.encode(10, 10);
  queue.ack(0, 10);
  t.equal(queue.floor, 10);
  queue.returnTo(bytes, 20, 20);
  t.equal(takeNext(queue, 20, 10, 5), 0);
  t.equal(takeNext(queue, 20, 10, 6), -1, "1 waits for its time");
  t.equal(takeNext(queue, 30, 10, 6), 1);
  t.equal(queue.deliveries, 3);
  const plain = new QueueState({ keyed: false, start: 0 });
  t.throws(() => plain.returnTo(bytes, 20, 20), RangeError);
});

t.test("gaps are passed, at the floor at any length, above it within the span", async (t) => {
  const queue = new QueueState({ keyed: false, start: 0, spanMax: 100 });
  queue.skip(0, 1_000_000);
  t.equal(queue.floor, 1_000_000);
  const end = 1_000_500;
  t.equal(takeNext(queue, 1, end), 1_000_000);
  t.equal(queue.next(1, end), 1_000_001);
  queue.skip(1_000_001, 1_000_400);
  t.equal(queue.next(1, end), -1);
  t.equal(queue.blockedOffset(), 1_000_000);
  queue.ack(1_000_000, 1);
  t.equal(queue.next(1, end), 1_000_100, "the rest of the gap is met again");
  queue.skip(1_000_100, 1_000_400);
  t.equal(queue.next(1, end), 1_000_400);
});

t.test("a selected queue gives what it is told to, in turn and one of a key", async (t) => {
  const queue = new QueueState({ keyed: true, selected: true, start: 0, spanMax: 4 });
  t.equal(queue.next(1, 1000), -1);
  for (const offset of [900, 30, 31, 7]) t.ok(queue.select(offset));
  t.notOk(queue.select(30), "there already");
  t.notOk(queue.select(32), "full");
  t.equal(takeNext(queue, 1, 1000, 1), 7);
  t.equal(takeNext(queue, 1, 1000, 1), -1, "30 waits behind 7");
  t.equal(takeNext(queue, 1, 1000, 2), 31);
  t.equal(queue.deliveries, 1);
  t.notOk(queue.select(31), "leased");
  t.same(queue.counts(1, 1000), { available: 1, leased: 2, waiting: 1 });
  t.same(list(queue, 1, 1000), [
    [7, "leased", 1, 0],
    [30, "waiting", 0, -1],
    [31, "leased", 1, 0],
    [900, "available", 0, 0],
  ]);
  t.ok(queue.retry(7, 1, 50));
  t.equal(takeNext(queue, 1, 1000, 3), 900);
  t.equal(queue.ack(31, 1), 1);
  t.ok(queue.isFinished(31));

  const again = QueueState.decode(queue.encode(10, 10), 10, 10, 4);
  t.ok(again.selected);
  t.equal(again.blockedOffset(), -1);
  t.same(again.counts(10, 1000), { available: 2, leased: 0, waiting: 1 });
  t.equal(takeNext(again, 60, 1000, 1), 30);
  t.equal(takeNext(again, 60, 1000, 3), 900);
  t.equal(takeNext(again, 60, 1000, 1), -1, "7 waits behind 30");
  t.equal(again.ack(30, 1), 1);
  t.equal(takeNext(again, 60, 1000, 1), 7);
  t.equal(again.deliveries, 2);
  again.skip(0, 2000);
  t.same(again.counts(60, 1000), { available: 0, leased: 0, waiting: 0 });
  t.throws(() => new QueueState({ keyed: false, start: 0 }).select(1), RangeError);
});

t.test("run of a selected queue", async (t) => {
  const queue = new QueueState({ keyed: false, selected: true, start: 0 });
  for (let offset = 10; offset < 15; offset += 1) queue.select(offset);
  t.equal(queue.next(1, 1000), 10);
  t.equal(queue.take(10, 3, undefined), 3);
  t.equal(queue.ack(10, 5), 5);
  t.equal(queue.next(1, 1000), -1);
});
