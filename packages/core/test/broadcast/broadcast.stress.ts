import { Worker } from "node:worker_threads";
import t from "tap";
import { BroadcastTransmitter, Doorbell } from "../../src/index.ts";
import { seedOfRun } from "../seeded.ts";
import { stressRuns } from "../stress-time.ts";
import type { Mistake, Report, StressData } from "./broadcast-worker.ts";

/** A receiver that nobody woke sleeps for ever. */
const STALLED_MS = 60_000;

interface Case {
  readonly name: string;
  readonly capacity: number;
  readonly count: number;
  readonly pace: number;
  readonly burst: number;
}

const RECEIVERS = [
  { reads: "copy", slowness: 0 },
  { reads: "copy", slowness: 400 },
  { reads: "in place", slowness: 100 },
] as const;

const CASES: readonly Case[] = [
  { name: "a small buffer, lapped all the time", capacity: 1024, count: 60_000, pace: 20, burst: 60 },
  { name: "a middling buffer, lapped now and then", capacity: 32_768, count: 20_000, pace: 50, burst: 8 },
];

/** @returns what each receiver says, or where the threads stopped. */
async function broadcast(
  { capacity, count, pace, burst }: Case,
  seed: number,
  mistake?: Mistake,
): Promise<Report[] | string> {
  const bells = RECEIVERS.map(() => Doorbell.allocate());
  const shared = {
    // Positions pass 2^32 on the way.
    broadcast: BroadcastTransmitter.allocate(capacity, 2 ** 32 - 4 * capacity),
    gate: new SharedArrayBuffer(4),
    parties: 1 + RECEIVERS.length,
    count,
    burst,
    ...(mistake === undefined ? {} : { mistake }),
  };
  const datas: StressData[] = RECEIVERS.map(({ reads, slowness }, i) => {
    const bell = bells[i] as SharedArrayBuffer;
    return { ...shared, role: "receiver", reads, slowness, bells: [bell], seed: seed + i };
  });
  datas.push({
    ...shared,
    role: "transmitter",
    reads: "copy",
    slowness: mistake === undefined ? pace : 400,
    bells,
    seed: seed - 1,
  });
  const reports: Report[] = [];
  const workers: Worker[] = [];
  const outcome = await new Promise<string | undefined>((resolve) => {
    const timer = setTimeout(() => resolve(`stalled: ${reports.length} receivers have ended`), STALLED_MS);
    for (const workerData of datas) {
      const worker = new Worker(new URL("./broadcast-worker.js", import.meta.url), { workerData });
      workers.push(worker);
      worker.on("error", (error) => resolve(String(error)));
      worker.on("message", (report: Report) => {
        reports.push(report);
        if (reports.length < RECEIVERS.length && report.problem === undefined) return;
        clearTimeout(timer);
        resolve(undefined);
      });
    }
  });
  await Promise.all(workers.map((worker) => worker.terminate()));
  return outcome ?? reports;
}

for (const one of CASES) {
  t.test(`${one.name}: nobody sees a torn record, and what was missed adds up`, async (t) => {
    for (const seed of stressRuns(seedOfRun(), CASES.length)) {
      const reports = await broadcast(one, seed);
      if (typeof reports === "string") return t.fail(`MILLRACE_SEED=${seed} ${reports}`);
      for (const { received, missed, lapped, problem } of reports) {
        t.comment(`MILLRACE_SEED=${seed} received ${received}, missed ${missed}, lapped ${lapped} times`);
        if (problem !== undefined) t.fail(`MILLRACE_SEED=${seed} ${problem}`);
        t.equal(received + missed, one.count, `MILLRACE_SEED=${seed}`);
        t.equal(missed > 0, lapped > 0);
      }
      t.ok(
        reports.some(({ missed }) => missed > 0),
        "somebody was lapped",
      );
    }
  });
}

for (const mistake of ["late-intent", "no-validate"] as const) {
  t.test(`canary: ${mistake} is noticed`, async (t) => {
    const seed = seedOfRun();
    for (let attempt = 0; attempt < 10; attempt++) {
      const reports = await broadcast(CASES[0] as Case, seed + attempt, mistake);
      const problem =
        typeof reports === "string" ? reports : reports.find((report) => report.problem)?.problem;
      if (problem === undefined) continue;
      t.comment(problem);
      return t.match(problem, /^(torn|checksum|header|damaged|Error: damaged)/);
    }
    t.fail(`MILLRACE_SEED=${seed}`);
  });
}
