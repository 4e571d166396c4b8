import { once } from "node:events";
import { Worker } from "node:worker_threads";
import t from "tap";
import { Doorbell, OneToOneRingBuffer } from "../../src/index.ts";
import { seedOfRun } from "../seeded.ts";
import type { RingWorkerData } from "./one-to-one-ring-buffer-worker.ts";

/** Far beyond the second or so that a case takes: a thread that nobody woke sleeps for ever. */
const STALLED_MS = 60_000;

const CASES = [
  { name: "small ring, always full or empty", capacity: 1024, lengthMax: 120, count: 200_000 },
  { name: "records of up to an eighth of the ring", capacity: 65536, lengthMax: 8184, count: 40_000 },
  { name: "short records in long runs", capacity: 2 ** 20, lengthMax: 32, count: 1_500_000 },
];

for (const { name, capacity, lengthMax, count } of CASES) {
  t.test(name, async (t) => {
    const seed = seedOfRun();
    t.comment(`MILLRACE_SEED=${seed}`);
    const shared = {
      // Positions pass 2^32 on the way.
      ring: OneToOneRingBuffer.allocate(capacity, 2 ** 32 - 4 * capacity),
      records: Doorbell.allocate(),
      space: Doorbell.allocate(),
      count,
      lengthMax,
      seed,
    };
    const workers: Worker[] = [];
    const outcome = await new Promise<string>((resolve) => {
      const timer = setTimeout(() => {
        const ring = OneToOneRingBuffer.attach(shared.ring);
        resolve(`stalled: head=${ring.headPosition} tail=${ring.tail()}`);
      }, STALLED_MS);
      for (const role of ["consumer", "producer"] as const) {
        const workerData: RingWorkerData = { ...shared, role };
        const worker = new Worker(new URL("./one-to-one-ring-buffer-worker.js", import.meta.url), {
          workerData,
        });
        worker.on("message", (message: string) => {
          clearTimeout(timer);
          resolve(message);
        });
        worker.on("error", (error) => resolve(String(error)));
        workers.push(worker);
      }
    });
    await Promise.all(workers.map((worker) => worker.terminate()));
    t.equal(outcome, "ok", `MILLRACE_SEED=${seed}`);
    t.equal(OneToOneRingBuffer.attach(shared.ring).headPosition > 0, true);
  });
}

t.test("what a terminated producer did not publish is in nobody's way", async (t) => {
  const count = 5;
  const shared = {
    ring: OneToOneRingBuffer.allocate(1024, 2 ** 32 - 64),
    records: Doorbell.allocate(),
    space: Doorbell.allocate(),
  };
  const workerData: RingWorkerData = { ...shared, role: "victim", count, lengthMax: 8, seed: 0 };
  const victim = new Worker(new URL("./one-to-one-ring-buffer-worker.js", import.meta.url), { workerData });
  t.same(await once(victim, "message"), ["claimed"]);
  await victim.terminate();
  const consumer = OneToOneRingBuffer.attach(shared.ring);
  const successor = OneToOneRingBuffer.attach(shared.ring);
  t.equal(consumer.size(), count * 16);
  successor.write(7, Buffer.from("goes on"));
  successor.publish();
  t.equal(consumer.unblock(), false);
  const types: number[] = [];
  consumer.read((type) => types.push(type));
  t.same(types, [1, 1, 1, 1, 1, 7]);
  t.equal(consumer.size(), 0);
});
