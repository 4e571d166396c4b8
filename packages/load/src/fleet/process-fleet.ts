import type { GeneratorCommands } from "../generator/generator-commands.ts";
import type { LoadTask } from "../generator/load-task.ts";
import { LIMITS } from "../limits.ts";
import { plainProcess } from "../measure/cpu-accounting.ts";
import { ChildProcesses } from "../processes/child-processes.ts";
import { CalledGenerator } from "./called-generator.ts";
import type { Fleet, Generator } from "./fleet.ts";

const ENTRY = new URL("../generator/generator-process.js", import.meta.url);

/** Each generator is a forked process: nothing is shared, not even a garbage collector. */
export class ProcessFleet implements Fleet {
  readonly kind = "processes";
  readonly #children: ChildProcesses = new ChildProcesses();
  #count = 0;

  async open(task: LoadTask, label: string): Promise<Generator> {
    if (this.#count >= LIMITS.generatorsMax)
      throw new RangeError(`at most ${LIMITS.generatorsMax} generators`);
    this.#count += 1;
    const child = await this.#children.fork<GeneratorCommands>(ENTRY, { label });
    const end = async (): Promise<void> => {
      this.#count -= 1;
      await this.#children.end(child.pid);
    };
    try {
      await child.call("open", task);
    } catch (error) {
      await end();
      throw error;
    }
    return new CalledGenerator(task, child, plainProcess("generator", child), end);
  }

  close(): Promise<void> {
    return this.#children.endAll();
  }
}
