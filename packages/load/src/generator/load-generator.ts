import type { Driver } from "../driver/driver.ts";
import { LIMITS } from "../limits.ts";
import { checkTask } from "./check-task.ts";
import { Consuming } from "./consuming.ts";
import type { LoadContext } from "./load-context.ts";
import { type CpuScope, LoadMeter } from "./load-meter.ts";
import type { RoleWork } from "./load-role.ts";
import type { LoadProgress, LoadResult, LoadRole, LoadSchedule, LoadTask } from "./load-task.ts";
import { Publishing } from "./publishing.ts";
import { Requesting } from "./requesting.ts";
import { Responding } from "./responding.ts";

const WORK: Record<LoadRole, new (context: LoadContext) => RoleWork> = {
  publish: Publishing,
  consume: Consuming,
  request: Requesting,
  respond: Responding,
};

/** One generator: the connections of one task, and what they measure. Lives in a process or thread of its own. */
export class LoadGenerator {
  readonly #task: LoadTask;
  readonly #driver: Driver;
  readonly #meter: LoadMeter;
  readonly #work: RoleWork;
  readonly #errors: string[] = [];
  readonly #onFailure: (error: unknown) => void;
  #failed = false;

  /** `onFailure` is told of the first thing that goes wrong between two calls. */
  constructor(task: LoadTask, driver: Driver, scope: CpuScope, onFailure: (error: unknown) => void) {
    checkTask(task);
    this.#task = task;
    this.#driver = driver;
    this.#meter = new LoadMeter(scope);
    this.#onFailure = onFailure;
    const failed = (error: unknown): void => this.#fail(error);
    this.#work = new WORK[task.role]({ task, driver, meter: this.#meter, failed });
  }

  /** Imports the driver of a task. @throws Error if the module has none */
  static async importDriver(url: string): Promise<Driver> {
    const module = (await import(url)) as { driver?: Driver };
    if (module.driver === undefined) throw new Error(`the module exports no driver: ${url}`);
    return module.driver;
  }

  prepare(): Promise<void> {
    return this.#driver.prepare(this.#task.settings);
  }

  connect(): Promise<void> {
    return this.#work.connect();
  }

  start(schedule: LoadSchedule): void {
    this.#meter.begin(schedule);
    this.#work.start(schedule);
  }

  progress(): LoadProgress {
    return this.#meter.progress();
  }

  stop(): void {
    this.#work.stop();
  }

  async drain(timeoutMs: number, records?: number): Promise<LoadResult> {
    const { records: inWindow, ...counts } = this.#meter.end();
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(), timeoutMs);
    await Promise.race([
      this.#work.drained(timeout.signal, records),
      new Promise<void>((resolve) => timeout.signal.addEventListener("abort", () => resolve())),
    ]);
    clearTimeout(timer);
    timeout.abort();
    const missing = this.#work.missing();
    this.#work.abort();
    if (missing > 0) this.#keep(`${missing} records are missing`);
    const { sent, records: recordsInAll } = this.#meter.progress();
    return {
      role: this.#task.role,
      connections: this.#task.connections,
      records: inWindow,
      ...counts,
      recordsInAll,
      sentInAll: sent,
      ...this.#work.result(),
      errors: this.#errors,
    };
  }

  /** Errors of closing are of no use to anybody: what was to be measured has been. */
  async close(): Promise<void> {
    this.#failed = true;
    await this.#work.close().catch(() => undefined);
  }

  #fail(error: unknown): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#work.abort();
    this.#onFailure(error);
  }

  #keep(error: string): void {
    if (this.#errors.length < LIMITS.errorsKept) this.#errors.push(error);
  }
}
