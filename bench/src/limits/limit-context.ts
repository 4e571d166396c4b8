import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ResidentMemoryWatch } from "@millrace/load/internal";
import type { RunContext } from "../harness/bench-row.ts";
import { BrokerProcess } from "../harness/broker-process.ts";

/** Resident memory of the broker of one row. */
export interface RowMemory {
  readonly row: string;
  readonly peakBytes: number;
}

/** What every row of the suite works with. */
export interface LimitContext extends RunContext {
  /** Filled by each row that runs a broker, read by the row about memory. */
  readonly memory: RowMemory[];
}

/** A broker with a data folder of its own for the length of one row. */
export interface RowBroker {
  readonly process: BrokerProcess;
  readonly watch: ResidentMemoryWatch;
}

/**
 * Runs `use` with a fresh broker, whose memory is watched, and ends it and removes its data afterwards:
 * no row inherits another's journal, heap or dirty pages.
 */
export async function withBroker<T>(
  context: LimitContext,
  row: string,
  use: (broker: RowBroker) => Promise<T>,
): Promise<T> {
  const folder = join(context.folder, row);
  mkdirSync(folder, { recursive: true });
  let broker: BrokerProcess | undefined;
  let watch: ResidentMemoryWatch | undefined;
  try {
    context.progress.say("starting the broker");
    broker = await BrokerProcess.start(context.children, folder);
    watch = new ResidentMemoryWatch(broker.pid);
    return await use({ process: broker, watch });
  } catch (error) {
    throw broker?.explain(error) ?? error;
  } finally {
    watch?.stop();
    if (watch !== undefined) context.memory.push({ row, peakBytes: watch.peakBytes });
    if (broker !== undefined) await context.children.end(broker.pid);
    rmSync(folder, { recursive: true, force: true });
  }
}
