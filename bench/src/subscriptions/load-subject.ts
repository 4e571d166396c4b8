import { type CommandedChild, type MeasuredProcess, plainProcess } from "@millrace/load/internal";
import type { Counters, Subject } from "../harness/sampling.ts";
import type { LoadCommands } from "./generators/raw-load.ts";

/** A broker under the load of one process that publishes and consumes; what counts is what was consumed. */
export class LoadSubject implements Subject {
  readonly name: string;
  readonly processes: readonly MeasuredProcess[];
  readonly #load: CommandedChild<LoadCommands>;

  constructor(name: string, broker: MeasuredProcess, load: CommandedChild<LoadCommands>) {
    this.name = name;
    this.processes = [broker, plainProcess("generator", load)];
    this.#load = load;
  }

  async start(): Promise<void> {
    await this.#load.call("start", null);
  }

  mark(): Promise<Counters> {
    return this.#load.call("mark", null);
  }

  async stop(): Promise<void> {
    await this.#load.call("stop", null);
  }
}
