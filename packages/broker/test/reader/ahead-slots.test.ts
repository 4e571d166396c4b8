import { Worker } from "node:worker_threads";
import { Doorbell } from "@millrace/core";
import t from "tap";
import { BROKER_LIMITS } from "../../src/limits.ts";
import { AheadFiller, allocateAhead, SharedAheadSlots } from "../../src/reader/ahead-slots.ts";
import { ReadAheadAgent } from "../../src/thread/read-ahead-agent.ts";

type Read = ConstructorParameters<typeof AheadFiller>[1];

function pair(read: Read): { slots: SharedAheadSlots; filler: AheadFiller } {
  const buffers = allocateAhead();
  const slots = new SharedAheadSlots(buffers, Doorbell.attach(Doorbell.allocate()));
  return { slots, filler: new AheadFiller(buffers, read) };
}

t.test("slots are filled in the order in which they were asked for", async (t) => {
  const reads: number[][] = [];
  const { slots, filler } = pair((fd, target, length, position) => {
    reads.push([fd, length, position]);
    target.writeInt32LE(fd, 0);
    return length - 1;
  });
  t.notOk(filler.fillNext());
  const order = [3, 0, 7, 5, 1];
  for (const slot of order) t.ok(slots.begin(slot, slot, 2 ** 33 + 2 ** 31 + slot * 8, 1_000 + slot));
  for (const slot of order) t.ok(slots.isPending(slot));
  while (filler.fillNext());
  t.same(
    reads,
    order.map((slot) => [slot, 1_000 + slot, 2 ** 33 + 2 ** 31 + slot * 8]),
  );
  for (const slot of order) {
    t.notOk(slots.isPending(slot));
    t.equal(slots.finish(slot), 999 + slot);
    t.equal(slots.bytes(slot).readInt32LE(0), slot);
    t.equal(slots.words(slot)[0], slot);
  }
  t.equal(slots.bytes(0).length, BROKER_LIMITS.aheadSlotBytes);
});

t.test("what cannot be read is left to the reader", async (t) => {
  const { slots, filler } = pair(() => {
    throw Object.assign(new Error("EBADF"), { code: "EBADF" });
  });
  const agent = new ReadAheadAgent(filler);
  t.equal(agent.doWork(), 0);
  slots.begin(2, 1, 0, 10);
  t.equal(agent.doWork(), 1);
  t.equal(slots.finish(2), 0);
});

t.test("whoever needs a slot waits until it is filled", async (t) => {
  const buffers = allocateAhead();
  const slots = new SharedAheadSlots(buffers, Doorbell.attach(Doorbell.allocate()));
  slots.begin(4, 1, 0, 77);
  const module = new URL("../../src/reader/ahead-slots.js", import.meta.url).href;
  const worker = new Worker(
    `import("${module}").then(({ AheadFiller }) => {
      const { workerData } = require("node:worker_threads");
      new AheadFiller(workerData, (fd, target, length) => length).fillNext();
    });`,
    { eval: true, workerData: buffers, execArgv: [] },
  );
  t.equal(slots.finish(4), 77);
  await worker.terminate();
});
