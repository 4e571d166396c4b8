import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import t from "tap";
import { Doorbell } from "../../src/index.ts";
import { seedOfRun } from "../seeded.ts";
import { stressRuns } from "../stress-time.ts";
import {
  COUNTERS_BYTES,
  LINE_WORDS,
  type Mistake,
  PING_WORD,
  type PlayerData,
  PONG_WORD,
  type RingerData,
  type RungData,
  type SleeperKind,
} from "./doorbell-worker.ts";

const ROUNDS = 400;
/** A lost wake-up stops the game for good; a round trip takes far less than a millisecond. */
const STALLED_MS = 20_000;
const CANARY_STALLED_MS = 500;

const workerFile = new URL("./doorbell-worker.js", import.meta.url);
const KINDS: readonly SleeperKind[] = ["blocked", "parked", "async"];

/** Resolves with "finished", or with where the game stopped; no worker is left. */
async function finish(
  workers: Worker[],
  counters: SharedArrayBuffer,
  stalledMs: number = STALLED_MS,
): Promise<string> {
  const words = new Int32Array(counters);
  const outcome = await new Promise<string>((resolve) => {
    const timer = setTimeout(() => {
      resolve(`stalled: ping=${Atomics.load(words, PING_WORD)} pong=${Atomics.load(words, PONG_WORD)}`);
    }, stalledMs);
    let left = workers.length;
    for (const worker of workers) {
      worker.on("error", (error) => {
        clearTimeout(timer);
        resolve(String(error));
      });
      worker.on("exit", () => {
        if (--left > 0) return;
        clearTimeout(timer);
        resolve("finished");
      });
    }
  });
  await Promise.all(workers.map((worker) => worker.terminate()));
  return outcome;
}

/** Two players, the first of whom serves. */
function pair(
  kinds: readonly [SleeperKind, SleeperKind],
  seed: number,
  mistake?: Mistake,
): { workers: Worker[]; counters: SharedArrayBuffer } {
  const counters = new SharedArrayBuffer(COUNTERS_BYTES);
  const bells = [Doorbell.allocate(), Doorbell.allocate()] as const;
  const channels = kinds.map((kind) => (kind === "parked" ? new MessageChannel() : undefined));
  const workers = kinds.map((kind, i) => {
    const [own, other] = i === 0 ? bells : [bells[1], bells[0]];
    const data: PlayerData = {
      role: "player",
      kind,
      counters,
      own,
      other,
      serves: i === 0,
      rounds: ROUNDS,
      seed,
      ...(mistake === undefined ? {} : { mistake }),
    };
    const transferList: MessagePort[] = [];
    const [pokes, poke] = [channels[i]?.port1, channels[1 - i]?.port2];
    if (pokes !== undefined) {
      data.pokes = pokes;
      transferList.push(pokes);
    }
    if (poke !== undefined) {
      data.poke = poke;
      transferList.push(poke);
    }
    return new Worker(workerFile, { workerData: data, transferList });
  });
  return { workers, counters };
}

for (const serving of KINDS) {
  for (const answering of KINDS) {
    t.test(`no wake-up is lost between ${serving} and ${answering}`, async (t) => {
      for (const seed of stressRuns(seedOfRun(), 9)) {
        const { workers, counters } = pair([serving, answering], seed);
        const outcome = await finish(workers, counters);
        if (outcome !== "finished") t.fail(`MILLRACE_SEED=${seed} ${outcome}`);
      }
      t.pass("all rounds were played");
    });
  }
}

for (const kind of KINDS) {
  t.test(`canary: a ${kind} sleeper that does not look twice is noticed`, async (t) => {
    const { workers, counters } = pair([kind, kind], seedOfRun(), "no-second-look");
    const outcome = await finish(workers, counters, CANARY_STALLED_MS);
    t.match(outcome, /^stalled: /);
    t.comment(outcome);
  });
}

t.test("canary: a ring that does not take the announcement down is noticed", async (t) => {
  const { workers, counters } = pair(["blocked", "blocked"], seedOfRun(), "no-exchange");
  const outcome = await finish(workers, counters, CANARY_STALLED_MS);
  t.match(outcome, /^stalled: /);
  t.comment(outcome);
});

/** Several ring for one. @returns how many rings claim to have woken it, and how often it was woken */
async function several(seed: number, mistake?: Mistake): Promise<{ woken: number; rung: number } | string> {
  const ringers = 3;
  const shared = {
    counters: new SharedArrayBuffer((ringers + 1) * LINE_WORDS * 4),
    bell: Doorbell.allocate(),
    ringers,
    rounds: 3_000,
  };
  const datas: (RingerData | RungData)[] = [{ role: "rung", ...shared }];
  for (let ringer = 0; ringer < ringers; ringer++) {
    datas.push({ role: "ringer", ...shared, ringer, seed, ...(mistake === undefined ? {} : { mistake }) });
  }
  const sums = { woken: 0, rung: 0 };
  const workers = datas.map((workerData) => {
    const worker = new Worker(workerFile, { workerData });
    worker.on("message", (message: Partial<typeof sums>) => {
      sums.woken += message.woken ?? 0;
      sums.rung += message.rung ?? 0;
    });
    return worker;
  });
  const outcome = await finish(workers, shared.counters);
  return outcome === "finished" ? sums : outcome;
}

t.test("of several ringers exactly one wakes the sleeper", async (t) => {
  for (const seed of stressRuns(seedOfRun(), 9)) {
    const sums = await several(seed);
    if (typeof sums === "string") return t.fail(`MILLRACE_SEED=${seed} ${sums}`);
    t.comment(`MILLRACE_SEED=${seed} woken ${sums.woken} times`);
    // After its last look the sleeper announces nothing, so no ring of the end is without its waking.
    t.equal(sums.woken, sums.rung, `MILLRACE_SEED=${seed}`);
    t.ok(sums.rung > 0);
  }
});

t.test("canary: ringers that store instead of exchanging are noticed", async (t) => {
  const sums = await several(seedOfRun(), "store-instead");
  if (typeof sums === "string") return t.pass(sums);
  t.ok(sums.woken > sums.rung, `${sums.woken} rings for ${sums.rung} times asleep`);
});
