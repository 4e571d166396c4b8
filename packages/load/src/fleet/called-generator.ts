import type { GeneratorCommands } from "../generator/generator-commands.ts";
import type { LoadProgress, LoadResult, LoadSchedule, LoadTask } from "../generator/load-task.ts";
import type { MeasuredProcess } from "../measure/cpu-accounting.ts";
import type { CommandCalls } from "../processes/command-calls.ts";
import type { Generator } from "./fleet.ts";

/** What a call may take beyond what the generator itself waits. */
const DRAIN_MARGIN_MS = 30_000;
/** Closing a connection may wait for the broker; the generator is ended in any case. */
const CLOSE_TIMEOUT_MS = 5_000;

/** A generator behind a channel of commands, whatever it runs in. */
export class CalledGenerator implements Generator {
  readonly task: LoadTask;
  readonly process: MeasuredProcess | undefined;
  readonly #calls: CommandCalls<GeneratorCommands>;
  readonly #end: () => Promise<void>;

  constructor(
    task: LoadTask,
    calls: CommandCalls<GeneratorCommands>,
    process: MeasuredProcess | undefined,
    end: () => Promise<void>,
  ) {
    this.task = task;
    this.process = process;
    this.#calls = calls;
    this.#end = end;
  }

  get label(): string {
    return this.#calls.label;
  }

  get failure(): Promise<never> {
    return this.#calls.failure;
  }

  prepare(): Promise<void> {
    return this.#calls.call("prepare", null);
  }

  connect(): Promise<void> {
    return this.#calls.call("connect", null);
  }

  start(schedule: LoadSchedule): Promise<void> {
    return this.#calls.call("start", schedule);
  }

  progress(): Promise<LoadProgress> {
    return this.#calls.call("progress", null);
  }

  stop(): Promise<void> {
    return this.#calls.call("stop", null);
  }

  drain(timeoutMs: number, records?: number): Promise<LoadResult> {
    return this.#calls.call("drain", { timeoutMs, records: records ?? null }, timeoutMs + DRAIN_MARGIN_MS);
  }

  async end(): Promise<void> {
    await this.#calls.call("close", null, CLOSE_TIMEOUT_MS).catch(() => undefined);
    await this.#end();
  }
}
