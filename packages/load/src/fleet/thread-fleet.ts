import { MessageChannel } from "node:worker_threads";
import { Piscina } from "piscina";
import type { GeneratorCommands } from "../generator/generator-commands.ts";
import type { LoadTask } from "../generator/load-task.ts";
import { LIMITS } from "../limits.ts";
import { delay } from "../measure/system-clock.ts";
import { CommandCalls } from "../processes/command-calls.ts";
import { CalledGenerator } from "./called-generator.ts";
import type { Fleet, Generator } from "./fleet.ts";

const ENTRY = new URL("../generator/generator-worker.js", import.meta.url).href;
/** A thread whose event loop no longer turns ends with the pool. */
const END_TIMEOUT_MS = 5_000;

/**
 * Each generator is a thread of a pool in this process: quicker to start and smaller than a process. Their JavaScript runs
 * apart, but they share the process's helper threads and its memory, and one that brings the process down ends them all.
 */
export class ThreadFleet implements Fleet {
  readonly kind = "threads";
  readonly #pool: Piscina<object, void>;

  constructor() {
    this.#pool = new Piscina({
      filename: ENTRY,
      minThreads: 0,
      maxThreads: LIMITS.generatorsMax,
      concurrentTasksPerWorker: 1,
      // As forked ones have none: what this process is started with is not for its generators. Piscina requires its worker's file
      // before it imports it, and on Node 20 a thread that is ended while it requires an ES module aborts the process.
      execArgv: ["--no-experimental-require-module"],
      // Threads start only when there are tasks for them: until then these wait.
      maxQueue: LIMITS.generatorsMax,
      // A thread whose generator has ended is not used again: its driver may have left something behind.
      idleTimeout: 0,
      // With Atomics a thread blocks between its tasks; the event loop of a generator has to turn.
      atomics: "disabled",
    });
    // The pool also tells of threads that die between tasks; that of a generator rejects its run.
    this.#pool.on("error", () => undefined);
  }

  async open(task: LoadTask, label: string): Promise<Generator> {
    const { port1: port, port2: remote } = new MessageChannel();
    const calls = new CommandCalls<GeneratorCommands>(label, (request) => port.postMessage(request));
    const ready = new Promise<void>((resolve) => {
      port.on("message", (reply) => {
        if (calls.onReply(reply)) resolve();
      });
    });
    const run = this.#pool.run({ port: remote }, { transferList: [remote] });
    run.then(
      () => calls.fail(new Error(`${label} has ended`)),
      (error: unknown) => calls.fail(new Error(`${label} ended: ${messageOf(error)}`, { cause: error })),
    );
    const end = async (): Promise<void> => {
      port.close();
      const timeout = new AbortController();
      await Promise.race([run.catch(() => undefined), delay(END_TIMEOUT_MS, timeout.signal)]);
      timeout.abort();
    };
    try {
      await Promise.race([ready, calls.failure]);
      await calls.call("open", task);
    } catch (error) {
      await end();
      throw error;
    }
    return new CalledGenerator(task, calls, undefined, end);
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
