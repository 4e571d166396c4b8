import { statSync } from "node:fs";
import { monotonicMs } from "@millrace/load/internal";
import { filesUnder } from "../../harness/file-system.ts";
import { publishBacklog } from "../run/backlog.ts";
import { MeasuredWindow, residentOf } from "../run/measured-window.ts";
import type { SuiteOptions } from "../run/suite-options.ts";
import { BATCH_BYTES, chosen, combinations, LINGER_MS, type Scenario } from "./scenario.ts";

const MIB = 1024 * 1024;
const VALUE_BYTES = 1024;

/** From the start of the process until it serves what it had acknowledged, after kill -9. */
export const recovery: Scenario = {
  name: "recovery",
  description:
    "from the start after a kill -9 until the broker takes connections, against the size of its data",
  cases: (options) =>
    combinations(sizes(options), chosen(options.durabilities, ["fsynced"] as const)).map(
      ([dataMiB, durability]) => {
        const [valueBytes = VALUE_BYTES] = options.valueBytes;
        const shape = { valueBytes, batchBytes: BATCH_BYTES, lingerMs: LINGER_MS };
        return {
          durability,
          partitions: 1,
          parameters: { valueBytes, dataMiB },
          accepts: (subject) => subject.kind === "client" && durability !== "memory",
          measure: async (run) => {
            const records = Math.ceil((dataMiB * MIB) / valueBytes);
            await publishBacklog(run, { target: "bench", records, settings: shape });
            await run.running.settle?.();
            await run.kill();
            const fromMs = monotonicMs();
            await run.start();
            const readyMs = monotonicMs();
            const { now } = residentOf(run.running.processes);
            const dataBytes = filesUnder(run.folder).reduce((sum, path) => sum + sizeOf(path), 0);
            const window = new MeasuredWindow(
              { broker: run.running.processes, clients: [] },
              { timeMs: fromMs, records: 0 },
            );
            const result = window.close({ timeMs: readyMs, records: 0 }, valueBytes);
            return { ...result, figures: { recoveryMs: readyMs - fromMs, dataBytes, readyRssBytes: now } };
          },
        };
      },
    ),
};

function sizes({ mode }: SuiteOptions): readonly number[] {
  if (mode === "quick") return [64];
  return mode === "full" ? [128, 1024, 8192] : [128, 1024];
}

/** 0 for a file that has gone meanwhile. */
function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
