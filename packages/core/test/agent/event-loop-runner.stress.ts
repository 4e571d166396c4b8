import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import t from "tap";
import { Doorbell, EventLoopRunner } from "../../src/index.ts";
import { COUNTERS_BYTES, PING_WORD, type PlayerData, PONG_WORD } from "../doorbell/doorbell-worker.ts";
import { seedOfRun } from "../seeded.ts";
import { stressRuns } from "../stress-time.ts";

const ROUNDS = 3_000;
/** A lost wake-up stops the game for good. */
const STALLED_MS = 20_000;

/** The runner's agent answers the pings of a worker that blocks. */
async function play(wokenBy: "port" | "waitAsync", seed: number): Promise<string> {
  const [own, other] = [Doorbell.allocate(), Doorbell.allocate()];
  const counters = new SharedArrayBuffer(COUNTERS_BYTES);
  const words = new Int32Array(counters);
  const { port1, port2 } = new MessageChannel();
  const data: PlayerData = {
    role: "player",
    kind: "blocked",
    counters,
    own,
    other,
    serves: true,
    rounds: ROUNDS,
    seed,
  };
  const transferList: MessagePort[] = [];
  if (wokenBy === "port") {
    data.poke = port2;
    transferList.push(port2);
  }
  const worker = new Worker(new URL("../doorbell/doorbell-worker.js", import.meta.url), {
    workerData: data,
    transferList,
  });
  const bell = Doorbell.attach(own);
  let answered = 0;
  const runner = new EventLoopRunner(
    {
      name: "answering",
      doWork() {
        const pings = Atomics.load(words, PING_WORD);
        if (pings === answered) return 0;
        answered = pings;
        Atomics.store(words, PONG_WORD, answered);
        bell.ring();
        return 1;
      },
      nextTimerMs: () => Number.POSITIVE_INFINITY,
      onClose() {},
    },
    Doorbell.attach(other),
    {
      wokenBy: wokenBy === "port" ? port1 : wokenBy,
      onError: (error) => {
        throw error;
      },
    },
  );
  runner.start();
  const outcome = await new Promise<string>((resolve) => {
    const timer = setTimeout(() => resolve(`stalled: answered=${answered}`), STALLED_MS);
    worker.on("error", (error) => resolve(String(error)));
    worker.on("exit", () => {
      clearTimeout(timer);
      resolve("finished");
    });
  });
  await worker.terminate();
  runner.close();
  port1.close();
  return outcome;
}

for (const wokenBy of ["port", "waitAsync"] as const) {
  t.test(`an agent on an event loop, woken by ${wokenBy}, misses no ring of another thread`, async (t) => {
    for (const seed of stressRuns(seedOfRun(), 2)) {
      const outcome = await play(wokenBy, seed);
      t.equal(outcome, "finished", `MILLRACE_SEED=${seed}`);
    }
  });
}
