import { LoadGenerator } from "./load-generator.ts";
import type { CpuScope } from "./load-meter.ts";
import type { LoadProgress, LoadResult, LoadSchedule, LoadTask } from "./load-task.ts";

/** What a generator's process or thread can be asked, in this order. */
export interface GeneratorCommands {
  open(task: LoadTask): Promise<void>;
  prepare(args: null): Promise<void>;
  connect(args: null): Promise<void>;
  start(schedule: LoadSchedule): void;
  progress(args: null): LoadProgress;
  stop(args: null): void;
  drain(args: { timeoutMs: number; records: number | null }): Promise<LoadResult>;
  close(args: null): Promise<void>;
}

/** The commands of one generator. `onFailure` is told of what goes wrong between two of them. */
export function generatorCommands(scope: CpuScope, onFailure: (error: unknown) => void): GeneratorCommands {
  let generator: LoadGenerator | undefined;
  const opened = (): LoadGenerator => {
    if (generator === undefined) throw new Error("the generator has no task yet");
    return generator;
  };
  return {
    async open(task) {
      generator = new LoadGenerator(task, await LoadGenerator.importDriver(task.driver), scope, onFailure);
    },
    prepare: () => opened().prepare(),
    connect: () => opened().connect(),
    start: (schedule) => opened().start(schedule),
    progress: () => opened().progress(),
    stop: () => opened().stop(),
    drain: ({ timeoutMs, records }) => opened().drain(timeoutMs, records ?? undefined),
    close: () => opened().close(),
  };
}
