import { closeSync, mkdirSync, openSync, writeSync } from "node:fs";
import { Doorbell } from "@millrace/core";
import t, { type Test } from "tap";
import { RealStorage, SyncThread } from "../src/internal.ts";
import { placeFence } from "./placed-fence.ts";

const EPOCH = 4;
const WAIT_MS = 5_000;

/** A folder with a fence, a file in it, and a thread that syncs there. */
function start(
  t: Test,
  committedPosition = 0,
): { directory: string; fd: number; thread: SyncThread; bell: Doorbell } {
  const directory = `${t.testdir()}/shard`;
  mkdirSync(directory);
  placeFence(new RealStorage(), directory, { shardId: 1, epoch: EPOCH, journalId: 9 });
  const fd = openSync(`${directory}/data.log`, "w+");
  const buffer = Doorbell.allocate();
  const thread = new SyncThread({ directory, epoch: EPOCH, committedPosition }, buffer);
  t.teardown(() => thread.close());
  return { directory, fd, thread, bell: Doorbell.attach(buffer) };
}

/** Sleeps as a shard does until the condition holds. */
function sleepUntil(bell: Doorbell, condition: () => boolean): boolean {
  const end = performance.now() + WAIT_MS;
  while (!condition()) {
    if (performance.now() > end) return false;
    bell.prepareSleep();
    if (condition()) bell.cancelSleep();
    else bell.wait(100);
  }
  return true;
}

t.test("reports what it synced, while the shard's thread never returns to its event loop", async (t) => {
  const { fd, thread, bell } = start(t);
  t.equal(thread.committedPosition(), 0);
  let position = 0;
  for (let i = 0; i < 20; i++) {
    position += writeSync(fd, Buffer.alloc(4096), 0, 4096, position);
    thread.submit(fd, position, i === 0);
    t.ok(sleepUntil(bell, () => thread.committedPosition() >= position));
  }
  t.equal(thread.committedPosition(), position);
  t.equal(thread.failure(), undefined);
  closeSync(fd);
});

t.test("merges what it cannot take at once, and keeps the order of files", async (t) => {
  // Beyond 32 bits of bytes, so that positions wrap in the shared words.
  const startPosition = 2 ** 35 - 8 * 50;
  const { directory, fd, thread, bell } = start(t, startPosition);
  const second = openSync(`${directory}/next.log`, "w+");
  let position = startPosition;
  for (let i = 0; i < 500; i++) {
    position += 8;
    thread.submit(i < 250 || i % 7 === 0 ? fd : second, position, false);
    t.ok(thread.committedPosition() <= position);
  }
  t.ok(sleepUntil(bell, () => thread.committedPosition() === position));
  t.equal(thread.failure(), undefined);
  closeSync(fd);
  closeSync(second);
});

t.test("a failed sync is final", async (t) => {
  const { fd, thread, bell } = start(t);
  thread.submit(987_654, 8, false);
  t.ok(sleepUntil(bell, () => thread.failure() !== undefined));
  const failure = thread.failure();
  t.equal(failure?.code, "JOURNAL_FAILED");
  t.same({ ...failure?.details, directory: "" }, { reason: "sync", errno: "EBADF", directory: "" });
  thread.submit(fd, 16, false);
  t.equal(thread.committedPosition(), 0, "nothing is synced in hope");
  closeSync(fd);
});

t.test("an owner that lost the shard reports nothing more", async (t) => {
  const { directory, fd, thread, bell } = start(t);
  thread.submit(fd, 8, true);
  t.ok(sleepUntil(bell, () => thread.committedPosition() === 8));
  placeFence(new RealStorage(), directory, { shardId: 1, epoch: EPOCH + 1, journalId: 9 });
  thread.submit(fd, 16, false);
  t.ok(sleepUntil(bell, () => thread.failure() !== undefined));
  t.equal(thread.failure()?.details.reason, "fenced");
  t.equal(thread.committedPosition(), 8);
  closeSync(fd);
});

t.test("refuses what it cannot represent, and ends", async (t) => {
  const { fd, thread } = start(t);
  t.throws(() => thread.submit(fd, 9, false), { message: /multiple of 8/ });
  thread.close();
  thread.close();
  t.throws(() => thread.submit(fd, 16, false), { message: /closed/ });
  closeSync(fd);
});
