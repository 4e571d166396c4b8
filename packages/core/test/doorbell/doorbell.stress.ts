import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import t from "tap";
import { Doorbell } from "../../src/index.ts";
import { seedOfRun } from "../seeded.ts";
import { COUNTERS_BYTES, type DoorbellWorkerData, PING_WORD, PONG_WORD } from "./doorbell-worker.ts";

const ROUNDS = 10_000;
/** A lost wake-up stops the game for good; a round trip takes far less than a millisecond. */
const STALLED_MS = 20_000;

const workerFile = new URL("./doorbell-worker.js", import.meta.url);

type Shared = Omit<DoorbellWorkerData, "own" | "other" | "serves">;

function shared(rounds: number): Shared {
  return { counters: new SharedArrayBuffer(COUNTERS_BYTES), rounds, seed: seedOfRun() };
}

/** Resolves with "finished", or with where the game stopped. */
function finish(workers: Worker[], counters: SharedArrayBuffer, stalledMs: number): Promise<string> {
  const words = new Int32Array(counters);
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      resolve(`stalled: ping=${Atomics.load(words, PING_WORD)} pong=${Atomics.load(words, PONG_WORD)}`);
    }, stalledMs);
    let left = workers.length;
    for (const worker of workers) {
      worker.on("error", (error) => resolve(String(error)));
      worker.on("exit", () => {
        if (--left > 0) return;
        clearTimeout(timer);
        resolve("finished");
      });
    }
  });
}

function pair(game: Shared): Worker[] {
  const bells = [Doorbell.allocate(), Doorbell.allocate()] as const;
  return [true, false].map((serves) => {
    const [own, other] = serves ? bells : [bells[1], bells[0]];
    const workerData: DoorbellWorkerData = { ...game, own, other, serves };
    return new Worker(workerFile, { workerData });
  });
}

t.test("no wake-up is lost between two worker threads", async (t) => {
  const game = shared(ROUNDS);
  t.comment(`MILLRACE_SEED=${game.seed}`);
  const workers = pair(game);
  t.equal(await finish(workers, game.counters, STALLED_MS), "finished", `MILLRACE_SEED=${game.seed}`);
  await Promise.all(workers.map((worker) => worker.terminate()));
});

t.test("canary: a sleeper that does not look twice is noticed", async (t) => {
  const game = { ...shared(ROUNDS), withoutSecondLook: true };
  const workers = pair(game);
  const outcome = await finish(workers, game.counters, 1000);
  await Promise.all(workers.map((worker) => worker.terminate()));
  t.match(outcome, /^stalled: /);
  t.comment(outcome);
});

/** The event loop's side: answers each ping, announces sleep, looks again and returns to its loop. */
function answer(port: MessagePort, game: Shared, sleeper: Doorbell, other: Doorbell): void {
  const words = new Int32Array(game.counters);
  let answered = 0;
  const drain = (): void => {
    for (;;) {
      while (Atomics.load(words, PING_WORD) > answered) {
        answered++;
        Atomics.store(words, PONG_WORD, answered);
        other.ring();
      }
      sleeper.prepareSleep();
      if (Atomics.load(words, PING_WORD) === answered) return;
      sleeper.cancelSleep();
    }
  };
  port.on("message", drain);
  drain();
}

t.test("no wake-up is lost between a worker thread and an event loop", async (t) => {
  const game = shared(ROUNDS);
  t.comment(`MILLRACE_SEED=${game.seed}`);
  const { port1, port2 } = new MessageChannel();
  const [own, other] = [Doorbell.allocate(), Doorbell.allocate()];
  const workerData: DoorbellWorkerData = { ...game, own, other, port: port2, serves: true };
  const worker = new Worker(workerFile, { workerData, transferList: [port2] });
  answer(port1, game, Doorbell.attach(other), Doorbell.attach(own));
  t.equal(await finish([worker], game.counters, STALLED_MS), "finished", `MILLRACE_SEED=${game.seed}`);
  await worker.terminate();
  port1.close();
});
