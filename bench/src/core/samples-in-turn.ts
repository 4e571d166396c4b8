import { availableParallelism } from "node:os";
import {
  type CommandedChild,
  type CommandTable,
  disturbanceBetween,
  snapshotCpu,
} from "@millrace/load/internal";
import type { RunContext } from "../harness/bench-row.ts";

/** Something that is measured in processes of its own, one a sample. */
export interface SampledSubject<T> {
  readonly name: string;
  take(): Promise<T>;
}

/** Cores that this process may use. */
export const CORES: number = availableParallelism();

/**
 * Samples the subjects one after the other, in the opposite order every other round, so that what the machine does
 * meanwhile falls on all of them alike. Each sample warms its own process up.
 */
export async function sampleInTurn<T>(
  context: RunContext,
  subjects: readonly SampledSubject<T>[],
): Promise<Map<string, T[]>> {
  const samples = new Map<string, T[]>(subjects.map(({ name }) => [name, []]));
  const { rounds } = context.plan;
  for (let round = 0; round < rounds; round++) {
    for (const subject of round % 2 === 0 ? subjects : [...subjects].reverse()) {
      context.progress.say(`${subject.name}: sample ${round + 1} of ${rounds}`);
      samples.get(subject.name)?.push(await subject.take());
    }
  }
  return samples;
}

/** What a sampled process says of itself at the end of its command. */
export interface CpuReport {
  /** Of all its threads since it was started, those included that have ended. */
  readonly cpuSeconds: number;
}

/** Forks `module` for the length of one command, and says how many cores others used meanwhile. */
export async function inFreshProcess<C extends CommandTable<C>, T extends CpuReport>(
  context: RunContext,
  module: URL,
  use: (child: CommandedChild<C>) => Promise<T>,
): Promise<T & { readonly elsewhereCores: number }> {
  const before = snapshotCpu([]);
  const child = await context.children.fork<C>(module);
  try {
    const result = await use(child);
    const after = snapshotCpu([]);
    const seconds = (after.timeMs - before.timeMs) / 1000;
    const { elsewhereCores: busyCores } = disturbanceBetween(before, after);
    return { ...result, elsewhereCores: Math.max(0, busyCores - result.cpuSeconds / seconds) };
  } finally {
    await context.children.kill(child.pid);
  }
}
