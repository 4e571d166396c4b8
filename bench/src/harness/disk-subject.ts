import { type CommandedChild, type MeasuredProcess, plainProcess } from "@millrace/load/internal";
import type { DiskArgs, DiskCommands } from "./disk-writer.ts";
import type { Counters, Subject } from "./sampling.ts";

/** The disk alone: a process that writes to a file, which each sample begins anew. */
export class DiskSubject implements Subject {
  readonly name: string;
  readonly processes: readonly MeasuredProcess[];
  readonly #disk: CommandedChild<DiskCommands>;
  readonly #args: DiskArgs;

  constructor(
    disk: CommandedChild<DiskCommands>,
    args: DiskArgs,
    name: string = args.sync ? "disk with fdatasync" : "disk",
  ) {
    this.name = name;
    this.processes = [plainProcess("yardstick", disk)];
    this.#disk = disk;
    this.#args = args;
  }

  async start(): Promise<void> {
    await this.#disk.call("start", this.#args);
  }

  mark(): Promise<Counters> {
    return this.#disk.call("mark", null);
  }

  async stop(): Promise<void> {
    await this.#disk.call("stop", null);
  }
}
