import { fileURLToPath } from "node:url";
import type { Test } from "tap";
import { OwnedProcess } from "../owned-process.ts";
import type { LoadPlan } from "./load-plan.ts";

const LOAD_MAIN = fileURLToPath(new URL("./load-main.js", import.meta.url));

/** One process of a load. */
export class LoadProcess {
  readonly #process: OwnedProcess;

  private constructor(process: OwnedProcess) {
    this.#process = process;
  }

  /** Resolves when all its clients are connected. */
  static async start(t: Test, plan: LoadPlan): Promise<LoadProcess> {
    const load = new LoadProcess(new OwnedProcess(t, process.execPath, [LOAD_MAIN, JSON.stringify(plan)]));
    await load.#said("ready");
    return load;
  }

  /** Publishers have nothing under way any more, final readers have read everything. */
  settle(): Promise<void> {
    return this.#do("settle");
  }

  /** Workers ack everything from now on. */
  tame(): Promise<void> {
    return this.#do("tame");
  }

  /** Ends the process; its history is complete. */
  async stop(): Promise<void> {
    await this.#do("stop");
    const exit = await this.#process.exited;
    if (exit.code !== 0) throw new Error(`a load process ended with ${exit.code}: ${this.#process.stderr}`);
  }

  async #do(command: string): Promise<void> {
    this.#process.stdin.write(`${command}\n`);
    await this.#said(command);
  }

  async #said(line: string): Promise<void> {
    await this.#process.printed(() => this.#process.lines.includes(line), `a load process to say ${line}`);
  }
}
