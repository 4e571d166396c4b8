import type { Repetition } from "@millrace/load";
import { delay, monotonicMs } from "@millrace/load/internal";
import { backlogRecords, publishBacklog, untilRecords, withGenerators } from "../run/backlog.ts";
import { coolDown } from "../run/cold-data.ts";
import { repetition } from "../run/steady-state.ts";
import type { SubjectRun } from "../run/subject-run.ts";
import { BATCH_BYTES, chosen, combinations, LINGER_MS, type Scenario, valueSizes } from "./scenario.ts";

const RECORDS_PER_SECOND = 10_000;
const BACKLOG = "backlog";
const PAUSE_MS = 20;

/** What replays do to the latency of records that are published and consumed meanwhile. */
export const replayBesideLive: Scenario = {
  name: "replay-beside-live",
  description: "latency at 10,000 records/s without and with replays of another topic",
  cases: (options) =>
    combinations(valueSizes(options), chosen(options.durabilities, ["written"] as const)).map(
      ([valueBytes, durability]) => {
        const [recordsPerSecond = RECORDS_PER_SECOND] = options.rates;
        const live = { valueBytes, batchBytes: 0, lingerMs: 0, target: "live", stamped: true };
        const stored = { valueBytes, batchBytes: BATCH_BYTES, lingerMs: LINGER_MS, target: BACKLOG };
        return {
          durability,
          partitions: 1,
          parameters: { valueBytes, batchBytes: 0, recordsPerSecond, replays: 1 },
          accepts: (subject) => subject.kind === "client",
          measure: async (run) => {
            const records = backlogRecords(run, valueBytes);
            await publishBacklog(run, { target: BACKLOG, records, settings: stored });
            await run.running.settle?.();
            const tasks = [
              run.task({ role: "publish", recordsPerSecond, burst: 1, settings: live }),
              run.task({ role: "consume", settings: live }),
            ];
            const alone = await repetition(run, tasks);
            if (durability !== "memory") await coolDown(run);
            const replays = new Replays(run, records, stored);
            const replaying = replays.run();
            try {
              const beside = await repetition(run, tasks);
              return withFigures(beside, alone, replays.recordsPerSecond());
            } finally {
              replays.stop();
              await replaying;
            }
          },
        };
      },
    ),
};

function withFigures(beside: Repetition, alone: Repetition, replayedPerSecond: number): Repetition {
  const p99AloneMs = alone.endToEnd?.p99 ?? 0;
  const p99BesideMs = beside.endToEnd?.p99 ?? 0;
  const ratio = p99AloneMs > 0 ? { p99Ratio: p99BesideMs / p99AloneMs } : {};
  return { ...beside, figures: { p99AloneMs, p99BesideMs, ...ratio, replayedPerSecond } };
}

/** One replay after the other, each over a connection of its own, until stopped. */
class Replays {
  readonly #run: SubjectRun;
  readonly #records: number;
  readonly #settings: { valueBytes: number; batchBytes: number; lingerMs: number; target: string };
  #stopped = false;
  #replayed = 0;
  #startedMs = 0;

  constructor(
    run: SubjectRun,
    records: number,
    settings: { valueBytes: number; batchBytes: number; lingerMs: number; target: string },
  ) {
    this.#run = run;
    this.#records = records;
    this.#settings = settings;
  }

  async run(): Promise<void> {
    this.#startedMs = monotonicMs();
    while (!this.#stopped) {
      const task = this.#run.task({ role: "consume", settings: { ...this.#settings, from: "earliest" } });
      await withGenerators(this.#run, [task], async (consumers) => {
        await consumers[0]?.connect();
        const before = this.#replayed;
        const all = untilRecords(consumers, this.#records, (records) => {
          this.#replayed = before + records;
        }).then(() => {
          this.#replayed = before + this.#records;
          return true;
        });
        let done = false;
        while (!this.#stopped && !done) done = await Promise.race([all, delay(PAUSE_MS).then(() => false)]);
        if (!done) all.catch(() => undefined);
      });
    }
  }

  stop(): void {
    this.#stopped = true;
  }

  recordsPerSecond(): number {
    return (this.#replayed * 1000) / (monotonicMs() - this.#startedMs);
  }
}
