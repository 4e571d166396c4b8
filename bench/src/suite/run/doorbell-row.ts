import type { Repetition, ResultRow } from "@millrace/load";
import { monotonicMs, plainProcess } from "@millrace/load/internal";
import type { PingPongCommands } from "../../core/ping-pong/ping-pong-process.ts";
import { MeasuredWindow } from "./measured-window.ts";
import type { SuiteContext } from "./subject-run.ts";

const MODULE = new URL("../../core/ping-pong/ping-pong-process.js", import.meta.url);

/**
 * What it costs on this machine to wake a sleeping thread of the broker and to be woken by it, back to back: what a broker of
 * several threads has to pay beside one of a single thread. Measured as in bench/core.
 */
export async function doorbellRow(context: SuiteContext): Promise<ResultRow> {
  const { rounds, warmUpMs, durationMs } = context.plan;
  const repetitions: Repetition[] = [];
  for (let round = 0; round < rounds; round++) {
    context.say(`doorbell: ${round + 1} of ${rounds}`);
    repetitions.push(await measure(context, warmUpMs, durationMs));
  }
  return {
    scenario: "unbatched-latency",
    subject: "doorbell",
    version: "",
    client: "two threads, @millrace/core",
    kind: "raw",
    durability: "memory",
    parameters: {},
    settings: [
      "round trip over two rings and two doorbells between two threads of one process, both asleep in between",
    ],
    notes: ["a yardstick, and no broker"],
    repetitions,
  };
}

async function measure(context: SuiteContext, warmUpMs: number, durationMs: number): Promise<Repetition> {
  const child = await context.children.fork<PingPongCommands>(MODULE);
  try {
    const from = { timeMs: monotonicMs(), records: 0 };
    const processes = { broker: [], clients: [plainProcess("client", child)] };
    const window = new MeasuredWindow(processes, from);
    const { latency } = await child.call("run", { by: "doorbell", gapMs: 0, warmUpMs, durationMs });
    const result = window.close({ timeMs: monotonicMs(), records: latency.count }, 0);
    return { ...result, figures: { doorbellMs: latency.p50, doorbellP99Ms: latency.p99 } };
  } finally {
    await context.children.kill(child.pid);
  }
}
