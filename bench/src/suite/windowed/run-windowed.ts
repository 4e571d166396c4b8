import type { DriverSettings, Repetition } from "@millrace/load";
import { delay, plainProcess } from "@millrace/load/internal";
import { MeasuredWindow, type Progress } from "../run/measured-window.ts";
import type { SubjectRun } from "../run/subject-run.ts";
import type { WindowedCommands } from "./windowed-load.ts";

export interface WindowedRequest {
  readonly settings: DriverSettings;
  readonly consumers: number;
  readonly copies: number;
  readonly windowRecords: number;
  readonly keys?: number;
  /** What goes on beside the measured window, such as pings. */
  readonly beside?: (durationMs: number) => Promise<Readonly<Record<string, number>>>;
}

/** Publishes and consumes at once, as fast as both sides keep up with each other. */
export async function runWindowed(run: SubjectRun, request: WindowedRequest): Promise<Repetition> {
  const { children } = run.context;
  const { warmUpMs, durationMs, drainMs } = run.plan;
  const load = await children.fork<WindowedCommands>(new URL("./windowed-load.js", import.meta.url));
  try {
    const { settings, consumers, copies, windowRecords, keys = 0 } = request;
    const { client } = await load.call("connect", {
      driver: run.subject.driver,
      settings,
      consumers,
      copies,
      windowRecords,
      keys,
    });
    run.client = client;
    await load.call("start", null);
    await delay(warmUpMs);
    const mark = async (): Promise<Progress> => {
      const { timeMs, acknowledged, delivered } = await load.call("mark", null);
      return { timeMs, records: acknowledged, deliveries: delivered };
    };
    const clients = [plainProcess("generator", load)];
    const window = new MeasuredWindow({ broker: run.running.processes, clients }, await mark());
    const [figures] = await Promise.all([
      request.beside?.(durationMs) ?? Promise.resolve(undefined),
      window.run(durationMs, mark),
    ]);
    const repetition = window.close(await mark(), settings.valueBytes);
    const { missing } = await load.call("stop", { drainMs });
    if (missing > 0) run.notes.add(`${missing} deliveries never came`);
    return figures === undefined ? repetition : { ...repetition, figures };
  } finally {
    await children.end(load.pid);
  }
}
