import { rmSync } from "node:fs";
import {
  type CommandedChild,
  type LatencySummary,
  type MeasuredProcess,
  plainProcess,
  ResidentMemoryWatch,
} from "@millrace/load/internal";
import { BATCH_BYTES, VALUE_BYTES } from "../harness/bench-row.ts";
import type { DiskSubject } from "../harness/disk-subject.ts";
import { writtenBytes } from "../harness/kernel-memory.ts";
import type { Counters, Subject } from "../harness/sampling.ts";
import type { IngestCommands } from "./generators/ingest.ts";
import { type LogContext, RestartableBroker } from "./log-context.ts";
import { INGEST_CONNECTIONS, topicNames } from "./log-plan.ts";
import { forkIngest } from "./retained-data.ts";
import { type FolderState, folderState } from "./settled.ts";
import { passWindow, type SlicedWindow } from "./sliced-window.ts";

/** One measured window of the broker, besides its rate. */
export interface IngestWindow {
  readonly slices: SlicedWindow;
  readonly latency: LatencySummary;
  readonly ackedBytes: number;
  /** What the broker's process wrote to storage meanwhile: journal, settled files and all. */
  readonly writtenBytes: number;
  readonly peakResidentBytes: number;
  readonly throttledRecords: number;
  /** At the window's end. */
  readonly folder: FolderState;
}

/** A fresh broker for each sample, so that none begins with the data and the backlog of the one before. */
export class IngestSubject implements Subject {
  readonly name = "broker";
  readonly windows: IngestWindow[] = [];
  readonly #context: LogContext;
  readonly #row: string;
  readonly #topics: readonly string[];
  #broker: RestartableBroker | undefined;
  #generator: CommandedChild<IngestCommands> | undefined;
  #window: Omit<IngestWindow, "throttledRecords"> | undefined;

  constructor(context: LogContext, row: string, topicCount: number) {
    this.#context = context;
    this.#row = row;
    this.#topics = topicNames(topicCount);
  }

  get processes(): readonly MeasuredProcess[] {
    if (this.#broker === undefined || this.#generator === undefined) return [];
    return [this.#broker.process.measured(), plainProcess("generator", this.#generator)];
  }

  async start(): Promise<void> {
    this.#broker = new RestartableBroker(this.#context, this.#row);
    await this.#broker.start();
    this.#generator = await forkIngest(this.#context);
    await this.#generator.call("connect", {
      url: this.#broker.url,
      topics: this.#topics,
      mode: "create",
      connections: INGEST_CONNECTIONS,
      valueBytes: VALUE_BYTES,
      batchBytes: BATCH_BYTES,
    });
    await this.#generator.call("start", null);
  }

  mark(): Promise<Counters> {
    return this.#running().generator.call("mark", null);
  }

  async window(durationMs: number): Promise<void> {
    const { broker, generator } = this.#running();
    const { pid } = broker.process;
    const watch = new ResidentMemoryWatch(pid);
    try {
      await generator.call("resetLatency", null);
      const before = await generator.call("mark", null);
      const writtenBefore = writtenBytes(pid) ?? 0;
      const slices = await passWindow(() => this.mark(), durationMs, this.#context.folder);
      const after = await generator.call("mark", null);
      this.#window = {
        slices,
        latency: await generator.call("latency", null),
        ackedBytes: after.bytes - before.bytes,
        writtenBytes: (writtenBytes(pid) ?? 0) - writtenBefore,
        peakResidentBytes: watch.peakBytes,
        folder: folderState(broker.folder),
      };
    } finally {
      watch.stop();
    }
  }

  async stop(): Promise<void> {
    const { generator } = this.#running();
    const { throttledRecords } = await generator.call("stop", null);
    if (this.#window !== undefined) this.windows.push({ ...this.#window, throttledRecords });
    await this.remove();
  }

  /** Ends what a sample has started. */
  async remove(): Promise<void> {
    if (this.#generator !== undefined) await this.#context.children.end(this.#generator.pid);
    await this.#broker?.remove();
    this.#generator = undefined;
    this.#broker = undefined;
  }

  explain(error: unknown): unknown {
    return this.#broker?.explain(error) ?? error;
  }

  #running(): { broker: RestartableBroker; generator: CommandedChild<IngestCommands> } {
    if (this.#broker === undefined || this.#generator === undefined)
      throw new Error("no sample is being taken");
    return { broker: this.#broker, generator: this.#generator };
  }
}

/** The disk yardstick over as long a window, watched in the same way. */
export class SlicedDiskSubject implements Subject {
  readonly name: string;
  readonly windows: SlicedWindow[] = [];
  readonly #disk: DiskSubject;
  readonly #path: string;
  readonly #folder: string;

  constructor(disk: DiskSubject, path: string, folder: string) {
    this.name = disk.name;
    this.#disk = disk;
    this.#path = path;
    this.#folder = folder;
  }

  get processes(): readonly MeasuredProcess[] {
    return this.#disk.processes;
  }

  start(): Promise<void> {
    return this.#disk.start();
  }

  mark(): Promise<Counters> {
    return this.#disk.mark();
  }

  async window(durationMs: number): Promise<void> {
    this.windows.push(await passWindow(() => this.mark(), durationMs, this.#folder));
  }

  async stop(): Promise<void> {
    await this.#disk.stop();
    rmSync(this.#path, { force: true });
  }
}
