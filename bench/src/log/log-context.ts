import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { RunContext } from "../harness/bench-row.ts";
import { BrokerProcess } from "../harness/broker-process.ts";
import { waitUntilReady } from "../harness/readiness.ts";
import type { LogPlan } from "./log-plan.ts";
import type { RecoveryFigures } from "./recovery.ts";
import type { RetainedData } from "./retained-data.ts";

/** What every row of the suite works with. */
export interface LogContext extends RunContext {
  readonly logPlan: LogPlan;
  /** Made by the first row that needs it. */
  readonly shared: SharedData;
}

/** What is made once a run, because it takes long, and used by several rows. */
export interface SharedData {
  interleaved?: Promise<RetainedData>;
  recovery?: Promise<RecoveryFigures>;
}

const READY_TIMEOUT_MS = 60_000;

/** A broker that is ended and started again on the same data. */
export class RestartableBroker {
  readonly folder: string;
  readonly #context: LogContext;
  #process: BrokerProcess | undefined;

  constructor(context: LogContext, name: string) {
    this.#context = context;
    this.folder = join(context.folder, name);
    mkdirSync(this.folder, { recursive: true });
  }

  /** @throws Error while it does not run */
  get process(): BrokerProcess {
    if (this.#process === undefined) throw new Error("the broker does not run");
    return this.#process;
  }

  get url(): string {
    return this.process.url;
  }

  /** Resolves once it serves what it holds. */
  async start(): Promise<void> {
    this.#process = await BrokerProcess.start(this.#context.children, this.folder);
    await waitUntilReady(this.url, READY_TIMEOUT_MS);
  }

  async stop(): Promise<void> {
    if (this.#process !== undefined) await this.#context.children.end(this.#process.pid);
    this.#process = undefined;
  }

  /** kill -9 */
  async kill(): Promise<void> {
    await this.#context.children.kill(this.process.pid);
    this.#process = undefined;
  }

  /** The error of a row that failed, with what the broker said last. */
  explain(error: unknown): unknown {
    return this.#process?.explain(error) ?? error;
  }

  /** Ends it and removes its data. */
  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
