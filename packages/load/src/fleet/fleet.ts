import type { LoadProgress, LoadResult, LoadSchedule, LoadTask } from "../generator/load-task.ts";
import type { MeasuredProcess } from "../measure/cpu-accounting.ts";

export type FleetKind = "processes" | "threads";

/** Where generators run: in forked processes, or in threads of this process. Never in the broker's process. */
export interface Fleet {
  readonly kind: FleetKind;
  /** Starts a generator and gives it its task; it has not connected yet. `label` names it in errors. */
  open(task: LoadTask, label: string): Promise<Generator>;
  /** Ends all generators, whatever they are doing. */
  close(): Promise<void>;
}

/**
 * One generator as its owner sees it. Every call is bounded in time and rejects once the generator has failed or died, with
 * what it said last.
 */
export interface Generator {
  readonly label: string;
  readonly task: LoadTask;
  /** For CPU accounting; undefined for a thread, which is a part of this process. */
  readonly process: MeasuredProcess | undefined;
  /** Rejects when the generator fails or dies, also between two calls. Never resolves. */
  readonly failure: Promise<never>;
  prepare(): Promise<void>;
  connect(): Promise<void>;
  start(schedule: LoadSchedule): Promise<void>;
  progress(): Promise<LoadProgress>;
  /** For publishers and requesters nothing more becomes due. */
  stop(): Promise<void>;
  /**
   * Waits until what is under way is answered, for at most `timeoutMs`: what is then missing is an error of the result.
   * Consumers wait until nothing comes any more, or until `records` have come in all, if that is stated.
   */
  drain(timeoutMs: number, records?: number): Promise<LoadResult>;
  /** Closes its connections, and ends. */
  end(): Promise<void>;
}
