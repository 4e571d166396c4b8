import { Worker } from "node:worker_threads";
import t from "tap";
import { ManyToOneRingBuffer, OneToOneRingBuffer } from "../../src/index.ts";
import { seedOfRun } from "../seeded.ts";
import { stressRuns } from "../stress-time.ts";
import {
  type OutcomeCounts,
  type OutcomeMessage,
  type OutcomeRole,
  OutcomeSignal,
  type OutcomeWorkerData,
} from "./ring-outcomes-plan.ts";

/**
 * What threads may and must never see of each other, counted on real threads and printed as a table; the reasons are in
 * docs/reference/core-memory-model.md. An outcome that is not in the table is a mistake too.
 */
interface OutcomeTest {
  readonly name: string;
  readonly kind: "one-to-one" | "many-to-one";
  readonly capacity: number;
  readonly roles: readonly OutcomeRole[];
  readonly rounds: number;
  readonly outcomes: Readonly<Record<string, "must" | "may" | "never">>;
}

const READ = {
  "the next record of its writer": "must",
  "a record again": "never",
  "a record too early": "never",
  "a whole payload": "must",
  "a payload with old words": "never",
  "nothing yet": "may",
  "a full ring": "may",
  "size 0": "may",
  "a size between": "may",
  "size = capacity": "may",
  "an impossible size": "never",
} as const;

const TESTS: readonly OutcomeTest[] = [
  {
    name: "one-to-one: publish and read",
    kind: "one-to-one",
    capacity: 1_024,
    roles: ["publisher", "reader", "bystander"],
    rounds: 60_000,
    outcomes: READ,
  },
  {
    name: "many-to-one: commit and read, two producers",
    kind: "many-to-one",
    capacity: 1_024,
    roles: ["publisher", "publisher", "reader", "bystander"],
    rounds: 30_000,
    outcomes: {
      ...READ,
      "a claim of zeros": "must",
      "a claim with old bytes": "never",
      "the same writer as before": "may",
      "another writer than before": "must",
    },
  },
  {
    name: "many-to-one: commit against unblock",
    kind: "many-to-one",
    capacity: 256,
    roles: ["committer", "unblocker"],
    rounds: 2_000,
    outcomes: {
      "committed, not unblocked, 1 read": "must",
      "commit refused, unblocked, 0 read": "must",
      "committed, unblocked, 0 read": "never",
      "committed, unblocked, 1 read": "never",
      "commit refused, not unblocked, 0 read": "never",
      "commit refused, not unblocked, 1 read": "never",
      "something left in the ring": "never",
    },
  },
];

/** Threads that got nowhere for so long will not get anywhere. */
const STALLED_MS = 120_000;

/** @returns how often each outcome was seen by any thread. @throws Error where a thread fails or none gets on. */
async function observe(test: OutcomeTest, seed: number): Promise<OutcomeCounts> {
  const { kind, capacity, roles, rounds } = test;
  const Ring = kind === "one-to-one" ? OneToOneRingBuffer : ManyToOneRingBuffer;
  const shared = {
    kind,
    rounds,
    seed,
    ring: Ring.allocate(capacity, 2 ** 35 - 4 * capacity),
    signals: new SharedArrayBuffer(OutcomeSignal.WORDS * 4),
    parties: roles.length,
    publishers: roles.filter((role) => role === "publisher").length,
  };
  const workers: Worker[] = [];
  const total: OutcomeCounts = {};
  try {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("stalled")), STALLED_MS);
      let left = roles.length;
      for (const [which, role] of roles.entries()) {
        const workerData: OutcomeWorkerData = { ...shared, role, which };
        const worker = new Worker(new URL("./ring-outcomes-worker.js", import.meta.url), { workerData });
        workers.push(worker);
        worker.on("error", reject);
        worker.on("message", (message: OutcomeMessage) => {
          if ("failed" in message) {
            reject(new Error(message.failed));
            return;
          }
          for (const [outcome, count] of Object.entries(message.counts)) {
            total[outcome] = (total[outcome] ?? 0) + count;
          }
          if (--left === 0) {
            clearTimeout(timer);
            resolve();
          }
        });
      }
    });
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
  return total;
}

for (const test of TESTS) {
  t.test(test.name, async (t) => {
    const total: OutcomeCounts = {};
    for (const seed of stressRuns(seedOfRun(), TESTS.length)) {
      t.comment(`MILLRACE_SEED=${seed}`);
      const seen = await observe(test, seed);
      for (const [outcome, count] of Object.entries(seen)) total[outcome] = (total[outcome] ?? 0) + count;
    }
    for (const [outcome, expected] of Object.entries(test.outcomes)) {
      const count = total[outcome] ?? 0;
      t.comment(`${expected.padEnd(6)} ${String(count).padStart(10)}  ${outcome}`);
      if (expected === "must") t.ok(count > 0, `seen: ${outcome}`);
      if (expected === "never") t.equal(count, 0, `never seen: ${outcome}`);
    }
    t.same(
      Object.keys(total).filter((outcome) => !(outcome in test.outcomes)),
      [],
      "nothing else was seen",
    );
  });
}
