import { type LoadTask, MILLRACE_DRIVER, openFleet, type Repetition, runRepetition } from "@millrace/load";
import type { MeasuredProcess } from "@millrace/load/internal";
import { BATCH_BYTES, VALUE_BYTES } from "../harness/bench-row.ts";
import type { SamplingPlan } from "../harness/sampling.ts";

/** The client's own bounds come first. */
const IN_FLIGHT_RECORDS = 1_000_000;
const BURST_RECORDS = 500;
const DRAIN_MS = 20_000;

/**
 * One producer into a topic of one partition; `recordsPerSecond` null = as fast as it goes, in batches.
 * @param isDirect whether the client may look for the partition's owner; without it the node at `url` forwards what it does not own
 */
export function publishTask(
  url: string,
  target: string,
  recordsPerSecond: number | null,
  isDirect: boolean,
): LoadTask {
  const isPaced = recordsPerSecond !== null;
  return {
    driver: MILLRACE_DRIVER,
    role: "publish",
    connections: 1,
    recordsPerSecond,
    keys: 0,
    burst: isPaced ? 1 : BURST_RECORDS,
    inFlightMax: IN_FLIGHT_RECORDS,
    settings: {
      endpoint: { url },
      target,
      partitions: 1,
      durability: "memory",
      valueBytes: VALUE_BYTES,
      batchBytes: isPaced ? 0 : BATCH_BYTES,
      lingerMs: isPaced ? 0 : 1,
      stamped: false,
      mode: "stream",
      from: "latest",
      subscription: "",
      slots: 0,
      options: { direct: isDirect },
    },
  };
}

/** One measured window of these producers, each in a process of its own. */
export async function publishOnce(
  tasks: readonly LoadTask[],
  plan: SamplingPlan,
  processes: readonly MeasuredProcess[],
): Promise<Repetition> {
  const fleet = openFleet("processes");
  try {
    return await runRepetition({
      tasks,
      fleet,
      broker: { processes },
      warmUpMs: plan.settleMs,
      durationMs: plan.durationMs,
      drainMs: DRAIN_MS,
    });
  } finally {
    await fleet.close();
  }
}
